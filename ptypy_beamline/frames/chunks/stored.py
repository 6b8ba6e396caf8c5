"""The location of chunks in a file, and how their bytes are fetched for a decoder."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py._objects import phil
from numpy.typing import NDArray

from ...arrays import Bytes, Ints
from ...files.hdf5 import being_written
from ...parallel import scratch
from .layout import Pieces, Storage

MOST_CHUNKS = 2**20
"""Maximum number of chunks of a dataset whose offsets are cached."""

GROUP_BYTES = 2**20
"""Bytes of chunks that are fetched before they are decoded: about the cache of a core."""


class UncoveredError(Exception):
    """A chunk that HDF5 must decode."""


class ChunkError(OSError):
    """The bytes of a chunk are not what its filters write.

    Attributes
    ----------
    row
        Index of a frame of it in the stack that is read, once that is known.
    """

    def __init__(self, problem: str, row: int = 0) -> None:
        super().__init__(problem)
        self.row = row


@dataclass(frozen=True)
class Stored:
    """Chunks as they are stored.

    Attributes
    ----------
    table
        (n, 3) offset; size in bytes, 0 = never written, negative = only HDF5 knows; filter mask,
        bit i of which means that filter i was not applied.
    fetch
        Fills an array with the bytes from an offset on; thread-safe. It raises
        :class:`ChunkError` if there are fewer.
    """

    table: Ints
    fetch: Callable[[int, Bytes], None]

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, chosen: slice | NDArray[Any]) -> Stored:
        return Stored(self.table[chosen], self.fetch)

    @property
    def offsets(self) -> Ints:
        """(n,) offset of each."""
        return self.table[:, 0]

    @property
    def sizes(self) -> Ints:
        """(n,) size in bytes."""
        return self.table[:, 1]

    @property
    def masks(self) -> Ints:
        """(n,) filters that were not applied."""
        return self.table[:, 2]


@dataclass
class SingleChunk:
    """A chunk to be decoded.

    Attributes
    ----------
    stored
        This chunk only.
    keep
        Decode all of it into ``kept``, for the next read.
    kept
        All of it, decoded, and padding.
    """

    storage: Storage
    stored: Stored
    keep: bool = False
    kept: Bytes | None = None

    @property
    def size(self) -> int:
        """Size in the file, in bytes."""
        return int(self.stored.sizes[0])

    def fetch(self) -> Bytes:
        """Its bytes in the file, and padding; valid until this thread fetches the next chunk."""
        data = scratch("stored", self.size)
        self.stored.fetch(int(self.stored.offsets[0]), data[: self.size])
        return data


@dataclass(frozen=True)
class Batch:
    """Pieces of chunks that have passed the same filters.

    Attributes
    ----------
    pieces, stored
        Of the same length.
    kept
        Number → chunks that an earlier read has decoded.
    keep
        The same for the next read: decoders fill in those whose numbers are in it.
    """

    storage: Storage
    pieces: Pieces
    stored: Stored
    kept: Mapping[int, Bytes]
    keep: dict[int, Bytes | None]

    def __getitem__(self, chosen: slice | NDArray[Any]) -> Batch:
        return replace(self, pieces=self.pieces[chosen], stored=self.stored[chosen])

    def groups(self) -> Iterator[Batch]:
        """A few chunks at a time, at least one, with at most ``GROUP_BYTES``."""
        start, sizes = 0, np.cumsum([0, *self.stored.sizes])
        while start < len(self.stored):
            stop = int(np.searchsorted(sizes, sizes[start] + GROUP_BYTES, "right")) - 1
            yield self[start : max(stop, start + 1)]
            start = max(stop, start + 1)

    def fetch(self) -> tuple[Bytes, Ints]:
        """The bytes of all chunks, and padding; where each begins, and where the last one ends.

        The bytes are valid until this thread fetches the next chunk.
        """
        rows = self.pieces.into[self.pieces.first]
        return self.fetch_parts(self.stored.offsets, self.stored.sizes, rows)

    def fetch_parts(
        self, offsets: Ints, sizes: Ints, rows: NDArray[np.intp], into: Bytes | None = None
    ) -> tuple[Bytes, Ints]:
        """The same for any parts; ``rows``: of their frames in the stack that is read."""
        begins = np.cumsum([0, *sizes])
        data = scratch("stored", int(begins[-1])) if into is None else into
        # Adjacent chunks are read at once.
        first = [0, *(np.flatnonzero(offsets[1:] != (offsets + sizes)[:-1]) + 1).tolist()]
        for number, following in pairwise([*first, len(sizes)]):
            try:
                part = data[begins[number] : begins[following]]
                self.stored.fetch(int(offsets[number]), part)
            except OSError as error:
                raise ChunkError(str(error), int(rows[number])) from error
        return data, begins


class FromHdf5:
    """Fetches whole chunks through HDF5, one thread at a time."""

    def __init__(self, dataset: h5py.Dataset, storage: Storage) -> None:
        self._dataset, self._storage = dataset, storage

    def __getitem__(self, numbers: Ints) -> Stored:
        """Chunks by their numbers in the grid, with their bytes."""
        found = [self._find(number) for number in numbers.tolist()]
        sizes = np.array([size for size, _, _ in found], np.int64)
        ends = np.cumsum(np.maximum(sizes, 0))
        table = np.stack([ends - sizes, sizes, [mask for _, mask, _ in found]], axis=1)
        return Stored(table, partial(_copy, b"".join(data for _, _, data in found)))

    def _find(self, number: int) -> tuple[int, int, bytes]:
        try:
            with phil:  # h5py before 3.16 does not take this lock here
                mask, data = self._dataset.id.read_direct_chunk(self._storage.origin(number))
        except (OSError, RuntimeError):  # never written, or unreadable
            return -1, 0, b""
        return len(data), mask, data


def _copy(data: bytes, offset: int, into: Bytes) -> None:
    into[:] = np.frombuffer(data, np.uint8, len(into), offset)


def _read_at(file: h5py.h5f.FileID, descriptor: int, offset: int, into: Bytes) -> None:
    """Fill an array straight from a file, which HDF5 keeps open as long as ``file`` lives."""
    rest = into.data
    while rest:
        count = os.preadv(descriptor, [rest], offset)
        if not count:
            raise ChunkError("the file ends within it")
        rest, offset = rest[count:], offset + count


def reports_offsets(dataset: h5py.Dataset) -> bool:
    """Whether HDF5 reports the offsets of chunks correctly.

    If a dataset may grow along a single axis other than the first, HDF5 2.0 reports the offsets of
    other chunks; only reading a chunk by its index is correct.
    """
    growing = [axis for axis, most in enumerate(dataset.maxshape) if most is None]
    return len(growing) != 1 or growing == [0]


def source_of(dataset: h5py.Dataset, storage: Storage, steady: bool) -> Stored | FromHdf5 | None:
    """The fastest safe source of chunks, by their numbers in the grid; None = HDF5 must read.

    A file that is being written gets new chunks and moves old ones. A user block shifts all
    offsets; versions of HDF5 differ in whether those that they report include it.
    """
    file = dataset.file
    lockless = file.id.get_access_plist().get_file_locking() == (0, 0)  # as we open it then
    steady &= not (lockless or file.swmr_mode or being_written(Path(file.filename)))
    plain = file.driver == "sec2" and not file.userblock_size and hasattr(os, "preadv")
    table = _table(dataset, storage) if steady and plain else None
    if table is not None:
        return Stored(table, partial(_read_at, file.id, file.id.get_vfd_handle()))
    return None if dataset.chunks is None else FromHdf5(dataset, storage)


def _table(dataset: h5py.Dataset, storage: Storage) -> Ints | None:
    """The table of :class:`Stored` for all chunks; None if HDF5 does not report it."""
    count = int(np.prod(storage.grid))
    if dataset.chunks is not None:
        iterable = count <= MOST_CHUNKS and hasattr(dataset.id, "chunk_iter")
        iterable &= reports_offsets(dataset)
        return _chunk_table(dataset, storage, count) if iterable else None
    offset = dataset.id.get_offset()
    if offset is None:
        return None
    table = np.zeros((count, 3), np.int64)
    table[:, 0] = offset + storage.bytes * np.arange(count)
    table[:, 1] = storage.bytes
    return table


def _chunk_table(dataset: h5py.Dataset, storage: Storage, count: int) -> Ints | None:
    """The same of a chunked dataset; None if its index is damaged: reading reports that."""
    axes, found = len(storage.grid), array("q")

    def note(info: h5py.h5d.StoreInfo) -> None:
        found.extend((*info.chunk_offset, info.byte_offset, info.size, info.filter_mask))

    try:
        dataset.id.chunk_iter(note)
    except (OverflowError, TypeError):  # h5py cannot convert damaged numbers
        return None
    table, chunks = np.zeros((count, 3), np.int64), np.array(found, np.int64)
    chunks = chunks.reshape(-1, axes + 3)
    if not len(chunks):
        return table
    # In some versions of HDF5 the iteration reports other offsets than the other functions.
    last = dataset.id.get_chunk_info_by_coord(tuple(chunks[-1, :axes].tolist()))
    numbers = storage.numbers(chunks[:, :axes])
    same = [last.byte_offset, last.size, last.filter_mask] == chunks[-1, axes:].tolist()
    inside = (chunks[:, :axes] >= 0) & (chunks[:, :axes] < dataset.shape)
    if not same or not inside.all() or len(np.unique(numbers)) < len(numbers):
        return None
    table[numbers] = chunks[:, axes:]
    table[numbers[chunks[:, axes + 1] == 0], 1] = -1  # damaged: HDF5 reports it
    return table
