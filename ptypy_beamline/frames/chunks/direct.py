"""A read of frames straight from the chunks of a dataset, by several threads.

What is not covered here is left to HDF5.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from ...arrays import Bools, Bytes, Ints
from ...files.hdf5 import CACHE_LIMIT
from ...parallel import available_threads, in_pool, shares, spread
from ...scan import Window
from .compression import BLOSC, UNPACK, ZSTD, available
from .decoders import Bitshuffle, BitshuffleLz4, BloscLz4, Whole, default_block
from .layout import Filter, Piece, Pieces, Storage, Tile
from .stored import (
    GROUP_BYTES,
    Batch,
    ChunkError,
    ChunkSource,
    SingleChunk,
    Stored,
    UncoveredError,
    source_of,
)

SHUFFLE, BITSHUFFLE = 2, 32008
"""Filters of HDF5 and of the HDF Group's list of registered filter plugins."""

SHARES = 4
"""Parts of a read for each thread: some take longer than others."""


class BatchDecoder(Protocol):
    """Cuts windows out of chunks."""

    def cut(self, batch: Batch, out: NDArray[Any]) -> list[NDArray[np.intp]]:
        """Copy the pieces into ``out`` (n, h, w), in the stored dtype.

        Returns
        -------
        list
            Which of ``out`` are left to HDF5.

        Raises
        ------
        ChunkError
            A chunk is not what its filters write.
        """


class ChunkDecoder(Protocol):
    """Cuts a window out of a chunk."""

    def cut(self, chunk: SingleChunk, piece: Piece, out: NDArray[Any]) -> None:
        """Copy ``piece`` of ``chunk`` into ``out`` (n, h, w), in the stored dtype.

        Raises
        ------
        ChunkError
            The chunk is not what its filters write.
        UncoveredError
            It is to be left to HDF5.
        """


@dataclass(frozen=True)
class OneByOne:
    """A :class:`BatchDecoder` that takes one chunk after another."""

    one: ChunkDecoder

    def cut(self, batch: Batch, out: NDArray[Any]) -> list[NDArray[np.intp]]:
        """Copy the pieces into ``out``; return those that are left to HDF5."""
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


