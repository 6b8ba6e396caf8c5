"""Windows cut out of shuffled chunks, compiled; bounds are those of ``lz``."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...compiled import compiled
from .lz import BROKEN, BYTE, big32, lz4, pointer


@intrinsic  # type: ignore[untyped-decorator]
def gather_bits(context: Any, to: Any, to_index: Any, planes: Any, index: Any, stride: Any) -> Any:
    """Make 64 bytes of unsigned elements, at element ``to_index`` of ``to``, from their bits.

    Bit k of the element i is bit i of ``planes`` from byte ``index + k * stride`` on. A plane's
    bits are loaded as a vector of truths that selects 2ᵏ or 0, one or two machine instructions.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, _, planes, _, _ = signature.args
        bits = to.dtype.bitwidth
        count = 512 // bits
        plane, truths = ir.IntType(count), ir.VectorType(ir.IntType(1), count)
        lanes = ir.VectorType(ir.IntType(bits), count)
        nothing = total = ir.Constant(lanes, [0] * count)
        index = args[3]
        for bit in range(bits):
            place = pointer(context, builder, planes, args[2], index)
            loaded = builder.load(builder.bitcast(place, plane.as_pointer()), align=1)
            value = ir.Constant(lanes, [1 << bit] * count)
            chosen = builder.select(builder.bitcast(loaded, truths), value, nothing)
            total = builder.or_(total, chosen)
            index = builder.add(index, args[4])
        place = pointer(context, builder, to, args[0], args[1])
        builder.store(total, builder.bitcast(place, lanes.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(to, types.intp, planes, types.intp, types.intp), build


@intrinsic  # type: ignore[untyped-decorator]
def gather_bytes(context: Any, to: Any, to_index: Any, source: Any, index: Any, stride: Any) -> Any:
    """As :func:`gather_bits`, but byte k of the element i is ``index + k * stride + i``."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, _, source, _, _ = signature.args
        width = to.dtype.bitwidth
        count = 512 // width
        few, lanes = ir.VectorType(BYTE, count), ir.VectorType(ir.IntType(width), count)
        total, index = ir.Constant(lanes, [0] * count), args[3]
        for shift in range(0, width, 8):
            place = pointer(context, builder, source, args[2], index)
            loaded = builder.load(builder.bitcast(place, few.as_pointer()), align=1)
            value = loaded if width == 8 else builder.zext(loaded, lanes)
            by = ir.Constant(lanes, [shift] * count)
            total = builder.or_(total, builder.shl(value, by))
            index = builder.add(index, args[4])
        place = pointer(context, builder, to, args[0], args[1])
        builder.store(total, builder.bitcast(place, lanes.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp, types.intp), build


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
        walked[1] = begin + big32(source, walked[1])
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
    a frame and in a row. Of its ``frames``, the part ``box``, see ``layout.Tile.box``, goes into
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
    source, places, block, planes, chunk, pieces, frames, into, boxes, vector, out, shape
):  # pragma: no cover - compiled
    """:func:`cut_bits` for many chunks, ``source[places[c]:places[c + 1]]``, compressed by LZ4.

    ``block`` elements make a block where a chunk does not say. ``pieces`` (n, 3) has ``first``,
    ``count`` and ``tile`` of ``layout.Pieces``. Returns the number of the first broken chunk, or
    -1.

    Source: bitshuffle repository, src/bshuf_h5filter.c.
    """
    for c in range(len(pieces)):
        first, count, tile = pieces[c, 0], pieces[c, 1], pieces[c, 2]
        at, size, some = places[c], places[c + 1], slice(first, first + count)
        if size - at < 12 or big32(source, at) != 0:
            return c
        if big32(source, at + 4) != chunk[0] * out.itemsize:
            return c
        elements = big32(source, at + 8) // out.itemsize
        if elements == 0:
            elements = block
        if elements % 8 != 0:
            return c
        b = boxes[tile]
        if cut_bits(
            source,
            at,
            size,
            True,
            elements,
            planes,
            chunk,
            frames[some],
            into[some],
            (b[0], b[1], b[2], b[3], b[4], b[5]),
            vector,
            out,
            shape,
        ):
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
                _join_bytes(
                    source,
                    first * out.itemsize,
                    length,
                    element - first,
                    end - first,
                    vector,
                    out,
                    x,
                )
                x, element = x + end - element, end
