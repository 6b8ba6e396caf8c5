"""Prediction of a frame from its neighbours on the sample, and its deviation from it.

Whatever changes across the sample changes for a frame's neighbours, too. So each quantity is
predicted from the neighbours, and the residual is compared with those of the neighbours and of the
whole scan. Local linear regression: W. S. Cleveland, J. Am. Stat. Assoc. 74, 829 (1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints, Reals
from ..robust import robust_sigma

NEIGHBOURS = 16
QUANTILE, QUANTILE_SIGMAS = 0.75, 1.1503
"""Quantile of the neighbours' |residuals|, and its value for a standard normal distribution.

Of 16 neighbours four may be spoiled, too, as in a burst along a row; an edge of the sample that
crosses the neighbourhood reaches more than four.
"""
NEAREST, SECOND_SIGMAS = 6, 1.2
"""A particle is in few frames: the second largest of this many nearest residuals, and its value in
standard deviations."""
SCAN_QUANTILE, SCAN_QUANTILE_SIGMAS = 0.95, 1.96
"""As :data:`QUANTILE`, for all frames. Most of a scan may be empty, with edges elsewhere."""
OUTLIER, ITERATIONS = 6.0, 2
"""Neighbours that deviate by more sigmas are not used for predictions; number of iterations."""
BLOCK = 20_000
"""Rows of which weights are computed at a time, to limit memory."""
MAX_Z = 1e3
"""Deviations are clipped here."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The neighbours of each row on the sample, and the weights that predict it from them.

    Attributes
    ----------
    rows
        (n, k) the neighbours.
    weights
        (n, k) of their values: the sum is the value at the row of a plane fitted with weights
        decreasing with distance.
    """

    rows: Ints
    weights: Floats

    @classmethod
    def of(
        cls, positions_m: Floats, slot: Ints, first: int = 0, last: int = NEIGHBOURS
    ) -> Neighbours:
        """Neighbours as from :func:`nearest_rows`, from the ``first`` to the ``last`` nearest."""
        rows = nearest_rows(positions_m, slot, last)[:, first:]
        parts = [slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)]
        weights = [_weights(positions_m[rows[part]] - positions_m[part, None]) for part in parts]
        return cls(rows, np.concatenate(weights))

    def residuals(self, values: Floats) -> Floats:
        """(n,) difference from the prediction, to which outlying neighbours do not contribute."""
        predicted = np.median(values[self.rows], axis=1)
        residual = values - predicted
        for _ in range(ITERATIONS):
            size = np.abs(residual)
            usual = np.maximum(self._local_sigma(size), robust_sigma(size))
            usable = np.where(size > OUTLIER * usual, predicted, values)
            predicted = (self.weights * usable[self.rows]).sum(axis=1)
            residual = values - predicted
        return np.asarray(residual)

    def sigma(self, residual: Floats) -> Floats:
        """(n,) standard deviation: the largest of the neighbours' and the whole scan's."""
        size = np.abs(residual)
        nearest = np.sort(size[self.rows[:, :NEAREST]], axis=1)[:, -2] / SECOND_SIGMAS
        whole = float(np.quantile(size, SCAN_QUANTILE)) / SCAN_QUANTILE_SIGMAS
        return np.asarray(np.maximum(np.maximum(self._local_sigma(size), nearest), whole))

    def _local_sigma(self, size: Floats) -> Floats:
        return np.asarray(np.quantile(size[self.rows], QUANTILE, axis=1) / QUANTILE_SIGMAS)

    def residual_matrix(self) -> sparse.csr_matrix:
        """(n, n) matrix that turns values into their residuals."""
        n, k = self.rows.shape
        entries = self.weights.ravel(), (np.repeat(np.arange(n), k), self.rows.ravel())
        return sparse.csr_matrix(sparse.identity(n) - sparse.csr_matrix(entries, (n, n)))


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


def nearest_rows(positions_m: Floats, slot: Ints, count: int = NEIGHBOURS) -> Ints:
    """The ``count`` nearest rows of each row, without itself, among those of the same ``slot``.

    Exposures of one position may differ in exposure time: ``slot`` is which of them a row is.
    """
    found = np.empty((len(positions_m), count), np.int64)
    for one in np.unique(slot):
        rows = np.flatnonzero(slot == one)
        k = min(count + 1, len(rows))
        _, near = cKDTree(positions_m[rows]).query(positions_m[rows], k=k)
        near = rows[np.asarray(near).reshape(len(rows), k)]
        # Where several frames have one position, a row need not be its own first neighbour.
        own = near == rows[:, None]
        own[~own.any(1), -1] = True
        others = near[~own].reshape(len(rows), k - 1) if k > 1 else near
        found[rows] = np.resize(others.T, (count, len(rows))).T
    return found


def local_z(values: Floats, around: Neighbours, least: float) -> Floats:
    """(n,) robust z of each value against its neighbours, at most ``MAX_Z``; 0 without a value.

    The standard deviation is :meth:`Neighbours.sigma`, at least ``least``.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    residual = around.residuals(np.where(known, values, np.median(values[known])))
    sigma = np.maximum(around.sigma(residual), least)
    return np.where(known, (residual / sigma).clip(-MAX_Z, MAX_Z), 0)


def median_distance(points: Reals, rows: Ints, norm: str) -> Floats:
    """(n,) median distance of each point (n, d) from those of ``rows`` (n, k).

    ``norm``: ``mean`` of the absolute differences, or ``euclidean``.
    """
    out = np.empty(len(points))
    for start in range(0, len(points), 2000):
        part = slice(start, start + 2000)
        away = points[part, None] - points[rows[part]]
        size = np.abs(away).mean(-1) if norm == "mean" else np.linalg.norm(away, axis=-1)
        out[part] = np.median(size, axis=1)
    return out
