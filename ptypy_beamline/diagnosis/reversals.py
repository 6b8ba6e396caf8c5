"""Runs of frames whose positions are listed backwards, amid others that are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Float32s, Floats
from .breaks import Stretch
from .candidates import Outcome
from .neighbours import Pairing
from .slips import links, near_m

LEAST, TELLING, TRIED = 8, 8.0, 2
"""Frames of such a run at least, evidence for it, and how many runs are reconstructed."""


@dataclass(frozen=True)
class Reversal:
    """Raw frames ``first`` to ``last``, which fit better the other way round."""

    first: int
    last: int
    outcome: Outcome


def reversals(stretch: Stretch) -> list[Reversal]:
    """Of one survey without breaks the runs that convince, the likeliest first."""
    places = stretch.places
    given_m = places.at(stretch.lags)
    found: list[Reversal] = []
    for _, first, last in likeliest(stretch.of_places, given_m)[:TRIED]:
        turned_m = given_m.copy()
        turned_m[first : last + 1] = given_m[first : last + 1][::-1]
        contest = stretch.trial.against(Pairing.at(places.settings, turned_m))
        outcome = contest.won_by() if contest else None
        if outcome:
            a, b = places.exposures[[first, last]].tolist()
            found.append(Reversal(a, b, outcome))
    return found


def likeliest(table: Float32s, places_m: Floats) -> list[tuple[float, int, int]]:
    """Runs (evidence, first row, last row) that do not overlap, with the most evidence first.

    A frame k of a run that is turned round about c/2 lies at the place of frame c − k. Only links
    of one frame in the run and one outside of it tell; these are, for all runs about one c, those
    whose ends lie on both sides of its edge.
    """
    n = len(table)
    i, j = links(places_m, near_m(places_m))
    if not len(i):
        return []
    runs: list[tuple[float, int, int]] = []
    for c in range(LEAST - 1, 2 * n - LEAST):
        most = min(c, 2 * (n - 1) - c)  # twice the half width of the widest run
        away = np.abs(2 * i - c), np.abs(2 * j - c)
        inner, outer = np.where(away[0] < away[1], (i, j), (j, i))
        near, far = np.minimum(*away), np.maximum(*away)
        some = (near <= most) & (near < far)
        inner, outer, near, far = inner[some], outer[some], near[some], far[some].clip(0, most + 1)
        gain = table[c - inner, outer] - table[inner, outer]
        total = np.cumsum(np.bincount(near, gain, most + 2) - np.bincount(far, gain, most + 2))[
            : most + 1
        ]
        width = int(np.argmax(total))
        width -= (width - c) % 2  # both ends are rows
        first, last = (c - width) // 2, (c + width) // 2
        if last - first + 1 >= LEAST and total[width] > TELLING:
            runs.append((float(total[width]), first, last))
    found: list[tuple[float, int, int]] = []
    for run in sorted(runs, reverse=True):
        if all(run[2] < other[1] or run[1] > other[2] for other in found):
            found.append(run)
    return found
