"""The beam centre: from the settings, the file, or a sample of frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats
from ..errors import GeometryError, SettingsError, warn
from ..robust import robust_sigma
from ..scan import Window
from .calibration import Calibration, plain_calibration, rough_calibration
from .calibration_images import Images
from .counting import Counting
from .mean_frame import (
    KEPT_BYTES,
    average,
    mean_of_usable,
    outliers,
    robust_sum,
    summed,
    usable_frames,
    without_outliers,
)
from .no_good_pixels import no_center
from .sample import Sample

MOST_PIXELS = 2**23
"""Largest mean frame; a larger detector is binned."""

SMALL_PIXELS, ROUGH_PIXELS = 2**18, 2**16
"""Largest detector without a rough search; size of the binned frames in that search."""

FEW, MOST_BINS = 6, 256
"""Frames of the rough search, and bins whose pixels are examined one by one."""

MARGIN, LARGE = 1.25, 0.5
"""Size of the window over that of the beam; share of the detector from which it is read whole."""

BACKGROUND = 0.2
"""Quantile of the mean frame that is its background."""

NOISE_SIGMAS = 5.0
"""Noise exceeds this in a few pixels only."""

FEWEST_PIXELS, FEWEST_BINS = 100, 9
"""A beam over a background has more of either; a cluster of hot pixels has fewer."""

BORDER, BORDER_PIXELS = 16, 2**14
"""Share of the frame that is its border, as a divisor; pixels of the border that are used."""

BAND_ROWS = 512
"""Rows whose moments are computed at a time."""


def find_center(sample: Sample, rough: Calibration, exact: Callable[[Window], Calibration]) -> Beam:
    """The beam in a sample of whole frames.

    Centre of mass of the mean frame above its background, iterated within three times the beam's
    spread until it converges, so that distant speckles or an uneven background do not shift it. On
    a large detector this is done with a few binned frames first, and then with all frames, of which
    only a window around the beam is read.

    Parameters
    ----------
    rough
        Calibration of whole frames, for the binned ones.
    exact
        Gives the calibration of a window.

    Raises
    ------
    GeometryError
        No frame of the sample has counts.
    """
    whole = sample.window
    beam, background = None, 0.0
    if whole.pixels > SMALL_PIXELS:
        beam, background = _rough_beam(sample, rough)
    while beam is not None:
        window = beam.window(whole, MARGIN)
        if window.pixels > LARGE * whole.pixels:
            break
        mean = mean_of_usable(replace(sample, window=window), exact(window))
        found = _converged(_Image.above(background, mean, window), beam)
        if found.window(whole).union(window) == window:
            return found
        beam = replace(found, spread=max(found.spread, MARGIN * beam.spread))
    size = math.ceil(math.sqrt(whole.pixels / MOST_PIXELS))
    mean = mean_of_usable(sample, exact(whole), size)
    return _in_whole(mean, whole, size)[0]


@dataclass(frozen=True)
class Beam:
    """Centre and root-mean-square spread in detector pixels.

    Attributes
    ----------
    certain
        Whether the beam stands out from an even background, if there is one.
    """

    y: float
    x: float
    spread: float
    certain: bool = True

    @property
    def center(self) -> tuple[float, float]:
        """(row, column)."""
        return self.y, self.x

    @property
    def radius(self) -> float:
        """Pixels farther from the centre do not count."""
        return 3 * max(self.spread, 2.0)

    def window(self, whole: Window, margin: float = 1.0) -> Window:
        """The pixels that count and, with a ``margin`` above 1, some around them."""
        half = math.ceil(margin * self.radius)
        top, left = round(self.y) - half, round(self.x) - half
        return Window(top, left, 2 * half + 1, 2 * half + 1).inside(whole.shape)

    def is_near(self, other: Beam) -> bool:
        """Whether both have the same centre."""
        return abs(self.y - other.y) < 0.01 and abs(self.x - other.x) < 0.01


@dataclass(frozen=True)
class _Image:
    """Counts above the background of the part of a detector that begins at (``top``, ``left``).

    A pixel of it is the mean of ``size`` × ``size`` detector pixels.
    """

    counts: Floats
    top: int
    left: int
    size: int

    @classmethod
    def above(cls, background: float, mean: Floats, window: Window, size: int = 1) -> _Image:
        """A window's mean counts without the background."""
        return cls(np.maximum(mean - background, 0), window.top, window.left, size)

    def beam(self, near: Beam | None = None) -> Beam | None:
        """Centre of mass and spread, of the pixels that count for ``near``; None without counts."""
        y, x = self._detector_pixels(0, self.top), self._detector_pixels(1, self.left)
        sums = np.zeros(5)
        for first in range(0, len(y), BAND_ROWS):
            weights, rows = self.counts[first : first + BAND_ROWS], y[first : first + BAND_ROWS]
            if near is not None:
                away = (rows[:, None] - near.y) ** 2 + (x - near.x) ** 2
                weights = weights * (away <= near.radius**2)
            by_row, by_column = weights.sum(1), weights.sum(0)
            sums += (
                by_row.sum(),
                by_row @ rows,
                by_column @ x,
                by_row @ rows**2,
                by_column @ x**2,
            )
        total, row, column, *square = sums
        if total == 0:
            return None
        row, column = row / total, column / total
        spread = (sum(square) / total - row**2 - column**2) / 2
        return Beam(float(row), float(column), float(np.sqrt(max(spread, 0.0))))

    def middle(self) -> Beam:
        """For an image without counts."""
        height, width = (n * self.size for n in self.counts.shape)
        return Beam(self.top + height // 2, self.left + width // 2, float(max(height, width)))

    def _detector_pixels(self, axis: int, first: int) -> Floats:
        """Centres of the image's pixels along an axis."""
        pixels = first + (np.arange(self.counts.shape[axis]) + 0.5) * self.size - 0.5
        return np.asarray(pixels, np.float64)


def _in_whole(mean: Floats, whole: Window, size: int = 1) -> tuple[Beam, float]:
    """The beam in the mean of whole frames, and the background under it.

    If its counts come from all over the detector, an even background may be among them, whose noise
    moves the beam to the middle: then counts well above that noise are used, if they show a beam.
    """
    level = float(np.quantile(mean, BACKGROUND))
    beam = _converged(_Image.above(level, mean, whole, size))
    if beam.window(whole).pixels > LARGE * whole.pixels and (found := _even_background(mean)):
        plane, noise = found
        image = _Image.above(NOISE_SIGMAS * noise, mean - plane, whole, size)
        if np.count_nonzero(image.counts) >= max(FEWEST_BINS, FEWEST_PIXELS / size**2):
            brighter = _converged(image)
            y, x = (int(c) // size for c in (brighter.y - whole.top, brighter.x - whole.left))
            if brighter.window(whole) != whole:
                return brighter, float(plane[y, x] + NOISE_SIGMAS * noise)
        beam = replace(beam, certain=False)
    return beam, level


def _even_background(mean: Floats) -> tuple[Floats, float] | None:
    """A plane (ny, nx) through the border of a frame and the noise on it; None if fewer than half
    of all pixels lie on it."""
    if min(mean.shape) < BORDER:
        return None
    y, x = (np.linspace(-1, 1, n) for n in mean.shape)
    width = min(mean.shape) // BORDER
    border = np.ones(mean.shape, np.bool_)
    border[width:-width, width:-width] = False
    rows, columns = np.nonzero(border)
    some = slice(None, None, max(1, len(rows) // BORDER_PIXELS))
    rows, columns = rows[some], columns[some]
    terms, values = np.stack([np.ones(len(rows)), y[rows], x[columns]], axis=1), mean[rows, columns]
    kept: Bools = np.ones(len(rows), np.bool_)
    plane: Floats = np.zeros(3)
    for _ in range(4):
        plane = np.asarray(np.linalg.lstsq(terms[kept], values[kept], rcond=None)[0], np.float64)
        away = np.abs(values - terms @ plane)
        kept = away <= 6 * np.median(away[kept])
    background = plane[0] + plane[1] * y[:, None] + plane[2] * x
    # A pixel differs from the next by the noise of both, and hardly by the pattern.
    left = np.minimum(columns, mean.shape[1] - 2)
    noise = robust_sigma(mean[rows, left + 1] - mean[rows, left]) / math.sqrt(2)
    even = noise > 0 and np.mean(np.abs(mean - background) <= 2 * noise) >= 0.5
    return (background, noise) if even else None


def _converged(image: _Image, start: Beam | None = None) -> Beam:
    """The beam after at most 20 iterations, from all counts or from ``start``."""
    beam = start or image.beam() or image.middle()
    for _ in range(20):
        before, found = beam, image.beam(beam)
        if found is None:
            break
        beam = found
        if beam.is_near(before):
            break
    return beam


def _rough_beam(sample: Sample, calibration: Calibration) -> tuple[Beam | None, float]:
    """Beam and background in a few binned frames; None if these frames are blank.

    A bin with a hot pixel looks like a beam that is no wider than a bin: the pixels of bins that
    differ from those around are examined one by one.
    """
    size = math.ceil(math.sqrt(sample.window.pixels / ROUGH_PIXELS))
    one = sample.window.pixels * sample.frames.dtype.itemsize
    number = min(sample.size, FEW, max(2, KEPT_BYTES // one))
    frames = list(replace(sample, size=number))
    sums = [summed([frame], calibration, size) for frame in frames]
    usable = usable_frames(np.array([robust_sum(counts) for counts, _ in sums]))
    if not usable.any():
        return None, 0.0
    total, number_of_counts = np.sum([sums[k] for k in np.flatnonzero(usable)], axis=0)
    mean = average(total, number_of_counts, 3)
    local, outlier = outliers(mean, 3)
    rows, columns = np.nonzero(outlier)
    brightest = np.argsort(mean[outlier])[::-1][:MOST_BINS]
    mean[outlier] = local[outlier]
    nonblank = [frame for frame, used in zip(frames, usable, strict=True) if used]
    for y, x in zip(rows[brightest].tolist(), columns[brightest].tolist(), strict=True):
        bin_ = Window(y * size, x * size, size, size).inside(sample.window.shape)
        mean[y, x] = _without_hot_pixels(nonblank, calibration, bin_)
    return _in_whole(mean, sample.window, size)


def _without_hot_pixels(
    frames: Sequence[NDArray[Any]], calibration: Calibration, bin_: Window
) -> float:
    """Mean counts of a bin, with outliers among its pixels replaced."""
    around = Window(bin_.top - 4, bin_.left - 4, bin_.height + 8, bin_.width + 8)
    around = around.inside(calibration.bad.shape)
    parts = [frame[around.slices] for frame in frames]
    mean = without_outliers(average(*summed(parts, calibration.cut(around))))
    top, left = bin_.top - around.top, bin_.left - around.left
    return float(mean[top : top + bin_.height, left : left + bin_.width].mean())


def beam_center(images: Images, counts: Counting) -> tuple[float, float]:
    """Beam centre (row, column) in raw pixels: from the settings, the file, or the data.

    ``images`` of the whole detector are read only to find it in the data.
    """
    scan, settings, shape = images.scan, images.settings, images.scan.frame_shape
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
        rough = rough_calibration(images, counts)
        sample = Sample.of(scan, settings, images.window)
        try:
            beam = find_center(sample, rough, lambda w: plain_calibration(images.cut(w), counts))
        except GeometryError as error:
            raise no_center(images, counts, error) from error
        if not beam.certain:
            warn(
                "no beam stands out from the even background of the frames, so the centre found, "
                f"{pixel_text(beam.center)}, may be wrong: set center (--roi-center), or give the "
                "background (--background)",
                scan.source,
            )
        return beam.center
    if not all(0 <= c < n for c, n in zip(center, shape, strict=True)):
        raise SettingsError(
            f"{whose} {pixel_text(center)} lies outside the {shape[0]}x{shape[1]} detector",
            "set center (--roi-center) to a raw pixel (row, column)",
            scan.source,
        )
    return float(center[0]), float(center[1])


def pixel_text(pixel: Sequence[float]) -> str:
    """A detector pixel (row, column) for a message."""
    return f"({pixel[0]:.1f}, {pixel[1]:.1f})"