class Direct:
    """Reads the chunks of an opened dataset.

    Parameters
    ----------
    dataset
        It must stay open.
    storage
        How it is stored.
    steady
        Whether no writer of the file is known.
    """

    def __init__(self, dataset: h5py.Dataset, storage: Storage, steady: bool) -> None:
        self._dataset, self._storage, self._steady = dataset, storage, steady
        self._decoders: dict[int, BatchDecoder | None] = {}
        self._kept: dict[int, Bytes] = {}

    @cached_property
    def _source(self) -> ChunkSource | None:
        return source_of(self._dataset, self._storage, self._steady)

    def _decoder(self, mask: int) -> BatchDecoder | None:
        """For chunks whose filter ``mask`` says which filters were skipped."""
        if mask not in self._decoders:
            steps = [f for i, f in enumerate(self._storage.filters) if not mask >> i & 1]
            self._decoders[mask] = decoder(steps, self._storage)
        return self._decoders[mask]

    def read(self, wanted: NDArray[np.intp], window: Window, out: NDArray[Any]) -> NDArray[np.intp]:
        """Fill ``out`` (n, height, width), of the stored dtype, with increasing frames.

        Returns
        -------
        ndarray
            Which of ``out`` are left to HDF5, increasing.

        Raises
        ------
        ChunkError
            A chunk is damaged; of those, one of the first.
        """
        if self._decoder(0) is None or self._source is None:
            return np.arange(len(wanted))
        pieces = self._storage.pieces(wanted, window)
        keep = self._wanted_next(pieces)
        at_once = min(available_threads(), max(1, CACHE_LIMIT // 4 // self._storage.bytes))
        each = shares(len(pieces), 1 if in_pool() else SHARES * at_once)
        left = spread(lambda part: self._cut(pieces[part], out, keep), each, at_once)
        self._kept = {number: data for number, data in keep.items() if data is not None}
        rows = [some for share in left for some in share]
        return np.unique(np.concatenate(rows)) if rows else np.empty(0, np.intp)

    def _wanted_next(self, pieces: Pieces) -> dict[int, Bytes | None]:
        """A cache for chunks whose other frames the next read probably needs: the last ones."""
        begun = pieces.numbers[pieces.first == pieces.first[-1]].tolist()
        whole = pieces.count[-1] == self._storage.frames
        if whole or len(begun) * self._storage.bytes > CACHE_LIMIT:
            return {}
        return dict.fromkeys(begun)

    def _cut(
        self, pieces: Pieces, out: NDArray[Any], keep: dict[int, Bytes | None]
    ) -> list[NDArray[np.intp]]:
        """Copy pieces into ``out``; return those that are left to HDF5."""
        assert self._source is not None
        stored = self._source.find(pieces.numbers)
        there = Batch(self._storage, pieces, stored, self._kept, keep)
        for piece in pieces[stored.sizes == 0]:
            for _, part in piece.parts(out):
                part[...] = self._storage.fill
        unfiltered = self._may_be_unfiltered(pieces, stored)
        left = [piece.into for piece in pieces[unfiltered | (stored.sizes < 0)]]
        rest = ~unfiltered & (stored.sizes > 0)
        for mask in np.unique(stored.masks[rest]).tolist():
            decode, batch = self._decoder(mask), there[rest & (stored.masks == mask)]
            left += decode.cut(batch, out) if decode else [piece.into for piece in batch.pieces]
        return left

    def _may_be_unfiltered(self, pieces: Pieces, stored: Stored) -> Bools:
        """Whether chunks at the edge may be unfiltered, which their masks do not show.

        Source: H5Pset_chunk_opts, H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS.
        """
        unfiltered: Bools = (stored.sizes == self._storage.bytes) & (stored.masks == 0)
        unfiltered &= bool(self._storage.filters)
        for i in np.flatnonzero(unfiltered):
            unfiltered[i] = self._storage.reaches_past(pieces.numbers[i])
        return unfiltered


def direct(dataset: h5py.Dataset, leading: int | None, steady: bool = True) -> Direct | None:
    """What reads a dataset's chunks; None where only HDF5 can.

    Parameters
    ----------
    dataset, leading
        Those of :class:`~.hdf5.Hdf5Frames`.
    steady
        Whether no writer of the file is known.
    """
    storage = _storage_of(dataset, leading)
    return None if storage is None else Direct(dataset, storage, steady)


def _storage_of(dataset: h5py.Dataset, leading: int | None) -> Storage | None:
    """How a dataset is stored; None where its bytes are not its pixels one after another.

    Those are datasets whose numbers are elsewhere (virtual, external), small ones in their own
    header (compact), and numbers that HDF5 must convert, as those of 12 bits.
    """
    created, dtype = dataset.id.get_create_plist(), dataset.dtype
    layout = created.get_layout()
    if layout not in (h5py.h5d.CHUNKED, h5py.h5d.CONTIGUOUS) or created.get_external_count():
        return None
    if dtype.kind not in "biufc" or not h5py.h5t.py_create(dtype, logical=True).equal(
        dataset.id.get_type()
    ):
        return None
    chunk = dataset.chunks or (*(1 for _ in dataset.shape[:-2]), *dataset.shape[-2:])
    filters = []
    if layout == h5py.h5d.CHUNKED:
        found = (created.get_filter(number) for number in range(created.get_nfilters()))
        filters = [Filter(code, tuple(values)) for code, _, values, _ in found]
    return Storage(dataset.shape, chunk, dtype, tuple(filters), leading, dataset.fillvalue)


def decoder(filters: Sequence[Filter], storage: Storage) -> BatchDecoder | None:
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


def _bitshuffle(values: tuple[int, ...], itemsize: int) -> BatchDecoder | None:
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
        """Copy the pieces into ``out`` (n, h, w)."""
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
        for some in shares(len(into), -(-len(into) * size // GROUP_BYTES)):
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
