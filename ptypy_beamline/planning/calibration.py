"""Dark, background, flat and bad pixels, combined into the arrays that the kernels need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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

    def cut(self, window: Window) -> Calibration:
        """That of a part."""
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


def calibrate(
    scan: Scan,
    settings: Settings,
    window: Window,
    counts: Counting | None = None,
    images: Images | None = None,
) -> Calibration:
    """Compile the calibration of ``window`` (inside the frame), and warn of what is odd about it.

    Parameters
    ----------
    counts
        Which raw numbers are counts; None = determined from a few frames.
    images
        Images of the whole detector, if they were read before.

    Raises
    ------
    ScanError
        An image does not have the shape of the frames.
    MissingDataError
        ``saturation='file'`` and the file has none.
    """
    counts = counting(scan) if counts is None else counts
    images = (images or Images.of(scan, settings)).cut(window)
    offset = images.offset(scan, settings)
    flat = images.mean("flat", settings.flat, scan.flat, 1.0)
    bad = _known_bad(scan, settings, counts, images)
    dark, gain = _in_float32(offset, flat, bad.shape)
    warn_about_unusable(dark, bad, scan.source)
    bad |= _unusable(dark, gain)
    warn_about_flat(flat, bad, scan.source)
    if settings.hot_sigma is not None:
        finite = np.where(np.isfinite(offset), offset, 0)  # a NaN would spread to its neighbours
        bad |= hot_or_dead(Sample.of(scan, settings, window), finite, settings.hot_sigma, counts)
    if np.ndim(offset) or offset:
        warn_about_dark(Sample.of(scan, settings, window, FEW), offset, bad, counts, scan.source)
    return _calibration(scan, settings, counts, dark, gain, bad)


def plain_calibration(
    scan: Scan, settings: Settings, counts: Counting, images: Images
) -> Calibration:
    """That of the window of ``images``, without a search for hot pixels, and without warnings."""
    offset = images.offset(scan, settings)
    flat = images.mean("flat", settings.flat, scan.flat, 1.0)
    bad = _known_bad(scan, settings, counts, images)
    dark, gain = _in_float32(offset, flat, bad.shape)
    return _calibration(scan, settings, counts, dark, gain, bad | _unusable(dark, gain))


def rough_calibration(
    scan: Scan, settings: Settings, counts: Counting, images: Images
) -> Calibration:
    """The same of whole frames without their flat, which is read, but not looked at yet."""
    images.read_whole("flat", settings.flat, scan.flat)
    bad = _known_bad(scan, settings, counts, images)
    dark, gain = _in_float32(images.offset(scan, settings), 1.0, bad.shape)
    return _calibration(scan, settings, counts, dark, gain, bad | ~np.isfinite(dark))


def _known_bad(scan: Scan, settings: Settings, counts: Counting, images: Images) -> Bools:
    """Pixels that masks exclude, or that never hold a count."""
    bad = images.bad(settings.mask, scan.bad, settings.mask_values)
    return bad if counts.never is None else bad | counts.never[images.window.slices]


def _unusable(dark: Float32s, gain: Float32s) -> Bools:
    return ~np.isfinite(dark) | ~(np.isfinite(gain) & (gain > 0))


def _calibration(
    scan: Scan, settings: Settings, counts: Counting, dark: Float32s, gain: Float32s, bad: Bools
) -> Calibration:
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
    return _whole(dark, shape), _whole(gain, shape)


def _whole(image: Float32s, shape: tuple[int, int]) -> Float32s:
    """A new array, also of one number; zeros take no memory until they are written to."""
    if image.ndim:
        return image
    return np.full(shape, image) if image else np.zeros(shape, np.float32)


def static_offset(scan: Scan, settings: Settings) -> Floats:
    """(ny, nx) dark plus background of whole frames."""
    return np.broadcast_to(Images.of(scan, settings).offset(scan, settings), scan.frame_shape)


@dataclass(frozen=True)
class Images:
    """Calibration images of one detector, cut to a window.

    Attributes
    ----------
    shape
        Of the detector.
    window
        The part to be read.
    links
        Which HDF5 links may be followed.
    corner
        Whether stored frames and the user's images have zero frequency in the corner.
    known, read
        A window that includes this one, and its images, by name, that have been read.
    """

    shape: tuple[int, int]
    window: Window
    links: str
    corner: bool = False
    known: Window | None = None
    read: dict[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, scan: Scan, settings: Settings, window: Window | None = None) -> Images:
        """Those of a scan, of the whole detector or of a ``window``."""
        window = window or Window.full(scan.frame_shape)
        return cls(scan.frame_shape, window, settings.links, scan.zero_frequency == "corner")

    def cut(self, window: Window) -> Images:
        """Those of a window of the detector, from what has been read of the whole one."""
        return replace(self, window=window, known=self.window)

    def given(self, image: Any, name: str) -> Frames:
        """The user's image, in the layout of the stored frames."""
        frames = frames_of(image, name, self.links)
        return FftShiftedFrames(frames) if self.corner else frames

    def _once(self, name: str, read: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """An image of the window; that of the whole detector is kept for its windows."""
        if self.known is not None:
            known = self.read.get(name)
            return read() if known is None else known[self.window.slices]
        if name not in self.read:
            self.read[name] = read()
        return self.read[name]

    def read_whole(self, name: str, given: Any, stored: Frames | None) -> None:
        """Read what :meth:`mean` will be asked for."""
        if given is not None or stored is not None:
            self._once(name, lambda: self._mean(name, given, stored))

    def mean(self, name: str, given: Any, stored: Frames | None, default: float) -> Floats | float:
        """The mean of the user's images, else of the file's; else ``default``."""
        if given is None and stored is None:
            return default
        image = self._once(name, lambda: self._mean(name, given, stored))
        return np.asarray(image, np.float64)

    def _mean(self, name: str, given: Any, stored: Frames | None) -> NDArray[Any]:
        """As stored, if it is one image only."""
        frames = self.given(given, name) if given is not None else stored
        assert frames is not None
        self._check(name, frames.shape[1:])
        there = written(frames)
        known = np.arange(frames.shape[0]) if there is None else np.flatnonzero(there)
        if not len(known):
            raise ScanError(
                f"no image of {name} was ever written", f"give another {name} (--{name})"
            )
        if len(known) == 1:
            image: NDArray[Any] = frames.read(known, self.window)[0]
            return image
        blocks = in_blocks(frames, self.window, known)
        total = sum(stack.sum(0, dtype=np.float64) for stack in blocks)
        return np.asarray(total, np.float64) / len(known)

    def offset(self, scan: Scan, settings: Settings) -> Floats | float:
        """Dark plus background."""
        dark = self.mean("dark", settings.dark, scan.dark, 0.0)
        background = self.background(settings.background)
        return dark + background if np.ndim(background) or background else dark

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
            bad |= self._once("mask", lambda: self._masked(given, values))
        return bad

    def _masked(self, given: Any, values: str | None) -> Bools:
        masks = MaskFrames(self.given(given, "mask"), values or "bad")
        self._check("mask", masks.shape[1:])
        return masks.anywhere(self.window)

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
