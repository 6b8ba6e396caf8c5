"""Decoders of compressed and of shuffled chunks, which cut the window out.

Of chunks in blocks that are compressed by themselves, only those that the window touches are
decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Bytes
from ...parallel import buffer, scratch
from .compression import Unpack, decode
from .layout import Piece, Storage
from .stored import Batch, ChunkError, SingleChunk, UncoveredError


@dataclass(frozen=True)
class Whole:
    """Chunks that are decoded from their beginning on.

    Attributes
    ----------
    unpack
        Undoes the compression, if there is one.
    shuffled
        The first bytes of all pixels are stored first, then the second ones, and so on.
    """

    unpack: Unpack | None
    shuffled: bool

    def cut(self, chunk: SingleChunk, piece: Piece, out: NDArray[Any]) -> None:
        """Copy ``piece`` of ``chunk`` into ``out`` (n, h, w)."""
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


def default_block(itemsize: int) -> int:
    """Elements of a block. Source: bitshuffle repository, src/bitshuffle_core.c."""
    return max(8192 // itemsize // 8 * 8, 128)


@dataclass(frozen=True)
class BitshuffleLz4:
    """Filter 32008 with LZ4, some chunks in one call.

    Source: bitshuffle repository, src/bshuf_h5filter.c and bitshuffle.c. Chunks begin with 8 bytes
    for their decoded size and 4 for that of a block, in bytes; each block follows the 4 bytes of
    its length; all big-endian. The pixels behind the last multiple of 8 are bare.

    Attributes
    ----------
    block
        Elements of a block where the chunk does not state them.
    """

    block: int

    def cut(self, batch: Batch, out: NDArray[Any]) -> list[NDArray[np.intp]]:
        """Copy the pieces into ``out`` (n, h, w)."""
        from . import unshuffle

        storage = batch.storage
        for group in batch.groups():
            source, ends = group.fetch()
            pieces = group.pieces
            broken = unshuffle.cut_lz4_bits(
                source,
                ends,
                self.block,
                scratch("planes", storage.bytes),
                storage.elements,
                np.stack([pieces.first, pieces.count, pieces.tile], axis=1),
                pieces.frames,
                pieces.into,
                np.array([tile.box for tile in pieces.tiles]),
                *_target(out),
            )
            if broken >= 0:
                raise ChunkError("its blocks cannot be decoded", pieces.row(broken))
        return []


@dataclass(frozen=True)
class Bitshuffle:
    """Filter 32008 with zstd, otherwise as :class:`BitshuffleLz4`, or without compression.

    Attributes
    ----------
    compressed
        By zstd.
    block
        Elements of a block where the chunk does not state them.
    """

    compressed: bool
    block: int

    def cut(self, chunk: SingleChunk, piece: Piece, out: NDArray[Any]) -> None:
        """Copy ``piece`` of ``chunk`` into ``out`` (n, h, w)."""
        source, size, storage, block = chunk.fetch(), chunk.size, chunk.storage, self.block
        if self.compressed:
            block = self._block(source, size, storage)
            source, size = _zstd_blocks(source, size, block, piece, storage), storage.bytes
        cut_bits(source, size, block, storage, piece, out)

    def _block(self, source: Bytes, size: int, storage: Storage) -> int:
        """Elements of a block of a compressed chunk."""
        total, block = unpack_from(">QI", source.data, 0) if size >= 12 else (0, 0)
        if total != storage.bytes or block % (8 * storage.dtype.itemsize):
            raise ChunkError("its header does not fit the chunk")
        return block // storage.dtype.itemsize or self.block


def _zstd_blocks(source: Bytes, size: int, block: int, piece: Piece, storage: Storage) -> Bytes:
    """The blocks that ``piece`` touches, each where it would be if none were compressed."""
    from .lz import walk

    itemsize, total = storage.dtype.itemsize, storage.elements[0]
    shuffled = total // 8 * 8
    places = np.empty(-(-shuffled // block) + 1, np.int64)
    bare = (total - shuffled) * itemsize
    if not walk(source, 12, size - bare, places):
        raise ChunkError("it is cut short")
    plain = scratch("plain", storage.bytes)
    for number in storage.blocks(piece, block):
        into = plain[number * block * itemsize : min((number + 1) * block, shuffled) * itemsize]
        if len(into):
            decode("zstd", source[places[number] + 4 : places[number + 1]], into)
    plain[shuffled * itemsize : total * itemsize] = source[places[-1] : places[-1] + bare]
    return plain


BYTES, COPIED, BITS, ONE_STREAM, LZ4_CODEC = 1, 2, 4, 16, 1
"""Blosc's flags (bytes shuffled, …), and its number of LZ4 in their upper three bits."""


