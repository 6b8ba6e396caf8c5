"""NanoMAX (MAX IV): frames of one detector, and the piezo's positions."""

from __future__ import annotations

from dataclasses import replace

import h5py

from ..errors import MissingDataError
from ..reading.links import lookup
from .hdf5 import Hdf5Format, Item
from .source import Source, expand, has

FRAMES = "/entry/measurement/*/frames"


def _recognise(file: h5py.File) -> bool:
    group = file.get("/entry/measurement")
    if not isinstance(group, h5py.Group):
        return False
    devices = [group.get(name, getlink=True) for name in group]
    # A detector may be a link to another file, which need not be here to tell the format.
    linked = any(isinstance(device, h5py.ExternalLink) for device in devices)
    return has(file, "/entry/measurement/pseudo") and (linked or has(file, FRAMES))


def _adapt(source: Source, table: Hdf5Format) -> Hdf5Format:
    """Choose the detector, of which there may be only one."""
    if "frames" in source.opening.paths:
        return table
    found = [(path, lookup(source.file, path, source.opening.links))
             for path in expand(source.file, FRAMES)]  # fmt: skip
    images = [path for path, dataset in found
              if isinstance(dataset, h5py.Dataset) and dataset.ndim >= 3]  # fmt: skip
    if len(images) > 1:
        raise MissingDataError(f"Expected one detector with frames. Got {', '.join(images)}",
                               "name one by paths.frames (--path frames=PATH)")  # fmt: skip
    return replace(table, frames=Item(tuple(images) or (FRAMES,)))


NANOMAX = Hdf5Format(
    name="nanomax",
    title="NanoMAX: entry/measurement/DETECTOR/frames with entry/measurement/pseudo/x and y",
    recognise=_recognise,
    frames=Item((FRAMES,)),
    x=Item(("/entry/measurement/pseudo/x",), "um"),
    y=Item(("/entry/measurement/pseudo/y",), "um"),
    energy=Item(("/entry/snapshot/energy",), "eV"),
    adapt=_adapt,
)
