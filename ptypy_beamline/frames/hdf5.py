"""Frames of an HDF5 dataset, read in slabs and only where the window is."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
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
from ..scan import FrameStack, Gaps, Indices, Readiness, Window, increasing
from .chunks.direct import Direct, direct
from .chunks.stored import ChunkError
from .virtual import VIRTUAL, Sources, portions
from .written import Written, allocated_early


@dataclass(frozen=True)
class Hdf5Frames(FrameStack):
    """A dataset (n, y, x), (rows, columns, y, x), or one image (y, x), as a stack of frames.

    The file is opened when it is first needed, and closed with this object, or earlier if many are
    open, see :mod:`.files.handles`; a pickle carries names only. A file that is being written is
    opened for each read, without a lock if this object was made :func:`unlocked`.

    Parameters
    ----------
    path, dataset
        The file and the dataset's path in it.
    leading
        Index on an axis before those of the frames; None = the dataset has no such axis.
    limit
        Use at most this many frames.
    counted
        Whether the file itself states the number of frames.

    Raises
    ------
    FileError
        The file or a filter plugin is missing, or the file is damaged.
    ScanError
        The dataset is not a stack of images.
    """

    path: Path
    dataset: str
    leading: int | None = None
    limit: int | None = None
    counted: bool = False
    _lock: bool = field(init=False, repr=False, compare=False)
    _state: FileState = field(init=False, repr=False, compare=False)
    _axes: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _frames_per_chunk: int = field(init=False, repr=False, compare=False)
    _frame_type: tuple[tuple[int, int], np.dtype[Any]] = field(
        init=False, repr=False, compare=False
    )
    _sources: Sources | None = field(init=False, repr=False, compare=False)

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
        frame_type = dataset.shape[-2:], dataset.dtype.newbyteorder("=")
        object.__setattr__(self, "_axes", self._frame_axes(dataset))
        object.__setattr__(self, "_frames_per_chunk", self._count_in_chunk(dataset))
        object.__setattr__(self, "_frame_type", frame_type)
        object.__setattr__(self, "_sources", Sources.of(dataset, self.leading))

    def __getstate__(self) -> dict[str, Any]:
        return {k: value for k, value in self.__dict__.items() if k not in ("_opened", "_gaps")}

    def _open(self) -> tuple[h5py.Dataset, Direct | None]:
        """The dataset, from a handle of this process, and the reader of its chunks."""
        process, _, *opened = self.__dict__.get("_opened", (0, None, None, None))
        if process == os.getpid():
            OPEN_FILES.touch(self)
        else:
            file = open_hdf5(self.path, self._lock)
            dataset = open_dataset(file, self.dataset, self.path)
            opened = [dataset, direct(dataset, self.leading, steady=self._lock)]
            # While one handle of this process is open, HDF5 shows another the state it saw first,
            # and an open virtual dataset keeps its sources open.
            if self._lock and not dataset.file.swmr_mode and not dataset.is_virtual:
                OPEN_FILES.keep(self, (os.getpid(), file, *opened))
        return opened[0], opened[1]

    def _frame_axes(self, dataset: h5py.Dataset) -> tuple[int, ...]:
        """Lengths of the frame axes: (), (n,) or (rows, columns)."""
        return tuple(dataset.shape[self.leading is not None : -2])

    def _count_in_chunk(self, dataset: h5py.Dataset) -> int:
        """Number of frames in a chunk if they are consecutive, else 1."""
        axes = self._frame_axes(dataset)
        if not dataset.chunks or not axes:
            return 1
        *others, last = dataset.chunks[:-2][self.leading is not None :]
        whole_rows = len(axes) == 1 or axes[-1] % last == 0
        return int(last) if whole_rows and all(n == 1 for n in others) else 1

    def stored_in(self, indices: Ints) -> Ints:
        """The first frame in the same chunk, for each of ``indices``."""
        return indices // self._frames_per_chunk * self._frames_per_chunk

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return self._limited(math.prod(self._axes)), *self._frame_type[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type in native byte order."""
        return self._frame_type[1]

    def _limited(self, count: int) -> int:
        return count if self.limit is None else min(count, self.limit)

    def ready(self) -> Readiness:
        """Frames in the file now, up to the first unwritten one; complete once it is closed."""
        complete = not being_written(self.path)
        dataset, _ = self._open()
        flags = Written.of(dataset, self.leading).frames
        count = math.prod(self._frame_axes(dataset)) if flags is None else int(flags.argmin())
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

        That is if all space was allocated at the start, or the last chunk has room for several.
        """
        if dataset.is_virtual:
            return 0
        if not dataset.chunks or allocated_early(dataset):
            return count
        axes = slice(self.leading is not None, -2)
        grows = None in dataset.maxshape[axes] and count == math.prod(self._frame_axes(dataset))
        *rows, last = dataset.chunks[axes] or (1,)
        per_chunk = last if math.prod(rows) == 1 else math.prod(rows) * dataset.shape[axes][-1]
        return 0 if grows or per_chunk == 1 else (count - 1) % per_chunk + 1

    def written(self) -> Bools | None:
        """(n,) which frames had been written when this was first called; None = all of them."""
        if "_written" not in self.__dict__:
            # All sources of a virtual dataset are opened for it: once.
            found = Written.of(self._open()[0], self.leading)
            object.__setattr__(self, "_written", found.frames)
            object.__setattr__(self, "_gaps", found.gaps)
        flags: Bools | None = self.__dict__["_written"]
        return None if flags is None or flags[: self.limit].all() else flags[: self.limit]

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
        alone = nullcontext() if self._sources is None else VIRTUAL
        with alone, naming(self.path):
            try:
                return self._read(indices, window)
            finally:  # unreadable data may be due to a change of the file
                if self._lock and self._sources is None:
                    self._check_state()

    def _check_state(self) -> None:
        """Check that the file has not changed; one that is followed may."""
        file = self._open()[0].file
        if not file.swmr_mode:
            self._state.check(file.id.get_vfd_handle(), self.path, may_grow=True)

    def _read(self, indices: Indices, window: Window) -> NDArray[Any]:
        dataset, chunks = self._open()
        # In increasing order a chunk of several frames is decoded only once.
        wanted, inverse = increasing(indices, math.prod(self._frame_axes(dataset)), self.path)
        out = np.empty((len(wanted), *window.shape), dataset.dtype)
        if self._sources is not None:
            del dataset
            self._read_virtual(self._sources, wanted, window, out)
        elif out.size:
            left = self._read_chunks(chunks, wanted, window, out)
            if len(left) == len(wanted):
                self._read_slabs(dataset, wanted, window, out)
            elif len(left):
                rest = np.empty_like(out[left])
                self._read_slabs(dataset, wanted[left], window, rest)
                out[left] = rest
        if not out.dtype.isnative:
            out = out.byteswap(inplace=True).view(self.dtype)
        return out if inverse is None else out[inverse]

    def _read_virtual(
        self, sources: Sources, wanted: NDArray[np.intp], window: Window, out: NDArray[Any]
    ) -> None:
        """Fill ``out`` with a limited number of sources open at a time."""
        if not out.size:
            return
        for some in portions(wanted, sources.spans, most_open() // 2):
            try:
                self._read_slabs(self._open()[0], wanted[some], window, out[some])
            finally:
                if self._lock:
                    sources.check(wanted[some])

    def _read_chunks(
        self, chunks: Direct | None, wanted: NDArray[np.intp], window: Window, out: NDArray[Any]
    ) -> NDArray[np.intp]:
        """Fill ``out`` straight from the chunks; return which of it HDF5 must read."""
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
    ) -> None:
        """Fill ``out`` through HDF5."""
        axes = self._frame_axes(dataset)
        for into, first, step in slabs(wanted, axes[-1] if axes else 1):
            self._read_slab(dataset, axes, out[into], first, step, window)

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
        index: tuple[Any, ...] = () if self.leading is None else (self.leading,)
        if axes:
            *row, start = (int(i) for i in np.unravel_index(first, axes))
            index = (*index, *row, slice(start, start + step * (len(out) - 1) + 1, step))
        try:
            dataset.read_direct(out, (*index, *window.slices))
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
