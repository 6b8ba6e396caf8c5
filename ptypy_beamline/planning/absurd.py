"""Warnings of factors that no measurement has."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..arrays import Bools, Float32s, Floats
from ..errors import warn
from .sample import Sample
from .uncounted import Counting

FACTOR = 1e3
"""Further off its median no monitor and no flat is."""


def warn_about_flat(flat: Floats | float, bad: Bools, file: Path | None) -> None:
    """A flat whose median is not 1, or that is far off it at good pixels."""
    good = np.broadcast_to(flat, bad.shape)[~bad] if np.ndim(flat) else np.ones(1)
    middle = float(np.median(good[:: max(1, good.size // 10_000)])) if good.size else 1.0
    if not 0.5 <= middle <= 2.0:
        warn(
            f"the flat has a median of {middle:.4g}, so dividing by it changes the counts by that "
            "factor; give a flat normalised to 1 (--flat) to keep photon counts",
            file,
        )
    far = far_off(good, middle)
    if far:
        warn(
            f"the flat is more than {FACTOR:.0f} times off its median of {middle:.4g} at {far} "
            "pixels, whose counts grow or vanish with it; give another flat (--flat) or mask these "
            "pixels (--mask)",
            file,
        )


def warn_about_dark(
    sample: Sample,
    offset: Floats | float,
    bad: Bools,
    counts: Counting,
    file: Path | None,
) -> None:
    """A dark and background that leave no count in a sample of frames, or that make counts."""
    if bad.all():
        return
    highest, left = 0.0, False
    for frame in sample:
        counted = (frame >= counts.lowest_of(frame.dtype)) & (frame < counts.no_count) & ~bad
        highest = max(highest, float(frame.max(initial=0, where=counted)))
        left = left or bool(((frame > offset) & counted).any())
    if not left:
        warn(
            f"dark and background exceed every count of {len(sample)} sampled frames, which come "
            "out empty; give the dark of this exposure time (--dark), and check background "
            "(--background)",
            file,
        )
    below = int(np.count_nonzero((offset < -FACTOR * max(highest, 1.0)) & ~bad))
    if below:
        warn(
            f"dark and background lie below 0 at {below} pixels by more than {FACTOR:.0f} times "
            f"the highest count of {len(sample)} sampled frames, and add as much to each frame; "
            "give another dark (--dark) or mask these pixels (--mask)",
            file,
        )


def warn_about_unusable(offset: Float32s, bad: Bools, file: Path | None) -> None:
    """A dark and background that are not finite at pixels that are not bad yet."""
    lost = int(np.count_nonzero(~np.isfinite(offset) & ~bad))
    if lost:
        warn(
            f"dark and background are NaN, infinite or beyond a float32 at {lost} pixels, which "
            "become bad; give another dark (--dark), or mask these pixels (--mask)",
            file,
        )


def warn_about_monitor(i0: Floats, file: Path | None) -> None:
    """Exposures that a monitor drops, NaN in ``i0`` (n,), or scales out of proportion."""
    usable = i0[np.isfinite(i0)]
    dropped, middle = len(i0) - len(usable), float(np.median(usable))
    if dropped:
        warn(
            f"the monitor is 0, negative or not a number at {dropped} of {len(i0)} frames, which "
            "are left out; check paths.monitor (--path monitor=PATH), or leave monitor off",
            file,
        )
    far = far_off(usable, middle)
    if far:
        warn(
            f"the monitor is more than {FACTOR:.0f} times off its median of {middle:.4g} at {far} "
            f"of {len(i0)} frames, which are scaled by as much; leave these frames out (--reject) "
            "or check paths.monitor (--path monitor=PATH)",
            file,
        )


def far_off(values: Floats, middle: float) -> int:
    """How many are more than ``FACTOR`` times larger or smaller than ``middle``."""
    off = (values > FACTOR * middle) | (values < middle / FACTOR)
    return int(np.count_nonzero(off))
