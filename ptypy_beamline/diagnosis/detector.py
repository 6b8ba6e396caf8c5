"""The sample as the detector counted it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..arrays import Bools, Float32s, Floats
from ..errors import BeamlineError
from ..planning.defects import brightest, dead_pixels
from .look import Look, from_beam

OUTER = 0.9
"""Where a frame's far corners begin, in distances of the beam from the nearest edge."""

DIRECT_PX = 3.0
"""The direct beam beside a zone plate's cone may light a single pixel, so near the centre."""

FAINT, HOT_TIMES, ENOUGH = 0.05, 5.0, 100.0
"""Share of far pixels that are the faintest; by how much a defect exceeds its neighbours; counts on
both sides of a dead one."""


@dataclass(frozen=True, eq=False)
class Detector:
    """The sample as the detector counted it, over the window's part on the detector.

    Attributes
    ----------
    mean, variance
        (h, w) of the raw counts of an exposure.
    good
        (h, w) pixels that no static defect excludes and that have a count in some exposure.
    radius
        (h, w) distance from the beam centre over that of the nearest edge.
    direct_beam
        (h, w) pixels so near the beam centre that one alone may be bright.
    frames
        Exposures in the sample.
    faint
        Counts in the faintest pixels far from the beam, each exposure by itself.
    """

    mean: Floats
    variance: Floats
    good: Bools
    radius: Floats
    direct_beam: Bools
    frames: int
    faint: float

    @classmethod
    def of(cls, look: Look) -> Detector:
        """From the raw exposures of frames that show the beam."""
        plan = look.plan
        counts = plan.calibration.counting
        present = plan.selection.exposures[look.picked] >= 0
        stack = look.raw[present & look.lit[:, None]] if look.lit.any() else look.raw[present]
        total, square, number = (np.zeros(plan.inside.shape) for _ in range(3))
        for frame in stack:
            counted = (frame >= counts.lowest_of(frame.dtype)) & (frame < counts.no_count)
            level = np.where(counted, frame, 0).astype(np.float64)
            total, square, number = total + level, square + level**2, number + counted
        mean = total / np.maximum(number, 1)
        variance = square / np.maximum(number, 1) - mean**2
        center = [
            c + w - i
            for c, w, i in zip(
                plan.center_px,
                (plan.window.top, plan.window.left),
                (plan.inside.top, plan.inside.left),
                strict=True,
            )
        ]
        radius = from_beam(center, mean.shape)
        good = ~plan.calibration.bad & (number > 0)
        direct_beam = _direct_beam(look, center, mean.shape)
        far = stack[:, good & (radius > OUTER)].astype(np.float64)
        faint = float(np.quantile(far, FAINT)) if far.size else 0.0
        return cls(mean, variance, good, radius, direct_beam, len(stack), faint)

    def defects(self, offset: Float32s) -> Bools:
        """(h, w) good pixels not of the pattern: isolated, or no count between lit ones."""
        level = np.where(self.good, self.mean - offset, 0)
        bright = brightest(level).clip(0)
        # What is subtracted has noise, too.
        noise = np.sqrt((bright + np.maximum(offset, 0) + 1) / max(self.frames, 1))
        hot = (level > HOT_TIMES * (bright + 2 * noise)) & ~self.direct_beam
        counting = (self.mean > 0) & self.good
        dead = dead_pixels(level * self.frames, counting, ENOUGH)
        return np.asarray((hot | dead) & self.good, np.bool_)


def _direct_beam(look: Look, center: Sequence[float], shape: tuple[int, ...]) -> Bools:
    """(h, w) pixels beside the centre that is used, or that of Friedel symmetry."""
    rows, columns = np.indices(shape)
    places, inside = [tuple(center)], look.plan.inside
    with suppress(BeamlineError):  # no counts show a centre
        places.append(tuple(np.subtract(look.centre.friedel_px, (inside.top, inside.left))))
    away = [np.hypot(rows - y, columns - x) for y, x in places]
    return np.asarray(np.min(away, axis=0) < DIRECT_PX)
