"""Frames of an HDF5 dataset, read in slabs and only where the window is."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Ints
from ..errors import FileError, ScanError, naming
from ..files.handles import OPEN_FILES, most_open
from ..files.hdf5 import being_written, check_filters, locking, open_dataset, open_hdf5
from ..files.regular import FileState
from ..scan import FrameStack, Gaps, Indices, Readiness, Window
from .chunks.direct import Direct, direct
from .chunks.stored import ChunkError
from .virtual import VIRTUAL, Sources, portions
from .written import Written, made_at_once

__all__ = ["Hdf5Frames", "open_hdf5", "slabs"]


@dataclass(frozen=True)
class Hdf5Frames(FrameStack):
    """A dataset (n, y, x), (rows, columns, y, x), or one image (y, x), as a stack of frames.

    The file is opened when it is first needed, and closed with this object, or earlier where there
    are many, see :mod:`.files.handles`; a pickle carries names only. One that is being written is
    opened for each read, without a lock where this object was made :func:`unlocked`.

    Parameters
    ----------
    path, dataset
        The file and the dataset's path in it.
    leading
        Index on an axis before those of the frames; None = the dataset has no such axis.
    limit
        Use at most so many frames.
    counted
        Number of frames that the file itself states.

    Raises
    ------
    FileError
        The file or a filter plugin is missing, or the file is damaged.
    ScanError
        The dataset is no stack of images.
    """

    path: Path
    dataset: str
    leading: int | None = None
    limit: int | None = None
    counted: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path).absolute())
        object.__setattr__(self, "_lock", locking())
        with open_hdf5(self.path) as file:
            dataset = open_dataset(file, self.dataset, self.path)
            state = FileState.of(os.fstat(dataset.file.id.get_vfd_handle()))
            object.__setattr__(self, "_state", state)
            self._inspect(dataset)

    def _inspect(self, dataset: h5py.Dataset) -> None:
        """Check the dataset and remember its layout."""
        check_filters(dataset, self.path)
        axes = dataset.ndim - (self.leading is not None)
        pixels = math.prod(dataset.shape[-2:]) if dataset.shape else 0
        if not 2 <= axes <= 4 or dataset.dtype.kind not in "biufc" or not pixels:
            raise ScanError(
                f"Expected a stack of images. Got {self.dataset} of shape {dataset.shape}, "
                f"{dataset.dtype}",
                file=self.path,
            )
        object.__setattr__(self, "_axes", self._frame_axes(dataset))
        object.__setattr__(self, "_together", self._in_a_chunk(dataset))
        object.__setattr__(self, "_sources", Sources.of(dataset, self.leading))
        object.__setattr__(self, "_pixels", (dataset.shape[-2:], dataset.dtype.newbyteorder("=")))

    def __getstate__(self) -> dict[str, Any]:
        return {k: value for k, value in self.__dict__.items() if k not in ("_opened", "_gaps")}

    def _open(self) -> tuple[h5py.Dataset, Direct | None]:
        """The dataset, from a handle of this process, and what reads its chunks."""
        process, _, *opened = self.__dict__.get("_opened", (0, None, None, None))
        if process == os.getpid():
            OPEN_FILES.touch(self)
        else:
            lock: bool = self.__dict__["_lock"]
            file = open_hdf5(self.path, lock)
            dataset = open_dataset(file, self.dataset, self.path)
            opened = [dataset, direct(dataset, self.leading, steady=lock)]
            # While one handle of this process is open, HDF5 shows another what it saw then, and
            # an open virtual dataset keeps its sources open.
            if lock and not dataset.file.swmr_mode and not dataset.is_virtual:
                OPEN_FILES.keep(self, (os.getpid(), file, *opened))
        return opened[0], opened[1]

    def _frame_axes(self, dataset: h5py.Dataset) -> tuple[int, ...]:
        """Lengths of the frame axes: (), (n,) or (rows, columns)."""
        return tuple(dataset.shape[self.leading is not None : -2])

    def _in_a_chunk(self, dataset: h5py.Dataset) -> int:
        """Frames in a chunk, where those are numbered one after another."""
        axes = self._frame_axes(dataset)
        if not dataset.chunks or not axes:
            return 1
        *others, together = dataset.chunks[:-2][self.leading is not None :]
        whole_rows = len(axes) == 1 or axes[-1] % together == 0
        return int(together) if whole_rows and all(n == 1 for n in others) else 1

    def stored_in(self, indices: Ints) -> Ints:
        """The first frame in the same chunk, for each of ``indices``."""
        together: int = self.__dict__["_together"]
        return indices // together * together

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        axes: tuple[int, ...] = self.__dict__["_axes"]
        (ny, nx), _ = self.__dict__["_pixels"]
        return self._limited(math.prod(axes)), ny, nx

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type in native byte order."""
        dtype: np.dtype[Any] = self.__dict__["_pixels"][1]
        return dtype

    def _limited(self, count: int) -> int:
        return count if self.limit is None else min(count, self.limit)

    def ready(self) -> Readiness:
        """Frames in the file now, up to one that was not written; complete once it is closed."""
        complete = not being_written(self.path)
        dataset, _ = self._open()
        there = Written.of(dataset, self.leading).frames
        count = math.prod(self._frame_axes(dataset)) if there is None else int(there.argmin())
        ready = self._limited(count)
        unconfirmed = (
            0 if self.counted else max(0, ready - count + self._unconfirmed(dataset, count))
        )
        if not unconfirmed:
            return Readiness(ready, complete)
        changed_s = os.fstat(dataset.file.id.get_vfd_handle()).st_mtime
        return Readiness(ready, complete, unconfirmed, changed_s)

    def _unconfirmed(self, dataset: h5py.Dataset, count: int) -> int:
        """How many of the last of ``count`` frames may be space for frames to come.

        Where all of it was made at the start, or the last chunk has some for several frames.
        """
        if dataset.is_virtual:
            return 0
        if not dataset.chunks or made_at_once(dataset):
            return count
        axes = slice(self.leading is not None, -2)
        grows = None in dataset.maxshape[axes] and count == math.prod(self._frame_axes(dataset))
        *rows, each = dataset.chunks[axes] or (1,)
        together = each if math.prod(rows) == 1 else math.prod(rows) * dataset.shape[axes][-1]
        return 0 if grows or together == 1 else (count - 1) % together + 1

    def written(self) -> Bools | None:
        """(n,) which frames were ever written, when this was first asked; None = all of them."""
        if "_written" not in self.__dict__:
            # Of a virtual dataset all sources are opened for it: once.
            found = Written.of(self._open()[0], self.leading)
            object.__setattr__(self, "_written", found.frames)
            object.__setattr__(self, "_gaps", found.gaps)
        there: Bools | None = self.__dict__["_written"]
        return None if there is None or there[: self.limit].all() else there[: self.limit]

    def gaps(self) -> Gaps | None:
        """Pixels that were not written in frames that were; None = there are none."""
        if "_gaps" not in self.__dict__:
            return Written.of(self._open()[0], self.leading).gaps
        gaps: Gaps | None = self.__dict__["_gaps"]
        return gaps

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame), (len(indices), height, width), C-contiguous.

        Raises
        ------
        ScanError
            An index lies outside the stack.
        FileError
            A frame cannot be read or decoded, or the file has changed.
        """
        # While one thread has a virtual dataset open, its sources stay open for all.
        alone = nullcontext() if self.__dict__["_sources"] is None else VIRTUAL
        with alone, naming(self.path):
            try:
                return self._read(indices, window)
            finally:  # what cannot be read may have been written to since
                if self.__dict__["_lock"] and self.__dict__["_sources"] is None:
                    self._check_state()

    def _check_state(self) -> None:
        """See that the file is what it was; a scan that is followed may change."""
        file = self._open()[0].file
        state: FileState = self.__dict__["_state"]
        if not file.swmr_mode:
            state.check(file.id.get_vfd_handle(), self.path, may_grow=True)

    def _read(self, indices: Indices, window: Window) -> NDArray[Any]:
        # Increasing order decodes a chunk of several frames only once.
        wanted, inverse = np.unique(np.asarray(indices, dtype=np.intp), return_inverse=True)
        dataset, chunks = self._open()
        axes = self._frame_axes(dataset)
        if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < math.prod(axes):
            raise ScanError(
                f"Expected frames 0 to {math.prod(axes) - 1} of {self.dataset}. "
                f"Got {wanted[0]} to {wanted[-1]}",
                file=self.path,
            )
        out = np.empty((len(wanted), *window.shape), dataset.dtype)
        if self.__dict__["_sources"] is not None:
            del dataset
            self._read_virtual(wanted, window, out)
        elif out.size:
            left = self._read_chunks(chunks, wanted, window, out)
            if len(left) == len(wanted):
                self._read_slabs(dataset, wanted, window, out)
            elif len(left):
                out[left] = self._read_slabs(
                    dataset, wanted[left], window, np.empty_like(out[left])
                )
        if not out.dtype.isnative:
            out = out.byteswap(inplace=True).view(self.dtype)
        in_order = len(inverse) == len(wanted) and bool(np.all(np.diff(inverse) > 0))
        return out if in_order else out[inverse]

    def _read_virtual(self, wanted: NDArray[np.intp], window: Window, out: NDArray[Any]) -> None:
        """Fill ``out``, with no more sources open at a time than there may be."""
        if not out.size:
            return
        sources: Sources = self.__dict__["_sources"]
        for some in portions(wanted, sources.spans, most_open() // 2):
            try:
                self._read_slabs(self._open()[0], wanted[some], window, out[some])
            finally:
                if self.__dict__["_lock"]:
                    sources.check(wanted[some])

    def _read_chunks(
        self, chunks: Direct | None, wanted: NDArray[np.intp], window: Window, out: NDArray[Any]
    ) -> NDArray[np.intp]:
        """Fill ``out`` straight from the chunks; return which of it is left to HDF5."""
        if chunks is None:
            return np.arange(len(wanted))
        try:
            return chunks.read(wanted, window, out)
        except ChunkError as error:
            raise self._unreadable(int(wanted[error.row]), error) from error

    def _unreadable(self, frame: int, error: OSError) -> FileError:
        problem = f"frame {frame} of {self.dataset} cannot be read ({error})"
        return FileError(problem, "reject this frame, or copy the file again", self.path)

    def _read_slabs(
        self, dataset: h5py.Dataset, wanted: NDArray[np.intp], window: Window, out: NDArray[Any]
    ) -> NDArray[Any]:
        """Fill ``out`` by HDF5."""
        axes = self._frame_axes(dataset)
        for into, first, step in slabs(wanted, axes[-1] if axes else 1):
            self._read_slab(dataset, axes, out[into], first, step, window)
        return out

    def _read_slab(
        self,
        dataset: h5py.Dataset,
        axes: tuple[int, ...],
        out: NDArray[Any],
        first: int,
        step: int,
        window: Window,
    ) -> None:
        """Fill ``out`` with the frames first, first + step, … of one row of the raster."""
        place: tuple[Any, ...] = () if self.leading is None else (self.leading,)
        if axes:
            *row, start = (int(i) for i in np.unravel_index(first, axes))
            place = (*place, *row, slice(start, start + step * (len(out) - 1) + 1, step))
        try:
            dataset.read_direct(out, (*place, *window.slices))
        except OSError as error:
            if len(out) == 1:
                raise self._unreadable(first, error) from error
            for number in range(len(out)):  # to name the frame
                one = out[number : number + 1]
                self._read_slab(dataset, axes, one, first + number * step, 1, window)


def slabs(indices: NDArray[np.intp], row: int) -> Iterator[tuple[slice, int, int]]:
    """Cut increasing indices into runs of one step that stay within a row of ``row`` frames.

    Yields
    ------
    tuple
        Where the run lies in ``indices``, its first index, and its step.
    """
    start, total = 0, len(indices)
    while start < total:
        first, stop = int(indices[start]), start + 1
        step = int(indices[stop]) - first if stop < total else 1
        end = (first // row + 1) * row
        while stop < total and indices[stop] < end and indices[stop] - indices[stop - 1] == step:
            stop += 1
        yield slice(start, stop), first, step
        start = stop
