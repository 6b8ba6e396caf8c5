"""Stacks of frames that follow each other: parts of a scan, and the chunks of a ``.ptyd``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Ints
from ..errors import FileError, ScanError
from ..scan import Frames, FrameStack, Gaps, Indices, Readiness, Window, checked, gaps, written
from .hdf5 import Hdf5Frames


@dataclass(frozen=True)
class MissingFrames(FrameStack):
    """Frames of a file that cannot be read, which keep their numbers in the scan.

    Attributes
    ----------
    first
        Number of the first one in the scan.
    shape
        (n, ny, nx).
    dtype
        Of a pixel.
    why
        What is wrong with the file.
    """

    first: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    why: FileError

    @property
    def range(self) -> str:
        """Their numbers, in the syntax of ``reject``."""
        last = self.first + self.shape[0] - 1
        return f"{self.first}-{last}" if last > self.first else f"{last}"

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Nothing.

        Raises
        ------
        FileError
            A frame is asked for.
        """
        if len(indices):
            raise FileError(
                f"{self.why.problem}, and frames {self.range} are in it",
                f"{self.why.remedy}, or leave these frames out by reject='{self.range}' "
                f"(--reject {self.range})",
                self.why.file,
            )
        return np.empty((0, *window.shape), self.dtype)


@dataclass(frozen=True)
class JoinedFrames(FrameStack):
    """Stacks of one frame shape and dtype that follow each other.

    Parameters
    ----------
    parts
        At least one stack.

    Raises
    ------
    ScanError
        The stacks do not fit together.
    """

    parts: tuple[Frames, ...]

    def __post_init__(self) -> None:
        kinds = {(part.shape[1:], str(part.dtype)) for part in self.parts}
        if len(kinds) != 1:
            found = ", ".join(f"{shape} {dtype}" for shape, dtype in sorted(kinds)) or "none"
            raise ScanError(
                f"Expected parts of one frame shape and dtype. Got {found}",
                "name one part by paths.frames (--path frames=PATH)",
            )

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        """Index after the last frame of each part."""
        return np.cumsum([part.shape[0] for part in self.parts])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx) of all parts."""
        _, ny, nx = self.parts[0].shape
        return int(self._ends[-1]), ny, nx

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel."""
        return self.parts[0].dtype

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window``; each part is read once.

        Raises
        ------
        ScanError
            An index lies outside the stack.
        """
        wanted = checked(indices, self.shape[0])
        out = np.empty((len(wanted), *window.shape), self.dtype)
        owner = np.searchsorted(self._ends, wanted, side="right")
        for number in np.unique(owner):
            first = self._ends[number] - self.parts[number].shape[0]
            mine = owner == number
            out[mine] = self.parts[number].read(wanted[mine] - first, window)
        return out

    def written(self) -> Bools | None:
        """(n,) which frames were ever written; None = all, or unknown."""
        each = [(written(part), part.shape[0]) for part in self.parts]
        if all(flags is None for flags, _ in each):
            return None
        return np.concatenate(
            [np.ones(n, np.bool_) if flags is None else flags for flags, n in each]
        )

    def gaps(self) -> Gaps | None:
        """Pixels that were not written in frames that were; None = there are none."""
        found = [gaps(part) for part in self.parts if not isinstance(part, MissingFrames)]
        if all(each is None for each in found):
            return None
        none = np.zeros(self.shape[1:], np.bool_)
        always, sometimes = zip(*(each or (none, none) for each in found), strict=True)
        return Gaps(np.logical_and.reduce(always), np.logical_or.reduce(sometimes))

    def absent(self) -> Bools | None:
        """(n,) which frames are in files that cannot be read; None = none of them."""
        if not any(isinstance(part, MissingFrames) for part in self.parts):
            return None
        lengths = [part.shape[0] for part in self.parts]
        return np.repeat([isinstance(part, MissingFrames) for part in self.parts], lengths)

    def ready(self) -> Readiness:
        """Frames up to the first part that is not complete."""
        count, ready = 0, Readiness(0)
        for part in self.parts:
            ready = part.ready()
            count += ready.frames
            if not ready.complete:
                break
        return replace(ready, frames=count)


@dataclass(frozen=True, eq=False)
class PtydFrames(FrameStack):
    """Frames of a ``.ptyd``; pixels that are bad in single frames are NaN.

    A weight of 0 in every frame is a bad pixel of the detector and belongs to ``Scan.bad``. A
    weight of 0 in some frames only cannot be expressed by one image: there the frame is NaN, which
    every later step treats as bad in this exposure. Without such pixels the frames keep their
    stored dtype; with them they become the floating type that holds every stored count exactly.

    Attributes
    ----------
    chunks
        Data of each chunk, (n_i, ny, nx), of one frame shape and dtype.
    weights
        Weights of each chunk, (n_i, ny, nx) or one image, None = all good; empty if all frames
        have the same bad pixels.
    order
        (n,) frame → its index in the concatenated chunks.
    bad
        (ny, nx) bad in every frame: left as stored.
    """

    chunks: tuple[Hdf5Frames, ...]
    weights: tuple[Hdf5Frames | None, ...]
    order: Ints
    bad: Bools

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return len(self.order), *self.chunks[0].shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored; a floating type if frames have bad pixels of their own."""
        stored = self.chunks[0].dtype
        return np.promote_types(stored, np.float32) if self.weights else stored

    @cached_property
    def starts(self) -> Ints:
        """(chunks + 1,) index of the first frame of each chunk, and the end."""
        return np.cumsum([0, *(chunk.shape[0] for chunk in self.chunks)])

    def stored_in(self, indices: Ints) -> Ints:
        """Index of the first frame in the same HDF5 chunk, for each of ``indices``."""
        stored = self.order[indices]
        start = self.starts[np.searchsorted(self.starts, stored, "right") - 1]
        return start + self.chunks[0].stored_in(stored - start)

    def continues(self, earlier: PtydFrames) -> bool:
        """Whether these are the frames of ``earlier``, and possibly more."""
        return np.array_equal(self.order[: len(earlier.order)], earlier.order)

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame), (len(indices), height, width).

        Raises
        ------
        ScanError
            An index lies outside the scan.
        FileError
            A part is gone, or a frame cannot be read or decoded.
        """
        stored = self.order[checked(indices, len(self.order), self.chunks[0].path)]
        chunk_of = np.searchsorted(self.starts, stored, "right") - 1
        out = np.empty((len(stored), *window.shape), self.dtype)
        for number in np.unique(chunk_of).tolist():
            here = np.flatnonzero(chunk_of == number)
            out[here] = self._read_chunk(number, stored[here] - self.starts[number], window)
        return out

    def _read_chunk(self, number: int, rows: NDArray[np.intp], window: Window) -> NDArray[Any]:
        """Frames of one chunk; pixels that are bad in single frames are NaN."""
        data = self.chunks[number].read(rows, window)
        weights = self.weights[number] if self.weights else None
        if weights is None:
            return data
        shared = weights.shape[0] == 1 != self.chunks[number].shape[0]
        good = weights.read([0] if shared else rows, window) > 0
        own = ~good & ~self.bad[window.slices]
        return np.where(own, np.nan, data.astype(self.dtype, copy=False)).astype(self.dtype)
