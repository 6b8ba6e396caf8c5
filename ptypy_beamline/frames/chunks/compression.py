"""Decompression of whole chunks, or of their beginning as far as a window needs it.

The functions of the table take the compressed bytes, with padding, and their number, a buffer for
``room`` bytes, with padding, and how many of these are ``enough``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import partial
from struct import unpack_from
from typing import TypeAlias

import numpy as np

from ...arrays import Bytes
from ...parallel import scratch
from .stored import ChunkError, UncoveredError

Unpack: TypeAlias = Callable[[Bytes, int, Bytes, int, int], None]

DEFLATE, LZF, BLOSC, LZ4, ZSTD, BLOSC2 = 1, 32000, 32001, 32004, 32015, 32026
"""Filters of HDF5 and of the HDF Group's list of registered filter plugins."""

FIRST_PART = 0.3
"""zlib, which can stop early, is faster than libdeflate up to this fraction of a chunk."""


def decode(name: str, source: Bytes | memoryview, out: Bytes | memoryview, **options: int) -> None:
    """Fill ``out`` with a function of imagecodecs, which holds no lock and checks its bounds.

    Raises
    ------
    ChunkError
        The source is damaged, or too short.
    """
    import imagecodecs

    try:
        done = getattr(imagecodecs, f"{name}_decode")(source, out=out, **options)
    except (RuntimeError, ValueError) as error:
        raise ChunkError(" ".join(str(error).split())) from error
    _check(len(done), len(out))


def _check(done: int, expected: int) -> None:
    if done < expected:
        raise ChunkError(f"{max(done, 0)} of {expected} bytes can be decoded")


def _inflate(source: Bytes, size: int, out: Bytes, room: int, enough: int) -> None:
    """HDF5, H5Zdeflate.c: a zlib stream."""
    if enough >= FIRST_PART * room:
        decode("deflate", source[:size], out[:room])
        return
    try:
        first = zlib.decompressobj().decompress(source[:size].data, enough)
    except zlib.error as error:
        raise ChunkError(str(error)) from error
    out[: len(first)] = np.frombuffer(first, np.uint8)
    _check(len(first), enough)


def _lzf(source: Bytes, size: int, out: Bytes, room: int, enough: int) -> None:
    """h5py, lzf/lzf_filter.c: one stream."""
    from . import lz

    _check(lz.lzf(source, size, out, room, enough), enough)


def _lzf_uncompiled(source: Bytes, size: int, out: Bytes, room: int, enough: int) -> None:
    decode("lzf", source[:size], out[:room])


BlockDecoder: TypeAlias = Callable[[Bytes, int, int, Bytes, int, int], int]
"""As :func:`.lz.lz4`."""


def _lz4_block(source: Bytes, begin: int, end: int, out: Bytes, room: int, enough: int) -> int:
    from . import lz

    return int(lz.lz4(source, begin, end, out, room, enough))


def _lz4_block_uncompiled(
    source: Bytes, begin: int, end: int, out: Bytes, room: int, enough: int
) -> int:
    """The whole block."""
    decode("lz4", source[begin:end], out[:room])
    return room


def _lz4(
    block_decoder: BlockDecoder, source: Bytes, size: int, out: Bytes, room: int, enough: int
) -> None:
    """HDF5-LZ4 (nexusformat), H5Zlz4.c.

    8 bytes: size of the chunk; 4: of a block; then each block after the 4 bytes of its length, not
    compressed if that is its decoded length. Big-endian.
    """
    total, block = unpack_from(">QI", source.data, 0) if size >= 12 else (0, 0)
    if total != room or not block:
        raise ChunkError("its header does not fit the chunk")
    at, done = 12, 0
    while done < enough:
        packed = unpack_from(">I", source.data, at)[0] if at + 4 <= size else size
        length = min(block, room - done)
        if at + 4 + packed > size:
            raise ChunkError("it is cut short")
        if packed == length:
            out[done : done + length] = source[at + 4 : at + 4 + packed]
        else:
            needed = min(length, enough - done)
            stop = at + 4 + packed
            _check(block_decoder(source, at + 4, stop, out[done:], length, needed), needed)
        at, done = at + 4 + packed, done + length


def _zstd(source: Bytes, size: int, out: Bytes, room: int, enough: int) -> None:
    """HDF5Plugin-Zstandard: one frame."""
    decode("zstd", source[:size], out[:room])


