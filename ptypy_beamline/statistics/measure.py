"""Measurements of each frame, in one pass over a plan; compiled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Bytes, Float32s, Floats, Ints
from ..compiled import compiled_fast
from ..parallel import available_threads, pool, shares
from ..planning.plan import Plan
from ..planning.streaming import Block
from ..scan import SAMPLE, sample_indices

RINGS = 4
"""Radial rings, of equal width up to the frame's nearest edge."""

COLUMNS = (
    "total",
    "maximum",
    "row",
    "column",
    "row_variance",
    "column_variance",
    "ring_1",
    "ring_2",
    "ring_3",
    "ring_4",
    "contrast",
    "likeness",
    "change",
)
"""What is measured of each frame.

Counts: total, maximum, in each ring. Pixels: centre of mass and variance. Contrast of the central
part: standard deviation over mean. Likeness: cosine between the roots of the counts and of the
median counts. Change: mean absolute difference from the frame before.
"""

COUNTED = ("total", "maximum", "ring_1", "ring_2", "ring_3", "ring_4", "change")
"""Columns that are proportional to the counts."""

SAMPLE_BYTES, MIN_SAMPLE = 2**27, 9
"""Memory for a sample of corrected frames, and its fewest frames."""

COARSE_BINS = 8
"""Bins along each axis of the coarse images, which are compared between neighbouring frames."""


