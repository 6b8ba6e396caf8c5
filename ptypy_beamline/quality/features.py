"""What is measured of each frame, in one streaming pass over a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Bytes, Float32s, Floats, Ints
from ..parallel import available_threads, pool, shares
from ..planning.plan import Block, Plan
from ..scan import SAMPLE, sample_indices
from . import kernels

SAMPLE_BYTES, MINIMUM = 2**27, 9
"""Memory for the frames whose median is taken, and how many it takes at least."""
SMALL = 8
"""Bins of each axis of the pictures in which neighbours are compared."""


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What the frames of a plan are measured against.

    Attributes
    ----------
    reference
        (ny, nx) root of the median counts of a sample of frames.
    ring
        (ny, nx) uint8 number of the radial ring around the beam, ``RINGS`` outside of all.
    middle
        (top, bottom, left, right) of the central part.
    """

    reference: Float32s
    ring: Bytes
    middle: tuple[int, int, int, int]

    @classmethod
    def of(cls, plan: Plan) -> Yardstick:
        """From at most 32 frames spread over the plan, fewer where they are big."""
        center, shape = plan.geometry.center_px, plan.geometry.shape
        most = max(MINIMUM, SAMPLE_BYTES // (4 * shape[0] * shape[1]))
        picked = sample_indices(len(plan), min(most, SAMPLE // 2))
        sample = np.concatenate([block.frames for block in plan.stream(picked, say_empty=False)])
        edge = max(1.0, min(min(c + 0.5, n - c - 0.5) for c, n in zip(center, shape, strict=True)))
        rows, columns = np.indices(shape)
        radius = np.hypot(rows - center[0], columns - center[1])
        ring = np.minimum(radius * kernels.RINGS / edge, kernels.RINGS).astype(np.uint8)
        (top, bottom), (left, right) = (
            (max(0, int(c - edge / 2)), min(n, int(c + edge / 2) + 1))
            for c, n in zip(center, shape, strict=True)
        )
        median = np.median(sample, axis=0, overwrite_input=True)
        return cls(np.sqrt(median).astype(np.float32), ring, (top, bottom, left, right))


@dataclass(frozen=True, eq=False)
class Part:
    """What was measured of some positions of a plan.

    Attributes
    ----------
    table
        (n, len(COLUMNS)) float64, see :data:`kernels.COLUMNS`; NaN where there is no number.
    spoiled
        (n,) fraction of the good pixels without a usable count: saturated or not finite.
    small
        (n, 64) logarithm of the counts in at most 8×8 bins.
    binned
        (n, s, s) counts in s×s bins of the frame.
    """

    table: Floats
    spoiled: Floats
    small: Float32s
    binned: Float32s

    def without_pictures(self) -> Part:
        """The numbers alone."""
        return replace(self, binned=self.binned[:0])


def measured(plan: Plan, positions: Ints, yard: Yardstick, side: int) -> Iterator[Part]:
    """Measure ``positions`` (consecutive), block by block.

    ``side``: bins of each axis; smaller frames have as many as they have pixels.
    """
    side = min(side, *plan.geometry.shape)
    if not len(positions):
        return
    first = int(positions[0])
    before = next(plan.stream([max(first - 1, 0)], say_empty=False)).frames[0]
    known = first > 0
    # Nothing is kept: small blocks stay in the processor's memory.
    for block in plan.stream(positions, max(1, plan.block_size // 4), say_empty=False):
        table, binned = _measure(block, before, yard, side, plan.threads)
        if not known:
            table[0, kernels.COLUMNS.index("change")] = np.nan
        before, known = block.frames[-1].copy(), True
        yield Part(table, _spoiled(block, plan), _small(binned), binned)


def _measure(
    block: Block, before: Float32s, yard: Yardstick, side: int, threads: int | None
) -> tuple[Floats, Float32s]:
    """All frames of a block, shared among threads."""
    frames = block.frames
    table = np.empty((len(frames), len(kernels.COLUMNS)))
    binned = np.empty((len(frames), side, side), np.float32)

    def run(part: slice) -> None:
        earlier = frames[part.start - 1] if part.start else before
        kernels.measure(
            frames[part], earlier, yard.reference, yard.ring, yard.middle, table[part], binned[part]
        )

    count = threads or available_threads()
    list(pool(count).map(run, shares(len(frames), count)))
    return table, binned


def _small(binned: Float32s) -> Float32s:
    """(n, 64) logarithm of the counts in 8×8 bins, made of the finer ones."""
    n, side, _ = binned.shape
    edges = np.arange(min(SMALL, side)) * side // min(SMALL, side)
    coarse = np.add.reduceat(np.add.reduceat(binned, edges, axis=1), edges, axis=2)
    return np.asarray(np.log1p(coarse).reshape(n, -1), np.float32)


def _spoiled(block: Block, plan: Plan) -> Floats:
    """Fraction of the plan's good pixels that are bad in each frame."""
    if not block.good.strides[0]:
        return np.zeros(len(block.frames))
    usable = max(1, int(plan.good.sum()))
    found = np.count_nonzero(block.good & plan.good, axis=(1, 2))
    return np.asarray(1 - found / usable, np.float64)
