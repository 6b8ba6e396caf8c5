"""Chunks that are Blosc2 frames.

Source: c-blosc2, README_CFRAME_FORMAT.rst and README_B2ND_METALAYER.rst; HDF5-Blosc2,
src/blosc2_filter.c, which puts one Blosc2 chunk into a frame.
"""

from __future__ import annotations

import math
from struct import unpack_from

import numpy as np

from ...arrays import Bytes
from ..threads import scratch
from .compression import decode
from .stored import UncoveredError

NAME = b"\xa4b2nd\xd2"
"""What precedes, in a frame's header, where its shapes are."""

Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def unpack_frame(source: Bytes, size: int, out: Bytes, room: int) -> None:
    """Decode the frame ``source[:size]`` into ``out[:room]``.

    Raises
    ------
    ChunkError
        It cannot be decoded.
    UncoveredError
        It is not of the one kind known here.
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
    """Shape of the chunk and of its tiles; None where pixels simply follow each other."""
    place = header.find(NAME) + len(NAME)
    if place < len(NAME):
        return None
    at = unpack_from(">i", header, place)[0] + 5 if place + 4 <= len(header) else -1
    axes = header[at + 2] if 0 < at < len(header) - 3 else 0
    form = ">" + "xi" * axes + "x" + "xi" * axes
    if not 0 < axes <= 16 or at + 5 + 19 * axes + 1 > len(header):
        raise UncoveredError
    values = unpack_from(form, header, at + 5 + 9 * axes)
    return values[:axes], values[axes:]


def _unpack_tiles(source: Bytes, decoded: int, shapes: Shapes, out: Bytes) -> None:
    """Decode tiles (of any number of axes) that may reach past the chunk's edges."""
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
