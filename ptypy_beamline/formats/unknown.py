"""What an HDF5 file of no known layout has that may be frames and positions."""

from __future__ import annotations

import math
import re

import h5py

SMALLEST_PX = 4
"""Side of the smallest frame."""

FRAMES, POSITIONS = 3, 6
"""So many of each are named at most."""

LIKELY = re.compile(r"pos|stage|motor|[xy](_[a-zµ]+)?$", re.IGNORECASE)
"""Names that positions often have; they come first."""


def candidates(file: h5py.File) -> str:
    """Datasets that by their shapes may be frames or positions, for a message."""
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, item: found.append(item) if _has_numbers(item) else None)
    stacks = [one for one in found if one.ndim >= 3 and min(one.shape[-2:]) >= SMALLEST_PX]
    stacks.sort(key=lambda one: -one.size)
    if not stacks:
        return "no dataset in it has three axes, as a stack of frames has"
    frames = math.prod(stacks[0].shape[:-2])
    lists = [one for one in found if _length(one) > 1]
    lists.sort(key=lambda one: (abs(_length(one) - frames), not LIKELY.search(one.name)))
    said = f"{_named(stacks[:FRAMES])} may be frames"
    return f"{said}, {_named(lists[:POSITIONS])} positions" if lists else said


def _has_numbers(item: h5py.Dataset | h5py.Group) -> bool:
    named = isinstance(item.name, str)  # bytes: no UTF-8
    return named and isinstance(item, h5py.Dataset) and item.dtype.kind in "iufc"


def _length(dataset: h5py.Dataset) -> int:
    """Positions that are in a list, (n, 2), (n, 3), (2, n) or (3, n); 0 of any other shape."""
    if dataset.ndim == 2 and {2, 3} & {*dataset.shape}:
        return int(max(dataset.shape))
    return int(dataset.shape[0]) if dataset.ndim == 1 else 0


def _named(datasets: list[h5py.Dataset]) -> str:
    return ", ".join(f"{one.name} {one.shape}" for one in datasets)
