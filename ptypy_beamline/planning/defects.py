"""Hot and dead pixels, found in a sample of frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy

from ..arrays import Bools, Floats
from ..scan import Window
from .counting import ALL, Counting
from .sample import Sample

BAND_PIXELS, REACH = 2**22, 48
"""Pixels processed at a time, and how many rows away a neighbour still matters: the widest gap
between two modules has 38."""

RANK_SIGMAS = 1.55
"""The sixth largest of 49 deviations of Gaussian noise, in standard deviations."""


def hot_or_dead(
    sample: Sample, offset: Floats | float, sigma: float, counts: Counting = ALL
) -> Bools:
    """Pixels that stand out from their neighbours, or never count, in a sample of frames.

    A pixel of the mean frame is hot if it exceeds the fourth largest value of its 3×3 surroundings
    by ``sigma`` times the noise: a corner of the beam has three neighbours as bright as itself, a
    defect has at most two. Noise is photon noise plus the sixth largest deviation from neighbours
    among the 49 pixels around, so that speckle and fine ripples are not taken for defects; at the
    edge of the frame, where neighbours are missing, :func:`edge_rise` is allowed in addition.
    A pixel is dead if it never counts although the nearest counting pixels, on both sides along its
    row or its column, have ``sigma²`` counts in the sample. That includes gaps between modules, and
    the shadow of a beam stop.

    Parameters
    ----------
    offset
        (h, w) dark and background.
    counts
        Which raw numbers are counts.
    """
    window, height = sample.window, sample.window.height
    offsets = np.broadcast_to(offset, window.shape)
    found, rows = np.zeros(window.shape, np.bool_), max(REACH, BAND_PIXELS // max(1, window.width))
    for top in range(0, height, rows):
        first, last = max(0, top - REACH), min(height, top + rows + REACH)
        band = Window(window.top + first, window.left, last - first, window.width)
        inside = _of_band(replace(sample, window=band), offsets[first:last], sigma, counts)
        found[top : top + rows] = inside[top - first : top - first + rows]
    return found


def _of_band(sample: Sample, offset: Floats, sigma: float, counts: Counting) -> Bools:
    """:func:`hot_or_dead` of a band of rows."""
    n, total = np.zeros(offset.shape, np.int64), np.zeros(offset.shape)
    ever = np.zeros(offset.shape, np.bool_)
    for frame in sample:
        counted = (frame >= counts.lowest_of(frame.dtype)) & (frame < counts.no_count)
        n += counted
        total += np.where(counted, frame - offset, 0)
        ever |= counted & (frame != 0)
    seen = np.maximum(n, 1)
    mean = total / seen
    bright = brightest(mean)
    deviation = np.abs(mean - scipy.ndimage.median_filter(mean, 3))
    spread = scipy.ndimage.rank_filter(deviation, -6, 7) / RANK_SIGMAS
    noise = np.sqrt(np.maximum(bright, 1.0 / seen) / seen) + spread
    dead = dead_pixels(total, ever, sigma**2)
    return np.asarray((mean - bright > sigma * noise) | dead | (n == 0), np.bool_)


def brightest(mean: Floats) -> Floats:
    """Fourth largest value around each pixel.

    At the edge of the frame, rows inside are mirrored, and :func:`edge_rise` is added, as counts
    may rise or fall outwards.
    """
    return np.asarray(scipy.ndimage.rank_filter(mean, -4, 3, mode="mirror") + edge_rise(mean))


def dead_pixels(total: Floats, counting: Bools, least: float) -> Bools:
    """(h, w) pixels without a count between others that have at least ``least``.

    If one pixel is dead in a row or column that never counts (a gap between modules), all are.
    """
    dead = ~counting & (counts_on_both_sides(total, counting) >= least)
    rows, columns = (
        ~counting.any(axis, keepdims=True) & dead.any(axis, keepdims=True) for axis in (1, 0)
    )
    return np.asarray(dead | rows | columns, np.bool_)


def counts_on_both_sides(total: Floats, counting: Bools) -> Floats:
    """The smaller of the nearest counts on both sides, in the row or the column, whichever is more.

    Parameters
    ----------
    total
        (h, w) counts.
    counting
        (h, w) pixels that count in any frame.
    """
    found = np.zeros(total.shape)
    for view, image, ever in ((found, total, counting), (found.T, total.T, counting.T)):
        height = len(image)
        rows = np.arange(height)[:, None]
        before = np.maximum.accumulate(np.where(ever, rows, -1), axis=0)
        after = np.minimum.accumulate(np.where(ever, rows, height)[::-1], axis=0)[::-1]
        columns = np.arange(image.shape[1])
        sides = [
            np.where(known, image[at.clip(0, height - 1), columns], 0)
            for at, known in ((before, before >= 0), (after, after < height))
        ]
        np.maximum(view, np.minimum(*sides), out=view)
    return found


def edge_rise(mean: Floats) -> Floats:
    """(h, w) how much pixels of an edge may differ from the row inside; 0 elsewhere.

    Twice the third largest such difference among the seven nearest pixels of that edge, which one
    or two defects do not increase.
    """
    rise = np.zeros(mean.shape)
    for view, image in ((rise, mean), (rise.T, mean.T)):
        if len(image) < 2:
            continue
        for edge, inside in ((0, 1), (-1, -2)):
            step = scipy.ndimage.rank_filter(
                np.abs(image[edge] - image[inside]), -3, 7, mode="mirror"
            )
            view[edge] += 2 * step
    return rise
