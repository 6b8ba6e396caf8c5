"""A read of frames straight from the chunks of a dataset, by several threads.

HDF5 reads what is not covered here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...arrays import Bools, Bytes, Ints
from ...compiled_files import on_disk
from ...files.hdf5 import CACHE_LIMIT
from ...parallel import available_threads, in_pool, shares, spread
from ...scan import Window
from .compression import BLOSC, LZ4, LZF, ZSTD, unpacking
from .decoders import (
    BatchDecoder,
    cut_bitshuffle,
    cut_bitshuffle_lz4,
    cut_blosc_lz4,
    cut_whole,
    default_block,
    one_by_one,
)
from .layout import Filter, Pieces, Storage, Tile
from .stored import GROUP_BYTES, Batch, ChunkError, FromHdf5, Stored, source_of

SHUFFLE, BITSHUFFLE = 2, 32008
"""Filters of HDF5 and of the HDF Group's list of registered filter plugins."""

SHARES = 4
"""Parts of a read for each thread: some threads take longer than others."""


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
        self._decoders: dict[tuple[int, bool], BatchDecoder | None] = {}
        self._compiled = False
        self._kept: dict[int, Bytes] = {}

    @cached_property
    def _source(self) -> Stored | FromHdf5 | None:
        return source_of(self._dataset, self._storage, self._steady)

    def _decoder(self, mask: int) -> BatchDecoder | None:
        """For chunks of which the filter ``mask`` says which filters were skipped."""
        key = mask, self._compiled
        if key not in self._decoders:
            steps = [f for i, f in enumerate(self._storage.filters) if not mask >> i & 1]
            self._decoders[key] = decoder(steps, self._storage, self._compiled)
        return self._decoders[key]

    def read(self, wanted: NDArray[np.intp], window: Window, out: NDArray[Any]) -> NDArray[np.intp]:
        """Fill ``out`` (n, height, width), of the stored dtype, with increasing frames.

        Returns
        -------
        ndarray
            Which rows of ``out`` HDF5 must read, increasing.

        Raises
        ------
        ChunkError
            A chunk is damaged.
        """
        self._compiled = worth_compiling(self._storage, len(wanted))
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
        """A cache for the last chunks, whose other frames the next read probably needs."""
        begun = pieces.numbers[pieces.first == pieces.first[-1]].tolist()
        whole = pieces.count[-1] == self._storage.frames
        if whole or len(begun) * self._storage.bytes > CACHE_LIMIT:
            return {}
        return dict.fromkeys(begun)

    def _cut(
        self, pieces: Pieces, out: NDArray[Any], keep: dict[int, Bytes | None]
    ) -> list[NDArray[np.intp]]:
        """Copy pieces into ``out``; return which rows of it HDF5 must read."""
        assert self._source is not None
        stored = self._source[pieces.numbers]
        every = Batch(self._storage, pieces, stored, self._kept, keep)
        for piece in pieces[stored.sizes == 0]:
            for _, part in piece.parts(out):
                part[...] = self._storage.fill
        unfiltered = self._may_be_unfiltered(pieces, stored)
        left = [piece.into for piece in pieces[unfiltered | (stored.sizes < 0)]]
        rest = ~unfiltered & (stored.sizes > 0)
        for mask in np.unique(stored.masks[rest]).tolist():
            decode, batch = self._decoder(mask), every[rest & (stored.masks == mask)]
            left += decode(batch, out) if decode else [piece.into for piece in batch.pieces]
        return left

    def _may_be_unfiltered(self, pieces: Pieces, stored: Stored) -> Bools:
        """(n,) whether chunks, at the edge, may be unfiltered, which their masks do not show.

        Source: H5Pset_chunk_opts, H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS.
        """
        unfiltered: Bools = (stored.sizes == self._storage.bytes) & (stored.masks == 0)
        unfiltered &= bool(self._storage.filters)
        for i in np.flatnonzero(unfiltered):
            unfiltered[i] = self._storage.reaches_past(pieces.numbers[i])
        return unfiltered


def direct(dataset: h5py.Dataset, leading: int | None, steady: bool = True) -> Direct | None:
    """The reader of a dataset's chunks; None if only HDF5 can read them.

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
    """How a dataset is stored; None if its chunks, decoded, are not consecutive pixels.

    That is if the numbers are elsewhere (virtual, external) or in its header (compact), or if HDF5
    must convert them, as those of 12 bits.
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


FUNCTIONS = {
    SHUFFLE: "unshuffle.cut_bytes",
    LZF: "lz.lzf",
    BLOSC: "lz.blosc_block",
    LZ4: "lz.lz4",
    BITSHUFFLE: "unshuffle.cut_bits",
}
"""The compiled function for a filter."""

FEW_BYTES, MANY_BYTES = 2**25, 2**29
"""Decoding so many bytes without compiled functions takes about as much longer as importing Numba
(0.3 s), and as compiling them (up to 4 s)."""

_decoded = 0
"""Bytes of frames that this process has decoded, roughly."""


