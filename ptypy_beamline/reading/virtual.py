"""Virtual datasets: HDF5 keeps every source open that it has read from, until they are closed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import h5py
import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.int64]

VIRTUAL = threading.Lock()
"""Held while a virtual dataset is open to be read."""


def spans(dataset: h5py.Dataset, leading: int | None) -> Spans | None:
    """(files, 2) first and last frame that each file holds a part of; None: not virtual.

    Of a source whose extent is not limited nothing is known: a file for each frame is assumed.
    """
    if not dataset.is_virtual:
        return None
    axes = dataset.shape[leading is not None : -2]
    files: dict[str, tuple[int, int]] = {}
    for source in dataset.virtual_sources():
        try:
            low, high = source.vspace.get_select_bounds()
            first, last = (_number(place[leading is not None : -2], axes) for place in (low, high))
        except (RuntimeError, ValueError):  # without an end
            return _one_each(axes)
        if "%b" in source.file_name:
            return _one_each(axes)
        known = files.get(source.file_name, (first, last))
        files[source.file_name] = (min(first, known[0]), max(last, known[1]))
    return np.array(list(files.values()), np.int64).reshape(-1, 2)


def _one_each(axes: tuple[int, ...]) -> Spans:
    numbers = np.arange(int(np.prod(axes, dtype=int)))
    return np.stack([numbers, numbers], axis=1)


def _number(place: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(place, axes)) if axes else 0


def portions(wanted: NDArray[np.intp], sources: Spans, most: int) -> Iterator[slice]:
    """Cut increasing frames into runs that need no more than ``most`` files, if one frame does."""
    start = 0
    while start < len(wanted):
        stop, allowed = start + 1, max(most, _touched(sources, wanted[start], wanted[start]))
        while stop < len(wanted) and _touched(sources, wanted[start], wanted[stop]) <= allowed:
            stop += 1
        yield slice(start, stop)
        start = stop


def _touched(sources: Spans, first: np.intp, last: np.intp) -> int:
    """Files that hold a part of the frames from ``first`` to ``last``."""
    return int(((sources[:, 0] <= last) & (sources[:, 1] >= first)).sum())
