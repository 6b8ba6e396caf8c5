"""Dark, background, flat and bad pixels, combined into the arrays that the kernels need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays import Bools, Float32s, Floats
from ..scan import Window
from .calibration_images import Images
from .counting import ALL, FEW, Counting, count_limit
from .defects import hot_or_dead
from .implausible import warn_about_dark, warn_about_flat, warn_about_unusable
from .sample import Sample


@dataclass(frozen=True, eq=False)
class Calibration:
    """Corrected counts = (raw − offset) · gain, over the part of the window on the detector.

    Attributes
    ----------
    offset
        (h, w) float32: dark plus background.
    gain
        (h, w) float32: 1/flat, 0 where bad.
    bad
        (h, w) bool: static bad pixels.
    saturation
        Raw counts at or above it are bad in that exposure: the user's limit, or a number that marks
        pixels without a count; inf = no limit.
    threshold
        Corrected counts below it become 0.
    counting
        Which raw numbers are counts; ``saturation`` is not above its upper end.
    """

    offset: Float32s
    gain: Float32s
    bad: Bools
    saturation: float
    threshold: float
    counting: Counting = ALL

    @property
    def limits(self) -> tuple[float, float, float]:
        """Lowest raw number that counts, saturation and threshold."""
        return self.counting.lowest, self.saturation, self.threshold

    def cut(self, window: Window) -> Calibration:
        """The calibration of a part of the window."""
        part = window.slices
        return replace(
            self,
            offset=np.ascontiguousarray(self.offset[part]),
            gain=np.ascontiguousarray(self.gain[part]),
            bad=np.ascontiguousarray(self.bad[part]),
        )

    @cached_property
    def usable(self) -> int:
        """Pixels that no static defect excludes."""
        return int(self.bad.size - np.count_nonzero(self.bad))


def calibrate(images: Images, window: Window, counts: Counting) -> Calibration:
    """Compile the calibration of ``window`` (inside the frame), and warn of implausible images.

    Parameters
    ----------
    images
        Images of the whole detector.
    counts
        Which raw numbers are counts.

    Raises
    ------
    ScanError
        An image does not have the shape of the frames.
    MissingDataError
        ``saturation='file'`` and the file has none.
    """
    images, scan, settings = images.cut(window), images.scan, images.settings
    offset, flat, bad = images.offset(), images.mean("flat", 1.0), images.bad(counts)
    dark, gain = _in_float32(offset, flat, bad.shape)
    warn_about_unusable(dark, bad, scan.source)
    bad |= _unusable(dark, gain)
    warn_about_flat(flat, bad, scan.source)
    if settings.hot_sigma is not None:
        finite = np.where(np.isfinite(offset), offset, 0)  # a NaN would spread to its neighbours
        bad |= hot_or_dead(Sample.of(scan, settings, window), finite, settings.hot_sigma, counts)
    if np.ndim(offset) or offset:
        warn_about_dark(Sample.of(scan, settings, window, FEW), offset, bad, counts, scan.source)
    return _calibration(images, counts, dark, gain, bad)


def plain_calibration(images: Images, counts: Counting) -> Calibration:
    """The same for the window of ``images``, without hot pixels and without warnings."""
    offset, flat, bad = images.offset(), images.mean("flat", 1.0), images.bad(counts)
    dark, gain = _in_float32(offset, flat, bad.shape)
    return _calibration(images, counts, dark, gain, bad | _unusable(dark, gain))


def rough_calibration(images: Images, counts: Counting) -> Calibration:
    """The same for whole frames without their flat, which is read, but not applied."""
    images.read_whole("flat")
    bad = images.bad(counts)
    dark, gain = _in_float32(images.offset(), 1.0, bad.shape)
    return _calibration(images, counts, dark, gain, bad | ~np.isfinite(dark))


def _unusable(dark: Float32s, gain: Float32s) -> Bools:
    return ~np.isfinite(dark) | ~(np.isfinite(gain) & (gain > 0))


def _calibration(
    images: Images, counts: Counting, dark: Float32s, gain: Float32s, bad: Bools
) -> Calibration:
    dark[bad] = gain[bad] = 0
    saturation = count_limit(images.scan, images.settings, counts)
    return Calibration(dark, gain, bad, saturation, images.settings.threshold or 0.0, counts)


def _in_float32(
    offset: Floats | float, flat: Floats | float, shape: tuple[int, int]
) -> tuple[Float32s, Float32s]:
    """Offset and gain (h, w) for the kernels; not finite where a pixel is bad."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        dark = np.asarray(offset, np.float32)
        gain = np.asarray(1.0 / np.asarray(flat, np.float64), np.float32)
    return _whole(dark, shape), _whole(gain, shape)


def _whole(image: Float32s, shape: tuple[int, int]) -> Float32s:
    """A new array, also of one number; zeros take no memory until they are written to."""
    if image.ndim:
        return image
    return np.full(shape, image) if image else np.zeros(shape, np.float32)
