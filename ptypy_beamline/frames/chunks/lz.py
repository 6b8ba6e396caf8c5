"""Decoders of LZ4 and LZF, compiled.

They run without the interpreter lock and check every length in the data: they return ``BROKEN``,
and never read or write outside their arrays, which end with ``PADDING`` bytes, see
:mod:`ptypy_beamline.parallel`. They stop early if a window needs no more.

Numba moves one element at a time and checks whether an index is negative, which makes a decoder
several times as slow: the functions at the top load and store several bytes at any offset of an
array of bytes, without checks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...compiled import compiled

BYTE, WORD = ir.IntType(8), ir.IntType(64)


def pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to element ``index`` of an array of the Numba type ``kind``."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _mover(size: int) -> Any:
    """A function that copies ``size`` bytes from one array to another or within one."""
    lanes = ir.VectorType(BYTE, size).as_pointer()

    @intrinsic  # type: ignore[untyped-decorator]
    def move(context: Any, to: Any, to_index: Any, source: Any, index: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to, _, source, _ = signature.args
            place = pointer(context, builder, source, args[2], args[3])
            value = builder.load(builder.bitcast(place, lanes), align=1)
            place = pointer(context, builder, to, args[0], args[1])
            builder.store(value, builder.bitcast(place, lanes), align=1)
            return context.get_dummy_value()

        return types.void(to, types.intp, source, types.intp), build

    return move


def _loader(size: int) -> Any:
    """A function that reads ``size`` bytes of an array as a little-endian integer."""
    number = ir.IntType(8 * size)

    @intrinsic  # type: ignore[untyped-decorator]
    def load(context: Any, source: Any, index: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = pointer(context, builder, signature.args[0], *args)
            value = builder.load(builder.bitcast(place, number.as_pointer()), align=1)
            return value if size == 8 else builder.zext(value, WORD)

        return types.int64(source, types.intp), build

    return load


def _filler(words: int) -> Any:
    """A function that writes one 8-byte word ``words`` times."""
    lanes, order = ir.VectorType(WORD, words), ir.VectorType(ir.IntType(32), words)

    @intrinsic  # type: ignore[untyped-decorator]
    def fill(context: Any, to: Any, index: Any, word: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            empty = ir.Constant(lanes, ir.Undefined)
            first = builder.insert_element(empty, args[2], ir.Constant(ir.IntType(32), 0))
            value = builder.shuffle_vector(first, empty, ir.Constant(order, [0] * words))
            place = pointer(context, builder, signature.args[0], args[0], args[1])
            builder.store(value, builder.bitcast(place, lanes.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(to, types.intp, types.int64), build

    return fill


move8, move32 = _mover(8), _mover(32)
load1, load2, load4, load8 = _loader(1), _loader(2), _loader(4), _loader(8)
fill8, fill32 = _filler(1), _filler(4)


BROKEN = -1
"""Returned for bytes that their format does not allow."""

# For patterns of 0 to 8 bytes: the bytes of a word that one fills, the factor that repeats it
# through the word, and the smallest multiple of its length that is at least 8.
_MASK = np.array([(1 << 8 * n) - 1 for n in range(8)] + [-1], np.int64)
_REPEAT = np.array(
    [sum(1 << k for k in range(0, 64, 8 * n or 64)) for n in range(9)], np.uint64
).view(np.int64)
_PERIOD = np.array([-(-8 // (n or 1)) * n for n in range(9)], np.int64)


@compiled
def _repeat(out, at, stop, back):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Fill ``out[at:stop]`` with the bytes from ``back`` before, which may overlap.

    The first 16 bytes are made without branching on ``back``: the processor cannot predict it, and
    a misprediction takes as long as making 100 bytes.
    """
    near = min(back, 8)
    word = (load8(out, at - back) & _MASK[near]) * _REPEAT[near]
    fill8(out, at, word)
    far = max(back, _PERIOD[near])
    move8(out, at + 8, out, at + 8 - far)
    if stop - at <= 16:
        return
    at += 16
    if far == 8:
        while at < stop:
            fill32(out, at, word)
            at += 32
    elif far >= 32:
        while at < stop:
            move32(out, at, out, at - far)
            at += 32
    else:
        while at < stop:
            move8(out, at, out, at - far)
            at += 8