def worth_compiling(storage: Storage, frames: int) -> bool:
    """Whether compiled functions are to decode so many frames more.

    Those that must be compiled first are not used for the first :data:`MANY_BYTES` of a process,
    those on disk not for the first :data:`FEW_BYTES`.
    """
    global _decoded  # noqa: PLW0603
    _decoded += frames * storage.frame_bytes
    if not FEW_BYTES < _decoded < MANY_BYTES:
        return _decoded >= MANY_BYTES
    needed = [FUNCTIONS[code] for code, _ in storage.filters if code in FUNCTIONS]
    return all(map(on_disk, needed))


def decoder(filters: Sequence[Filter], storage: Storage, compiled: bool) -> BatchDecoder | None:
    """The decoder for ``filters``, given in the order of writing; None = HDF5 must decode.

    Parameters
    ----------
    compiled
        Whether compiled functions may be used.
    """
    codes, itemsize = [code for code, _ in filters], storage.dtype.itemsize
    # The compiled functions are for little-endian processors.
    usual = itemsize in (1, 2, 4, 8) and sys.byteorder == "little"
    if codes == [BITSHUFFLE]:
        return _bitshuffle(filters[0].values, itemsize, compiled) if usual else None
    if codes == [BLOSC] and usual and compiled and _is_lz4(filters[0].values, storage):
        return one_by_one(cut_blosc_lz4)
    shuffled = codes[:1] == [SHUFFLE]
    if shuffled and (filters[0].values != (itemsize,) or not usual):
        return None
    rest = codes[shuffled:]
    unpack = unpacking(rest[0], compiled) if rest else None
    if len(rest) > 1 or (rest and not unpack):
        return None
    return one_by_one(partial(cut_whole, unpack, shuffled, compiled)) if codes else cut_unfiltered


def _bitshuffle(values: tuple[int, ...], itemsize: int, compiled: bool) -> BatchDecoder | None:
    """The decoder for the filter's parameters.

    Source: bitshuffle repository, src/bshuf_h5filter.c: two numbers of its version, bytes of an
    element, elements of a block (0 = default), compression (0 none, 2 LZ4, 3 zstd), its level.
    """
    size, block, compression = (*values, 0, 0, 0, 0, 0)[2:5]
    codecs = {0: None, 2: "lz4"} | ({3: "zstd"} if unpacking(ZSTD, compiled) else {})
    if size != itemsize or block % 8 or compression not in codecs:
        return None
    block = block or default_block(itemsize)
    if compression == 2 and compiled:
        return partial(cut_bitshuffle_lz4, block)
    return one_by_one(partial(cut_bitshuffle, codecs[compression], block, compiled))


def _is_lz4(values: tuple[int, ...], storage: Storage) -> bool:
    """Whether Blosc compresses with LZ4 or LZ4HC, and shuffles all pixels.

    Source: hdf5-blosc, src/blosc_filter.c: two numbers of its version, that of Blosc, bytes of a
    chunk, level, shuffling, compression (1 LZ4, 2 LZ4HC).
    """
    return values[6:7] in ((1,), (2,)) and storage.elements[0] % 8 == 0


def cut_unfiltered(batch: Batch, out: NDArray[Any]) -> list[NDArray[np.intp]]:
    """A :data:`BatchDecoder` of chunks without a filter: fetches the window's rows only."""
    wrong = np.flatnonzero(batch.stored.sizes != batch.storage.bytes)
    if len(wrong):
        size, row = batch.stored.sizes[wrong[0]], batch.pieces.row(wrong[0])
        raise ChunkError(f"it has {size} bytes, not {batch.storage.bytes}", row)
    for number in np.unique(batch.pieces.tile).tolist():
        _cut_tile(batch[batch.pieces.tile == number], batch.pieces.tiles[number], out)
    return []


def _cut_tile(batch: Batch, tile: Tile, out: NDArray[Any]) -> None:
    """The same for pieces of one tile."""
    storage, window, (y, x) = batch.storage, tile.window, tile.corner
    chunk, frame, into = batch.pieces.each_frame()
    row = storage.chunk[-1] * out.itemsize
    size = window.height * row
    offsets = batch.stored.offsets[chunk] + frame * storage.frame_bytes + window.top * row
    target = out[:, y : y + window.height, x : x + window.width]
    if storage.chunk[-1] == window.width and window.shape == out.shape[1:]:
        _fetch_frames(batch, offsets, size, into, out)
        return
    for some in shares(len(into), -(-len(into) * size // GROUP_BYTES)):
        sizes = np.full(some.stop - some.start, size)
        data, ends = batch.fetch_parts(offsets[some], sizes, into[some])
        pixels = data[: ends[-1]].view(out.dtype).reshape(-1, window.height, storage.chunk[-1])
        target[_consecutive(into[some])] = pixels[:, :, window.slices[1]]


def _fetch_frames(
    batch: Batch, offsets: Ints, size: int, into: NDArray[np.intp], out: NDArray[Any]
) -> None:
    """Fetch whole frames straight into ``out``."""
    starts = [0, *(np.flatnonzero(np.diff(into) != 1) + 1).tolist(), len(into)]
    for start, stop in pairwise(starts):
        data = out[into[start] : into[start] + stop - start].reshape(-1).view(np.uint8)
        sizes = np.full(stop - start, size)
        batch.fetch_parts(offsets[start:stop], sizes, into[start:stop], data)


def _consecutive(rows: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """A slice if ``rows`` are consecutive: NumPy is faster then, and makes no copy."""
    if np.all(np.diff(rows) == 1):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
