"""The beam centre on the detector, and the window around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import GeometryError, SettingsError, silenced_warnings
from ..parallel import available_threads, pool
from ..scan import Scan, Window
from ..settings import Settings
from .calibration import Calibration, calibrate
from .counting import Counting
from .inpaint import inpaint
from .kernels import add_counts, contiguous, robust_total
from .no_good_pixels import no_center
from .sample import Sample

MOST_PIXELS = 2**23
"""Largest mean frame; a larger detector is binned."""

BAND_ROWS = 512
"""Rows whose moments are computed at a time."""

MEDIAN_ROWS = 16
"""Rows whose medians are found in one go."""


def beam_center(
    scan: Scan, settings: Settings, counts: Counting | None = None
) -> tuple[float, float]:
    """Beam centre (row, column) in raw pixels: from the settings, the file, or the data."""
    shape = scan.frame_shape
    given = settings.center
    if given == "fftshift":
        return shape[0] // 2, shape[1] // 2
    if given == "geometric":
        return (shape[0] - 1) / 2, (shape[1] - 1) / 2
    if given is not None:
        fractions = all(isinstance(c, float) and 0 <= c < 1 for c in given)
        center = tuple(c * n // 1 if fractions else c for c, n in zip(given, shape, strict=True))
        whose = "center (--roi-center)"
    elif scan.center_px is not None and not settings.auto_center:
        center, whose = scan.center_px, "the file's beam centre"
    elif settings.auto_center is False:
        return shape[0] // 2, shape[1] // 2
    else:
        whole = Window.full(shape)
        plain = settings.model_copy(update={"hot_sigma": None})
        with silenced_warnings():  # the plan's calibration gives these warnings
            calibration = calibrate(scan, plain, whole, counts)
        try:
            return find_center(Sample.of(scan, settings, whole), calibration)
        except GeometryError as error:
            raise no_center(scan, settings, counts) from error
    if not all(0 <= c < n for c, n in zip(center, shape, strict=True)):
        raise SettingsError(
            f"{whose} {pixel_text(center)} lies outside the {shape[0]}x{shape[1]} detector",
            "set center (--roi-center) to a raw pixel (row, column)",
            scan.source,
        )
    return float(center[0]), float(center[1])


def make_window(
    shape: tuple[int, int] | None, center: tuple[float, float], frame_shape: tuple[int, int]
) -> Window:
    """The window of ``shape`` whose pixel N//2 is the one nearest to ``center``."""
    if shape is None:
        return Window.full(frame_shape)
    top, left = (int(np.floor(c + 0.5)) - n // 2 for c, n in zip(center, shape, strict=True))
    return Window(top, left, *shape)


def pixel_text(pixel: Sequence[float]) -> str:
    """A detector pixel (row, column) for a message."""
    return f"({pixel[0]:.1f}, {pixel[1]:.1f})"


def find_center(sample: Sample, calibration: Calibration) -> tuple[float, float]:
    """Beam centre (row, column) in a sample of whole frames.

    Centre of mass of the mean frame above its background, iterated within three times the beam's
    spread until it converges, so that distant speckles or an uneven background do not shift it.

    Raises
    ------
    GeometryError
        No frame of the sample has counts.
    """
    pixels = sample.window.height * sample.window.width
    size = math.ceil(math.sqrt(pixels / MOST_PIXELS))
    image = mean_of_usable(sample, calibration, size)
    image = np.maximum(image - np.quantile(image, 0.2), 0)
    y, x, spread = _moments(image) or _middle(image)
    for _ in range(20):
        before, radius = (y, x), 3 * max(spread, 2.0)
        found = _moments(image, (y, x, radius))
        if found is None:
            break
        y, x, spread = found
        if abs(before[0] - y) < 0.01 and abs(before[1] - x) < 0.01:
            break
    return (y + 0.5) * size - 0.5, (x + 0.5) * size - 0.5


def _middle(image: Floats) -> tuple[float, float, float]:
    height, width = image.shape
    return height // 2, width // 2, float(max(height, width))


def _moments(
    image: Floats, near: tuple[float, float, float] | None = None
) -> tuple[float, float, float] | None:
    """Centre of mass (row, column) and root-mean-square spread; None without counts.

    ``near`` (row, column, radius) restricts it to a disc.
    """
    height, width = image.shape
    sums = np.zeros(5)
    columns = np.arange(width, dtype=np.float64)
    for top in range(0, height, BAND_ROWS):
        weights = image[top : top + BAND_ROWS]
        rows = np.arange(top, top + len(weights), dtype=np.float64)
        if near is not None:
            y, x, radius = near
            away = (rows[:, None] - y) ** 2 + (columns - x) ** 2
            weights = weights * (away <= radius**2)
        by_row, by_column = weights.sum(1), weights.sum(0)
        sums += (
            by_row.sum(),
            by_row @ rows,
            by_column @ columns,
            by_row @ rows**2,
            by_column @ columns**2,
        )
    total, y, x, *square = sums
    if total == 0:
        return None
    y, x = y / total, x / total
    spread = (sum(square) / total - y**2 - x**2) / 2
    return float(y), float(x), float(np.sqrt(max(spread, 0.0)))


def mean_of_usable(sample: Sample, calibration: Calibration, size: int = 1) -> Floats:
    """Mean corrected counts of the frames that show the beam, with bad pixels inpainted.

    ``size`` × ``size`` pixels are averaged, if more than 1.

    A frame is used if its total lies within a factor of 4 of the median total: blank frames and
    flashes do not affect the mean. Pixels that are bad, saturated or not finite in every frame are
    interpolated from their neighbours; so are pixels far from their local median.
    """
    cal, pixels = calibration, sample.window.height * sample.window.width
    known = (cal.offset, cal.gain, cal.bad, cal.limits[:2])
    few = max(1, pixels // 10_000)

    def brightness(frame: NDArray[Any]) -> float:
        return robust_total(contiguous(frame), *known, few=few)

    threads = pool(available_threads())
    totals = np.array([t for stack in sample.stacks() for t in threads.map(brightness, stack)])
    nonblank = totals[totals > 0]
    middle = np.median(nonblank) if nonblank.size else np.inf
    usable = (totals >= middle / 4) & (totals <= middle * 4)
    if not usable.any():
        raise GeometryError(
            "no counts in a sample of the frames, so no beam centre can be found",
            "set center (--roi-center)",
        )
    shape = tuple(-(-n // size) for n in sample.window.shape)
    total, number = np.zeros(shape), np.zeros(shape)
    for frame, counts in zip(sample, usable, strict=True):
        if counts:
            add_counts(contiguous(frame), *known, size, total, number)
    mean = inpaint(total / np.maximum(number, 1), number > 0)
    local = _median(mean)
    outlier = np.abs(mean - local) > 5 * np.sqrt(np.maximum(local, 1.0)) + 2 * local
    return np.where(outlier, local, mean)


def _median(image: Floats) -> Floats:
    """Median over five pixels along rows, then columns: as robust as over a square, and faster.

    A band of rows at a time stays in the processor's cache. SciPy's filters take five times as
    long, and longer to import than most scans take to load.
    """
    (height, width), found = image.shape, np.empty(image.shape)
    padded = np.pad(image, 2, "symmetric")
    for top in range(0, height, MEDIAN_ROWS):
        band = padded[top : top + MEDIAN_ROWS + 4]
        across = _middle_of_five(*(band[:, k : k + width] for k in range(5)))
        rows = len(across) - 4
        found[top : top + rows] = _middle_of_five(*(across[k : k + rows] for k in range(5)))
    return found


def _middle_of_five(a: Floats, b: Floats, c: Floats, d: Floats, e: Floats) -> Floats:
    """Median of five: the smallest and the largest of the first four are never the median."""
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    return np.asarray(
        np.maximum(np.minimum(low, high), np.minimum(np.maximum(low, high), e)), np.float64
    )
