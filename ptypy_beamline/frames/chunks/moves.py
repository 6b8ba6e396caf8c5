"""Loads and stores of several bytes at any place in an array of bytes, for compiled decoders.

Numba moves one element at a time and first looks whether an index is negative, which makes a
decoder several times as slow. These do neither: the caller keeps ``PADDING`` bytes, see
``threads``, behind the end.

A change in this file is not seen by what Numba has compiled before and kept on disk: touch
``lz.py`` and ``unshuffle.py`` after it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

BYTE, WORD = ir.IntType(8), ir.IntType(64)


def _at(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to element ``index`` of an array of the Numba type ``kind``."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _mover(size: int) -> Any:
    """A function that copies ``size`` bytes from one array to another or within one."""
    lanes = ir.VectorType(BYTE, size).as_pointer()

    @intrinsic  # type: ignore[untyped-decorator]
    def move(context: Any, to: Any, to_index: Any, source: Any, index: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to, _, source, _ = signature.args
            place = _at(context, builder, source, args[2], args[3])
            value = builder.load(builder.bitcast(place, lanes), align=1)
            place = _at(context, builder, to, args[0], args[1])
            builder.store(value, builder.bitcast(place, lanes), align=1)
            return context.get_dummy_value()

        return types.void(to, types.intp, source, types.intp), build

    return move


def _loader(size: int) -> Any:
    """A function that reads ``size`` bytes of an array as a whole number, least byte first."""
    number = ir.IntType(8 * size)

    @intrinsic  # type: ignore[untyped-decorator]
    def load(context: Any, source: Any, index: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = _at(context, builder, signature.args[0], *args)
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
            place = _at(context, builder, signature.args[0], args[0], args[1])
            builder.store(value, builder.bitcast(place, lanes.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(to, types.intp, types.int64), build

    return fill


move8, move16, move32 = _mover(8), _mover(16), _mover(32)
load1, load2, load4, load8 = _loader(1), _loader(2), _loader(4), _loader(8)
fill8, fill32 = _filler(1), _filler(4)


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
            place = _at(context, builder, planes, args[2], index)
            loaded = builder.load(builder.bitcast(place, plane.as_pointer()), align=1)
            value = ir.Constant(lanes, [1 << bit] * count)
            chosen = builder.select(builder.bitcast(loaded, truths), value, nothing)
            total = builder.or_(total, chosen)
            index = builder.add(index, args[4])
        place = _at(context, builder, to, args[0], args[1])
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
            place = _at(context, builder, source, args[2], index)
            loaded = builder.load(builder.bitcast(place, few.as_pointer()), align=1)
            value = loaded if width == 8 else builder.zext(loaded, lanes)
            by = ir.Constant(lanes, [shift] * count)
            total = builder.or_(total, builder.shl(value, by))
            index = builder.add(index, args[4])
        place = _at(context, builder, to, args[0], args[1])
        builder.store(total, builder.bitcast(place, lanes.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp, types.intp), build
