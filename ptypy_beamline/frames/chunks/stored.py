"""Where the bytes of chunks are in a file, and how they are fetched for a decoder."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from h5py._objects import phil
from numpy.typing import NDArray

from ...arrays import Bytes, Ints
from ...files.hdf5 import being_written
from ...parallel import scratch
from .layout import Pieces, Storage

MOST_CHUNKS = 2**20
"""Number of chunks of a dataset whose offsets are cached."""


GROUP_BYTES = 2**20
"""Bytes of chunks that are fetched before they are decoded: about a processor's own cache."""


class UncoveredError(Exception):
    """A chunk is to be left to HDF5."""


class ChunkError(OSError):
    """The bytes of a chunk are not what they should be.

    Attributes
    ----------
    row
        Where a frame of it belongs in the stack that is read, once that is known.
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
        (n, 3) where each begins; its bytes, 0 = never written, negative = only HDF5 can tell;
        filter mask, of which bit i says that filter i was not applied.
    fetch
        Fills an array with the bytes from an offset on. Any number of threads may call it. It
        raises :class:`ChunkError` where there are fewer.
    """

    table: Ints
    fetch: Callable[[int, Bytes], None]

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, chosen: slice | NDArray[Any]) -> Stored:
        return Stored(self.table[chosen], self.fetch)

    @property
    def places(self) -> Ints:
        """(n,) where each begins."""
        return self.table[:, 0]

    @property
    def sizes(self) -> Ints:
        """(n,) bytes."""
        return self.table[:, 1]

    @property
    def masks(self) -> Ints:
        """(n,) filters that were not applied."""
        return self.table[:, 2]


@dataclass
class SingleChunk:
    """A chunk that is to be decoded.

    Attributes
    ----------
    stored
        Of this one only.
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
        """Bytes in the file."""
        return int(self.stored.sizes[0])

    def fetch(self) -> Bytes:
        """Its bytes in the file, and padding; this thread's until the next chunk."""
        data = scratch("stored", self.size)
        self.stored.fetch(int(self.stored.places[0]), data[: self.size])
        return data


@dataclass(frozen=True)
class Batch:
    """Pieces of chunks that the same filters have made.

    Attributes
    ----------
    pieces, stored
        Of the same length.
    kept
        Chunks decoded for an earlier read, by their number.
    keep
        A place for those that the next read is likely to want.
    """

    storage: Storage
    pieces: Pieces
    stored: Stored
    kept: Mapping[int, Bytes]
    keep: dict[int, Bytes | None]

    def __getitem__(self, chosen: slice | NDArray[Any]) -> Batch:
        return replace(self, pieces=self.pieces[chosen], stored=self.stored[chosen])

    def groups(self) -> Iterator[Batch]:
        """A few chunks at a time, at least one, whose bytes fit into ``GROUP_BYTES``."""
        start, sizes = 0, np.cumsum([0, *self.stored.sizes])
        while start < len(self.stored):
            stop = int(np.searchsorted(sizes, sizes[start] + GROUP_BYTES, "right")) - 1
            yield self[start : max(stop, start + 1)]
            start = max(stop, start + 1)

    def fetch(self) -> tuple[Bytes, Ints]:
        """The bytes of all chunks, and padding; where each begins, and where the last one ends.

        The bytes are this thread's until the next chunk.
        """
        rows = self.pieces.into[self.pieces.first]
        return self.fetch_parts(self.stored.places, self.stored.sizes, rows)

    def fetch_parts(
        self,
        places: Ints,
        sizes: Ints,
        rows: NDArray[np.intp],
        into: Bytes | None = None,
    ) -> tuple[Bytes, Ints]:
        """The same for any parts, of frames that belong to ``rows`` of the stack that is read."""
        begins = np.cumsum([0, *sizes])
        data = scratch("stored", int(begins[-1])) if into is None else into
        # Adjacent chunks are read at once.
        first = [0, *(np.flatnonzero(places[1:] != (places + sizes)[:-1]) + 1).tolist()]
        for number, following in pairwise([*first, len(sizes)]):
            try:
                part = data[begins[number] : begins[following]]
                self.stored.fetch(int(places[number]), part)
            except OSError as error:
                raise ChunkError(str(error), int(rows[number])) from error
        return data, begins


class ChunkSource(Protocol):
    """Finds chunks."""

    def find(self, numbers: Ints) -> Stored:
        """Chunks by their numbers in the grid."""


