"""A writer of ``.ptyd`` by hand, as ``ptypy.io.h5rw`` lays it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .recording import Raw, put_frames

CHUNK = 7
"""Frames in a chunk."""


def write_ptyd(
    path: Path,
    raw: Raw,
    *,
    save: str = "append",
    good: NDArray[Any] | None = None,
    folder: str = "",
) -> Path:
    """Prepared frames in chunks, energy in keV, positions (row, column) in metres.

    Parameters
    ----------
    save
        ``append``: one file. ``link``: a part for each chunk, beside the master.
    good
        (n, ny, nx) weights, where frames have defects of their own; else those of ``raw.bad``.
    folder
        What the links put before a part's name; PtyPy puts the folder of ``dfile`` as given.
    """
    n, shape = len(raw.frames), raw.frames.shape[1:]
    if good is None:
        good = np.broadcast_to(np.ones(shape, bool) if raw.bad is None else ~raw.bad, (n, *shape))
    with h5py.File(path, "w") as file:
        for name in ("chunks", "info", "meta"):
            file.create_group(name).attrs["type"] = "dict"
        _meta(file["meta"], raw, shape)
        for number, start in enumerate(range(0, n, CHUNK)):
            part = slice(start, start + CHUNK)
            if save == "append":
                _chunk(file.create_group(f"chunks/{number}"), raw, good, part)
                continue
            name = f"{path.name}.part{number:03d}"
            with h5py.File(path.with_name(name), "w") as other:
                _chunk(other, raw, good, part)
            file[f"chunks/{number}"] = h5py.ExternalLink(folder + name, "/")
    return path


def _meta(group: h5py.Group, raw: Raw, shape: tuple[int, ...]) -> None:
    known = {
        "version": 0.1,
        "num_frames": len(raw.frames),
        "label": None,
        "shape": np.array(shape),
        "psize": np.array(raw.pixel_m),
        "energy": None if raw.energy_eV is None else raw.energy_eV / 1e3,
        "distance": raw.distance_m,
        "center": None if raw.center_px is None else np.array(raw.center_px),
    }
    for name, value in known.items():
        group[name] = np.zeros(1) if value is None else value
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        group[name].attrs["type"] = "None" if value is None else kind


def _chunk(group: h5py.Group, raw: Raw, good: NDArray[Any], part: slice) -> None:
    put_frames(group, "data", raw.frames[part], raw.compression)
    group["weights"] = good[part]
    group["positions"] = raw.positions_m[part]
    group["indices"] = np.arange(len(raw.frames))[part]
    for name in group:
        group[name].attrs["type"] = "arraylist" if name == "indices" else "array"
