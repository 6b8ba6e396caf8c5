"""Windows cut out of decoded chunks, whatever the order of their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Bytes, Ints
from ..threads import scratch
from .chunk import Piece, Pieces, Storage
from .stored import ChunkError


def parts(piece: Piece, out: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Each frame's number in the chunk, and its part of ``out`` (n, h, w)."""
    (y, x), window = piece.tile.corner, piece.tile.window
    place = (slice(y, y + window.height), slice(x, x + window.width))
    for frame, into in zip(piece.frames.tolist(), piece.into.tolist(), strict=True):
        yield frame, out[into][place]


def cut_pixels(source: Bytes, storage: Storage, piece: Piece, out: NDArray[Any]) -> None:
    """From pixels one after another."""
    pixels = source[: storage.bytes].view(out.dtype).reshape(-1, *storage.chunk[-2:])
    for frame, part in parts(piece, out):
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


def cut_lz4_bits(
    source: Bytes,
    places: Ints,
    block: int,
    storage: Storage,
    pieces: Pieces,
    out: NDArray[Any],
) -> None:
    """From chunks of such blocks compressed by LZ4.

    Parameters
    ----------
    places
        Where each chunk begins in ``source``, and where the last one ends.
    block
        Pixels of a block where the chunk does not say.

    Raises
    ------
    ChunkError
        They cannot be unpacked.
    """
    from . import unshuffle

    boxes = np.array([tile.box for tile in pieces.tiles])
    each = np.stack([pieces.first, pieces.count, pieces.tile], axis=1)
    broken = unshuffle.cut_lz4_bits(
        source,
        places,
        block,
        scratch("planes", storage.bytes),
        storage.elements,
        each,
        pieces.frames,
        pieces.into,
        boxes,
        *_target(out),
    )
    if broken >= 0:
        raise ChunkError("its blocks cannot be decoded", pieces.row(broken))


def _target(out: NDArray[Any]) -> tuple[Any, ...]:
    """The last arguments of the compiled functions; to them all pixels are unsigned."""
    pixels = f"u{out.itemsize}"
    vector = scratch("vector", 64)[:64].view(pixels)
    return vector, out.reshape(-1).view(pixels), out.shape[1:]
