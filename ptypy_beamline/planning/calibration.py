"""Dark, background, flat and bad pixels, folded into what the kernels need."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import BeamlineWarning, MissingDataError, ScanError
from ..reading.derived import Centred
from ..reading.images import frames_of
from ..reading.masks import MarkedFrames
from ..scan import Frames, Scan, Window
from ..settings import Settings
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
        Raw counts at or above are bad in that exposure, a limit of the user or a number that
        stands for no count; inf where there is none.
    threshold
        Corrected counts below become 0.
    """

    offset: NDArray[np.float32]
    gain: NDArray[np.float32]
    bad: NDArray[np.bool_]
    saturation: float
    threshold: float


def calibrate(scan: Scan, settings: Settings, window: Window) -> Calibration:
    """Compile the calibration of ``window`` (inside the frame).

    Raises
    ------
    ScanError
        An image does not have the shape of the frames.
    MissingDataError
        ``saturation='file'`` and the file has none.
    """
    corner = scan.zero_frequency == "corner"
    images = _Images(scan.frame_shape, window, settings.links, corner)
    offset = images.offset(scan, settings)
    flat = images.mean("flat", settings.flat, scan.flat, 1.0)
    bad = images.bad(settings.mask, scan.bad, settings.mask_values)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = 1.0 / flat
    bad |= ~np.isfinite(offset) | ~np.isfinite(gain) | (gain <= 0)
    _warn_about_flat(flat[~bad])
    no_count = np.inf if scan.no_count is None else scan.no_count
    if settings.hot_sigma is not None:
        dark = np.where(np.isfinite(offset), offset, 0)  # else its neighbours are NaN, too
        bad |= hot_or_dead(Sample(scan.frames, window), dark, settings.hot_sigma, no_count)
    return Calibration(
        offset=np.where(bad, 0, offset).astype(np.float32),
        gain=np.where(bad, 0, gain).astype(np.float32),
        bad=bad,
        saturation=count_limit(scan, settings),
        threshold=settings.threshold or 0.0,
    )


def static_offset(scan: Scan, settings: Settings) -> NDArray[np.float64]:
    """(ny, nx) dark plus background of whole frames."""
    window = Window.full(scan.frame_shape)
    corner = scan.zero_frequency == "corner"
    return _Images(scan.frame_shape, window, settings.links, corner).offset(scan, settings)


@dataclass(frozen=True)
class _Images:
    """Calibration images of one detector, cut to a window."""

    shape: tuple[int, int]
    window: Window
    links: str
    corner: bool = False

    def given(self, image: Any, name: str) -> Frames:
        """What the user gave; it lies as the stored frames do."""
        frames = frames_of(image, name, self.links)
        return Centred(frames) if self.corner else frames

    def mean(
        self, name: str, given: Any, stored: Frames | None, default: float
    ) -> NDArray[np.float64]:
        """The mean image of what the user gave, else of what the file has."""
        frames = self.given(given, name) if given is not None else stored
        if frames is None:
            return np.full(self.window.shape, default)
        self._check(name, frames.shape[1:])
        total = sum(stack.sum(0, dtype=np.float64) for stack in in_blocks(frames, self.window))
        return np.asarray(total, np.float64) / frames.shape[0]

    def offset(self, scan: Scan, settings: Settings) -> NDArray[np.float64]:
        """Dark plus background."""
        dark = self.mean("dark", settings.dark, scan.dark, 0.0)
        return dark + self.background(settings.background)

    def background(self, given: Any) -> NDArray[np.float64] | float:
        if given is None or isinstance(given, int | float):
            return float(given or 0.0)
        return self.mean("background", given, None, 0.0)

    def bad(
        self, given: Any, stored: NDArray[np.bool_] | None, values: str | None
    ) -> NDArray[np.bool_]:
        """Bad in the file's mask or in the user's."""
        rows, columns = self.window.slices
        bad = np.zeros(self.window.shape, np.bool_)
        if stored is not None:
            self._check("mask", stored.shape)
            bad |= stored[rows, columns]
        if given is not None:
            masks = MarkedFrames(self.given(given, "mask"), values or "bad")
            self._check("mask", masks.shape[1:])
            bad |= masks.anywhere(self.window)
        return bad

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        if tuple(shape) != self.shape:
            raise ScanError(
                f"{name} has shape {tuple(shape)}, the frames have {self.shape}",
                f"give {name} for the whole raw detector frame",
            )


def in_blocks(frames: Frames, window: Window, size: int = 16) -> Iterator[NDArray[Any]]:
    """A whole stack, a few images at a time."""
    n = frames.shape[0]
    for start in range(0, n, size):
        yield frames.read(range(start, min(start + size, n)), window)


def hot_or_dead(
    sample: Sample, offset: NDArray[np.float64], sigma: float, no_count: float = np.inf
) -> NDArray[np.bool_]:
    """Pixels that stand out of their neighbours, or never count, in a sample of frames.

    A pixel of the sample's mean is hot when it exceeds the fourth largest value of its 3×3
    surroundings: a corner of the beam has three neighbours as bright as itself, a defect has at
    most two. Noise is Poisson's plus the local median deviation, so that speckle does not count.
    Dead: never a count where the fourth smallest makes at least ``sigma²`` in the sample. Raw
    numbers from ``no_count`` on are none.
    """
    n, total = np.zeros(offset.shape, np.int64), np.zeros(offset.shape)
    ever = np.zeros(offset.shape, np.bool_)
    for frame in sample:
        finite = np.isfinite(frame) & (frame < no_count)
        n += finite
        total += np.where(finite, frame - offset, 0)
        ever |= finite & (frame != 0)
    seen = np.maximum(n, 1)
    mean = total / seen
    bright = ndimage.rank_filter(mean, -4, 3, mode="mirror")
    dim = ndimage.rank_filter(mean, 3, 3, mode="mirror")
    deviation = np.abs(mean - ndimage.median_filter(mean, 3))
    spread = 1.4826 * ndimage.median_filter(deviation, 7)
    noise = np.sqrt(np.maximum(bright, 1.0 / seen) / seen) + spread
    dead = ~ever & (dim * seen >= sigma**2)
    return np.asarray((mean - bright > sigma * noise) | dead | (n == 0), np.bool_)


def count_limit(scan: Scan, settings: Settings) -> float:
    """Raw counts at or above it are bad in that exposure; inf where there is no limit.

    Raises
    ------
    MissingDataError
        ``saturation='file'`` and the file has none.
    """
    no_count = np.inf if scan.no_count is None else scan.no_count
    return min(_saturation(settings.saturation, scan), no_count)


def _saturation(given: float | str | None, scan: Scan) -> float:
    if given == "file":
        if scan.saturation is None:
            raise MissingDataError("no saturation value is recorded", "set saturation (--sat) to "
                                   "the detector's count limit", scan.source)  # fmt: skip
        return scan.saturation
    return np.inf if given is None else float(given)


def _warn_about_flat(flat: NDArray[np.float64]) -> None:
    some = flat[:: max(1, flat.size // 10_000)]  # enough for a warning
    middle = float(np.median(some)) if some.size else 1.0
    if not 0.5 <= middle <= 2.0:
        warnings.warn(
            f"the flat has a median of {middle:.4g}, so dividing by it changes the counts by that "
            "factor; give a flat normalised to 1 (--flat) to keep photon counts",
            BeamlineWarning,
            stacklevel=2,
        )
