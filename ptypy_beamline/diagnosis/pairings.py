"""Ways of pairing exposures with positions, and which exposures are then neighbours."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints
from ..errors import BeamlineError, silenced_warnings
from ..planning.selection import select
from ..positions import step_m
from ..scan import Scan
from ..settings import Settings

RowPairs = tuple[Ints, Ints]

NEIGHBOUR_STEPS = 1.5
"""Positions up to this many steps apart are neighbours."""

SHIFTS = (1, -1, 2, -2, 3, -3)
FAR_SHIFTS = (*range(-12, -3), *range(4, 13))
"""Frames by which a pairing may be off, and by which it rarely is."""


def paired_positions_m(scan: Scan, settings: Settings, exposures: Ints) -> Floats:
    """(n, 2) position of each of the raw ``exposures`` (n,), increasing; NaN where it has none.

    Raises
    ------
    BeamlineError
        No position is left.
    """
    with silenced_warnings():  # reported for the scan's own plan
        selection = select(scan, settings)
    raw = selection.exposures[:, 0]
    kept = np.isin(raw, exposures)
    positions_m = np.full((len(exposures), 2), np.nan)
    positions_m[np.searchsorted(exposures, raw[kept])] = selection.positions_m[kept]
    return positions_m


@dataclass(frozen=True, eq=False)
class Pairing:
    """One way of pairing frames with positions.

    Attributes
    ----------
    settings
        Settings that give it, each exposure a position of its own.
    positions_m
        (n, 2) position of each exposure; NaN where the pairing has none.
    neighbours
        Pairs of exposures that are neighbours, the lower number first.
    """

    settings: Settings
    positions_m: Floats
    neighbours: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, scan: Scan, settings: Settings, exposures: Ints) -> Pairing:
        """Of the raw ``exposures`` (n,), increasing."""
        return cls.at(settings, paired_positions_m(scan, settings, exposures))

    @classmethod
    def at(cls, settings: Settings, positions_m: Floats) -> Pairing:
        """Of exposures at ``positions_m`` (n, 2)."""
        i, j = neighbour_rows(positions_m, neighbour_reach_m(positions_m))
        pairs = frozenset(zip(i.tolist(), j.tolist(), strict=True))
        return cls(settings, positions_m, pairs)


def as_rows(pairs: Collection[tuple[int, int]]) -> Ints:
    """(m, 2) array of pairs of exposures."""
    return np.array([*pairs], np.int64).reshape(-1, 2)


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

    def pairing(self, lags: Ints) -> Pairing:
        """Of exposures that belong ``lags`` (n,) positions later."""
        return Pairing.at(self.settings, self.at(lags))

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
            given = self.settings.positions
            shifted = given.model_copy(update={"shift": given.shift - lag})
            plain = {"positions": shifted, "reject": None, "monitor": False, "num_frames": None}
            settings = self.settings.model_copy(update=plain)
            try:
                self._known[lag] = paired_positions_m(self.scan, settings, self.exposures)
            except BeamlineError:
                self._known[lag] = np.full((len(self.exposures), 2), np.nan)
        return self._known[lag]


def neighbour_reach_m(positions_m: Floats) -> float:
    """Distance up to which positions are neighbours."""
    known = positions_m[np.isfinite(positions_m).all(axis=1)]
    return NEIGHBOUR_STEPS * step_m(np.unique(known, axis=0))


def neighbour_rows(positions_m: Floats, reach_m: float) -> RowPairs:
    """Rows (i, j), i < j, whose positions are neighbours."""
    rows = np.flatnonzero(np.isfinite(positions_m).all(axis=1))
    tree = cKDTree(positions_m[rows])
    i, j = np.sort(rows[tree.query_pairs(reach_m, output_type="ndarray")], axis=1).T
    return i, j


def pairs_within(positions_m: Floats, others_m: Floats, reach_m: float) -> RowPairs:
    """Rows (i, j) of two lists of positions that are neighbours."""
    rows, others = (
        np.flatnonzero(np.isfinite(all_m).all(axis=1)) for all_m in (positions_m, others_m)
    )
    trees = cKDTree(positions_m[rows]), cKDTree(others_m[others])
    met = trees[0].sparse_distance_matrix(trees[1], reach_m, output_type="coo_matrix")
    return rows[met.row], others[met.col]
