"""Frames of a ``.ptyd``: the chunks' data one after another, in the order of their indices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Ints
from ..errors import ScanError
from ..scan import FrameStack, Indices, Readiness, Window
from .hdf5 import Hdf5Frames


@dataclass(frozen=True, eq=False)
class PtydFrames(FrameStack):
    """Chunks read in bulk; defects of single frames are NaN.

    A weight of 0 in every frame is a bad pixel of the detector and belongs to ``Scan.bad``. A
    weight of 0 in some frames only cannot be expressed by one image: there the frame is NaN, which
    every later step takes as bad in this exposure. Without such defects the frames keep their
    stored dtype; with them they become the floating type that holds every stored count exactly.

    Attributes
    ----------
    chunks
        Data of each chunk, (n_i, ny, nx); alike in shape and dtype.
    weights
        Weights of each chunk, (n_i, ny, nx) or one image, None = all good; empty where no frame
        has defects of its own.
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
        """As stored; a floating type where frames have defects of their own."""
        stored = self.chunks[0].dtype
        return np.promote_types(stored, np.float32) if self.weights else stored

    @cached_property
    def starts(self) -> Ints:
        """(chunks + 1,) index of the first frame of each chunk, and the end."""
        return np.cumsum([0, *(chunk.shape[0] for chunk in self.chunks)])

    def stored_in(self, indices: Ints) -> Ints:
        """Index of the first frame in the same HDF5 chunk, for each of ``indices``."""
        places = self.order[indices]
        start = self.starts[np.searchsorted(self.starts, places, "right") - 1]
        return start + self.chunks[0].stored_in(places - start)

    def ready(self) -> Readiness:
        """All of them: an unfinished file is refused on opening."""
        return Readiness(len(self.order))

    def continues(self, earlier: PtydFrames) -> bool:
        """Whether these are the frames of ``earlier``, and more behind them."""
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
        wanted = np.asarray(indices, dtype=np.intp)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < len(self.order):
            raise ScanError(
                f"Expected frames 0 to {len(self.order) - 1}. Got {wanted.min()} to {wanted.max()}",
                file=self.chunks[0].path,
            )
        places = self.order[wanted]
        chunk_of = np.searchsorted(self.starts, places, "right") - 1
        out = np.empty((len(wanted), *window.shape), self.dtype)
        for number in np.unique(chunk_of).tolist():
            here = np.flatnonzero(chunk_of == number)
            out[here] = self._read_chunk(number, places[here] - self.starts[number], window)
        return out

    def _read_chunk(self, number: int, rows: NDArray[np.intp], window: Window) -> NDArray[Any]:
        """Frames of one chunk, NaN in defects of single frames."""
        data = self.chunks[number].read(rows, window)
        weights = self.weights[number] if self.weights else None
        if weights is None:
            return data
        shared = weights.shape[0] == 1 != self.chunks[number].shape[0]
        good = weights.read([0] if shared else rows, window) > 0
        own = ~good & ~self.bad[window.slices]
        return np.where(own, np.nan, data.astype(self.dtype, copy=False)).astype(self.dtype)
