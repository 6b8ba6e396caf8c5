"""Everything that is measured of a frame, in one pass over its pixels, compiled."""

from __future__ import annotations

import numpy as np

from ..compiled import compiled_fast

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
COUNTED = ("total", "maximum", "ring_1", "ring_2", "ring_3", "ring_4", "change")
"""What :func:`measure` writes of each frame, and what of it is counts.

Counts: total, maximum, in each ring. Pixels: centre of mass and variance. Contrast of the central
part: standard deviation over mean. Likeness: cosine between the roots of the counts and of the
usual counts. Change: mean absolute difference from the frame before.
"""


@compiled_fast
def measure(  # type: ignore[no-untyped-def]
    frames, before, reference, ring, middle, out, binned
):  # pragma: no cover - compiled
    """Into ``out`` (n, 13) and ``binned`` (n, s, s), what there is to know of ``frames`` (n, h, w).

    ``before`` (h, w) is the frame before the first. ``reference`` (h, w): root of the usual
    counts. ``ring`` (h, w) uint8: number of the ring, ``RINGS`` outside. ``middle`` (top, bottom,
    left, right) of the central part.
    """
    norm = np.sqrt((reference * reference).sum())
    for p in range(len(frames)):
        previous = before if p == 0 else frames[p - 1]
        _sums(frames[p], previous, reference, ring, out[p], binned[p])
        total = out[p, 0]
        if total > 0:
            for k in range(2):
                out[p, 2 + k] /= total
                out[p, 4 + k] = out[p, 4 + k] / total - out[p, 2 + k] ** 2
        else:
            out[p, 2:6] = np.nan
        out[p, 10] = _contrast(frames[p], middle)
        out[p, 11] = out[p, 11] / (np.sqrt(total) * norm) if total * norm > 0 else np.nan
        out[p, 12] /= frames[p].size


@compiled_fast
def _sums(  # type: ignore[no-untyped-def]
    frame, previous, reference, ring, out, binned
):  # pragma: no cover - compiled
    """All that is a sum over pixels, or the highest of them, row by row."""
    height, width = frame.shape
    side, place = len(binned), 0
    columns, band = np.zeros(width, np.float32), np.zeros(width, np.float32)
    # The bits of numbers that are not negative have the order of the numbers, and are compared
    # several at a time.
    bits, highest = frame.view(np.int32), np.int32(0)
    zero = np.float32(0)
    out[:], binned[:] = 0, 0
    for y in range(height):
        line, earlier, usual, where, integer = frame[y], previous[y], reference[y], ring[y], bits[y]
        total, like, moved = zero, zero, zero
        for x in range(width):
            total += line[x]
            like += np.sqrt(line[x]) * usual[x]
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
        if (y + 1) * side // height > place or y == height - 1:
            for x in range(width):
                binned[place, x * side // width] += band[x]
                columns[x] += band[x]
            band[:] = 0
            place = (y + 1) * side // height
    for x in range(width):
        out[3] += np.float64(columns[x]) * x
        out[5] += np.float64(columns[x]) * x * x
    out[1] = _brightest(frame, highest)


@compiled_fast
def _brightest(frame, bits):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The number that has these bits."""
    one = np.empty(1, np.int32)
    one[0] = bits
    return one.view(np.float32)[0]


@compiled_fast
def _contrast(frame, middle):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Standard deviation over mean of the central part."""
    top, bottom, left, right = middle
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
