"""How far off each frame is: against the frames around it on the sample, robustly.

A number that changes across the sample changes for a frame's neighbours, too. So each feature is
foretold from the neighbours on the sample, and what is left is compared with what is left there and
in the whole scan. Local linear regression: W. S. Cleveland, J. Am. Stat. Assoc. 74, 829 (1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints

NEIGHBOURS = 16
SIGMA = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
SPREAD, WIDTH = 0.75, 1.1503
"""Quantile of the neighbours' |residuals|, and what it is of a normal distribution of deviation 1.

Of 16 neighbours four may be spoiled, too, as in a burst along a row; an edge of the sample that
crosses the neighbourhood reaches more than four.
"""
CLOSEST, SECOND = 6, 1.2
"""A particle is in few frames: the second largest of so many of the nearest, and what that is."""
WHOLE, WHOLE_WIDTH = 0.95, 1.96
"""The same of all frames. Most of a scan may be empty, and its edges elsewhere."""
OUTLIER, TURNS = 6.0, 2
"""Neighbours that are off by more foretell nothing, and how often that is settled."""
BLOCK = 20_000
"""Rows of which weights are computed at a time, for the sake of memory."""
LIMIT = 1e3
"""Deviations are cut here: more says nothing more."""


@dataclass(frozen=True, eq=False)
class Around:
    """The neighbours of each row, and what foretells it from them.

    Attributes
    ----------
    rows
        (n, k) the neighbours.
    weights
        (n, k) of their values: the sum is that of a plane, fitted to near ones more, at the row.
    """

    rows: Ints
    weights: Floats

    @classmethod
    def of(cls, positions_m: Floats, slot: Ints, first: int = 0, last: int = NEIGHBOURS) -> Around:
        """Neighbours as :func:`neighbours` has them, the ``first`` nearest to the ``last``."""
        rows = neighbours(positions_m, slot, last)[:, first:]
        parts = [slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)]
        weights = [_weights(positions_m[rows[part]] - positions_m[part, None]) for part in parts]
        return cls(rows, np.concatenate(weights))

    def residuals(self, values: Floats) -> Floats:
        """(n,) what the neighbours do not foretell; those that are off themselves do not count."""
        foretold = np.median(values[self.rows], axis=1)
        residual = values - foretold
        for _ in range(TURNS):
            size = np.abs(residual)
            usual = np.maximum(self._local(size), SIGMA * np.median(size))
            usable = np.where(size > OUTLIER * usual, foretold, values)
            foretold = (self.weights * usable[self.rows]).sum(axis=1)
            residual = values - foretold
        return np.asarray(residual)

    def scale(self, residual: Floats) -> Floats:
        """(n,) size of a deviation of 1: the largest of the neighbours' and the whole scan's."""
        size = np.abs(residual)
        nearest = np.sort(size[self.rows[:, :CLOSEST]], axis=1)[:, -2] / SECOND
        whole = float(np.quantile(size, WHOLE)) / WHOLE_WIDTH
        return np.asarray(np.maximum(np.maximum(self._local(size), nearest), whole))

    def _local(self, size: Floats) -> Floats:
        return np.asarray(np.quantile(size[self.rows], SPREAD, axis=1) / WIDTH)


def _weights(offset: Floats) -> Floats:
    """(n, k) for neighbours at ``offset`` (n, k, 2) of each row."""
    away = np.linalg.norm(offset, axis=2)
    reach = np.maximum(np.median(away, axis=1), np.finfo(float).tiny)[:, None]
    near = np.exp(-0.5 * (away / reach) ** 2)
    plane = np.concatenate([np.ones((*away.shape, 1)), offset / reach[..., None]], axis=2)
    normal = np.einsum("nki,nk,nkj->nij", plane, near, plane)
    normal += np.diag([0, 1e-6, 1e-6])  # a line of positions fits many planes
    at_row = np.linalg.solve(normal, np.broadcast_to(np.eye(3)[:, :1], (len(normal), 3, 1)))[..., 0]
    return np.asarray(np.einsum("ni,nki,nk->nk", at_row, plane, near))


def neighbours(positions_m: Floats, slot: Ints, count: int = NEIGHBOURS) -> Ints:
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


def local_z(values: Floats, around: Around, least: float) -> Floats:
    """(n,) robust z of each value against its neighbours, at most ``LIMIT``; 0 without a value.

    A deviation of 1 is as :meth:`Around.scale` has it, at least ``least``.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    residual = around.residuals(np.where(known, values, np.median(values[known])))
    scale = np.maximum(around.scale(residual), least)
    return np.where(known, (residual / scale).clip(-LIMIT, LIMIT), 0)


def rank(values: Floats) -> Floats:
    """Ranks from 0 (lowest) to 1; equal values share theirs."""
    if len(values) < 2:
        return np.zeros(len(values))
    ordered = np.sort(values)  # scipy.stats.rankdata says the same and takes 0.7 s to import
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + up_to - 1) / (2 * (len(values) - 1))


def combined(features: Floats, embedding: Floats, weight: float) -> Floats:
    """Score 0 … 1: w·rank(features) + (1−w)·rank(embedding)."""
    return weight * rank(features) + (1 - weight) * rank(embedding)
