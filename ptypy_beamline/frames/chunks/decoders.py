"""Decoders of chunks, by the filters that HDF5 has applied.

Each puts the window's part of a chunk into the stack that is read, and holds the interpreter lock
only for moments. What is not covered here is left to HDF5.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...arrays import Bytes, Ints
from ...parallel import buffer, scratch, shares
from .blocks import Bitshuffle, BitshuffleLz4, BloscLz4, cut_bytes, cut_pixels, default_block
from .compression import BLOSC, UNPACK, ZSTD, Unpack, available
from .layout import Filter, Piece, Storage, Tile
from .stored import TOGETHER, Batch, ChunkError, SingleChunk, UncoveredError

SHUFFLE, BITSHUFFLE = 2, 32008
"""Filters of HDF5 and of the HDF Group's list of registered filter plugins."""


class Decoder(Protocol):
    """Cuts windows out of chunks."""

    def cut(self, batch: Batch, out: NDArray[Any]) -> list[NDArray[np.intp]]:
        """Put the pieces into their places in ``out`` (n, h, w), as it is stored.

        Returns
        -------
        list
            Which of ``out`` are left to HDF5.

        Raises
        ------
        ChunkError
            A chunk is not what its filters write.
        """


class One(Protocol):
    """Cuts a window out of a chunk."""

    def cut(self, chunk: SingleChunk, piece: Piece, out: NDArray[Any]) -> None:
        """Put ``piece`` of ``chunk`` into its place in ``out`` (n, h, w), as it is stored.

        Raises
        ------
        ChunkError
            The chunk is not what its filters write.
        UncoveredError
            It is to be left to HDF5.
        """


@dataclass(frozen=True)
class OneByOne:
    """A :class:`Decoder` that takes one chunk after another."""

    one: One

    def cut(self, batch: Batch, out: NDArray[Any]) -> list[NDArray[np.intp]]:
        """Put the pieces into their places in ``out``; return which are left to HDF5."""
        left = []
        for i, piece in enumerate(batch.pieces):
            stored, kept = batch.stored[i : i + 1], batch.kept.get(piece.number)
            chunk = SingleChunk(batch.storage, stored, piece.number in batch.keep, kept)
            try:
                self.one.cut(chunk, piece, out)
            except UncoveredError:
                left.append(piece.into)
            except OSError as error:
                raise ChunkError(str(error), int(piece.into[0])) from error
            if chunk.keep:
                batch.keep[piece.number] = chunk.kept
        return left


def decoder(filters: Sequence[Filter], storage: Storage) -> Decoder | None:
    """What undoes ``filters``, given in the order of writing; None = HDF5 must do it."""
    codes, itemsize = [code for code, _ in filters], storage.dtype.itemsize
    # The compiled functions take the first byte for the least one.
    compiled = itemsize in (1, 2, 4, 8) and sys.byteorder == "little"
    if codes == [BITSHUFFLE]:
        return _bitshuffle(filters[0].values, itemsize) if compiled else None
    if codes == [BLOSC] and compiled and _is_lz4(filters[0].values, storage):
        return OneByOne(BloscLz4())
    shuffled = codes[:1] == [SHUFFLE]
    if shuffled and (filters[0].values != (itemsize,) or not compiled):
        return None
    rest = codes[shuffled:]
    if len(rest) > 1 or not all(map(available, rest)):
        return None
    return OneByOne(Whole(UNPACK[rest[0]][1] if rest else None, shuffled)) if codes else Plain()


def _bitshuffle(values: tuple[int, ...], itemsize: int) -> Decoder | None:
    """The decoder for the filter's parameters.

    Source: bitshuffle repository, src/bshuf_h5filter.c: two numbers of its version, bytes of an
    element, elements of a block (0 = default), compression (0 none, 2 LZ4, 3 zstd), its level.
    """
    size, block, compression = (*values, 0, 0, 0, 0, 0)[2:5]
    if size != itemsize or block % 8:
        return None
    block = block or default_block(itemsize)
    if compression == 2:
        return BitshuffleLz4(block)
    if compression == 0 or (compression == 3 and available(ZSTD)):
        return OneByOne(Bitshuffle(compression == 3, block))
    return None