class FromHdf5:
    """Fetches whole chunks through HDF5, one thread at a time."""

    def __init__(self, dataset: h5py.Dataset, storage: Storage) -> None:
        self._dataset, self._storage = dataset, storage

    def find(self, numbers: Ints) -> Stored:
        """Chunks by their numbers in the grid, with their bytes."""
        found = [self._find(number) for number in numbers.tolist()]
        sizes = np.array([size for size, _, _ in found], np.int64)
        ends = np.cumsum(np.maximum(sizes, 0))
        table = np.stack([ends - sizes, sizes, [mask for _, mask, _ in found]], axis=1)
        return Stored(table, partial(_copy, b"".join(data for _, _, data in found)))

    def _find(self, number: int) -> tuple[int, int, bytes]:
        try:
            with phil:  # h5py before 3.16 forgets it here
                mask, data = self._dataset.id.read_direct_chunk(self._storage.origin(number))
        except (OSError, RuntimeError):  # never written, or unreadable
            return -1, 0, b""
        return len(data), mask, data


def _copy(data: bytes, place: int, into: Bytes) -> None:
    into[:] = np.frombuffer(data, np.uint8, len(into), place)


class FromFile:
    """Fetches straight from the file that HDF5 has opened.

    Parameters
    ----------
    file
        HDF5 keeps it open as long as this lives.
    table
        That of :class:`Stored`, for all chunks.
    """

    def __init__(self, file: h5py.h5f.FileID, table: Ints) -> None:
        self._file, self._table = file, table
        self._descriptor = file.get_vfd_handle()

    def find(self, numbers: Ints) -> Stored:
        """Chunks by their numbers in the grid."""
        return Stored(self._table[numbers], self._fetch)

    def _fetch(self, place: int, into: Bytes) -> None:
        rest = into.data
        while rest:
            count = os.preadv(self._descriptor, [rest], place)
            if not count:
                raise ChunkError("the file ends within it")
            rest, place = rest[count:], place + count


def reports_offsets(dataset: h5py.Dataset) -> bool:
    """Whether HDF5 reports the offsets of chunks correctly.

    For a dataset that may grow along a single axis other than the first, HDF5 2.0 reports the
    offsets of other chunks; only reading a chunk by its index is correct.
    """
    growing = [axis for axis, most in enumerate(dataset.maxshape) if most is None]
    return len(growing) != 1 or growing == [0]


def source_of(dataset: h5py.Dataset, storage: Storage, steady: bool) -> ChunkSource | None:
    """The fastest source that is safe; None where that is HDF5 itself.

    A file that is being written gets new chunks and moves old ones. A user block shifts all
    offsets; HDF5 versions differ in whether they tell so.
    """
    file = dataset.file
    lockless = file.id.get_access_plist().get_file_locking() == (0, 0)  # as we open it then
    steady &= not (lockless or file.swmr_mode or being_written(Path(file.filename)))
    plain = file.driver == "sec2" and not file.userblock_size and hasattr(os, "preadv")
    table = _table(dataset, storage) if steady and plain else None
    if table is not None:
        return FromFile(file.id, table)
    return None if dataset.chunks is None else FromHdf5(dataset, storage)


def _table(dataset: h5py.Dataset, storage: Storage) -> Ints | None:
    """That of :class:`Stored` for all chunks; None where it cannot be had."""
    count = int(np.prod(storage.grid))
    if dataset.chunks is not None:
        iterable = count <= MOST_CHUNKS and hasattr(dataset.id, "chunk_iter")
        iterable &= reports_offsets(dataset)
        return _of_chunks(dataset, storage, count) if iterable else None
    offset = dataset.id.get_offset()
    if offset is None:
        return None
    table = np.zeros((count, 3), np.int64)
    table[:, 0] = offset + storage.bytes * np.arange(count)
    table[:, 1] = storage.bytes
    return table


def _of_chunks(dataset: h5py.Dataset, storage: Storage, count: int) -> Ints | None:
    """The same of chunks; None of a damaged index, which HDF5 reports."""
    axes, found = len(storage.grid), array("q")

    def note(info: h5py.h5d.StoreInfo) -> None:
        found.extend((*info.chunk_offset, info.byte_offset, info.size, info.filter_mask))

    try:
        dataset.id.chunk_iter(note)
    except (OverflowError, TypeError):  # numbers that h5py cannot make of it
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
    table[numbers[chunks[:, axes + 1] == 0], 1] = -1  # damaged, which HDF5 reports
    return table
