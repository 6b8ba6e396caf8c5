"""Decoders of compressed chunks, compiled: LZ4, LZF, bitshuffle and byte shuffle.

Each runs without the interpreter lock and checks every length it is told by the data: it returns
``BROKEN`` and never reads or writes outside its arrays, which have ``PADDING`` bytes behind what
they are said to hold. All make no more than a window needs.
"""

from __future__ import annotations

import numpy as np

from ..planning.kernels import compiled
from .moves import (
    fill8,
    fill32,
    gather_bits,
    gather_bytes,
    load1,
    load2,
    load4,
    load8,
    move8,
    move32,
)

BROKEN = -1
"""Returned for bytes that are not what their format allows."""

# For what repeats after 0 to 8 bytes: which bytes of a word it fills, the factor that repeats it
# through the word, and the fewest bytes, at least 8, that hold it a whole number of times.
_MASK = np.array([(1 << 8 * n) - 1 for n in range(8)] + [-1], np.int64)
_REPEAT = np.array([sum(1 << k for k in range(0, 64, 8 * n or 64)) for n in range(9)],
                   np.uint64).view(np.int64)  # fmt: skip
_PERIOD = np.array([-(-8 // (n or 1)) * n for n in range(9)], np.int64)


@compiled
def _repeat(out, at, stop, back):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Fill ``out[at:stop]`` with what lies ``back`` bytes before, which may overlap.

    The first 16 bytes are made without asking how far back: the processor cannot foresee it, and
    a wrong guess takes as long as making 100 bytes.
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
    """A length that further bytes add to while they are 255; and the place behind them."""
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

    Stops early once there are ``enough``. Returns the number of bytes, or ``BROKEN``.

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
            return done if at == end or done >= enough else BROKEN
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
    return done if done >= enough else BROKEN


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
    return done


@compiled
def _big32(source, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return (load1(source, at) << 24 | load1(source, at + 1) << 16 | load1(source, at + 2) << 8
            | load1(source, at + 3))  # fmt: skip


@compiled
def walk(source, at, size, places):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Fill ``places`` with where blocks begin, each behind its 4-byte big-endian length.

    The last place is that behind the last block. False when they reach past ``size``.
    """
    for number in range(len(places)):
        places[number] = at
        if number < len(places) - 1:
            if at + 4 > size:
                return False
            at += 4 + _big32(source, at)
    return at <= size


@compiled
def _to_block(  # type: ignore[no-untyped-def]
    source, size, number, walked, planes, room
):  # pragma: no cover - compiled
    """Walk on to block ``number``; unpack it into ``planes`` unless it has no ``room``.

    ``walked``: how many blocks are behind, and where the next one is.
    """
    begin = walked[1]
    while walked[0] < number + (room > 0):
        if walked[1] + 4 > size:
            return BROKEN
        begin = walked[1] + 4
        walked[1] = begin + _big32(source, walked[1])
        walked[0] += 1
        if walked[1] > size:
            return BROKEN
    if room and lz4(source, begin, walked[1], planes, room, room) != room:
        return BROKEN
    return 0


@compiled
def _join_bits(  # type: ignore[no-untyped-def]
    bits, at, length, start, stop, vector, out, x
):  # pragma: no cover - compiled
    """Make elements ``start`` to ``stop`` of a block of ``length``, from ``out[x]`` on."""
    step = len(vector)
    for first in range(start // 8 * 8, stop, step):
        if start <= first and first + step <= stop:
            gather_bits(out, x + first - start, bits, at + first // 8, length // 8)
            continue
        gather_bits(vector, 0, bits, at + first // 8, length // 8)
        for k in range(max(first, start), min(first + step, stop)):
            out[x + k - start] = vector[k - first]


@compiled
def _join_bytes(  # type: ignore[no-untyped-def]
    source, at, length, start, stop, vector, out, x
):  # pragma: no cover - compiled
    """The same from a block that holds the first bytes first, then the second ones, …."""
    step = len(vector)
    for first in range(start, stop, step):
        if first + step <= stop:
            gather_bytes(out, x + first - start, source, at + first, length)
            continue
        gather_bytes(vector, 0, source, at + first, length)
        for k in range(first, stop):
            out[x + k - start] = vector[k - first]


@compiled
def cut_bits(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    source, at, size, packed, block, planes, chunk, frames, into, box, vector, out, shape
):  # pragma: no cover - compiled
    """Cut a window out of a bit-shuffled chunk and make no block that it does not touch.

    The chunk is ``source[at:size]``: LZ4 blocks behind a header and their lengths (``packed``), or
    bare blocks. ``block`` elements make one. ``chunk`` is the number of elements in the chunk, in
    a frame and in a row. Of its ``frames``, the part ``box``, see ``chunks.Tile.box``, goes into
    the frames ``into`` of ``out``, unsigned, (n, *``shape``) in one axis. ``planes`` has room for
    a block, ``vector`` for 64 bytes. Returns 0, or ``BROKEN``.

    Source: bitshuffle repository, src/bitshuffle.c, bshuf_blocked_wrap_fun: the last block is a
    multiple of 8 elements, and what remains is not shuffled.
    """
    total, frame, row = chunk
    top, left, height, width, upper, first_column = box
    shuffled, bits = total // 8 * 8, planes if packed else source
    count, ready, walked, begin = -(-shuffled // block), -1, np.array([0, at + 12]), at
    if not packed and size - at < total * out.itemsize:
        return BROKEN
    for i in range(len(frames)):
        for y in range(height):
            x = (into[i] * shape[0] + upper + y) * shape[1] + first_column
            element = frames[i] * frame + (top + y) * row + left
            stop = element + width
            while element < stop:
                number = count if element >= shuffled else element // block
                first = number * block
                length = max(0, min(block, shuffled - first))
                if packed and number != ready:
                    if _to_block(source, size, number, walked, planes, length * out.itemsize):
                        return BROKEN
                    ready = number
                if number == count:
                    at = walked[1] if packed else begin + shuffled * out.itemsize
                    if at + (total - shuffled) * out.itemsize > size:
                        return BROKEN
                    at += (element - shuffled) * out.itemsize
                    for k in range(stop - element):
                        gather_bytes(vector, 0, source, at + k * out.itemsize, 1)
                        out[x + k] = vector[0]
                    break
                end = min(stop, first + length)
                at = 0 if packed else begin + first * out.itemsize
                _join_bits(bits, at, length, element - first, end - first, vector, out, x)
                x, element = x + end - element, end
    return 0


@compiled
def cut_lz4_bits(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    source,
    places,
    block,
    planes,
    chunk,
    first,
    count,
    frames,
    into,
    boxes,
    tile,
    vector,
    out,
    shape,
):  # pragma: no cover - compiled
    """:func:`cut_bits` for many chunks, ``source[places[c]:places[c + 1]]``, compressed by LZ4.

    ``block`` elements make a block where a chunk does not say. ``first``, ``count`` and ``tile``
    are those of ``chunks.Pieces``. Returns the number of the first broken chunk, or -1.

    Source: bitshuffle repository, src/bshuf_h5filter.c.
    """
    for c in range(len(first)):
        at, size, some = places[c], places[c + 1], slice(first[c], first[c] + count[c])
        b = boxes[tile[c]]
        if size - at < 12 or _big32(source, at) != 0:
            return c
        if _big32(source, at + 4) != chunk[0] * out.itemsize:
            return c
        elements = _big32(source, at + 8) // out.itemsize
        if elements == 0:
            elements = block
        if elements % 8 != 0:
            return c
        if cut_bits(source, at, size, True, elements, planes, chunk, frames[some], into[some],
                    (b[0], b[1], b[2], b[3], b[4], b[5]), vector, out, shape):  # fmt: skip
            return c
    return -1


@compiled
def cut_bytes(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    source, block, chunk, frames, into, box, vector, out, shape
):  # pragma: no cover - compiled
    """Cut a window out of blocks that hold the first bytes first, then the second ones, ….

    Source: HDF5, H5Zshuffle.c. Parameters as in :func:`cut_bits`, of one chunk.
    """
    total, frame, row = chunk
    top, left, height, width, upper, first_column = box
    for i in range(len(frames)):
        for y in range(height):
            x = (into[i] * shape[0] + upper + y) * shape[1] + first_column
            element = frames[i] * frame + (top + y) * row + left
            stop = element + width
            while element < stop:
                first = element // block * block
                length = min(block, total - first)
                end = min(stop, first + length)
                _join_bytes(source, first * out.itemsize, length, element - first, end - first,
                            vector, out, x)  # fmt: skip
                x, element = x + end - element, end


@compiled
def blosc_block(  # type: ignore[no-untyped-def]
    source, place, size, streams, out, room
):  # pragma: no cover - compiled
    """Decode a block of ``streams`` parts into ``out``. Returns 0, or ``BROKEN``.

    At ``place`` in ``source[:size]`` there is where it begins, see ``blocks.BloscLz4``.
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
