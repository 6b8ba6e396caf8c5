"""The standardized HDF5 file: one corrected scan, in SI, that any viewer opens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..output import complete_hdf5
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
    """Write the frames of ``plan`` as they are handed to PtyPy.

    Corrections are applied, so the file has neither dark nor flat. ``/entry/mask`` is one image
    where all frames have the same bad pixels, else an image for each frame; both this package and
    PtyPy's ``Hdf5Loader`` (``mask.invert=True``) take either.

    Parameters
    ----------
    plan
        What to load.
    path
        Appears when all is written.
    exposure_s
        Exposure time of a position.
    provenance
        Where it came from; stored as JSON in ``/entry/provenance``.
    compression
        ``gzip``, which every h5py reads, ``bitshuffle``, which needs a plugin, or ``none``.
    progress
        Called with the number of positions each block has written.

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
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "plot"})
        _write_frames(entry, plan, compression, progress)
        _write_positions(entry, plan)
        entry["energy_eV"] = geometry.energy_eV
        entry["det_dist_m"] = geometry.distance_m
        height, width = geometry.pixel_m
        entry["pixel_m"] = height if height == width else np.array([height, width])
        entry["center_px"] = np.array(geometry.center_px)
        for name, unit in (("energy_eV", "eV"), ("det_dist_m", "m"), ("pixel_m", "m")):
            entry[name].attrs["units"] = unit
        entry["energy_eV"].attrs["radiation"] = geometry.radiation
        if exposure_s is not None:
            entry["exposure_s"] = exposure_s
            entry["exposure_s"].attrs["units"] = "s"
        if provenance is not None:
            entry["provenance"] = json.dumps(provenance, default=str)
        _write_plot(entry)
    return Path(path)


def _write_frames(
    entry: h5py.Group, plan: Plan, compression: str, progress: Callable[[int], None]
) -> None:
    shape = plan.geometry.shape
    data, bad = (
        StackWriter(entry, "data", (len(plan), *shape), np.float32, compression),
        BadPixels(shape),
    )
    data.dataset.attrs["units"] = "counts"
    for block in plan.blocks():
        data.append(block.frames)
        bad.add(block.good)
        progress(len(block.positions))
    bad.write(entry, "mask")


def _write_positions(entry: h5py.Group, plan: Plan) -> None:
    y, x = plan.positions_m.T
    entry["pos"] = np.column_stack([x, y])
    entry["pos"].attrs["columns"] = "x,y"
    entry["posx_m"], entry["posy_m"] = x, y
    for name in ("pos", "posx_m", "posy_m"):
        entry[name].attrs["units"] = "m"
    entry["frame_indices"] = plan.selection.exposures
    entry["frame_indices"].attrs["description"] = "raw frames of each position, -1 = left out"


def _write_plot(entry: h5py.Group) -> None:
    """A default plot for silx and h5web."""
    plot = entry.create_group("plot")
    plot.attrs.update({"NX_class": "NXdata", "signal": "data", "interpretation": "image"})
    plot["data"] = h5py.SoftLink("/entry/data")
