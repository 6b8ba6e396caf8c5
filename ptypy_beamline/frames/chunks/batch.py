"""Some chunks that one thread decodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...arrays import Bytes, Ints
from ..threads import scratch
from .chunk import Piece, Pieces, Storage
from .stored import ChunkError, Stored, UncoveredError

TOGETHER = 2**20
"""Bytes of chunks that are fetched before they are decoded: about a processor's own cache."""


@dataclass
class Chunk:
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
        """A few chunks at a time, at least one, whose bytes fit into ``TOGETHER``."""
        start, sizes = 0, np.cumsum([0, *self.stored.sizes])
        while start < len(self.stored):
            stop = int(np.searchsorted(sizes, sizes[start] + TOGETHER, "right")) - 1
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
        # What lies together comes in one go.
        first = [0, *(np.flatnonzero(places[1:] != (places + sizes)[:-1]) + 1).tolist()]
        for number, following in pairwise([*first, len(sizes)]):
            try:
                part = data[begins[number] : begins[following]]
                self.stored.fetch(int(places[number]), part)
            except OSError as error:
                raise ChunkError(str(error), int(rows[number])) from error
        return data, begins


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

    def cut(self, chunk: Chunk, piece: Piece, out: NDArray[Any]) -> None:
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
            chunk = Chunk(batch.storage, stored, piece.number in batch.keep, kept)
            try:
                self.one.cut(chunk, piece, out)
            except UncoveredError:
                left.append(piece.into)
            except OSError as error:
                raise ChunkError(str(error), int(piece.into[0])) from error
            if chunk.keep:
                batch.keep[piece.number] = chunk.kept
        return left
