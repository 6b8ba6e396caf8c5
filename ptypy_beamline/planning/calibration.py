"""Dark, background, flat and bad pixels, combined into the arrays that the kernels need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Float32s, Floats, Ints
from ..errors import MissingDataError, ScanError
from ..frames.images import frames_of
from ..frames.masks import MaskFrames
from ..frames.wrappers import FftShiftedFrames
from ..scan import Frames, Scan, Window, written
from ..settings import Settings
from .counting import ALL, FEW, Counting, counting
from .defects import hot_or_dead
from .implausible import warn_about_dark, warn_about_flat, warn_about_unusable
from .sample import BATCH_BYTES, Sample


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

    @cached_property
    def usable(self) -> int:
        """Pixels that no static defect excludes."""
        return int(self.bad.size - np.count_nonzero(self.bad))


def calibrate(
    scan: Scan, settings: Settings, window: Window, counts: Counting | None = None
) -> Calibration:
    """Compile the calibration of ``window`` (inside the frame).

    Parameters
    ----------
    counts
        Which raw numbers are counts; None = determined from a few frames.

    Raises
    ------
    ScanError
        An image does not have the shape of the frames.
    MissingDataError
        ``saturation='file'`` and the file has none.
    """
    counts = counting(scan) if counts is None else counts
    corner = scan.zero_frequency == "corner"
    images = Images(scan.frame_shape, window, settings.links, corner)
    offset = images.offset(scan, settings)
    flat = images.mean("flat", settings.flat, scan.flat, 1.0)
    bad = images.bad(settings.mask, scan.bad, settings.mask_values)
    if counts.never is not None:
        bad |= counts.never[window.slices]
    dark, gain = _in_float32(offset, flat, bad.shape)
    warn_about_unusable(dark, bad, scan.source)
    bad |= ~np.isfinite(dark) | ~(np.isfinite(gain) & (gain > 0))
    warn_about_flat(flat, bad, scan.source)
    if settings.hot_sigma is not None:
        finite = np.where(np.isfinite(offset), offset, 0)  # a NaN would spread to its neighbours
        bad |= hot_or_dead(Sample.of(scan, settings, window), finite, settings.hot_sigma, counts)
    if np.ndim(offset) or offset:
        warn_about_dark(Sample.of(scan, settings, window, FEW), offset, bad, counts, scan.source)
    dark[bad] = gain[bad] = 0
    saturation = count_limit(scan, settings, counts)
    return Calibration(dark, gain, bad, saturation, settings.threshold or 0.0, counts)


def _in_float32(
    offset: Floats | float, flat: Floats | float, shape: tuple[int, int]
) -> tuple[Float32s, Float32s]:
    """Offset and gain (h, w) for the kernels; not finite where a pixel is bad."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        dark = np.asarray(offset, np.float32)
        gain = np.asarray(1.0 / np.asarray(flat, np.float64), np.float32)
    # Zeros take no memory until they are written to.
    none = not dark.ndim and not dark
    whole = np.zeros(shape, np.float32) if none else np.broadcast_to(dark, shape).copy()
    return whole, np.broadcast_to(gain, shape).copy()


def static_offset(scan: Scan, settings: Settings) -> Floats:
    """(ny, nx) dark plus background of whole frames."""
    window = Window.full(scan.frame_shape)
    corner = scan.zero_frequency == "corner"
    offset = Images(scan.frame_shape, window, settings.links, corner).offset(scan, settings)
    return np.broadcast_to(offset, scan.frame_shape)


@dataclass(frozen=True)
class Images:
    """Calibration images of one detector, cut to a window."""

    shape: tuple[int, int]
    window: Window
    links: str
    corner: bool = False

    def given(self, image: Any, name: str) -> Frames:
        """The user's image, in the layout of the stored frames."""
        frames = frames_of(image, name, self.links)
        return FftShiftedFrames(frames) if self.corner else frames

    def mean(self, name: str, given: Any, stored: Frames | None, default: float) -> Floats | float:
        """The mean of the user's images, else of the file's; else ``default``."""
        frames = self.given(given, name) if given is not None else stored
        if frames is None:
            return default
        self._check(name, frames.shape[1:])
        there = written(frames)
        known = np.arange(frames.shape[0]) if there is None else np.flatnonzero(there)
        if not len(known):
            raise ScanError(
                f"no image of {name} was ever written", f"give another {name} (--{name})"
            )
        blocks = in_blocks(frames, self.window, known)
        total = sum(stack.sum(0, dtype=np.float64) for stack in blocks)
        return np.asarray(total, np.float64) / len(known)

    def offset(self, scan: Scan, settings: Settings) -> Floats | float:
        """Dark plus background."""
        dark = self.mean("dark", settings.dark, scan.dark, 0.0)
        return dark + self.background(settings.background)

    def background(self, given: Any) -> Floats | float:
        """The user's number or mean image; 0 if there is none."""
        if given is None or isinstance(given, int | float):
            return float(given or 0.0)
        return self.mean("background", given, None, 0.0)

    def bad(self, given: Any, stored: Bools | None, values: str | None) -> Bools:
        """(h, w) bad in the file's mask or the user's."""
        rows, columns = self.window.slices
        bad = np.zeros(self.window.shape, np.bool_)
        if stored is not None:
            self._check("mask", stored.shape)
            bad |= stored[rows, columns]
        if given is not None:
            masks = MaskFrames(self.given(given, "mask"), values or "bad")
            self._check("mask", masks.shape[1:])
            bad |= masks.anywhere(self.window)
        return bad

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        if tuple(shape) != self.shape:
            raise ScanError(
                f"{name} has shape {tuple(shape)}, the frames have {self.shape}",
                f"give {name} for the whole raw detector frame",
            )


def in_blocks(frames: Frames, window: Window, indices: Ints) -> Iterator[NDArray[Any]]:
    """Read images of a stack, :data:`BATCH_BYTES` at a time."""
    one = window.height * window.width * frames.dtype.itemsize
    size = max(1, BATCH_BYTES // max(one, 1))
    for start in range(0, len(indices), size):
        yield frames.read(indices[start : start + size], window)


def count_limit(scan: Scan, settings: Settings, counts: Counting) -> float:
    """Raw counts at or above this are bad in that exposure; inf = no limit.

    Raises
    ------
    MissingDataError
        ``saturation='file'`` and the file has none.
    """
    return min(_saturation(settings.saturation, scan), counts.no_count)


def _saturation(given: float | str | None, scan: Scan) -> float:
    if given == "file":
        if scan.saturation is None:
            raise MissingDataError(
                "no saturation value is recorded",
                "set saturation (--sat) to the detector's count limit",
                scan.source,
            )
        return scan.saturation
    return np.inf if given is None else float(given)
