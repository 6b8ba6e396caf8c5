"""Decoders of compressed and of shuffled chunks, which cut the window out.

If the blocks of a chunk are compressed separately, only those that the window touches are decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...arrays import Bytes
from ...parallel import buffer, scratch
from .compression import Unpack, decode
from .layout import Piece, Storage
from .stored import Batch, ChunkError, SingleChunk, UncoveredError

ChunkDecoder: TypeAlias = Callable[[SingleChunk, Piece, NDArray[Any]], None]
"""Copies a piece of a chunk into a stack (n, h, w) of the stored dtype.

It raises :class:`ChunkError` if the chunk is not what its filters write, :class:`UncoveredError` if
HDF5 must decode it.
"""

BatchDecoder: TypeAlias = Callable[[Batch, NDArray[Any]], list[NDArray[np.intp]]]
"""The same for many pieces; returns which rows of the stack HDF5 must read."""


def one_by_one(cut: ChunkDecoder) -> BatchDecoder:
    """A decoder of batches that takes one chunk after another."""

    def cut_all(batch: Batch, out: NDArray[Any]) -> list[NDArray[np.intp]]:
        left = []
        for i, piece in enumerate(batch.pieces):
            stored, kept = batch.stored[i : i + 1], batch.kept.get(piece.number)
            chunk = SingleChunk(batch.storage, stored, piece.number in batch.keep, kept)
            try:
                cut(chunk, piece, out)
            except UncoveredError:
                left.append(piece.into)
            except OSError as error:
                raise ChunkError(str(error), int(piece.into[0])) from error
            if chunk.keep:
                batch.keep[piece.number] = chunk.kept
        return left

    return cut_all


def cut_whole(
    unpack: Unpack | None,
    shuffled: bool,
    compiled: bool,
    chunk: SingleChunk,
    piece: Piece,
    out: NDArray[Any],
) -> None:
    """From a chunk that is decoded from its beginning on by ``unpack``, if it is compressed.

    ``shuffled``: the first bytes of all pixels are stored first, then the second ones, and so on.
    """
    plain = _decoded(unpack, shuffled, chunk, piece) if chunk.kept is None else chunk.kept
    if shuffled and not compiled:
        cut_planes(plain, chunk.storage, piece, out)
    elif shuffled:
        cut_bytes(plain, chunk.storage.elements[0], chunk.storage, piece, out)
    else:
        cut_pixels(plain, chunk.storage, piece, out)


def _decoded(unpack: Unpack | None, everything: bool, chunk: SingleChunk, piece: Piece) -> Bytes:
    """The chunk as far as it is needed, and padding."""
    if unpack is None:
        if chunk.size != chunk.storage.bytes:
            raise ChunkError(f"it has {chunk.size} bytes, not {chunk.storage.bytes}")
        return chunk.fetch()
    room = chunk.storage.bytes
    plain = buffer(room) if chunk.keep else scratch("plain", room)
    enough = room if everything or chunk.keep else chunk.storage.needed(piece)
    unpack(chunk.fetch(), chunk.size, plain, room, enough)
    if chunk.keep:
        chunk.kept = plain
    return plain


def default_block(itemsize: int) -> int:
    """Elements of a block. Source: bitshuffle repository, src/bitshuffle_core.c."""
    return max(8192 // itemsize // 8 * 8, 128)


def cut_bitshuffle_lz4(block: int, batch: Batch, out: NDArray[Any]) -> list[NDArray[np.intp]]:
    """A :data:`BatchDecoder` of filter 32008 with LZ4.

    Source: bitshuffle repository, src/bshuf_h5filter.c and bitshuffle.c. Chunks begin with 8 bytes
    for their decoded size and 4 for that of a block, in bytes; each block follows the 4 bytes of
    its length; all big-endian. Pixels after the last multiple of 8 are neither shuffled nor
    compressed. ``block``: elements of a block if the chunk does not state them.
    """
    from . import unshuffle

    for group in batch.groups():
        source, ends = group.fetch()
        pieces = group.pieces
        broken = unshuffle.cut_lz4_bits(
            source,
            ends,
            block,
            scratch("planes", batch.storage.bytes),
            batch.storage.elements,
            np.stack([pieces.first, pieces.count, pieces.tile], axis=1),
            pieces.frames,
            pieces.into,
            np.array([tile.box for tile in pieces.tiles]),
            *_target(out),
        )
        if broken >= 0:
            raise ChunkError("its blocks cannot be decoded", pieces.row(broken))
    return []


def cut_bitshuffle(
    codec: str | None,
    block: int,
    compiled: bool,
    chunk: SingleChunk,
    piece: Piece,
    out: NDArray[Any],
) -> None:
    """From filter 32008, as :func:`cut_bitshuffle_lz4`, with any codec of imagecodecs or none."""
    source, size, storage = chunk.fetch(), chunk.size, chunk.storage
    if codec:
        block = _stated_block(source, size, storage) or block
        source = _unpacked_blocks(codec, source, size, block, piece, storage)
        size = storage.bytes
    if compiled:
        cut_bits(source, size, block, storage, piece, out)
    else:
        cut_pixels(_unshuffled(source, size, block, piece, storage), storage, piece, out)


def _stated_block(source: Bytes, size: int, storage: Storage) -> int:
    """Elements of a block of a compressed chunk; 0 = the default."""
    total, block = unpack_from(">QI", source.data, 0) if size >= 12 else (0, 0)
    if total != storage.bytes or block % (8 * storage.dtype.itemsize):
        raise ChunkError("its header does not fit the chunk")
    return int(block) // storage.dtype.itemsize


def _unpacked_blocks(
    codec: str, source: Bytes, size: int, block: int, piece: Piece, storage: Storage
) -> Bytes:
    """The blocks that ``piece`` touches, each where it would be if none were compressed."""
    itemsize, total = storage.dtype.itemsize, storage.elements[0]
    shuffled = total // 8 * 8
    rest = (total - shuffled) * itemsize
    offsets = _block_offsets(source, size - rest, -(-shuffled // block))
    plain = scratch("plain", storage.bytes)
    for number in storage.blocks(piece, block):
        into = plain[number * block * itemsize : min((number + 1) * block, shuffled) * itemsize]
        if len(into):
            decode(codec, source[offsets[number] + 4 : offsets[number + 1]], into)
    plain[shuffled * itemsize : total * itemsize] = source[offsets[-1] : offsets[-1] + rest]
    return plain


def _block_offsets(source: Bytes, size: int, blocks: int) -> list[int]:
    """Offsets of the blocks, each after its 4-byte big-endian length, and the end of the last."""
    offsets = [12]
    for _ in range(blocks):
        if offsets[-1] + 4 > size:
            raise ChunkError("it is cut short")
        offsets.append(offsets[-1] + 4 + unpack_from(">I", source.data, offsets[-1])[0])
    if offsets[-1] > size:
        raise ChunkError("it is cut short")
    return offsets


def _unshuffled(source: Bytes, size: int, block: int, piece: Piece, storage: Storage) -> Bytes:
    """The blocks that ``piece`` touches, and those between them, with their bits in order."""
    itemsize, total = storage.dtype.itemsize, storage.elements[0]
    if size < storage.bytes:
        raise ChunkError("it is cut short")
    touched = list(storage.blocks(piece, block))
    some = slice(touched[0] * block * itemsize, min((touched[-1] + 1) * block, total) * itemsize)
    pixels = scratch("pixels", storage.bytes)
    # Of an array, imagecodecs would take the bytes for elements.
    decode("bitshuffle", source[some].data, pixels[some].data, itemsize=itemsize, blocksize=block)
    return pixels


BYTES, COPIED, BITS, ONE_STREAM, LZ4_CODEC = 1, 2, 4, 16, 1
"""Blosc's flags (bytes shuffled, …), and its number of LZ4 in their upper three bits."""