def _blosc(source: Bytes, size: int, out: Bytes, room: int, enough: int) -> None:
    """c-blosc, README_CHUNK_FORMAT.rst; blocks after the last needed one are cut off.

    Byte 2: flags, bit 1 of which means that nothing is compressed; 4, 8, 12: sizes of the chunk, of
    a block, and of the compressed chunk; then the offset of each block. Little-endian.
    """
    total, block, packed = unpack_from("<4xIII", source.data, 0) if size >= 16 else (0, 0, 0)
    if total != room or packed > size:  # c-blosc trusts these
        raise ChunkError("its header does not fit the chunk")
    if 0 < block < room and not source[2] & 2:
        room = min(room, -(-enough // block) * block)
        source[4:8] = np.frombuffer(np.array(room, "<u4").tobytes(), np.uint8)
    decode("blosc", source[:size], out[:room], numthreads=1)


B2ND = b"\xa4b2nd\xd2"
"""Precedes the shapes in a frame's header."""

Shapes: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]


def _blosc2(source: Bytes, size: int, out: Bytes, room: int, enough: int) -> None:
    """c-blosc2, README_CFRAME_FORMAT.rst and README_B2ND_METALAYER.rst; all of the chunk.

    HDF5-Blosc2, src/blosc2_filter.c, puts one Blosc2 chunk into a frame; others are uncovered.
    """
    header, total, packed = unpack_from(">11xi15xq1xq", source.data, 0) if size > 64 else (0, 0, 0)
    if total != room or packed <= 0 or not 64 <= header <= size - 32:
        raise UncoveredError
    decoded, length = unpack_from("<4xi4xi", source.data, header)
    if not 32 <= length <= size - header:
        raise UncoveredError
    chunk, shapes = source[header : header + length], _shapes(source[:header].tobytes())
    if shapes is not None:
        _unpack_tiles(chunk, decoded, shapes, out[:room])
    elif decoded == room:
        decode("blosc2", chunk, out[:room], numthreads=1)
    else:
        raise UncoveredError


def _shapes(header: bytes) -> Shapes | None:
    """Shape of the chunk and of its tiles; None if the pixels are in C order."""
    place = header.find(B2ND) + len(B2ND)
    if place < len(B2ND):
        return None
    at = unpack_from(">i", header, place)[0] + 5 if place + 4 <= len(header) else -1
    axes = header[at + 2] if 0 < at < len(header) - 3 else 0
    form = ">" + "xi" * axes + "x" + "xi" * axes
    if not 0 < axes <= 16 or at + 5 + 19 * axes + 1 > len(header):
        raise UncoveredError
    values = unpack_from(form, header, at + 5 + 9 * axes)
    return values[:axes], values[axes:]


def _unpack_tiles(source: Bytes, decoded: int, shapes: Shapes, out: Bytes) -> None:
    """Decode tiles (of any number of axes), which may extend beyond the chunk's edges."""
    chunk, tile = shapes
    if min(chunk + tile) < 1:
        raise UncoveredError
    grid = tuple(-(-n // t) for n, t in zip(chunk, tile, strict=True))
    width = len(out) // math.prod(chunk)
    fits = len(out) == math.prod(chunk) * width
    if not fits or decoded != math.prod(grid) * math.prod(tile) * width:
        raise UncoveredError
    plain = scratch("tiles", decoded)[:decoded]
    decode("blosc2", source, plain, numthreads=1)
    target = out.reshape(*chunk, width)
    for place, pixels in zip(np.ndindex(*grid), plain.reshape(-1, *tile, width), strict=True):
        ends = zip(place, tile, chunk, strict=True)
        where = tuple(slice(p * t, min((p + 1) * t, n)) for p, t, n in ends)
        target[where] = pixels[tuple(slice(s.stop - s.start) for s in where)]


UNPACK: dict[int, tuple[str, Unpack]] = {
    DEFLATE: ("DEFLATE", _inflate),
    LZF: ("", _lzf),
    BLOSC: ("BLOSC", _blosc),
    LZ4: ("", partial(_lz4, _lz4_block)),
    ZSTD: ("ZSTD", _zstd),
    BLOSC2: ("BLOSC2", _blosc2),
}
"""HDF5 filter → the codec of imagecodecs that it needs, and its function."""

UNCOMPILED: dict[int, tuple[str, Unpack]] = {
    **UNPACK,
    LZF: ("LZF", _lzf_uncompiled),
    LZ4: ("LZ4", partial(_lz4, _lz4_block_uncompiled)),
}
"""The same without compiled functions."""


def unpacking(code: int, compiled: bool) -> Unpack | None:
    """The function for a filter; None = there is none: builds of imagecodecs differ.

    Parameters
    ----------
    compiled
        Whether compiled functions may be used.
    """
    import imagecodecs

    needed, unpack = (UNPACK if compiled else UNCOMPILED).get(code, ("NONE", None))
    if needed and not getattr(imagecodecs, needed).available:
        return None
    return unpack
