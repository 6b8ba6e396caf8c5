"""Errors for scans without any counts or good pixels left, and which correction removes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Bools, Floats
from ..errors import BeamlineError, GeometryError, ScanError, shown
from ..frames.wrappers import CorrectedFrames
from ..scan import Scan
from ..settings import Settings
from .calibration_images import Images
from .counting import FEW, Counting, count_limit
from .plan import Plan
from .sample import Sample

Step = Callable[[Floats, Bools], tuple[Floats, Bools]]
"""A correction: counts and good pixels before → after."""

UNKNOWN = "check mask (--mask), saturation (--sat) and rebin (--bin)"


@dataclass(frozen=True)
class Cause:
    """The correction that leaves nothing of a sample of frames.

    Attributes
    ----------
    what
        Which of dark, flat, mask, …, and what is wrong with it; empty if it is not one alone.
    remedy
        What to give instead.
    """

    what: str = ""
    remedy: str = ""


def refuse_without_good_pixels(
    plan: Plan, scan: Scan, settings: Settings, counts: Counting, growing: bool
) -> None:
    """Stop if no frame has a good pixel; in a ``growing`` scan, only static defects are checked.

    One frame is read, and more only if it has no good pixel.

    Raises
    ------
    ScanError
        Names the correction that leaves none.
    """
    if not plan.good.any() or not (growing or _any_good(plan, counts)):
        raise without_good_pixels(plan, scan, settings, counts)


def without_good_pixels(plan: Plan, scan: Scan, settings: Settings, counts: Counting) -> ScanError:
    """The error for a scan in which no frame has a good pixel."""
    found = cause_of(Images(scan, settings, plan.inside), counts, need_counts=False)
    what = ": ".join(filter(None, ("no frame has a good pixel", found.what)))
    return ScanError(what, found.remedy or UNKNOWN, scan.source)


def _any_good(plan: Plan, counts: Counting) -> bool:
    """Whether any frame has a good pixel; True if one cannot be read, which loading reports."""
    try:
        first = plan.load([0])[0][plan.selection.exposures[0] >= 0]
        counted = (first >= counts.lowest_of(first.dtype)) & (first < plan.calibration.saturation)
        if (counted & ~plan.calibration.bad).any():
            return True
        blocks = plan.stream(np.arange(len(plan)), warn_empty=False)
        return any(block.good.any() for block in blocks)
    except BeamlineError:
        return True


def no_center(images: Images, counts: Counting, error: GeometryError) -> GeometryError:
    """``error``, raised where frames have no counts from which to find the beam, with the cause."""
    found = cause_of(images, counts, need_counts=True)
    remedy = ", or ".join(filter(None, (found.remedy, error.remedy)))
    what = ": ".join(filter(None, (error.problem, found.what)))
    return GeometryError(what, remedy, images.scan.source)


def cause_of(images: Images, counts: Counting, need_counts: bool) -> Cause:
    """The first correction after which no sampled frame has counts, or good pixels, left.

    Parameters
    ----------
    need_counts
        Look for counts; else only for good pixels.
    """
    steps = [
        *_raw_count_steps(images.scan, images.settings, counts, need_counts),
        _mask_step(images, counts),
        *_offset_steps(images, need_counts),
        _flat_step(images),
    ]
    left = np.zeros(len(steps), np.bool_)
    for frame in Sample(images.scan.frames, images.window, FEW):
        value, good = frame.astype(np.float64), np.ones(frame.shape, np.bool_)
        for number, (_, step) in enumerate(steps):
            value, good = step(value, good)
            left[number] |= good.any() and (not need_counts or value[good].sum() > 0)
    return Cause() if left.all() else steps[int(np.argmin(left))][0]


def _raw_count_steps(
    scan: Scan, settings: Settings, counts: Counting, need_counts: bool
) -> Iterator[tuple[Cause, Step]]:
    """Numbers that are not counts, and saturation."""

    def counted(value: Floats, good: Bools) -> tuple[Floats, Bools]:
        usable = np.isfinite(value) & (value >= counts.lowest) & (value < counts.no_count)
        return value, good & usable

    def unsaturated(value: Floats, good: Bools) -> tuple[Floats, Bools]:
        return value, good & (value < limit)

    own = scan.frames.images if isinstance(scan.frames, CorrectedFrames) else ""
    whose = f"the frames, corrected by {own}," if own else "the frames"
    none = "hold no counts" if need_counts else "are NaN, or no counts, at every pixel"
    remedy = "check paths.frames (--path frames=PATH)" + (f" and {own}" if own else "")
    yield Cause(f"{whose} {none}", remedy), counted
    limit = count_limit(scan, settings, counts)
    remedy = "set saturation (--sat) to the detector's count limit"
    yield Cause(f"no raw count lies below saturation={limit:g}", remedy), unsaturated


def _mask_step(images: Images, counts: Counting) -> tuple[Cause, Step]:
    bad = images.bad(counts)
    what = f"{_described('mask', images, images.scan.bad)} leaves no pixel to use"
    remedy = "check mask (--mask, --path mask=PATH) and mask_values (--mask-values)"
    return Cause(what, remedy), lambda value, good: (value, good & ~bad)


def _offset_steps(images: Images, need_counts: bool) -> Iterator[tuple[Cause, Step]]:
    """Dark and background."""
    dark, background = images.mean("dark"), images.background()
    for name, image, stored in (("dark", dark, images.scan.dark), ("background", background, None)):

        def subtracted(value: Floats, good: Bools, image: Any = image) -> tuple[Floats, Bools]:
            return value - image, good & np.isfinite(image)

        exceeds = need_counts and np.isfinite(image).any()
        what = "exceeds the counts" if exceeds else "is NaN or infinite at every remaining pixel"
        whose = _described(name, images, stored)
        yield Cause(f"{whose} {what}", f"give another {name} (--{name})"), subtracted


def _flat_step(images: Images) -> tuple[Cause, Step]:
    flat = np.asarray(images.mean("flat", 1.0))
    usable = np.isfinite(flat) & (flat > 0)
    divisor = np.where(usable, flat, 1.0)
    whose = _described("flat", images, images.scan.flat)
    what = f"{whose} is 0, negative or NaN at every remaining pixel"
    remedy = "give another flat (--flat)"
    return Cause(what, remedy), lambda value, good: (value / divisor, good & usable)


def _described(name: str, images: Images, stored: Any) -> str:
    """An image in words: the user's, the file's, or both."""
    given = getattr(images.settings, name)
    if isinstance(given, str | int | float):
        own = f"{name}={shown(given)}"
    else:
        own = f"the {name} that is given" if given is not None else ""
    of_file = f"the file's {name}" if stored is not None else ""
    # A user's mask is added to the file's; other images replace the file's.
    return " with ".join(filter(None, (own, of_file))) if name == "mask" else own or of_file
