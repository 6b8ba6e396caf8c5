"""Windows cut out of shuffled chunks, compiled; bounds are checked as in ``lz``."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...compiled import compiled
from .lz import BROKEN, big32, lz4, pointer


def _gatherer(width_bits: int) -> Any:
    """A function that makes 64 bytes of unsigned elements, at element ``to_index`` of ``to``.

    Bits k to k + ``width_bits`` of the element i are the item i of a plane, which begins at byte
    ``index + k / width_bits * stride`` of ``planes``. Single bits are loaded as a vector of truths
    that selects 2ᵏ or 0, one or two machine instructions.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def gather(context: Any, to: Any, to_index: Any, planes: Any, index: Any, stride: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to, _, planes, _, _ = signature.args
            bits = to.dtype.bitwidth
            count = 512 // bits
            plane = ir.VectorType(ir.IntType(width_bits), count)
            stored = ir.IntType(count) if width_bits == 1 else plane
            lanes = ir.VectorType(ir.IntType(bits), count)
            nothing = total = ir.Constant(lanes, [0] * count)
            index = args[3]
            for k in range(0, bits, width_bits):
                place = pointer(context, builder, planes, args[2], index)
                loaded = builder.load(builder.bitcast(place, stored.as_pointer()), align=1)
                if width_bits == 1:
                    value = ir.Constant(lanes, [1 << k] * count)
                    part = builder.select(builder.bitcast(loaded, plane), value, nothing)
                else:
                    value = loaded if bits == width_bits else builder.zext(loaded, lanes)
                    part = builder.shl(value, ir.Constant(lanes, [k] * count))
                total = builder.or_(total, part)
                index = builder.add(index, args[4])
            place = pointer(context, builder, to, args[0], args[1])
            builder.store(total, builder.bitcast(place, lanes.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(to, types.intp, planes, types.intp, types.intp), build

    return gather


gather_bits, gather_bytes = _gatherer(1), _gatherer(8)


@compiled
def _to_block(  # type: ignore[no-untyped-def]
    source, size, number, walked, planes, room
):  # pragma: no cover - compiled
    """Go on to block ``number``; unpack it into ``planes`` if it has ``room`` bytes.

    ``walked``: the number of blocks passed, and the offset of the next one.
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
    """Make elements ``start`` to ``stop`` of a block of ``length``, for ``out[x:]``."""
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
    """The same of a block that holds the first bytes first, then the second ones, …."""
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
    """Cut a window out of a bit-shuffled chunk, decoding only the blocks that it touches.

    The chunk is ``source[at:size]``: a header and LZ4 blocks, each after its length (``packed``),
    or blocks that are not compressed. A block has ``block`` elements. ``chunk`` is the number of
    elements in the chunk, in a frame and in a row. Of its ``frames``, the part ``box``, see
    ``layout.Tile.box``, goes into the frames ``into`` of ``out``, unsigned, (n, *``shape``) in one
    axis. ``planes`` has room for a block, ``vector`` for 64 bytes. Returns 0, or ``BROKEN``.

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
    source, ends, block, planes, chunk, pieces, frames, into, boxes, vector, out, shape
):  # pragma: no cover - compiled
    """:func:`cut_bits` for many chunks, ``source[ends[c]:ends[c + 1]]``, compressed by LZ4.

    A block has ``block`` elements if the chunk does not state them. ``pieces`` (n, 3) has
    ``first``, ``count`` and ``tile`` of ``layout.Pieces``. Returns the number of the first broken
    chunk, or -1.

    Source: bitshuffle repository, src/bshuf_h5filter.c.
    """
    for c in range(len(pieces)):
        first, count, tile = pieces[c, 0], pieces[c, 1], pieces[c, 2]
        at, size = ends[c], ends[c + 1]
        if size - at < 12 or big32(source, at) != 0:
            return c
        if big32(source, at + 4) != chunk[0] * out.itemsize:
            return c
        elements = big32(source, at + 8) // out.itemsize
        if elements == 0:
            elements = block
        if elements % 8 != 0:
            return c
        b, some, rows = boxes[tile], frames[first : first + count], into[first : first + count]
        box = (b[0], b[1], b[2], b[3], b[4], b[5])
        if cut_bits(
            source, at, size, True, elements, planes, chunk, some, rows, box, vector, out, shape
        ):
            return c
    return -1


@compiled
def cut_bytes(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    source, block, chunk, frames, into, box, vector, out, shape
):  # pragma: no cover - compiled
    """Cut a window out of blocks that hold the first bytes first, then the second ones, ….

    Source: HDF5, H5Zshuffle.c. Parameters as in :func:`cut_bits`.
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
                end, at = min(stop, first + length), first * out.itemsize
                _join_bytes(source, at, length, element - first, end - first, vector, out, x)
                x, element = x + end - element, end
