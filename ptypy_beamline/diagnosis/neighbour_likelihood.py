"""How likely it is that frames or positions were lost at some point of a scan, from neighbours.

If ``lag`` frames are lost before row ``first``, all frames from there on belong that many positions
later than given. Neighbours on the sample are similar. The log-likelihood ratio (here
called evidence) of each such pairing against the given one is computed for all rows and lags at
once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from ..arrays import Float32s, Floats, Ints
from ..errors import BeamlineError, silenced_warnings
from ..planning.selection import select
from ..positions import step_m
from ..scan import Scan
from ..settings import Settings
from .pairing_comparison import NEIGHBOUR_STEPS

RowPairs = tuple[Ints, Ints]

BINS, CLIP = 32, 3.0
"""Classes of dissimilarity, and the most evidence that one pair of frames may give."""

RING = 3.0
"""Neighbours are compared with positions up to this many times as far apart."""


@dataclass(frozen=True, eq=False)
class LaggedPositions:
    """Positions of exposures that belong to later positions than given.

    Attributes
    ----------
    scan, settings
        Of the scan; each exposure is a position of its own.
    exposures
        (n,) raw frames, increasing.
    """

    scan: Scan
    settings: Settings
    exposures: Ints
    _known: dict[int, Floats] = field(default_factory=dict)

    def at(self, lags: Ints) -> Floats:
        """(n, 2) positions of exposures that belong ``lags`` (n,) positions later, or NaN."""
        positions_m = np.full((len(self.exposures), 2), np.nan)
        for lag in np.unique(lags).tolist():
            rows = lags == lag
            positions_m[rows] = self._with_lag(lag)[rows]
        return positions_m

    def unused_after(self, lags: Ints) -> int:
        """Positions after that of the last exposure, which belongs ``lags[-1]`` later than given.

        At most as many as there are exposures, or a few more.
        """
        last, step = int(lags[-1]), 1
        while self._has_last(last + step) and step <= len(lags):
            step *= 2
        low, high = step // 2, step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._has_last(last + middle) else (low, middle)
        return low

    def _has_last(self, lag: int) -> bool:
        return bool(np.isfinite(self._with_lag(lag)[-1]).all())

    def _with_lag(self, lag: int) -> Floats:
        if lag not in self._known:
            positions_m = np.full((len(self.exposures), 2), np.nan)
            given = self.settings.positions
            shifted = given.model_copy(update={"shift": given.shift - lag})
            plain = {"positions": shifted, "reject": None, "monitor": False, "num_frames": None}
            with silenced_warnings():
                try:
                    selection = select(self.scan, self.settings.model_copy(update=plain))
                except BeamlineError:  # no position is left
                    return self._known.setdefault(lag, positions_m)
            raw = selection.exposures[:, 0]
            kept = np.isin(raw, self.exposures)
            positions_m[np.searchsorted(self.exposures, raw[kept])] = selection.positions_m[kept]
            self._known[lag] = positions_m
        return self._known[lag]


def dissimilarity(patterns: Float32s) -> Float32s:
    """(n, n) how dissimilar two frames are, by rank among all.

    The sum of the logarithms of both ranks: frames without a sample are all similar, which tells
    nothing about where they were taken.
    """
    similarity = patterns @ patterns.T
    order = np.argsort(-similarity, axis=1)
    ranks = np.empty_like(similarity)
    np.put_along_axis(ranks, order, np.arange(len(patterns), dtype=np.float32)[None], axis=1)
    ranks = np.log(np.maximum(ranks, 1))
    return np.asarray(ranks + ranks.T, np.float32)


def log_likelihood_ratio(dissimilarities: Float32s, positions_m: Floats, known: bool) -> Float32s:
    """(n, n) log-likelihood ratio that two frames are neighbours.

    Neighbours at ``positions_m`` are compared with any two frames; if the positions are ``known``
    to be right, with frames a little farther apart, which is more sensitive.
    """
    reach_m = neighbour_reach_m(positions_m)
    close = dissimilarities[neighbour_rows(positions_m, reach_m)]
    if not len(close):
        return np.zeros_like(dissimilarities)
    if known:
        i, j = neighbour_rows(positions_m, RING * reach_m)
        ring = np.linalg.norm(positions_m[i] - positions_m[j], axis=1) > reach_m
        others = dissimilarities[i[ring], j[ring]]
    else:
        others = dissimilarities[np.triu_indices(len(dissimilarities), 1)]
    edges = np.quantile(
        np.concatenate([close, others[:: max(1, len(others) // (4 * len(close)))]]),
        np.linspace(0, 1, BINS + 1)[1:-1],
    )
    share = [
        np.bincount(np.searchsorted(edges, values), minlength=BINS) + 1.0
        for values in (close, others)
    ]
    ratio = np.log(share[0] / share[0].sum()) - np.log(share[1] / share[1].sum())
    clipped = np.clip(ratio, -CLIP, CLIP).astype(np.float32)
    return np.asarray(clipped[np.searchsorted(edges, dissimilarities)])


def gains(
    table: Float32s, lagged: LaggedPositions, lags: Ints, tried: Iterable[int]
) -> dict[int, Floats]:
    """Evidence for each further lag from each row on: lag → (n + 1,), by the first row.

    Lags for which no frame has a position are left out. ``lags`` (n,): those
    assumed right so far.
    """
    n = len(lags)
    given_m = lagged.at(lags)
    reach_m = neighbour_reach_m(given_m)
    i, j = neighbour_rows(given_m, reach_m)
    before = _steps(n, [(j + 1, table[i, j])])  # of pairs that lie before each row
    found = {}
    for lag in tried:
        moved_m, gap = lagged.at(lags + lag), max(0, -lag)
        i, j = neighbour_rows(moved_m, reach_m)
        if not len(i):
            continue
        after = table[i, j].sum() - _steps(n, [(np.maximum(i - gap, -1) + 1, table[i, j])])
        x, y = neighbour_rows(given_m, reach_m, moved_m, gap)
        across = _steps(n, [(x + 1, table[x, y]), (y - gap + 1, -table[x, y])])
        found[lag] = before + after + across - before[-1]
    return found


def gains_of_runs(
    table: Float32s,
    lagged: LaggedPositions,
    lags: Ints,
    tried: Iterable[int],
    counts: Iterable[int],
) -> dict[tuple[int, int], Floats]:
    """Evidence for a further lag of some rows only: (lag, count) → (n - count + 1,), by the first.

    Neighbours among the ``count`` rows give no evidence. ``lags`` (n,): those of all other rows.
    """
    given_m = lagged.at(lags)
    reach_m = neighbour_reach_m(given_m)
    now = _pairs_within(given_m, given_m, reach_m)
    moved = {lag: _pairs_within(lagged.at(lags + lag), given_m, reach_m) for lag in tried}
    return {
        (lag, count): _across_runs(table, neighbour_rows, count) - _across_runs(table, now, count)
        for count in counts
        for lag, neighbour_rows in moved.items()
    }


def _across_runs(table: Float32s, neighbour_rows: RowPairs, count: int) -> Floats:
    """(n - count + 1,) evidence of pairs (i, j) with only i among ``count`` rows, by the first."""
    n, (i, j) = len(table), neighbour_rows
    first = np.maximum(np.where(j > i, i - count + 1, np.maximum(i - count, j) + 1), 0)
    last = np.where(j > i, np.minimum(i, j - count), i)
    some = (last >= first) & (i != j)
    i, j, first, last = i[some], j[some], first[some], last[some]
    return _steps(n, [(first, table[i, j]), (last + 1, -table[i, j])])[: max(0, n - count + 1)]


def _steps(n: int, changes: Iterable[tuple[Ints, Float32s]]) -> Floats:
    """(n + 1,) running sum of what is added at each row."""
    total = np.zeros(n + 2)
    for rows, values in changes:
        total += np.bincount(rows, values, n + 2)
    return np.asarray(np.cumsum(total)[: n + 1])


def neighbour_reach_m(positions_m: Floats) -> float:
    """Distance up to which positions are neighbours."""
    known = positions_m[np.isfinite(positions_m).all(axis=1)]
    return NEIGHBOUR_STEPS * step_m(np.unique(known, axis=0))


def neighbour_rows(
    positions_m: Floats, reach_m: float, later_m: Floats | None = None, gap: int = 0
) -> RowPairs:
    """Rows (i, j), i < j, whose positions are neighbours; j is taken from ``later_m``, if given."""
    rows = np.flatnonzero(np.isfinite(positions_m).all(axis=1))
    if not len(rows):
        return rows, rows
    if later_m is None:
        tree = cKDTree(positions_m[rows])
        pairs = np.sort(rows[tree.query_pairs(reach_m, output_type="ndarray")], axis=1)
        return pairs[:, 0], pairs[:, 1]
    i, j = _pairs_within(positions_m, later_m, reach_m)
    return i[i + gap < j], j[i + gap < j]


def _pairs_within(positions_m: Floats, others_m: Floats, reach_m: float) -> RowPairs:
    """Rows (i, j) of two lists of positions that are neighbours."""
    rows, others = (
        np.flatnonzero(np.isfinite(all_m).all(axis=1)) for all_m in (positions_m, others_m)
    )
    if not len(rows) or not len(others):
        return rows[:0], others[:0]
    trees = cKDTree(positions_m[rows]), cKDTree(others_m[others])
    met = trees[0].sparse_distance_matrix(trees[1], reach_m, output_type="coo_matrix")
    return rows[met.row], others[met.col]
