"""The mean of the frames of a sample that show the beam."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats
from ..errors import GeometryError
from ..parallel import available_threads, pool
from .calibration import Calibration
from .inpaint import inpaint
from .pixels import arithmetic, contiguous
from .sample import Sample

KEPT_BYTES = 2**27
"""Frames that take no more memory are read once; others twice."""

TOTAL_PIXELS = 2**16
"""Largest frame whose total counts are taken pixel by pixel; a larger one is binned."""

RARE = 0.01
"""Largest share of outliers among good pixels."""

MEDIAN_ROWS = 16
"""Rows whose medians are found in one go."""


def mean_of_usable(sample: Sample, calibration: Calibration, size: int = 1) -> Floats:
    """Mean corrected counts of the frames that show the beam, with bad pixels inpainted.

    ``size`` × ``size`` pixels are averaged, if more than 1.

    A frame is used if its total lies within a factor of 4 of the median total: blank frames and
    flashes do not affect the mean. Pixels that are bad, saturated or not finite in every frame are
    interpolated from their neighbours; so are pixels far from their local median.

    Raises
    ------
    GeometryError
        No frame has counts.
    """
    frames = list(sample) if sample.bytes <= KEPT_BYTES else sample
    binned = math.ceil(math.sqrt(sample.window.pixels / TOTAL_PIXELS))

    def total(frame: NDArray[Any]) -> float:
        return robust_sum(summed([frame], calibration, binned)[0])

    usable = usable_frames(np.array(list(pool(available_threads()).map(total, frames))))
    if not usable.any():
        raise GeometryError(
            "no counts in a sample of the frames, so no beam centre can be found",
            "set center (--roi-center)",
        )
    nonblank = (frame for frame, used in zip(frames, usable, strict=True) if used)
    return without_outliers(average(*summed(nonblank, calibration, size)))


def usable_frames(totals: Floats) -> Bools:
    """Frames that show the beam, by their total counts."""
    nonblank = totals[totals > 0]
    middle = np.median(nonblank) if nonblank.size else np.inf
    return np.asarray((totals >= middle / 4) & (totals <= middle * 4))


def robust_sum(counts: Floats) -> float:
    """Sum of an image with its brightest ten-thousandth of pixels clipped to the next."""
    few = max(1, counts.size // 10_000)
    if counts.size <= few:
        return float(counts.sum())
    brightest = np.partition(counts.ravel(), -few - 1)[-few - 1 :]
    return float(counts.sum() - brightest[1:].sum() + few * brightest[0])


def summed(
    frames: Iterable[NDArray[Any]], calibration: Calibration, size: int = 1
) -> tuple[Floats, Floats]:
    """Sum of corrected counts in bins of ``size`` × ``size`` pixels, and how many counts it has."""
    height, width = calibration.bad.shape
    total, number = np.zeros((2, -(-height // size), -(-width // size)))
    images = calibration.offset, calibration.gain, calibration.bad
    limits, rows = calibration.limits[:2], np.zeros((2, width))
    for frame in frames:
        arithmetic(frame.size).add_counts(
            contiguous(frame), *images, limits, size, rows, total, number
        )
    return total, number


def average(total: Floats, number: Floats, size: int = 5) -> Floats:
    """Mean counts of what :func:`summed` gives, interpolated where there are none.

    A hot pixel beside a gap must not spread into it: outliers over ``size`` × ``size`` pixels are
    not interpolated from, unless a mask leaves so few pixels that many look like outliers.
    """
    mean, good = total / np.maximum(number, 1), number > 0
    if good.all():
        return mean
    outlier = good & outliers(mean, size)[1]
    rare = np.count_nonzero(outlier) <= RARE * np.count_nonzero(good)
    filled = inpaint(mean, good & ~outlier if rare else good)
    return np.where(good, mean, filled)


def without_outliers(mean: Floats) -> Floats:
    """With pixels far from their local median replaced by it."""
    local, outlier = outliers(mean)
    return np.where(outlier, local, mean)


def outliers(mean: Floats, size: int = 5) -> tuple[Floats, Bools]:
    """The local median over ``size`` × ``size`` pixels (3 or 5), and which pixels are far from it.

    The median is taken along rows, then columns: as robust as over a square, and faster. A band of
    rows at a time stays in the processor's cache. SciPy's filters take five times as long, and
    longer to import than most scans take to load.
    """
    (height, width), local = mean.shape, np.empty(mean.shape)
    padded, median = np.pad(mean, size // 2, "symmetric"), MEDIANS[size]
    for top in range(0, height, MEDIAN_ROWS):
        band = padded[top : top + MEDIAN_ROWS + size - 1]
        across = median(*(band[:, k : k + width] for k in range(size)))
        rows = len(across) - size + 1
        local[top : top + rows] = median(*(across[k : k + rows] for k in range(size)))
    return local, np.abs(mean - local) > 5 * np.sqrt(np.maximum(local, 1.0)) + 2 * local


def _middle_of_three(a: Floats, b: Floats, c: Floats) -> Floats:
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.asarray(np.maximum(low, np.minimum(high, c)), np.float64)


def _middle_of_five(a: Floats, b: Floats, c: Floats, d: Floats, e: Floats) -> Floats:
    """Median of five: the smallest and the largest of the first four are never the median."""
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    return _middle_of_three(low, high, e)


MEDIANS: dict[int, Callable[..., Floats]] = {3: _middle_of_three, 5: _middle_of_five}