@compiled
def _extended(source, at, end, length):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the bytes from ``at`` on, up to one below 255; the index after them, and the sum."""
    byte = 255
    while byte == 255:
        if at >= end:
            return at, BROKEN
        byte = load1(source, at)
        length, at = length + byte, at + 1
    return at, length


@compiled
def lz4(source, at, end, out, room, enough):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Decode the block ``source[at:end]`` into ``out``, at most ``room`` bytes.

    Stops early once there are ``enough``, if that is less than ``room``: a whole block must end
    after literals. Returns the number of bytes, or ``BROKEN``.

    Source: LZ4 Block Format Description (lz4 repository, doc/lz4_Block_format.md).
    """
    done = 0
    while at < end and done < enough:
        token = load1(source, at)
        at += 1
        length = token >> 4
        if length == 15:
            at, length = _extended(source, at, end, length)
        if length > end - at or length > room - done or length < 0:
            return BROKEN
        move32(out, done, source, at)
        for i in range(32, length, 32):
            move32(out, done + i, source, at + i)
        done, at = done + length, at + length
        if end - at < 2 or done >= enough:
            return done if at == end or room > done >= enough else BROKEN
        back = load2(source, at)
        at += 2
        length = token & 15
        if length == 15:
            at, length = _extended(source, at, end, length)
            if length < 0:
                return BROKEN
        length += 4
        if not 0 < back <= done or length > room - done:
            return BROKEN
        _repeat(out, done, done + length, back)
        done += length
    return done if room > done >= enough else BROKEN


@compiled
def lzf(source, size, out, room, enough):  # type: ignore[no-untyped-def]  # pragma: no cover
    """As :func:`lz4`, from ``source[:size]``.

    Source: LibLZF 3.6, lzf_d.c: 000LLLLL and L + 1 literals; LLLooooo oooooooo, L + 2 bytes from
    o + 1 back; 111ooooo LLLLLLLL oooooooo, L + 9 bytes.
    """
    at = done = 0
    while at < size and done < enough:
        control = load1(source, at)
        at += 1
        if control < 32:
            length = control + 1
            if length > min(size - at, room - done):
                return BROKEN
            move32(out, done, source, at)
            done, at = done + length, at + length
            continue
        length = (control >> 5) + 2
        if length == 9:
            length += load1(source, at)
            at += 1
        if at >= size:
            return BROKEN
        back = ((control & 31) << 8) + load1(source, at) + 1
        at += 1
        if back > done or length > room - done:
            return BROKEN
        _repeat(out, done, done + length, back)
        done += length
    return done if at == size or room > done >= enough else BROKEN


@compiled
def big32(source, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """A big-endian integer of 4 bytes."""
    return (
        load1(source, at) << 24
        | load1(source, at + 1) << 16
        | load1(source, at + 2) << 8
        | load1(source, at + 3)
    )


@compiled
def blosc_block(  # type: ignore[no-untyped-def]
    source, place, size, streams, out, room
):  # pragma: no cover - compiled
    """Decode a block of ``streams`` parts into ``out``. Returns 0, or ``BROKEN``.

    Its offset is stored at ``place`` in ``source[:size]``, see ``decoders.cut_blosc_lz4``.
    """
    if place + 4 > size:
        return BROKEN
    at, length = load4(source, place), room // streams
    for number in range(streams):
        if at + 4 > size:
            return BROKEN
        packed, at = load4(source, at), at + 4
        part = out[number * length :]
        if at + packed > size:
            return BROKEN
        if packed == length:
            part[:length] = source[at : at + length]
        elif lz4(source, at, at + packed, part, length, length) != length:
            return BROKEN
        at += packed
    return 0
