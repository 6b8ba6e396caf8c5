"""Dark, background, flat and mask images: the user's or the file's, for all frames or each one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats
from ..errors import ScanError, SettingsError, warn
from ..frames.hdf5 import Hdf5Frames
from ..frames.images import frames_of
from ..frames.masks import MaskFrames, different_masks
from ..frames.wrappers import CorrectedFrames, FftShiftedFrames, PickedFrames, whole_stack
from ..scan import Frames, Scan, Window, written
from ..settings import Settings
from .counting import Counting, count_limit
from .sample import in_batches


@dataclass(frozen=True, eq=False)
class Images:
    """Calibration images of a scan, cut to a window of the detector.

    Attributes
    ----------
    window
        The part to be read.
    read
        Images of the whole detector that have been read, by name.
    """

    scan: Scan
    settings: Settings
    window: Window
    read: dict[str, NDArray[Any]] = field(default_factory=dict)

    def cut(self, window: Window) -> Images:
        """The same images, cut to another window; what was read of the whole detector is reused."""
        return replace(self, window=window)

    def stack(self, name: str) -> Frames | None:
        """The user's images, in the layout of the stored frames, else the file's."""
        given = getattr(self.settings, name)
        if given is None:
            stored: Frames | None = {"dark": self.scan.dark, "flat": self.scan.flat}.get(name)
            return stored
        frames = frames_of(given, name, self.settings.links)
        return FftShiftedFrames(frames) if self.scan.zero_frequency == "corner" else frames

    def _once(self, name: str, read: Callable[[str, Frames], NDArray[Any]]) -> NDArray[Any] | None:
        """An image of the window, if there is one; that of the whole detector is kept."""
        if name in self.read:
            return self.read[name][self.window.slices]
        stack = self.stack(name)
        if stack is None:
            return None
        self.check(name, stack.shape[1:])
        image = read(name, stack)
        if self.window.shape == self.scan.frame_shape:
            self.read[name] = image
        return image

    def read_whole(self, name: str) -> None:
        """Read what :meth:`mean` will be asked for."""
        self._once(name, self._mean)

    def mean(self, name: str, default: float = 0.0) -> Floats | float:
        """The mean of the images of this name; ``default`` if there is none."""
        image = self._once(name, self._mean)
        return default if image is None else np.asarray(image, np.float64)

    def _mean(self, name: str, frames: Frames) -> NDArray[Any]:
        """As stored, if it is one image only."""
        is_written = written(frames)
        known = np.arange(frames.shape[0]) if is_written is None else np.flatnonzero(is_written)
        if not len(known):
            raise ScanError(
                f"no image of {name} was ever written", f"give another {name} (--{name})"
            )
        if len(known) == 1:
            image: NDArray[Any] = frames.read(known, self.window)[0]
            return image
        batches = in_batches(frames, self.window, known)
        total = sum(stack.sum(0, dtype=np.float64) for stack in batches)
        return np.asarray(total, np.float64) / len(known)

    def offset(self) -> Floats | float:
        """Dark plus background."""
        dark, background = self.mean("dark"), self.background()
        return dark + background if np.ndim(background) or background else dark

    def background(self) -> Floats | float:
        """The user's number or mean image; 0 if there is none."""
        given = self.settings.background
        return float(given) if isinstance(given, int | float) else self.mean("background")

    def bad(self, counts: Counting) -> Bools:
        """(h, w) bad in the file's mask or the user's, or never a count."""
        bad = np.zeros(self.window.shape, np.bool_)
        if self.scan.bad is not None:
            self.check("mask", self.scan.bad.shape)
            bad |= self.scan.bad[self.window.slices]
        given = self._once("mask", self._masked)
        if given is not None:
            bad |= given
        if counts.never is not None:
            bad |= counts.never[self.window.slices]
        return bad

    def _masked(self, _: str, stack: Frames) -> Bools:
        return MaskFrames(stack, self.settings.mask_values or "bad").anywhere(self.window)

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Refuse images of another shape than the frames."""
        if tuple(shape) != self.scan.frame_shape:
            raise ScanError(
                f"{name} has shape {tuple(shape)}, the frames have {self.scan.frame_shape}",
                f"give {name} for the whole raw detector frame",
            )


def with_per_frame_images(
    scan: Scan, settings: Settings, counts: Counting
) -> tuple[Scan, Settings, Counting]:
    """Apply per-frame images as frames are read; return what remains to be applied.

    A stack of dark, flat or mask images with one image for each raw frame of the files is applied
    frame by frame (the rule of PtyPy's ``Hdf5Loader``), and a warning says so; any other stack is
    averaged, or combined into one mask. Raw numbers that are not ``counts`` become NaN on reading.

    Raises
    ------
    ScanError
        The images do not have the shape of the frames.
    SettingsError
        The scan is followed while it is being written.
    """
    if settings.growing:
        _warn_live(scan, settings)
        return scan, settings, counts
    own = _per_frame_stacks(scan, settings, _raw_frames(scan.frames))
    if not own and scan.bad_each is None:
        return scan, settings, counts
    for name in own:
        warn(
            f"{name} has an image for each of the {_total(scan)} raw frames: each frame is "
            f"corrected with its own; give one image (--{name}) if all frames have the same",
            scan.source,
        )
    return *_read_with(own, scan, settings, counts), Counting(never=counts.never)


def _read_with(
    own: dict[str, Frames], scan: Scan, settings: Settings, counts: Counting
) -> tuple[Scan, Settings]:
    """Frames that are corrected on reading, and scan and settings without these corrections."""
    limit, offset = count_limit(scan, settings, counts), None
    scan, settings = _without(scan, settings, ("saturation", *own))
    if "flat" in own:  # dark and background must be subtracted before
        images = Images(scan, settings, Window.full(scan.frame_shape))
        offset = np.broadcast_to(images.offset(), scan.frame_shape)
        scan, settings = _without(scan, settings, ("dark", "background"))
    bad = tuple(stack for stack in (own.get("mask"), scan.bad_each) if stack is not None)
    whole, picked = whole_stack(scan.frames)
    frames: Frames = CorrectedFrames(
        whole, own.get("dark"), own.get("flat"), bad, offset, counts.lowest, limit
    )
    frames = frames if whole is scan.frames else PickedFrames(frames, picked)
    return replace(scan, frames=frames, bad_each=None, no_count=None), settings


def _warn_live(scan: Scan, settings: Settings) -> None:
    """A live scan, whose length is not known yet, has no per-frame images."""
    if scan.bad_each is not None:
        raise SettingsError(
            "the file has a mask for each frame, which cannot be followed live",
            "wait for the end of the scan",
            scan.source,
        )
    to_come = len(scan.positions_m) * (settings.frames_per_position or 1)
    for name in _per_frame_stacks(scan, settings, {to_come, scan.expected or to_come}):
        warn(
            f"{name} has {to_come} images, as many as frames are expected: all are combined "
            "for every frame, because a live scan cannot have one for each",
            scan.source,
        )


def _per_frame_stacks(scan: Scan, settings: Settings, counts: set[int]) -> dict[str, Frames]:
    """Dark, flat and mask stacks that have one image for each raw frame."""
    images = Images(scan, settings, Window.full(scan.frame_shape))
    own: dict[str, Frames] = {}
    for name in ("dark", "flat", "mask"):
        stack = images.stack(name)
        if stack is None or stack.shape[0] == 1:
            continue
        if stack.shape[0] not in counts:
            _warn_averaged(name, stack.shape[0], scan, settings)
            continue
        if isinstance(stack, PickedFrames):  # the format uses some of its exposures
            continue
        images.check(name, stack.shape[1:])
        own[name] = stack
    if "mask" in own:
        own["mask"] = MaskFrames(own["mask"], settings.mask_values or "bad")
    return own


def _warn_averaged(name: str, images: int, scan: Scan, settings: Settings) -> None:
    """Warn of as many images as positions or acquisitions but not as frames; of any mask stack."""
    m, k = len(scan.positions_m), settings.frames_per_position or 1
    if images in (m, m * k, scan.expected):
        warn(
            f"{name} has {images} images, as many as positions or acquisitions, but there are "
            f"{_total(scan)} frames: all are combined for every frame; give one "
            f"image for each raw frame (--{name}) if they differ",
            scan.source,
        )
    elif name == "mask":
        warn(f"mask has {different_masks(images, _total(scan))}", scan.source)


def _raw_frames(frames: Frames) -> set[int]:
    """Possible numbers of raw frames of the files: those that can be used, and all of them."""
    whole, _ = whole_stack(frames)
    counts = {whole.shape[0]}
    if isinstance(whole, Hdf5Frames) and whole.limit is not None:
        counts.add(replace(whole, limit=None).shape[0])
    return counts


def _total(scan: Scan) -> int:
    return whole_stack(scan.frames)[0].shape[0]


def _without(scan: Scan, settings: Settings, names: tuple[str, ...]) -> tuple[Scan, Settings]:
    """Scan and settings without the file's and the user's images, which are applied on reading."""
    stored: dict[str, Any] = {name: None for name in names if name in ("dark", "flat")}
    return replace(scan, **stored), settings.model_copy(update=dict.fromkeys(names))
