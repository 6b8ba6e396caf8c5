"""Where the beam is, from a sample of whole frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import GeometryError
from .calibration import Calibration
from .kernels import add_counts, contiguous, robust_total
from .mend import fill
from .sample import Sample
from .threads import available_threads, pool

Image = NDArray[np.float64]


def find_center(sample: Sample, calibration: Calibration) -> tuple[float, float]:
    """Beam centre (row, column) in a sample of whole frames.

    Centre of mass of the mean frame above its background, repeated within three times the beam's
    own spread until it stays, so that neither a far speckle nor an uneven background pulls it.

    Raises
    ------
    GeometryError
        No frame of the sample has counts.
    """
    image = mean_of_usable(sample, calibration)
    image = np.maximum(image - np.quantile(image, 0.2), 0)
    rows, columns = (np.asarray(i, np.float64) for i in np.indices(image.shape))
    weights = image
    center = _moments(weights, rows, columns)
    for _ in range(20):
        y, x, spread = center
        near = (rows - y) ** 2 + (columns - x) ** 2 <= (3 * max(spread, 2.0)) ** 2
        weights = image * near
        if not weights.any():
            break
        center = _moments(weights, rows, columns)
        if abs(center[0] - y) < 0.01 and abs(center[1] - x) < 0.01:
            break
    return float(center[0]), float(center[1])


def _moments(
    weights: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Centre of mass (row, column) and root-mean-square spread."""
    total = weights.sum()
    if total == 0:
        ny, nx = weights.shape
        return ny // 2, nx // 2, float(max(ny, nx))
    y, x = (weights * rows).sum() / total, (weights * columns).sum() / total
    square = (weights * ((rows - y) ** 2 + (columns - x) ** 2)).sum() / total
    return float(y), float(x), float(np.sqrt(square / 2))


def mean_of_usable(sample: Sample, calibration: Calibration) -> Image:
    """Mean corrected counts of the frames that show the beam, bad pixels mended.

    A frame counts when its total lies within a factor of 4 of the median total: blank frames and
    flashes do not move the mean. Pixels that are bad, saturated or not finite in every frame take
    their neighbours' values, and so does a pixel far from the median around it.
    """
    cal, pixels = calibration, sample.window.height * sample.window.width
    known = (cal.offset, cal.gain, cal.bad, cal.saturation)
    few = max(1, pixels // 10_000)

    def brightness(frame: NDArray[Any]) -> float:
        return float(robust_total(contiguous(frame), *known, few))

    threads = pool(available_threads())
    totals = np.array([t for stack in sample.stacks() for t in threads.map(brightness, stack)])
    lit = totals[totals > 0]
    middle = np.median(lit) if lit.size else np.inf
    usable = (totals >= middle / 4) & (totals <= middle * 4)
    if not usable.any():
        raise GeometryError("no counts in a sample of the frames, so no beam centre can be found",
                            "set center (--roi-center)")  # fmt: skip
    total, number = np.zeros(sample.window.shape), np.zeros(sample.window.shape)
    for frame, counts in zip(sample, usable, strict=True):
        if counts:
            add_counts(contiguous(frame), *known, total, number)
    mean = fill(total / np.maximum(number, 1), number > 0)
    local = _median(mean, 5)
    outlier = np.abs(mean - local) > 5 * np.sqrt(np.maximum(local, 1.0)) + 2 * local
    return np.where(outlier, local, mean)


def _median(image: Image, size: int) -> Image:
    """Median over rows, then columns: robust as a square's, and fast on a big detector."""
    rows = ndimage.median_filter(image, (1, size))
    return np.asarray(ndimage.median_filter(rows, (size, 1)), np.float64)
