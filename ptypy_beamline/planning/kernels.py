"""Compiled pixel arithmetic.

Each kernel processes a range of positions without the interpreter lock, so that a thread pool can
share the positions of a block. Sums are in double precision, so counts stay exact.
"""

from __future__ import annotations

import numpy as np

from ..compiled import compiled
from .pixels import LARGEST, MEAN, RATE, SMALLEST


@compiled
def _value(  # type: ignore[no-untyped-def]
    raw, offset, gain, scale, limits
):  # pragma: no cover - compiled
    """One corrected pixel, or NaN where it is bad in this exposure."""
    lowest, saturation, threshold = limits
    counts = np.float64(raw)
    if not lowest <= counts < saturation:
        return np.nan
    counts = (counts - offset) * gain * scale
    if not counts <= LARGEST:
        return np.nan
    return counts if counts >= threshold and counts > 0.0 else 0.0


@compiled
def combine(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    raw, keep, scale, seconds, offset, gain, bad, limits, mode, corner, frames, good, tally
):  # pragma: no cover - compiled
    """Correct the exposures of each position and combine them into one frame.

    ``raw`` (p, k, h, w) native; ``keep`` (p, k) exposures to use; ``scale``, ``seconds``
    (p, k), the latter 1 where times do not matter; ``offset``, ``gain``, ``bad`` (h, w);
    ``limits`` (lowest, saturation, threshold); results go into ``frames``, ``good`` (p, H, W)
    from ``corner`` on; other pixels stay 0, False. ``tally`` (p, 2) as of :func:`single`.
    """
    positions, exposures, height, width = raw.shape
    top, left = corner
    for p in range(positions):
        without, positive = 0, 0
        whole = seconds[p].sum()
        for y in range(height):
            for x in range(width):
                if bad[y, x]:
                    continue
                total, count, time = 0.0, 0, 0.0
                for k in range(exposures):
                    if not keep[p, k]:
                        continue
                    value = _value(raw[p, k, y, x], offset[y, x], gain[y, x], scale[p, k], limits)
                    if not np.isnan(value):
                        total += value
                        count += 1
                        time += seconds[p, k]
                if count > 0:
                    if mode == RATE:
                        total /= time
                    elif mode == MEAN:
                        total /= time * exposures / whole
                    elif count < exposures:
                        total *= whole / time
                if count == 0 or not total <= LARGEST:
                    without += 1
                    continue
                positive += total > 0.0
                frames[p, top + y, left + x] = total
                good[p, top + y, left + x] = True
        tally[p, 0], tally[p, 1] = without, positive


@compiled
def single(  # type: ignore[no-untyped-def]
    raw, scale, offset, gain, limits, corner, frames, tally
):  # pragma: no cover - compiled
    """:func:`combine` for one exposure per position, without branches per pixel: much faster.

    ``raw`` (p, h, w); ``scale`` (p,). Statically bad pixels have gain 0. ``tally`` (p, 2)
    receives how many others are bad in this exposure, and whether any pixel has counts.
    """
    positions, height, width = raw.shape
    top, left = corner
    lowest, saturation, threshold = limits
    least = threshold if threshold > 0.0 else SMALLEST  # one comparison instead of two
    for p in range(positions):
        without, positive = 0, False
        for y in range(height):
            # Separate rows let the compiler vectorize the inner loop.
            line, dark, factor = raw[p, y], offset[y], gain[y]
            out = frames[p, top + y, left : left + width]
            for x in range(width):
                counts = np.float64(line[x])
                value = (counts - dark[x]) * factor[x] * scale[p]
                counted = (counts >= lowest) & (counts < saturation) & (value <= LARGEST)
                kept = counted & (value >= least)
                out[x] = value if kept else 0.0
                without += (not counted) & (factor[x] > 0.0)
                positive |= kept
        tally[p, 0], tally[p, 1] = without, positive


@compiled
def counted(  # type: ignore[no-untyped-def]
    raw, scale, offset, gain, limits, bad, corner, good
):  # pragma: no cover - compiled
    """Mark in ``good`` (H, W), from ``corner`` on, where an exposure (h, w) has a usable count."""
    top, left = corner
    for y in range(raw.shape[0]):
        for x in range(raw.shape[1]):
            value = _value(raw[y, x], offset[y, x], gain[y, x], scale, limits)
            good[top + y, left + x] = not (bad[y, x] or np.isnan(value))