def _is_lz4(values: tuple[int, ...], storage: Storage) -> bool:
    """Whether Blosc compresses by LZ4 or LZ4HC, and leaves no pixels that it does not shuffle.

    Source: hdf5-blosc, src/blosc_filter.c: two numbers of its version, that of Blosc, bytes of a
    chunk, level, shuffling, compression (1 LZ4, 2 LZ4HC).
    """
    return values[6:7] in ((1,), (2,)) and storage.elements[0] % 8 == 0


@dataclass(frozen=True)
class Plain:
    """Chunks without a filter: only the window's rows are fetched."""

    def cut(self, batch: Batch, out: NDArray[Any]) -> list[NDArray[np.intp]]:
        """Put the pieces into their places in ``out`` (n, h, w)."""
        wrong = np.flatnonzero(batch.stored.sizes != batch.storage.bytes)
        if len(wrong):
            size, row = batch.stored.sizes[wrong[0]], batch.pieces.row(wrong[0])
            raise ChunkError(f"it has {size} bytes, not {batch.storage.bytes}", row)
        for number in np.unique(batch.pieces.tile).tolist():
            self._cut(batch[batch.pieces.tile == number], batch.pieces.tiles[number], out)
        return []

    def _cut(self, batch: Batch, tile: Tile, out: NDArray[Any]) -> None:
        """The same for pieces of one tile."""
        storage, window, (y, x) = batch.storage, tile.window, tile.corner
        chunk, frame, into = batch.pieces.each_frame()
        row = storage.chunk[-1] * out.itemsize
        size = window.height * row
        places = batch.stored.places[chunk] + frame * storage.frame_bytes + window.top * row
        target = out[:, y : y + window.height, x : x + window.width]
        if storage.chunk[-1] == window.width and window.shape == out.shape[1:]:
            _straight(batch, places, size, into, out)
            return
        for some in shares(len(into), -(-len(into) * size // TOGETHER)):
            sizes = np.full(some.stop - some.start, size)
            data, ends = batch.fetch_parts(places[some], sizes, into[some])
            pixels = data[: ends[-1]].view(out.dtype).reshape(-1, window.height, storage.chunk[-1])
            target[_consecutive(into[some])] = pixels[:, :, window.slices[1]]


def _straight(
    batch: Batch, places: Ints, size: int, into: NDArray[np.intp], out: NDArray[Any]
) -> None:
    """Fetch whole frames to where they belong."""
    starts = [0, *(np.flatnonzero(np.diff(into) != 1) + 1).tolist(), len(into)]
    for start, stop in pairwise(starts):
        data = out[into[start] : into[start] + stop - start].reshape(-1).view(np.uint8)
        sizes = np.full(stop - start, size)
        batch.fetch_parts(places[start:stop], sizes, into[start:stop], data)


def _consecutive(rows: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """A slice where ``rows`` follow each other: NumPy is faster then, and makes no copy."""
    if np.all(np.diff(rows) == 1):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


@dataclass(frozen=True)
class Whole:
    """Chunks that are decoded from their beginning on.

    Attributes
    ----------
    unpack
        Undoes the compression, if there is one.
    shuffled
        The first bytes of all pixels come first, then the second ones, and so on.
    """

    unpack: Unpack | None
    shuffled: bool

    def cut(self, chunk: SingleChunk, piece: Piece, out: NDArray[Any]) -> None:
        """Put ``piece`` of ``chunk`` into its place in ``out`` (n, h, w)."""
        plain = self._decoded(chunk, piece) if chunk.kept is None else chunk.kept
        if self.shuffled:
            cut_bytes(plain, chunk.storage.elements[0], chunk.storage, piece, out)
        else:
            cut_pixels(plain, chunk.storage, piece, out)

    def _decoded(self, chunk: SingleChunk, piece: Piece) -> Bytes:
        """The chunk as far as it is needed, and padding."""
        if self.unpack is None:
            if chunk.size != chunk.storage.bytes:
                raise ChunkError(f"it has {chunk.size} bytes, not {chunk.storage.bytes}")
            return chunk.fetch()
        room, everything = chunk.storage.bytes, self.shuffled or chunk.keep
        plain = buffer(room) if chunk.keep else scratch("plain", room)
        enough = room if everything else chunk.storage.needed(piece)
        self.unpack(chunk.fetch(), chunk.size, plain, room, enough)
        if chunk.keep:
            chunk.kept = plain
        return plain
