"""Virtual datasets: HDF5 keeps every source that it has read from open until they are closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
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
"""Held while a virtual dataset is being read."""


class SourceFile(NamedTuple):
    """A source: its state at first, and the first and last frame that it may have a part of."""

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
        (files, 2) first and last frame that each has a part of; one file for each frame if the
        extent of any source is unlimited.
    watched
        The file of the dataset itself, and sources whose names are fixed.
    """

    spans: Ints
    watched: tuple[SourceFile, ...]

    @classmethod
    def of(cls, dataset: h5py.Dataset, leading: int | None) -> Sources | None:
        """The sources of a dataset; None if it is not virtual."""
        if not dataset.is_virtual:
            return None
        axes, found = dataset.shape[leading is not None : -2], _extents(dataset, leading)
        count = int(np.prod(axes, dtype=int))
        limited = [extent for name, extent in found.items() if extent and "%b" not in name]
        if len(limited) == len(found):
            spans = np.array(limited, np.int64).reshape(-1, 2)
        else:
            spans = np.repeat(np.arange(count), 2).reshape(-1, 2)
        return cls(spans, tuple(_watched(dataset, found, count)))

    def check(self, wanted: NDArray[np.intp]) -> None:
        """Check that the files of increasing frames, which were read, have not changed.

        HDF5 reads a missing one as the fill value.

        Raises
        ------
        FileError
            One has changed.
        """
        first, last = np.array([source[2:] for source in self.watched]).T
        begin, end = np.searchsorted(wanted, first), np.searchsorted(wanted, last, side="right")
        for number in np.flatnonzero(begin < end):
            path, state, *_ = self.watched[number]
            with suppress(OSError):  # a missing file: the check reports it
                if being_written(path):
                    continue
            state.check(path, path, may_grow=True)


def _watched(
    dataset: h5py.Dataset, found: dict[str, tuple[int, int] | None], count: int
) -> Iterator[SourceFile]:
    owner = Path(dataset.file.filename)
    for name, extent in {".": None, **found}.items():
        path = source_file(owner, name.replace("%%", "%"))
        if path is not None:
            yield SourceFile(path, FileState.of(path.stat()), *(extent or (0, count - 1)))


def source_file(owner: Path, name: str) -> Path | None:
    """The file of a source by its name in the file ``owner``; None if it is missing."""
    if name == ".":
        return owner
    folders = (owner.parent, owner.resolve().parent)
    paths = (folder / part for folder in folders for part in (name, Path(name).name))
    return next(filter(os.path.isfile, paths), None)


def _extents(dataset: h5py.Dataset, leading: int | None) -> dict[str, tuple[int, int] | None]:
    """First and last frame that each file has a part of; None = its extent is unlimited."""
    axes = dataset.shape[leading is not None : -2]
    files: dict[str, tuple[int, int] | None] = {}
    for source in dataset.virtual_sources():
        try:
            low, high = source.vspace.get_select_bounds()
            first, last = (
                int(np.ravel_multi_index(bound[leading is not None : -2], axes)) if axes else 0
                for bound in (low, high)
            )
        except (RuntimeError, ValueError):
            files[source.file_name] = None
            continue
        known = files.get(source.file_name, (first, last))
        files[source.file_name] = known and (min(first, known[0]), max(last, known[1]))
    return files


def portions(wanted: NDArray[np.intp], sources: Ints, most: int) -> Iterator[slice]:
    """Cut increasing frames into runs that need at most ``most`` files, or those of one frame."""
    start = 0
    while start < len(wanted):
        stop, allowed = start + 1, max(most, _touched(sources, wanted[start], wanted[start]))
        while stop < len(wanted) and _touched(sources, wanted[start], wanted[stop]) <= allowed:
            stop += 1
        yield slice(start, stop)
        start = stop


def _touched(sources: Ints, first: np.intp, last: np.intp) -> int:
    """Number of files that have a part of the frames from ``first`` to ``last``."""
    return int(((sources[:, 0] <= last) & (sources[:, 1] >= first)).sum())
