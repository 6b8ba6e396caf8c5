"""A few frames from all over the scan, and the beam centre they show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import GeometryError
from ..scan import Frames, Window

SAMPLE = 64
"""Frames in a sample; they are spread evenly over the whole scan, whatever is selected of it."""


def sample_indices(n: int, size: int = SAMPLE) -> NDArray[np.int64]:
    """At most ``size`` of ``n`` frames, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, size)).round().astype(np.int64))


def sample_frames(frames: Frames, window: Window) -> NDArray[Any]:
    """The sample, cut to ``window`` (inside the frame): (n, h, w) native."""
    return frames.read(sample_indices(frames.shape[0]), window)


def mean_of_usable(sample: NDArray[Any], bad: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Mean of the frames that show the beam, NaN and bad pixels mended from their neighbours.

    A frame counts when its total lies within a factor of 4 of the median total: blank frames and
    flashes do not move the mean. Hot pixels go with a 5×5 median where they exceed it far.
    """
    stack = np.where(np.isfinite(sample), sample, 0).astype(np.float64)
    totals = _robust_total(stack)
    middle = np.median(totals[totals > 0]) if (totals > 0).any() else 0.0
    usable = (totals >= middle / 4) & (totals <= middle * 4) & (totals > 0)
    if not usable.any():
        raise GeometryError("no counts in a sample of the frames, so no beam centre can be found",
                            "set center (--roi-center)")  # fmt: skip
    mean: NDArray[np.float64] = stack[usable].mean(0)
    local = ndimage.median_filter(mean, 5)
    outlier = np.abs(mean - local) > 5 * np.sqrt(np.maximum(local, 1.0)) + 2 * local
    if bad is not None:
        outlier |= bad
        local = ndimage.median_filter(np.where(bad, local, mean), 9)
    return np.where(outlier, local, mean)


def _robust_total(stack: NDArray[np.float64]) -> NDArray[np.float64]:
    """Total of each frame without its few brightest pixels, which may be hot."""
    flat = stack.reshape(len(stack), -1)
    limit = np.quantile(flat, 0.9999, axis=1, keepdims=True)
    total: NDArray[np.float64] = np.minimum(flat, limit).sum(1)
    return total


def find_center(sample: NDArray[Any], bad: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Beam centre (row, column) in a sample of whole frames (n, ny, nx).

    Centre of mass of the mean frame above its background, repeated within three times the beam's
    own spread until it stays, so that neither a far speckle nor an uneven background pulls it.

    Raises
    ------
    GeometryError
        No frame of the sample has counts.
    """
    image = mean_of_usable(sample, bad)
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
