"""The standardized HDF5 file: a corrected scan in SI units that any viewer opens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..output.hdf5 import complete_hdf5, linked_plot, nexus_group, put_dataset
from ..planning.plan import Plan
from .stacks import BadPixels, StackWriter


def write_standard(
    plan: Plan,
    path: str | Path,
    *,
    exposure_s: float | None = None,
    provenance: Mapping[str, Any] | None = None,
    compression: str = "gzip",
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write the frames of ``plan`` as they are passed to PtyPy.

    Corrections are applied, so the file has neither dark nor flat. ``/entry/mask`` is one image if
    all frames have the same bad pixels, else an image for each frame; both this package and PtyPy's
    ``Hdf5Loader`` (``mask.invert=True``) read either.

    Parameters
    ----------
    plan
        What to load.
    path
        The file; it appears when it is complete.
    exposure_s
        Exposure time of a position.
    provenance
        Origin of the data; stored as JSON in ``/entry/provenance``.
    compression
        ``gzip``, which every h5py reads, ``bitshuffle``, which needs a plugin, or ``none``.
    progress
        Called after each block with its number of positions.

    Raises
    ------
    FileError
        The folder cannot be written.
    SettingsError
        An unknown compression.
    """
    geometry = plan.geometry
    with complete_hdf5(path) as file:
        file.attrs["default"] = "entry"
        entry = nexus_group(file, "entry", "NXentry", default="plot")
        _write_frames(entry, plan, compression, progress)
        _write_positions(entry, plan)
        energy = {"units": "eV", "radiation": geometry.radiation}
        put_dataset(entry, "energy_eV", geometry.energy_eV, **energy)
        put_dataset(entry, "det_dist_m", geometry.distance_m, units="m")
        height, width = geometry.pixel_m
        pixel = height if height == width else np.array([height, width])
        put_dataset(entry, "pixel_m", pixel, units="m")
        entry["center_px"] = np.array(geometry.center_px)
        if exposure_s is not None:
            put_dataset(entry, "exposure_s", exposure_s, units="s")
        if provenance is not None:
            entry["provenance"] = json.dumps(provenance, default=str)
        linked_plot(entry, "plot", "/entry/data", interpretation="image")
    return Path(path)


def _write_frames(
    entry: h5py.Group, plan: Plan, compression: str, progress: Callable[[int], None]
) -> None:
    shape = plan.geometry.shape
    data = StackWriter(entry, "data", (len(plan), *shape), np.float32, compression)
    bad = BadPixels(shape)
    data.dataset.attrs["units"] = "counts"
    for block in plan.blocks():
        data.append(block.frames)
        bad.add(block.good)
        progress(len(block.positions))
    bad.write(entry, "mask")


def _write_positions(entry: h5py.Group, plan: Plan) -> None:
    y, x = plan.positions_m.T
    put_dataset(entry, "pos", np.column_stack([x, y]), columns="x,y", units="m")
    put_dataset(entry, "posx_m", x, units="m")
    put_dataset(entry, "posy_m", y, units="m")
    numbering = "raw frames of each position, -1 = left out"
    put_dataset(entry, "frame_indices", plan.selection.exposures, description=numbering)
