"""How likely it is that frames are paired right or were lost, from the similarity of neighbours.

If ``lag`` frames are lost before row ``first``, all frames from there on belong that many positions
later than given. Neighbours on the sample are similar. The log-likelihood ratio
(here called evidence) of each such pairing against the given one is computed for all rows and lags
at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ..arrays import Float32s, Floats, Ints
from .pairings import (
    LaggedPositions,
    Pairing,
    RowPairs,
    as_rows,
    neighbour_reach_m,
    neighbour_rows,
    pairs_within,
)

BINS, CLIP = 32, 3.0
"""Classes of dissimilarity, and the most evidence that one pair of frames may give."""

RING = 3.0
"""Neighbours are compared with positions up to this many times as far apart."""


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

    Lags for which no frame has a position are left out. ``lags`` (n,): those assumed right so far.
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
        x, y = pairs_within(given_m, moved_m, reach_m)
        x, y = x[x + gap < y], y[x + gap < y]
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
    now = pairs_within(given_m, given_m, reach_m)
    moved = {lag: pairs_within(lagged.at(lags + lag), given_m, reach_m) for lag in tried}
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


FEWEST_PAIRS = 8


@dataclass(frozen=True)
class Similarity:
    """How a pairing's neighbours compare with those of the given one, where the two differ.

    Attributes
    ----------
    chance
        Probability that they are more similar by chance (rank test of H. Mann and D. Whitney,
        Ann. Math. Stat. 18, 50 (1947)); 1 where too few differ.
    share
        Fraction of comparisons between its own neighbours and those of the given pairing in which
        its own are more similar.
    """

    chance: float
    share: float

    @classmethod
    def of(cls, pairing: Pairing, given: Pairing, patterns: Float32s) -> Similarity:
        """Of the neighbours in only one of the two; ``patterns`` of a ``FrameFeatures``."""
        own = as_rows(pairing.neighbours - given.neighbours)
        return cls.between(own, as_rows(given.neighbours - pairing.neighbours), patterns)

    @classmethod
    def of_neighbours(cls, pairing: Pairing, patterns: Float32s) -> Similarity:
        """Of all neighbours, compared with as many pairs of frames drawn at random."""
        return cls._of_pairs(as_rows(pairing.neighbours), patterns)

    @classmethod
    def in_order(cls, patterns: Float32s) -> Similarity:
        """Of frames taken one after another, likewise."""
        return cls._of_pairs(np.arange(len(patterns) - 1)[:, None] + (0, 1), patterns)

    @classmethod
    def _of_pairs(cls, neighbours: Ints, patterns: Float32s) -> Similarity:
        any_two = np.random.default_rng(0).integers(0, len(patterns), neighbours.shape)
        return cls.between(neighbours, any_two[any_two[:, 0] != any_two[:, 1]], patterns)

    @classmethod
    def between(cls, own: Ints, others: Ints, patterns: Float32s) -> Similarity:
        """Of pairs (n, 2) with others (m, 2)."""
        if min(len(own), len(others)) < FEWEST_PAIRS:
            return cls(1.0, 0.5)
        distances = [
            np.linalg.norm(patterns[a] - patterns[b], axis=1) for a, b in (own.T, others.T)
        ]
        return rank_test(*distances)


def rank_test(these: NDArray[Any], others: NDArray[Any]) -> Similarity:
    """Whether ``these`` (n,) are less than ``others`` (m,).

    As ``scipy.stats.mannwhitneyu(these, others, alternative="less", method="asymptotic")``,
    without the CPU second that importing it takes.
    """
    n, m = len(these), len(others)
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, these, side=side) for side in ("left", "right"))
    greater = float((below + up_to).sum()) / 2  # pairs in which the other is less, ties half
    _, tied = np.unique(np.concatenate([these, others]), return_counts=True)
    ties = float((tied.astype(float) ** 3 - tied).sum()) / ((n + m) * (n + m - 1))
    spread = np.sqrt(n * m / 12 * max(n + m + 1 - ties, 0.0))
    z = (n * m / 2 - greater - 0.5) / spread if spread else 0.0
    return Similarity(float(ndtr(-z)), 1 - greater / (n * m))
