"""Scans of which nothing is left, and what takes it away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BeamlineError, GeometryError, ScanError
from ..reading.corrected import CorrectedFrames
from ..scan import Scan, Window
from ..settings import Settings
from .calibration import Images, count_limit
from .plan import Plan
from .sample import Sample
from .uncounted import FEW, Counting, counting

Image = NDArray[np.float64]


UNKNOWN = "check mask (--mask), saturation (--sat) and rebin (--bin)"


@dataclass(frozen=True)
class Cause:
    """What takes away all that is left of a sample of frames.

    Attributes
    ----------
    what
        Which of dark, flat, mask, ..., and what about it; empty where it is not one alone.
    remedy
        What to give instead.
    """

    what: str = ""
    remedy: str = ""


def refuse_without_good_pixels(
    plan: Plan, scan: Scan, settings: Settings, counts: Counting, growing: bool
) -> None:
    """Stop where no frame has a good pixel; of a ``growing`` scan only static defects tell.

    One frame is read, and more only if that has none.

    Raises
    ------
    ScanError
        What leaves none.
    """
    if plan.good.any() and (growing or _any_good(plan, counts)):
        return
    found = cause_of(scan, settings, plan.inside, counts, lit=False)
    what = ": ".join(filter(None, ("no frame has a good pixel", found.what)))
    raise ScanError(what, found.remedy or UNKNOWN, scan.source)


def _any_good(plan: Plan, counts: Counting) -> bool:
    """Whether any frame has a good pixel; a frame that cannot be read is left to loading."""
    try:
        first = plan.load([0])[0][plan.selection.exposures[0] >= 0]
        counted = (first >= counts.lowest_of(first.dtype)) & (first < plan.calibration.saturation)
        if (counted & ~plan.calibration.bad).any():
            return True
        blocks = plan.stream(np.arange(len(plan)), say_empty=False)
        return any(block.good.any() for block in blocks)
    except BeamlineError:
        return True


def no_center(scan: Scan, settings: Settings, counts: Counting | None) -> GeometryError:
    """The error for a scan whose frames have no counts to find the beam by."""
    counts = counting(scan) if counts is None else counts
    found = cause_of(scan, settings, Window.full(scan.frame_shape), counts, lit=True)
    what = "no counts in a sample of the frames, so no beam centre can be found"
    remedy = ", or ".join(filter(None, (found.remedy, "set center (--roi-center)")))
    return GeometryError(": ".join(filter(None, (what, found.what))), remedy, scan.source)


def cause_of(scan: Scan, settings: Settings, window: Window, counts: Counting, lit: bool) -> Cause:
    """The first of the corrections after which no frame of a sample has a count, or a good pixel.

    Parameters
    ----------
    lit
        Counts are looked for, else pixels that are good.
    """
    steps = list(_steps(scan, settings, window, counts, lit))
    left = np.zeros(len(steps), np.bool_)
    for frame in Sample(scan.frames, window, FEW):
        value, good = frame.astype(np.float64), np.ones(frame.shape, np.bool_)
        for number, (_, step) in enumerate(steps):
            value, good = step(value, good)
            left[number] |= good.any() and (not lit or value[good].sum() > 0)
    return Cause() if left.all() else steps[int(np.argmin(left))][0]


def _steps(
    scan: Scan, settings: Settings, window: Window, counts: Counting, lit: bool
) -> Iterator[tuple[Cause, Any]]:
    """Corrections in their order, each with what to say; (values, good) → the same after it."""
    images = Images(scan.frame_shape, window, settings.links, scan.zero_frequency == "corner")
    lowest, limit = counts.lowest, count_limit(scan, settings, counts)
    own = scan.frames.images if isinstance(scan.frames, CorrectedFrames) else ""
    none = "hold no counts" if lit else "are NaN, or no counts, at every pixel"
    yield (
        Cause(f"the frames{f', corrected by {own},' if own else ''} {none}",
              "check paths.frames (--path frames=PATH)" + (f" and {own}" if own else "")),
        lambda value, good: (value, np.isfinite(value) & (value >= lowest)
                             & (value < counts.no_count)),
    )  # fmt: skip
    bad = images.bad(settings.mask, scan.bad, settings.mask_values)
    if counts.never is not None:
        bad = bad | counts.never[window.slices]
    yield (
        Cause(f"{_whose('mask', settings.mask, scan.bad)} leaves out every pixel"
              + (" that has counts" if lit else ""), "check mask (--mask, --path mask=PATH) and "
              "mask_values (--mask-values)"),
        lambda value, good: (value, good & ~bad),
    )  # fmt: skip
    yield (
        Cause(f"no raw count lies below saturation={settings.saturation!r} ({limit:g})",
              "set saturation (--sat) to the detector's count limit"),
        lambda value, good: (value, good & (value < limit)),
    )  # fmt: skip
    dark = images.mean("dark", settings.dark, scan.dark, 0.0)
    background = images.background(settings.background)
    for name, image, stored in (("dark", dark, scan.dark), ("background", background, None)):
        what = "is NaN, or exceeds the counts" if lit else "is NaN or infinite at every pixel left"
        yield (
            Cause(f"{_whose(name, getattr(settings, name), stored)} {what}",
                  f"give another {name} (--{name})"),
            lambda value, good, image=image: (value - image, good & np.isfinite(image)),
        )  # fmt: skip
    flat = images.mean("flat", settings.flat, scan.flat, 1.0)
    fine = np.isfinite(flat) & (np.asarray(flat) > 0)
    yield (
        Cause(f"{_whose('flat', settings.flat, scan.flat)} is 0, negative or NaN at every pixel"
              + (" that has counts" if lit else " left"), "give another flat (--flat)"),
        lambda value, good: (value / np.where(fine, flat, 1.0), good & fine),
    )  # fmt: skip


def _whose(name: str, given: Any, stored: Any) -> str:
    """The image in words: whose it is."""
    if isinstance(given, str | int | float):
        own = f"{name}={given!r}"
    else:
        own = f"the {name} that is given" if given is not None else ""
    of_file = f"the file's {name}" if stored is not None else ""
    # A mask of the user's is added to the file's; another image takes its place.
    return " with ".join(filter(None, (own, of_file))) if name == "mask" else own or of_file
