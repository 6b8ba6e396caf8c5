"""A read of frames straight from the chunks of a dataset, by several threads."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...arrays import Bools, Bytes
from ...files.hdf5 import CACHE_LIMIT
from ...parallel import available_threads, shares, side_by_side, spread
from ...scan import Window
from .decoders import Decoder, decoder
from .layout import Filter, Pieces, Storage
from .stored import Batch, ChunkSource, Stored, source_of

SHARES = 4
"""Parts of a read for each thread: some take longer than others."""


class Direct:
    """Reads the chunks of an opened dataset.

    Parameters
    ----------
    dataset
        It must stay open.
    storage
        How it is stored.
    steady
        Whether nobody is known to write to the file.
    """

    def __init__(self, dataset: h5py.Dataset, storage: Storage, steady: bool) -> None:
        self._dataset, self._storage, self._steady = dataset, storage, steady
        self._decoders: dict[int, Decoder | None] = {}
        self._kept: dict[int, Bytes] = {}

    @cached_property
    def _source(self) -> ChunkSource | None:
        return source_of(self._dataset, self._storage, self._steady)

    def _decoder(self, mask: int) -> Decoder | None:
        """For chunks whose filter ``mask`` tells which filters were left out."""
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
        each = shares(len(pieces), 1 if side_by_side() else SHARES * at_once)
        left = spread(lambda part: self._cut(pieces[part], out, keep), each, at_once)
        self._kept = {number: data for number, data in keep.items() if data is not None}
        rows = [some for share in left for some in share]
        return np.unique(np.concatenate(rows)) if rows else np.empty(0, np.intp)

    def _wanted_next(self, pieces: Pieces) -> dict[int, Bytes | None]:
        """A place for chunks whose other frames the next read is likely to want: the last ones."""
        begun = pieces.numbers[pieces.first == pieces.first[-1]].tolist()
        whole = pieces.count[-1] == self._storage.frames
        if whole or len(begun) * self._storage.bytes > CACHE_LIMIT:
            return {}
        return dict.fromkeys(begun)

    def _cut(
        self, pieces: Pieces, out: NDArray[Any], keep: dict[int, Bytes | None]
    ) -> list[NDArray[np.intp]]:
        """Put pieces into their places in ``out``; return which of it are left to HDF5."""
        assert self._source is not None
        stored = self._source.find(pieces.numbers)
        there = Batch(self._storage, pieces, stored, self._kept, keep)
        for piece in pieces[stored.sizes == 0]:
            for _, part in piece.parts(out):
                part[...] = self._storage.fill
        bare = self._may_be_bare(pieces, stored)
        left = [piece.into for piece in pieces[bare | (stored.sizes < 0)]]
        rest = ~bare & (stored.sizes > 0)
        for mask in np.unique(stored.masks[rest]).tolist():
            decode, batch = self._decoder(mask), there[rest & (stored.masks == mask)]
            left += decode.cut(batch, out) if decode else [piece.into for piece in batch.pieces]
        return left

    def _may_be_bare(self, pieces: Pieces, stored: Stored) -> Bools:
        """Whether HDF5 may have left chunks at the edge as they are, and their masks do not say so.

        Source: H5Pset_chunk_opts, H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS.
        """
        bare: Bools = (stored.sizes == self._storage.bytes) & (stored.masks == 0)
        bare &= bool(self._storage.filters)
        for i in np.flatnonzero(bare):
            bare[i] = self._storage.reaches_past(pieces.numbers[i])
        return bare


def direct(dataset: h5py.Dataset, leading: int | None, steady: bool = True) -> Direct | None:
    """What reads a dataset's chunks; None where only HDF5 can.

    Parameters
    ----------
    dataset, leading
        Those of :class:`~.hdf5.Hdf5Frames`.
    steady
        Whether nobody is known to write to the file.
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
