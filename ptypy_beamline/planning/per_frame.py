"""Dark, flat and mask that differ from frame to frame."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ScanError, SettingsError, warn
from ..frames.hdf5 import Hdf5Frames
from ..frames.images import frames_of
from ..frames.masks import MaskFrames, different_masks
from ..frames.wrappers import CorrectedFrames, FftShiftedFrames, PickedFrames, whole_stack
from ..scan import Frames, Scan
from ..settings import Settings
from .calibration import count_limit, static_offset
from .counting import Counting


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
    if settings.live.timeout_s is not None:
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
        offset = static_offset(scan, settings)
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
    stored = {"dark": scan.dark, "flat": scan.flat, "mask": None}
    own: dict[str, Frames] = {}
    for name, in_file in stored.items():
        given = getattr(settings, name)
        stack = in_file if given is None else frames_of(given, name, settings.links)
        if given is not None and scan.zero_frequency == "corner":
            stack = FftShiftedFrames(frames_of(given, name, settings.links))
        if stack is None or stack.shape[0] == 1:
            continue
        if stack.shape[0] not in counts:
            _warn_averaged(name, stack.shape[0], scan, settings)
            continue
        if isinstance(stack, PickedFrames):  # the format uses some of its exposures
            continue
        if stack.shape[1:] != scan.frame_shape:
            raise ScanError(
                f"{name} has images of shape {stack.shape[1:]}, the frames have {scan.frame_shape}",
                f"give {name} for the whole raw detector frame",
            )
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
    left = replace(
        scan,
        dark=None if "dark" in names else scan.dark,
        flat=None if "flat" in names else scan.flat,
    )
    return left, settings.model_copy(update=dict.fromkeys(names))
