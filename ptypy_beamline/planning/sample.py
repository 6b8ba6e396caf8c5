"""A few frames from all over the scan, and the beam centre they show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import GeometryError
from ..scan import Frames, Window

SAMPLE = 64
"""Frames in a sample; they are spread evenly over the whole scan, whatever is selected of it."""

Image = NDArray[np.float64]


def sample_indices(n: int, size: int = SAMPLE) -> NDArray[np.int64]:
    """At most ``size`` of ``n`` frames, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, size)).round().astype(np.int64))


@dataclass(frozen=True)
class Sample:
    """A few frames of a stack, cut to ``window`` (inside the frame), read one at a time.

    One at a time, because 64 frames of a big detector are gigabytes in double precision.
    """

    frames: Frames
    window: Window

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Frames (h, w) native."""
        for index in sample_indices(self.frames.shape[0]):
            yield self.frames.read([int(index)], self.window)[0]

    def __len__(self) -> int:
        """Number of frames."""
        return len(sample_indices(self.frames.shape[0]))


def mean_of_usable(sample: Sample, bad: NDArray[np.bool_] | None) -> Image:
    """Mean of the frames that show the beam, NaN and bad pixels mended from their neighbours.

    A frame counts when its total lies within a factor of 4 of the median total: blank frames and
    flashes do not move the mean. A pixel far from the median of its neighbours takes that median.
    """
    totals = np.array([_robust_total(frame) for frame in sample])
    lit = totals[totals > 0]
    middle = np.median(lit) if lit.size else np.inf
    usable = (totals >= middle / 4) & (totals <= middle * 4)
    if not usable.any():
        raise GeometryError("no counts in a sample of the frames, so no beam centre can be found",
                            "set center (--roi-center)")  # fmt: skip
    mean: Image = np.zeros(sample.window.shape)
    for frame, counts in zip(sample, usable, strict=True):
        if counts:
            mean += _finite(frame)
    mean /= usable.sum()
    local = _median(mean, 5)
    outlier = np.abs(mean - local) > 5 * np.sqrt(np.maximum(local, 1.0)) + 2 * local
    if bad is not None:
        outlier |= bad
        local = _median(np.where(bad, local, mean), 9)
    return np.where(outlier, local, mean)


def _finite(frame: NDArray[Any]) -> NDArray[Any]:
    floating = np.issubdtype(frame.dtype, np.floating)
    return np.where(np.isfinite(frame), frame, 0) if floating else frame


def _robust_total(frame: NDArray[Any]) -> float:
    """Total of a frame without its few brightest pixels, which may be hot."""
    flat = _finite(frame).ravel()
    few = max(1, flat.size // 10_000)
    limit = np.partition(flat, -few - 1)[-few - 1] if flat.size > few else flat.max()
    return float(np.minimum(flat, limit).sum(dtype=np.float64))


def _median(image: Image, size: int) -> Image:
    """Median over rows, then columns: robust as a square's, and fast on a big detector."""
    rows = ndimage.median_filter(image, (1, size))
    return np.asarray(ndimage.median_filter(rows, (size, 1)), np.float64)


def find_center(sample: Sample, bad: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Beam centre (row, column) in a sample of whole frames.

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
