"""How the angles of a series cover the half circle, which is all that a parallel beam needs."""

from __future__ import annotations

import warnings

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..errors import BeamlineWarning, ScanError

LEAST_SPAN_DEG = 10.0
WEDGE_DEG = 10.0
"""A gap between angles is a missing wedge if it is wider than this and three usual ones."""


def distinct(angles_deg: Floats) -> tuple[Floats, Ints, Ints]:
    """Angles modulo 180 in rising order, the place of each projection among them, their counts."""
    half = np.mod(np.asarray(angles_deg, np.float64), 180.0).round(6) % 180.0
    return np.unique(half, return_inverse=True, return_counts=True)


def gaps_deg(half_deg: Floats) -> tuple[Floats, Bools]:
    """From each distinct angle to the next, and whether that is a missing wedge."""
    gaps = np.diff(half_deg, append=half_deg[0] + 180.0)
    return gaps, np.asarray(gaps > max(WEDGE_DEG, 3 * float(np.median(gaps))))


def angle_weights(angles_deg: Floats) -> Floats:
    """(n,) weights of projections in a back-projection that takes them as evenly spread.

    Each stands for the part of the half circle that is nearer to it than to another; beside a
    missing wedge, which no angle can fill, for a part as wide as usual.
    """
    half, place, count = distinct(angles_deg)
    gaps, missing = gaps_deg(half)
    steps = np.where(missing, np.median(gaps), gaps)
    share = (steps + np.roll(steps, 1)) / 2
    return np.asarray((share / count)[place] * len(place) / 180.0)


def check_coverage(angles_deg: Floats) -> None:
    """Refuse angles that make no volume, warn of a missing wedge.

    Raises
    ------
    ScanError
        Fewer than three angles, or all within 10 degrees.
    """
    half, _, _ = distinct(angles_deg)
    gaps, missing = gaps_deg(half)
    span = 180.0 - gaps.max()
    if len(half) < 3 or span < LEAST_SPAN_DEG:
        raise ScanError(
            f"{len(half)} angles that cover {span:.3g} degrees make no volume",
            "are they radians? Give degrees (--theta)",
        )
    if missing.any():
        warnings.warn(
            f"no angle within {gaps.max():.3g} degrees: along this missing wedge the "
            "volume is smeared, and its density too low",
            BeamlineWarning,
            stacklevel=3,
        )
