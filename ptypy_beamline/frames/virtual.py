"""Virtual datasets: HDF5 keeps every source open that it has read from, until they are closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from ..arrays import Ints
from ..files.hdf5 import being_written
from ..files.regular import FileState

VIRTUAL = threading.Lock()
"""Held while a virtual dataset is open to be read."""


class Watched(NamedTuple):
    """A file that frames are taken from: what it was, and the first and last frame it may hold."""

    path: Path
    state: FileState
    first: int
    last: int


@dataclass(frozen=True)
class Sources:
    """The files that a virtual dataset takes its frames from.

    Attributes
    ----------
    spans
        (files, 2) first and last frame that each holds a part of. Of a source whose extent is not
        limited nothing is known: a file for each frame is assumed.
    watched
        Those of fixed names, and the file of the dataset itself.
    """

    spans: Ints
    watched: tuple[Watched, ...]

    @classmethod
    def of(cls, dataset: h5py.Dataset, leading: int | None) -> Sources | None:
        """Those of a dataset; None: it is not virtual."""
        if not dataset.is_virtual:
            return None
        axes, found = dataset.shape[leading is not None : -2], _extents(dataset, leading)
        known = [extent for name, extent in found.items() if "%b" not in name]
        limited = [extent for extent in known if extent is not None]
        every = len(limited) == len(found)
        spans = np.array(limited, np.int64).reshape(-1, 2) if every else _one_each(axes)
        return cls(spans, tuple(_watched(dataset, found, int(np.prod(axes, dtype=int)))))

    def check(self, wanted: NDArray[np.intp]) -> None:
        """Make sure that the files of increasing frames that were read are what they were.

        HDF5 gives the fill value for one that is gone.

        Raises
        ------
        FileError
            One has changed.
        """
        first, last = np.array([source[2:] for source in self.watched]).T
        begin, end = np.searchsorted(wanted, first), np.searchsorted(wanted, last, side="right")
        for number in np.flatnonzero(begin < end):
            path, state, *_ = self.watched[number]
            if not _is_being_written(path):
                state.check(path, path, may_grow=True)


def _is_being_written(path: Path) -> bool:
    try:
        return being_written(path)
    except OSError:
        return False


def _watched(
    dataset: h5py.Dataset, found: dict[str, tuple[int, int] | None], count: int
) -> Iterator[Watched]:
    owner = Path(dataset.file.filename)
    for name, extent in {".": None, **found}.items():
        path = source_file(owner, name.replace("%%", "%"))
        if path is not None:
            yield Watched(path, FileState.of(path.stat()), *(extent or (0, count - 1)))


def source_file(owner: Path, name: str) -> Path | None:
    """The file that a source's name in the file ``owner`` stands for; None: it is not there."""
    if name == ".":
        return owner
    folders = (owner.parent, owner.resolve().parent)
    places = (folder / part for folder in folders for part in (name, Path(name).name))
    return next(filter(os.path.isfile, places), None)


def _extents(dataset: h5py.Dataset, leading: int | None) -> dict[str, tuple[int, int] | None]:
    """First and last frame that each file holds a part of; None = without an end."""
    axes = dataset.shape[leading is not None : -2]
    files: dict[str, tuple[int, int] | None] = {}
    for source in dataset.virtual_sources():
        try:
            low, high = source.vspace.get_select_bounds()
            first, last = (_number(place[leading is not None : -2], axes) for place in (low, high))
        except (RuntimeError, ValueError):
            files[source.file_name] = None
            continue
        known = files.get(source.file_name, (first, last))
        files[source.file_name] = known and (min(first, known[0]), max(last, known[1]))
    return files


def _one_each(axes: tuple[int, ...]) -> Ints:
    numbers = np.arange(int(np.prod(axes, dtype=int)))
    return np.stack([numbers, numbers], axis=1)


def _number(place: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(place, axes)) if axes else 0


def portions(wanted: NDArray[np.intp], sources: Ints, most: int) -> Iterator[slice]:
    """Cut increasing frames into runs that need no more than ``most`` files, if one frame does."""
    start = 0
    while start < len(wanted):
        stop, allowed = start + 1, max(most, _touched(sources, wanted[start], wanted[start]))
        while stop < len(wanted) and _touched(sources, wanted[start], wanted[stop]) <= allowed:
            stop += 1
        yield slice(start, stop)
        start = stop


def _touched(sources: Ints, first: np.intp, last: np.intp) -> int:
    """Files that hold a part of the frames from ``first`` to ``last``."""
    return int(((sources[:, 0] <= last) & (sources[:, 1] >= first)).sum())
