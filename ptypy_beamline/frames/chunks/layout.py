"""Which chunks of a dataset a read needs, and which part of each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import Ints
from ...scan import Window


class Filter(NamedTuple):
    """A filter that HDF5 applies to chunks before they are written."""

    code: int
    values: tuple[int, ...] = ()


class Tile(NamedTuple):
    """The part of a window in one row and column of chunks, the same in every frame."""

    number: int
    """Row of chunks × number of chunks in a row + column."""
    window: Window
    """In the chunk."""
    corner: tuple[int, int]
    """Its (row, column) in the frames that are read."""

    @property
    def box(self) -> tuple[int, int, int, int, int, int]:
        """Top and left in the chunk, height, width, and the corner."""
        window = self.window
        return window.top, window.left, window.height, window.width, *self.corner


class Piece(NamedTuple):
    """What a read takes from one chunk."""

    number: int
    """Of the chunk in the dataset's grid of chunks, in C order."""
    tile: Tile
    frames: NDArray[np.intp]
    """In the chunk, increasing."""
    into: NDArray[np.intp]
    """Their indices in the stack that is read."""

    def parts(self, out: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Each frame's number in the chunk, and its part of ``out`` (n, h, w)."""
        (y, x), window = self.tile.corner, self.tile.window
        place = (slice(y, y + window.height), slice(x, x + window.width))
        for frame, into in zip(self.frames.tolist(), self.into.tolist(), strict=True):
            yield frame, out[into][place]


@dataclass(frozen=True)
class Pieces:
    """Many pieces, as arrays: as objects they would keep Python's garbage collector busy.

    Attributes
    ----------
    numbers, tile
        (n,) number of each chunk, and index in ``tiles``.
    first, count
        (n,) each takes ``count`` of ``frames`` and ``into``, from ``first`` on.
    """

    tiles: Sequence[Tile]
    frames: NDArray[np.intp]
    into: NDArray[np.intp]
    numbers: Ints
    tile: NDArray[np.intp]
    first: NDArray[np.intp]
    count: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, chosen: slice | NDArray[Any]) -> Pieces:
        return replace(
            self,
            numbers=self.numbers[chosen],
            tile=self.tile[chosen],
            first=self.first[chosen],
            count=self.count[chosen],
        )

    def __iter__(self) -> Iterator[Piece]:
        each = (self.numbers.tolist(), self.tile.tolist(), self.first.tolist(), self.count.tolist())
        for number, tile, first, count in zip(*each, strict=True):
            part = slice(first, first + count)
            yield Piece(number, self.tiles[tile], self.frames[part], self.into[part])

    def each_frame(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Of each frame: index of its piece, its number in the chunk, its index in the stack."""
        piece = np.repeat(np.arange(len(self)), self.count)
        before = np.cumsum(self.count) - self.count
        chosen = np.arange(len(piece)) + (self.first - before)[piece]
        return piece, self.frames[chosen], self.into[chosen]

    def row(self, number: int) -> int:
        """Index of a piece's first frame in the stack that is read."""
        return int(self.into[self.first[number]])


@dataclass(frozen=True)
class Storage:
    """How a stack of frames (…, y, x) is stored in chunks.

    Attributes
    ----------
    shape, chunk
        Of the dataset and of a chunk; a contiguous dataset counts as chunks of one frame.
    dtype
        As stored, with its byte order.
    filters
        In the order of writing.
    leading
        Index on an axis before those of the frames, or None.
    fill
        Pixel value of chunks that were never written.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    filters: tuple[Filter, ...] = ()
    leading: int | None = None
    fill: Any = 0

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks on each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True))

    @cached_property
    def frames(self) -> int:
        """Frames in a chunk."""
        return math.prod(self.chunk[:-2])

    @cached_property
    def frame_bytes(self) -> int:
        """Bytes of the part of a frame in a chunk."""
        return math.prod(self.chunk[-2:]) * self.dtype.itemsize

    @cached_property
    def bytes(self) -> int:
        """Bytes of a decoded chunk, also of one that extends past the dataset's edge."""
        return self.frames * self.frame_bytes

    @cached_property
    def elements(self) -> tuple[int, int, int]:
        """Pixels of a chunk, of the part of a frame in it, and of a row."""
        frame = math.prod(self.chunk[-2:])
        return self.frames * frame, frame, self.chunk[-1]

    def origin(self, number: int) -> tuple[int, ...]:
        """Index of a chunk's first pixel."""
        place = np.unravel_index(number, self.grid)
        return tuple(int(p) * c for p, c in zip(place, self.chunk, strict=True))

    def reaches_past(self, number: int) -> bool:
        """Whether a chunk extends past the dataset's edge."""
        ends = zip(self.origin(number), self.chunk, self.shape, strict=True)
        return any(first + length > n for first, length, n in ends)

    def numbers(self, origins: Ints) -> Ints:
        """Number of each chunk whose first pixel is given (n, axes)."""
        return _flat((origins // np.array(self.chunk)).T, self.grid)

    def pieces(self, wanted: NDArray[np.intp], window: Window) -> Pieces:
        """What to take from each chunk for the increasing frames ``wanted``."""
        place, inner = self._places(wanted)
        order = np.argsort(place, kind="stable")
        place, inner = place[order], inner[order]
        first = np.flatnonzero(np.r_[True, np.diff(place) != 0])
        count = np.diff(np.r_[first, len(place)])
        tiles, across = list(self._tiles(window)), math.prod(self.grid[-2:])
        numbers = place[first, None] * across + np.array([tile.number for tile in tiles])
        which = np.tile(np.arange(len(tiles)), len(first))
        many = (np.repeat(values, len(tiles)) for values in (first, count))
        return Pieces(tiles, inner, order, numbers.ravel(), which, *many)

    def blocks(self, piece: Piece, size: int) -> Iterator[int]:
        """Increasing numbers of the blocks of ``size`` pixels that ``piece`` touches."""
        following = 0
        for start, stop in self._runs(piece):
            yield from range(max(following, start // size), -(-stop // size))
            following = -(-stop // size)

    def needed(self, piece: Piece) -> int:
        """Bytes of the chunk up to the end of ``piece``."""
        return max(stop for _, stop in self._runs(piece)) * self.dtype.itemsize

    def _runs(self, piece: Piece) -> Iterator[tuple[int, int]]:
        """Index of each frame's first pixel in the chunk, and of the one after its last."""
        (_, frame, row), window = self.elements, piece.tile.window
        for number in piece.frames.tolist():
            start = number * frame + window.top * row + window.left
            yield start, start + (window.height - 1) * row + window.width

    def _places(self, wanted: NDArray[np.intp]) -> tuple[Ints, Ints]:
        """Index of each frame's chunks on the grid of the frame axes, and of the frame in them."""
        fixed = () if self.leading is None else (np.full(len(wanted), self.leading),)
        axes = self.shape[len(fixed) : -2]
        indices = (*fixed, *(np.unravel_index(wanted, axes) if axes else ()))
        if not indices:
            return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.int64)
        lengths, coordinates = self.chunk[:-2], np.array(indices, np.int64)
        chunks, inner = np.divmod(coordinates, np.array(lengths)[:, None])
        return _flat(chunks, self.grid[:-2]), _flat(inner, lengths)

    def _tiles(self, window: Window) -> Iterator[Tile]:
        (high, wide), across = self.chunk[-2:], self.grid[-1]
        for row, top, upper, height in _cuts(window.top, window.height, high):
            for column, left, first, width in _cuts(window.left, window.width, wide):
                part = Window(top, left, height, width)
                yield Tile(row * across + column, part, (upper, first))


def _flat(coordinates: Ints, lengths: Sequence[int]) -> Ints:
    """Index in C order of coordinates (axes, n) in a box of ``lengths``."""
    flat = np.zeros(coordinates.shape[1], np.int64)
    for coordinate, length in zip(coordinates, lengths, strict=True):
        flat = flat * length + coordinate
    return flat


def _cuts(start: int, length: int, size: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut a range at the edges of chunks: chunk, start in it, start in the range, length."""
    for number in range(start // size, -(-(start + length) // size)):
        first, last = max(start, number * size), min(start + length, (number + 1) * size)
        yield number, first - number * size, first - start, last - first
