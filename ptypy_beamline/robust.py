"""Robust statistics that outliers do not change."""

from __future__ import annotations

import numpy as np

from .arrays import Floats

SIGMA_PER_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def robust_sigma(residuals: Floats) -> float:
    """Standard deviation of normal residuals around 0, from their median size.

    ``scipy.stats.median_abs_deviation`` does the same for deviations from the median, but takes
    half a second to import.
    """
    return SIGMA_PER_MAD * float(np.median(np.abs(residuals)))


def finite_median(values: Floats) -> float:
    """Median of the finite values; 0 where there are none."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def rank(values: Floats) -> Floats:
    """Ranks from 0 (lowest) to 1; equal values share theirs, as in ``scipy.stats.rankdata``."""
    if len(values) < 2:
        return np.zeros(len(values))
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + up_to - 1) / (2 * (len(values) - 1))