@compiled
def add_counts(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    raw, offset, gain, bad, limits, size, rows, total, number
):  # pragma: no cover - compiled
    """Add the usable counts of one frame ``raw`` (h, w) to ``total``, and 1 to ``number``.

    ``limits`` (lowest, saturation). ``total``, ``number``: bins of ``size`` × ``size`` pixels.
    ``rows`` (2, w) is scratch space, of zeros.
    """
    lowest, saturation = limits
    height, width = raw.shape
    for y in range(height):
        # Slicing rows lets the compiler take several pixels at a time.
        line, dark, factor, excluded = raw[y], offset[y], gain[y], bad[y]
        sums, counted = rows[0], rows[1]
        if size == 1:
            sums, counted = total[y], number[y]
        for x in range(width):
            counts = np.float64(line[x])
            usable = (not excluded[x]) & (counts >= lowest) & (counts < saturation)
            sums[x] += (counts - dark[x]) * factor[x] if usable else 0.0
            counted[x] += 1.0 if usable else 0.0
        if size > 1 and (y % size == size - 1 or y == height - 1):
            for x in range(width):
                total[y // size, x // size] += sums[x]
                number[y // size, x // size] += counted[x]
            rows[:] = 0.0


@compiled
def _ranked(  # type: ignore[no-untyped-def]
    raw, scale, offset, gain, bad, limits, values
):  # pragma: no cover - compiled
    """Rank of an exposure (h, w): median after clipping, minus bad pixels, counts.

    Saturated pixels enter the median at the saturation; ``values`` (h * w,) is scratch space.
    """
    lowest, saturation, threshold = limits
    open_ended = (lowest, np.inf, threshold)
    number, spoiled, total = 0, 0, 0.0
    for y in range(raw.shape[0]):
        for x in range(raw.shape[1]):
            if bad[y, x]:
                continue
            counts = np.float64(raw[y, x])
            clipped = np.isfinite(counts) and counts >= saturation
            counts = saturation if clipped else counts
            value = _value(counts, offset[y, x], gain[y, x], scale, open_ended)
            spoiled += clipped or np.isnan(value)
            if not np.isnan(value):
                values[number] = value
                number += 1
                total += 0.0 if clipped else value
    return (np.median(values[:number]) if number else -1.0), -spoiled, total


@compiled
def best_exposure(  # type: ignore[no-untyped-def]
    raw, keep, scale, offset, gain, bad, limits, choice
):  # pragma: no cover - compiled
    """Choose, into ``choice`` (p,), the exposure with the highest median after clipping.

    Ties, as in far-field frames with mostly empty pixels, go to the exposure with the fewest bad
    pixels, then to that with the most counts, then to the first.
    """
    values = np.empty(raw.shape[2] * raw.shape[3])
    for p in range(raw.shape[0]):
        best = (-2.0, 0, 0.0)
        for k in range(raw.shape[1]):
            if keep[p, k]:
                rank = _ranked(raw[p, k], scale[p, k], offset, gain, bad, limits, values)
                if rank > best:
                    best, choice[p] = rank, k


@compiled
def shift_to_center(frames, center, shift):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Set ``shift`` (p, 2) to the whole pixels that move each centre of mass to ``center``."""
    positions, height, width = frames.shape
    for p in range(positions):
        total, sum_y, sum_x = 0.0, 0.0, 0.0
        for y in range(height):
            for x in range(width):
                value = np.float64(frames[p, y, x])
                total += value
                sum_y += value * y
                sum_x += value * x
        if total > 0.0:
            shift[p, 0] = round(center[0] - sum_y / total)
            shift[p, 1] = round(center[1] - sum_x / total)


@compiled
def shift_bin_orient_pad(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    frames, good, shift, rebin, orientation, corner, inner, out, out_good, own
):  # pragma: no cover - compiled
    """Shift, bin, orient and pad.

    ``frames``, ``good`` (p, H, W) → ``out``, ``out_good`` (p, Y, X), zero and False on entry.
    ``inner`` (h, w) is the shape of the binned and oriented frame, which goes to ``corner`` of the
    output. ``own`` (p,) becomes True where a bin of good pixels exceeds a float32.
    """
    positions, height, width = frames.shape
    transpose, ud, lr = orientation
    for p in range(positions):
        dy, dx = shift[p, 0], shift[p, 1]
        for v in range(inner[0]):
            for u in range(inner[1]):
                row = inner[0] - 1 - v if ud else v
                column = inner[1] - 1 - u if lr else u
                if transpose:
                    row, column = column, row
                total, whole = 0.0, True
                for y in range(row * rebin - dy, (row + 1) * rebin - dy):
                    for x in range(column * rebin - dx, (column + 1) * rebin - dx):
                        inside = 0 <= y < height and 0 <= x < width
                        if not inside or not good[p, y, x]:
                            whole = False
                        else:
                            total += frames[p, y, x]
                if whole and not total <= LARGEST:
                    own[p] = True
                elif whole:
                    out[p, corner[0] + v, corner[1] + u] = total
                    out_good[p, corner[0] + v, corner[1] + u] = True