@dataclass(frozen=True)
class BloscLz4:
    """Filter 32001 with LZ4 or LZ4HC.

    Source: c-blosc, README_CHUNK_FORMAT.rst and blosc/blosc.c, blosc_d. 16 bytes: version, that of
    LZ4, flags, bytes of an element; sizes of the chunk, of a block, and of all this. Then where
    each block begins. A block has a stream for each byte of an element, or one, behind the 4
    bytes of its length, stored if that is its length decoded. Little-endian.
    """

    def cut(self, chunk: SingleChunk, piece: Piece, out: NDArray[Any]) -> None:
        """Copy ``piece`` of ``chunk`` into ``out`` (n, h, w)."""
        source, size, storage = chunk.fetch(), chunk.size, chunk.storage
        if size < 16:
            raise ChunkError("it is cut short")
        flags, width, total, block = unpack_from("<2xBBII", source.data, 0)
        if total != storage.bytes or not block or (flags & COPIED and size < 16 + total):
            raise ChunkError("its header does not fit the chunk")
        if flags & COPIED:
            cut_pixels(source[16:], storage, piece, out)
            return
        itemsize = storage.dtype.itemsize
        if flags >> 5 != LZ4_CODEC or width != itemsize or block % (8 * itemsize):
            raise UncoveredError
        plain = _blosc_blocks(source, size, block, flags & ONE_STREAM, piece, storage)
        if flags & BYTES and itemsize > 1:
            cut_bytes(plain, block // itemsize, storage, piece, out)
        elif flags & BITS:
            cut_bits(plain, total, block // itemsize, storage, piece, out)
        else:
            cut_pixels(plain, storage, piece, out)


def _blosc_blocks(
    source: Bytes, size: int, block: int, one: int, piece: Piece, storage: Storage
) -> Bytes:
    """The blocks that ``piece`` touches, each where it would be if none were compressed."""
    from .lz import blosc_block

    width, total = storage.dtype.itemsize, storage.bytes
    plain = scratch("plain", total)
    for number in storage.blocks(piece, block // width):
        begin, length = number * block, min(block, total - number * block)
        streams = 1 if one or length < block or block // width < 128 else width
        if blosc_block(source, 16 + 4 * number, size, streams, plain[begin:], length):
            raise ChunkError(f"its block {number} cannot be decoded")
    return plain


def cut_pixels(source: Bytes, storage: Storage, piece: Piece, out: NDArray[Any]) -> None:
    """From pixels one after another."""
    pixels = source[: storage.bytes].view(out.dtype).reshape(-1, *storage.chunk[-2:])
    for frame, part in piece.parts(out):
        part[...] = pixels[frame][piece.tile.window.slices]


def cut_bytes(source: Bytes, block: int, storage: Storage, piece: Piece, out: NDArray[Any]) -> None:
    """From blocks that hold the first bytes of their pixels first, then the second ones, …."""
    from . import unshuffle

    unshuffle.cut_bytes(
        source, block, storage.elements, piece.frames, piece.into, piece.tile.box, *_target(out)
    )


def cut_bits(
    source: Bytes, size: int, block: int, storage: Storage, piece: Piece, out: NDArray[Any]
) -> None:
    """From blocks that hold the first bits of their pixels first, then the second ones, ….

    Raises
    ------
    ChunkError
        There are less than a chunk.
    """
    from . import unshuffle

    if unshuffle.cut_bits(
        source,
        0,
        size,
        False,
        block,
        source,
        storage.elements,
        piece.frames,
        piece.into,
        piece.tile.box,
        *_target(out),
    ):
        raise ChunkError("it is cut short")


def _target(out: NDArray[Any]) -> tuple[Any, ...]:
    """The last arguments of the compiled functions; to them all pixels are unsigned."""
    pixels = f"u{out.itemsize}"
    vector = scratch("vector", 64)[:64].view(pixels)
    return vector, out.reshape(-1).view(pixels), out.shape[1:]
