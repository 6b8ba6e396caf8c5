"""Frames amid a scan that belong to other positions than they have, while those around do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Floats, Ints
from .breaks import DOUBT, Stretch
from .candidates import Outcome
from .neighbours import SHIFTS, Pairing
from .slips import gains_of_runs

RUNS = (24, 36, 48, 72, 96)
"""Numbers of frames in a row that are looked for."""

EVIDENCE, TRIED = 9.0, 2
"""What a run's neighbours must have for it to be reconstructed, and how many runs are. Nine of ten
correct scans have less."""


@dataclass(frozen=True)
class Strays:
    """Raw frames ``first`` to ``last``, some of which fit ``lag`` positions later.

    ``outcome``: what short reconstructions say about it; None if these do not decide.
    """

    first: int
    last: int
    lag: int
    outcome: Outcome | None


@dataclass(frozen=True, eq=False)
class _Run:
    """Rows ``first`` to ``last`` of a survey, which may hold a run of the given ``lag``."""

    gain: float
    first: int
    last: int
    lag: int
    inner: slice

    def on(self, lags: Ints) -> Ints:
        """(n,) how many positions later each row belongs, so far ``lags``."""
        moved: Ints = lags.copy()
        moved[self.inner] += self.lag
        return moved


def strays(stretch: Stretch) -> list[Strays]:
    """Of one survey without breaks those that fit elsewhere, or as well there; the surest first."""
    found = []
    for run in _runs(stretch):
        places = stretch.places
        other = Pairing.at(places.settings, places.at(run.on(stretch.lags)))
        contest = stretch.trial.against(other)
        if contest and contest.lost:
            continue
        outcome = contest.won_by() if contest else None
        first, last = places.exposures[[run.first, run.last]].tolist()
        found.append(Strays(first, last, run.lag, outcome))
    return sorted(found, key=lambda one: one.outcome is None)


def _runs(stretch: Stretch) -> list[_Run]:
    """The likeliest runs that do not overlap."""
    gained = gains_of_runs(stretch.of_places, stretch.places, stretch.lags, SHIFTS, RUNS)
    likely = [_run(*which, of_rows) for which, of_rows in gained.items() if len(of_rows)]
    likely.sort(key=lambda run: -run.gain)
    taken: list[_Run] = []
    for run in likely:
        apart = all(run.first > other.last or run.last < other.first for other in taken)
        if run.gain >= EVIDENCE and apart and len(taken) < TRIED:
            taken.append(run)
    return taken


def _run(lag: int, count: int, of_rows: Floats) -> _Run:
    """The likeliest of runs of ``count`` rows; of runs nearly as likely all rows."""
    best = int(of_rows.argmax())
    near = np.abs(np.arange(len(of_rows)) - best) < count
    doubted = np.flatnonzero(near & (of_rows >= of_rows[best] - DOUBT))
    last = int(doubted[-1]) + count - 1
    return _Run(float(of_rows[best]), int(doubted[0]), last, lag, slice(best, best + count))