def spread_positions(plan: Plan, most: int = SAMPLE) -> Ints:
    """At most ``most`` positions spread evenly over a plan, fewer where frames are big."""
    ny, nx = plan.geometry.shape
    fitting = max(MIN_SAMPLE, SAMPLE_BYTES // (4 * ny * nx))
    return sample_indices(len(plan), min(fitting, most))


def relative_radius(center_px: Sequence[float], shape: tuple[int, ...]) -> Floats:
    """(ny, nx) distance from the beam centre over that of the nearest edge."""
    rows, columns = np.indices(shape)
    distance = np.hypot(rows - center_px[0], columns - center_px[1])
    return np.asarray(distance / _nearest_edge_px(center_px, shape))


def _nearest_edge_px(center_px: Sequence[float], shape: tuple[int, ...]) -> float:
    """Distance from the beam centre to the nearest edge, at least a pixel."""
    edges = (min(c + 0.5, n - c - 0.5) for c, n in zip(center_px, shape, strict=True))
    return max(1.0, min(edges))


@dataclass(frozen=True, eq=False)
class Reference:
    """Reference with which the frames of a plan are compared.

    Attributes
    ----------
    root_counts
        (ny, nx) root of the median counts of a sample of frames.
    ring
        (ny, nx) uint8 number of the radial ring around the beam, ``RINGS`` outside of all.
    central
        (top, bottom, left, right) of the central part.
    """

    root_counts: Float32s
    ring: Bytes
    central: tuple[int, int, int, int]

    @classmethod
    def of(cls, plan: Plan) -> Reference:
        """From at most 32 frames spread over the plan, fewer where they are big."""
        center, shape = plan.geometry.center_px, plan.geometry.shape
        picked = spread_positions(plan, SAMPLE // 2)
        sample = np.concatenate([block.frames for block in plan.stream(picked, warn_empty=False)])
        median = np.median(sample, axis=0, overwrite_input=True)
        ring = np.minimum(relative_radius(center, shape) * RINGS, RINGS).astype(np.uint8)
        half = _nearest_edge_px(center, shape) / 2
        (top, bottom), (left, right) = (
            (max(0, int(c - half)), min(n, int(c + half) + 1))
            for c, n in zip(center, shape, strict=True)
        )
        return cls(np.sqrt(median).astype(np.float32), ring, (top, bottom, left, right))


@dataclass(frozen=True, eq=False)
class BlockMeasurements:
    """Measurements of consecutive positions of a plan.

    Attributes
    ----------
    table
        (n, len(COLUMNS)) float64, see :data:`COLUMNS`; NaN where there is no number.
    without_count
        (n,) fraction of the good pixels without a usable count: saturated or not finite.
    coarse
        (n, 64) logarithm of the counts in at most 8×8 bins.
    binned
        (n, s, s) counts in s×s bins of the frame.
    """

    table: Floats
    without_count: Floats
    coarse: Float32s
    binned: Float32s

    def without_images(self) -> BlockMeasurements:
        """A copy without the binned frames."""
        return replace(self, binned=self.binned[:0])


def measure_frames(
    plan: Plan, positions: Ints, reference: Reference, bins: int
) -> Iterator[BlockMeasurements]:
    """Measure ``positions`` (consecutive), block by block.

    ``bins``: along each axis of the binned frames; smaller frames have one bin per pixel.
    """
    bins = min(bins, *plan.geometry.shape)
    if not len(positions):
        return
    first = int(positions[0])
    before = next(plan.stream([max(first - 1, 0)], warn_empty=False)).frames[0]
    has_before = first > 0
    # Small blocks stay in the processor's cache.
    for block in plan.stream(positions, max(1, plan.block_size // 4), warn_empty=False):
        table, binned = _measure_block(block.frames, before, reference, bins, plan.threads)
        if not has_before:
            table[0, COLUMNS.index("change")] = np.nan
        before, has_before = block.frames[-1].copy(), True
        yield BlockMeasurements(table, _without_count(block, plan), _coarse(binned), binned)


def _measure_block(
    frames: Float32s, before: Float32s, reference: Reference, bins: int, threads: int | None
) -> tuple[Floats, Float32s]:
    """Table and binned frames of a block, computed by several threads."""
    table = np.empty((len(frames), len(COLUMNS)))
    binned = np.empty((len(frames), bins, bins), np.float32)

    def run(part: slice) -> None:
        previous = frames[part.start - 1] if part.start else before
        against = reference.root_counts, reference.ring, reference.central
        _measure(frames[part], previous, *against, table[part], binned[part])

    count = threads or available_threads()
    list(pool(count).map(run, shares(len(frames), count)))
    return table, binned


def _coarse(binned: Float32s) -> Float32s:
    """(n, 64) logarithm of the counts in 8×8 bins, summed from finer bins."""
    n, side, _ = binned.shape
    edges = np.arange(min(COARSE_BINS, side)) * side // min(COARSE_BINS, side)
    summed = np.add.reduceat(np.add.reduceat(binned, edges, axis=1), edges, axis=2)
    return np.asarray(np.log1p(summed).reshape(n, -1), np.float32)


def _without_count(block: Block, plan: Plan) -> Floats:
    """Fraction of the plan's good pixels that are bad in each frame."""
    if not block.good.strides[0]:
        return np.zeros(len(block.frames))
    usable = max(1, int(plan.good.sum()))
    found = np.count_nonzero(block.good & plan.good, axis=(1, 2))
    return np.asarray(1 - found / usable, np.float64)


@compiled_fast
def _measure(  # type: ignore[no-untyped-def]
    frames, before, root_counts, ring, central, out, binned
):  # pragma: no cover - compiled
    """Write :data:`COLUMNS` of ``frames`` (n, h, w) into ``out``, and bins into ``binned``.

    ``before`` (h, w) is the frame before the first; the others are as in :class:`Reference`.
    """
    norm = np.sqrt((root_counts * root_counts).sum())
    for p in range(len(frames)):
        previous = before if p == 0 else frames[p - 1]
        _sums(frames[p], previous, root_counts, ring, out[p], binned[p])
        total = out[p, 0]
        if total > 0:
            for k in range(2):
                out[p, 2 + k] /= total
                out[p, 4 + k] = out[p, 4 + k] / total - out[p, 2 + k] ** 2
        else:
            out[p, 2:6] = np.nan
        out[p, 10] = _contrast(frames[p], central)
        out[p, 11] = out[p, 11] / (np.sqrt(total) * norm) if total * norm > 0 else np.nan
        out[p, 12] /= frames[p].size


@compiled_fast
def _sums(  # type: ignore[no-untyped-def]
    frame, previous, root_counts, ring, out, binned
):  # pragma: no cover - compiled
    """Sums over pixels, and the maximum, row by row.

    In one function: with a function for each row, it takes three times as long.
    """
    height, width = frame.shape
    side, bin_row = len(binned), 0
    columns, band = np.zeros(width, np.float32), np.zeros(width, np.float32)
    # Bit patterns of non-negative floats sort as the numbers do, and integers compare faster.
    bits, highest = frame.view(np.int32), np.int32(0)
    zero = np.float32(0)
    out[:], binned[:] = 0, 0
    for y in range(height):
        line, earlier, root, where, integer = (
            frame[y],
            previous[y],
            root_counts[y],
            ring[y],
            bits[y],
        )
        total, like, moved = zero, zero, zero
        for x in range(width):
            total += line[x]
            like += np.sqrt(line[x]) * root[x]
            moved += abs(line[x] - earlier[x])
        in_1, in_2, in_3, in_4 = zero, zero, zero, zero
        for x in range(width):
            in_1 += line[x] if where[x] == 0 else zero
            in_2 += line[x] if where[x] == 1 else zero
            in_3 += line[x] if where[x] == 2 else zero
            in_4 += line[x] if where[x] == 3 else zero
            band[x] += line[x]
        for x in range(width):
            highest = max(highest, integer[x])
        out[0] += total
        out[2] += total * np.float64(y)
        out[4] += total * np.float64(y) * np.float64(y)
        out[6] += in_1
        out[7] += in_2
        out[8] += in_3
        out[9] += in_4
        out[11] += like
        out[12] += moved
        if (y + 1) * side // height > bin_row or y == height - 1:
            for x in range(width):
                binned[bin_row, x * side // width] += band[x]
                columns[x] += band[x]
            band[:] = 0
            bin_row = (y + 1) * side // height
    for x in range(width):
        out[3] += np.float64(columns[x]) * x
        out[5] += np.float64(columns[x]) * x * x
    out[1] = _as_float(highest)


@compiled_fast
def _as_float(bits):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The float32 with these bits."""
    one = np.empty(1, np.int32)
    one[0] = bits
    return one.view(np.float32)[0]


@compiled_fast
def _contrast(frame, central):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Standard deviation over mean of the central part."""
    top, bottom, left, right = central
    total, squared = 0.0, 0.0
    for y in range(top, bottom):
        row, row_squared = np.float32(0), np.float32(0)
        line = frame[y]
        for x in range(left, right):
            row += line[x]
            row_squared += line[x] * line[x]
        total += row
        squared += row_squared
    number = (bottom - top) * (right - left)
    mean = total / number
    return np.sqrt(max(squared / number - mean * mean, 0.0)) / mean if mean > 0 else np.nan
