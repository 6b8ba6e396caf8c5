"""How far off each frame is: against the frames around it on the sample, robustly.

A number that changes at an edge of the sample changes for its neighbours, too. So each feature is
compared with the median of its neighbours on the sample, and what is left with how much is left
of theirs. Median and MAD: P. J. Rousseeuw, C. Croux, J. Am. Stat. Assoc. 88, 1273 (1993).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Values = NDArray[np.float64]
Neighbours = NDArray[np.int64]
"""(n, k) rows around each row."""

NEIGHBOURS = 16
SIGMA = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
SPREAD, WIDTH = 0.75, 1.1503
"""Quantile of the neighbours' |residuals|, and what it is of a normal distribution of deviation 1.

Of 16 neighbours four may be spoiled, too, as in a burst along a row; an edge of the sample that
crosses the neighbourhood reaches more than four.
"""
WHOLE = 0.03
"""A change that is small beside what the whole sample does is no defect."""
LIMIT = 1e3
"""Deviations are cut here: more says nothing more."""


@dataclass(frozen=True, eq=False)
class Deviation:
    """Of each row, the largest robust z of its features and the feature that has it."""

    z: Values
    reason: NDArray[np.str_]


def neighbours(positions_m: Values, slot: NDArray[np.int64], count: int = NEIGHBOURS) -> Neighbours:
    """The ``count`` nearest rows of each row, without itself, among those of the same ``slot``.

    Exposures of one position may differ in exposure time: ``slot`` is which of them a row is.
    """
    found = np.empty((len(positions_m), count), np.int64)
    for one in np.unique(slot):
        rows = np.flatnonzero(slot == one)
        k = min(count + 1, len(rows))
        _, near = cKDTree(positions_m[rows]).query(positions_m[rows], k=k)
        near = rows[np.asarray(near).reshape(len(rows), k)]
        # Where frames share a place, a row need not be the first of its own neighbours.
        own = near == rows[:, None]
        own[~own.any(1), -1] = True
        others = near[~own].reshape(len(rows), k - 1) if k > 1 else near
        found[rows] = np.resize(others.T, (count, len(rows))).T
    return found


def local_z(values: Values, around: Neighbours, least: float = 0.0) -> Values:
    """Robust z of each value against its neighbours; 0 where there is no value.

    The scale is the spread of the neighbours' own residuals, at least that of the whole scan's
    residuals, at least 3 % of the spread of the values, and at least ``least``.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    middle = float(np.median(values[known]))
    filled = np.where(known, values, middle)
    residual = filled - np.median(filled[around], axis=1)
    size = np.abs(residual)
    local = np.quantile(size[around], SPREAD, axis=1) / WIDTH
    floor = max(float(np.median(size)), WHOLE * float(np.median(np.abs(filled - middle))))
    # Where more than half of a scan agrees to the last digit, the mean says what a digit is.
    floor = floor or float(size.mean()) or 1.0
    scale = np.maximum(np.maximum(local, SIGMA * floor), least)
    return np.where(known, (residual / scale).clip(-LIMIT, LIMIT), 0)


def largest(z: Mapping[str, Values]) -> Deviation:
    """The largest |z| of each row over all features, and its name."""
    names, sizes = np.array(list(z)), np.abs(np.stack(list(z.values())))
    best = sizes.argmax(0)
    return Deviation(sizes.max(0), names[best])


def rank(values: Values) -> Values:
    """Ranks from 0 (lowest) to 1; equal values share theirs."""
    if len(values) < 2:
        return np.zeros(len(values))
    ordered = np.sort(values)  # scipy.stats.rankdata says the same and takes 0.7 s to import
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + up_to - 1) / (2 * (len(values) - 1))


def combined(features: Values, embedding: Values, weight: float) -> Values:
    """Score 0 … 1: w·rank(features) + (1−w)·rank(embedding)."""
    return weight * rank(features) + (1 - weight) * rank(embedding)
