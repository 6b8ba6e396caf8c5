"""Warnings of positions at which the frames were hardly taken: readings that were lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..arrays import Floats, Ints
from ..errors import warn
from ..options import as_listed

STUCK = 3
"""So many positions in a row that are exactly the same are no scan, where most differ."""

MIDDLE, FAR, FEWEST = 0.9, 10.0, 8
"""Share of the positions that span the usual extent of a scan; so many times that extent outside
of them no position is; and how many there must be to tell."""


def warn_about_positions(exposures: Ints, positions_m: Floats, file: Path | None) -> None:
    """Of positions that do not change for a while, and of those far outside the scan.

    Parameters
    ----------
    exposures
        (m, k) raw frames; −1 = left out.
    positions_m
        (m, 2) of these, finite.
    """
    first = np.where(exposures < 0, np.iinfo(np.int64).max, exposures).min(axis=1)
    # Frames may be listed in another order, or twice.
    rows = np.unique(first, return_index=True)[1]
    exposures, positions_m = exposures[rows], positions_m[rows]
    for start, stop in stuck(positions_m):
        y, x = positions_m[start]
        frames = as_listed(exposures[start:stop])
        warn(
            f"positions of frames {frames} are all the same, (y, x) = ({y:.6g}, {x:.6g}) m: the "
            f"stage stood still, or its readings were lost; leave these frames out (--reject "
            f"{frames}) unless they were taken there",
            file,
        )
    away_m, extent_m = outside(positions_m)
    far = away_m > FAR * extent_m
    if far.any():
        frames = as_listed(exposures[far])
        warn(
            f"positions up to {away_m.max():.3g} m outside the scan, most of which is "
            f"{extent_m:.3g} m wide: their readings are probably wrong (frames {frames}); leave "
            f"these frames out (--reject {frames}), or check paths.x and paths.y (--path x=PATH "
            "--path y=PATH)",
            file,
        )


def stuck(positions_m: Floats) -> list[tuple[int, int]]:
    """Runs [start, stop) of exactly the same position, where most positions are distinct."""
    moves = np.flatnonzero((np.diff(positions_m, axis=0) != 0).any(axis=1)) + 1
    edges = np.concatenate([[0], moves, [len(positions_m)]])
    long = np.diff(edges) >= STUCK
    if not long.any() or 2 * len(np.unique(positions_m, axis=0)) <= len(positions_m):
        return []
    return list(zip(edges[:-1][long].tolist(), edges[1:][long].tolist(), strict=True))


def outside(positions_m: Floats) -> tuple[Floats, float]:
    """(m,) distance of each position from the box of the middle ones, and the longer side of it.

    Nothing is outside where they are few, or most are the same.
    """
    none = np.zeros(len(positions_m)), np.inf
    if len(positions_m) < FEWEST:
        return none
    tail = (1 - MIDDLE) / 2
    low = np.quantile(positions_m, tail, axis=0, method="higher")
    high = np.quantile(positions_m, 1 - tail, axis=0, method="lower")
    extent_m = float((high - low).max())
    if not extent_m > 0:
        return none
    beyond = np.maximum(0, np.maximum(low - positions_m, positions_m - high))
    return np.asarray(np.hypot(*beyond.T), np.float64), extent_m