def cut_blosc_lz4(chunk: SingleChunk, piece: Piece, out: NDArray[Any]) -> None:
    """A :data:`ChunkDecoder` of filter 32001 with LZ4 or LZ4HC.

    Source: c-blosc, README_CHUNK_FORMAT.rst and blosc/blosc.c, blosc_d. 16 bytes: version of Blosc,
    of LZ4, flags, bytes of an element; sizes of the chunk, of a block, and of the compressed chunk.
    Then the offset of each block. A block has one stream, or one for each byte of an element, each
    after the 4 bytes of its length, and not compressed if that is its decoded length.
    Little-endian.
    """
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
    """From consecutive pixels."""
    pixels = source[: storage.bytes].view(out.dtype).reshape(-1, *storage.chunk[-2:])
    for frame, part in piece.parts(out):
        part[...] = pixels[frame][piece.tile.window.slices]


def cut_planes(source: Bytes, storage: Storage, piece: Piece, out: NDArray[Any]) -> None:
    """From the first bytes of all pixels, then the second ones, …, by NumPy."""
    planes = source[: storage.bytes].reshape(out.itemsize, -1, *storage.chunk[-2:])
    rows, columns = piece.tile.window.slices
    for frame, part in piece.parts(out):
        pixels = np.moveaxis(planes[:, frame, rows, columns], 0, -1).copy()
        part[...] = pixels.view(out.dtype)[..., 0]


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
        There are fewer bytes than a chunk has.
    """
    from . import unshuffle

    chunk, frames, into, box = storage.elements, piece.frames, piece.into, piece.tile.box
    target = _target(out)
    if unshuffle.cut_bits(source, 0, size, False, block, source, chunk, frames, into, box, *target):
        raise ChunkError("it is cut short")


def _target(out: NDArray[Any]) -> tuple[Any, ...]:
    """The last arguments of the compiled functions, which treat all pixels as unsigned integers."""
    pixels = f"u{out.itemsize}"
    vector = scratch("vector", 64)[:64].view(pixels)
    return vector, out.reshape(-1).view(pixels), out.shape[1:]
