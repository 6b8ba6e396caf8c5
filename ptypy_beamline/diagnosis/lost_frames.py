"""Whether frames and positions stay paired all through a scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Float32s, Floats, Ints
from ..planning.plan import Plan
from ..scan import Scan
from ..settings import Settings
from .frame_features import FEWEST, measure_features
from .neighbour_likelihood import gains_of_runs
from .pairing_breaks import DOUBT, Break, PairingSegment, merge_close
from .pairings import SHIFTS, LaggedPositions, Pairing, neighbour_reach_m, neighbour_rows
from .short_reconstruction import Improvement

MOST_PARTS, OVERLAP = 6, 500
"""A long scan is examined in at most this many parts, which overlap by this many positions."""

ENOUGH = 0.8
"""Share of the frames before which a loss must be excluded for the scan to pass."""


@dataclass(frozen=True)
class LostFrames:
    """Where frames were lost or misplaced in a scan, and how far that was checked.

    Attributes
    ----------
    breaks
        Where the pairing of frames and positions breaks, in the order of the scan.
    share_checked, checked_until
        Share of the frames, up to raw frame ``checked_until``, before which a loss is excluded.
    last
        Last raw frame examined.
    complete
        Whether that is the last one of the scan.
    unused
        Positions after that of the last frame.
    misplaced
        Runs of frames that fit other positions; only searched for where there are no breaks.
    reversed_runs
        Runs of frames whose positions are listed backwards; likewise.
    gains
        Evidence for further lags of all frames.
    restricted
        Whether the settings leave out later positions, or shift them all.
    undecided_lags
        Lags of all frames that could not be excluded.
    """

    breaks: tuple[Break, ...]
    share_checked: float
    checked_until: int
    last: int
    complete: bool
    unused: int
    misplaced: tuple[MisplacedRun, ...] = ()
    reversed_runs: tuple[ReversedRun, ...] = ()
    gains: Mapping[int, float] = field(default_factory=dict)
    restricted: bool = False
    undecided_lags: tuple[int, ...] = ()

    @classmethod
    def of(cls, scan: Scan, settings: Settings, plan: Plan) -> LostFrames:
        """For a plan and settings in which each exposure is a position of its own."""
        breaks: list[Break] = []
        share_checked: list[float] = []
        misplaced: list[MisplacedRun] = []
        backwards: list[ReversedRun] = []
        gains: dict[int, float] = {}
        first, lag = 0, 0
        while True:
            features = measure_features(plan, in_order=True, first=first)
            lagged = LaggedPositions(
                scan, settings, plan.selection.exposures[features.positions, 0]
            )
            segment = PairingSegment.of(lagged, features, lag)
            breaks += segment.breaks
            misplaced += [] if breaks else misplaced_runs(segment)
            backwards += [] if breaks else reversed_runs(segment)
            gains = gains or segment.evidence_for_lags()
            share, row = segment.share_without_loss()
            share_checked.append(share)
            lag, end = int(segment.lags[-1]), int(features.positions[-1]) + 1
            complete = end == len(plan)
            if complete or len(share_checked) == MOST_PARTS:
                break
            known = np.searchsorted(lagged.exposures, [one.last for one in segment.breaks])
            first += max(len(features.positions) - OVERLAP, *known.tolist(), 1)
        return cls(
            merge_close(breaks),
            float(np.mean(share_checked)),
            int(lagged.exposures[row]),
            int(lagged.exposures[-1]),
            complete,
            lagged.unused_after(segment.lags),
            () if breaks else tuple(misplaced),
            () if breaks else tuple(backwards),
            gains,
            settings.num_frames is not None or settings.positions.shift != 0,
        )

    @property
    def summary(self) -> str:
        """What was tested: up to where no frame was lost, and what remains undecided."""
        uncertain = " and ".join(f"{one.first} to {one.last}" for one in self.misplaced)
        doubts = [
            f"frames {uncertain} fit other positions as well" if uncertain else "",
            f"a lag of {' or '.join(map(str, self.undecided_lags))} would not show"
            if self.undecided_lags
            else "",
        ]
        return "; ".join([self._checked, *filter(None, doubts)])

    @property
    def _checked(self) -> str:
        if self.share_checked < ENOUGH:
            return f"lost frames would show in {self.share_checked:.0%} of the scan only"
        if not self.complete or self.last - self.checked_until > FEWEST:
            why = "a loss would not show" if self.complete else "nothing was checked"
            return f"no frame was lost up to about frame {self.checked_until}, after it {why}"
        if self.unused and self.restricted:
            return f"no frame was lost up to frame {self.last}, the last one used"
        if self.unused:
            return f"no frame was lost: the scan was stopped after frame {self.last}"
        return "no frame was lost"


RUNS = (24, 36, 48, 72, 96)
"""Lengths of the runs of misplaced frames that are searched for."""

EVIDENCE, RUNS_TRIED = 9.0, 2
"""Evidence that a run needs to be reconstructed (nine of ten correct scans have less), and how
many runs are."""


@dataclass(frozen=True)
class MisplacedRun:
    """Raw frames ``first`` to ``last``, some of which fit ``lag`` positions later.

    ``improvement``: by short reconstructions; None where these do not decide.
    """

    first: int
    last: int
    lag: int
    improvement: Improvement | None


@dataclass(frozen=True, eq=False)
class _CandidateRun:
    """Rows ``first`` to ``last``, which may contain a run that lags by ``lag``."""

    gain: float
    first: int
    last: int
    lag: int
    inner: slice

    def on(self, lags: Ints) -> Ints:
        """``lags`` (n,) with this run's added."""
        moved: Ints = lags.copy()
        moved[self.inner] += self.lag
        return moved


def misplaced_runs(segment: PairingSegment) -> list[MisplacedRun]:
    """Runs that fit other positions better, or as well; the most certain first."""
    found = []
    for run in _candidate_runs(segment):
        lagged = segment.lagged
        result = segment.comparison.errors_of(lagged.pairing(run.on(segment.lags)))
        if result and result.is_worse:
            continue
        improvement = result.improvement() if result else None
        first, last = lagged.exposures[[run.first, run.last]].tolist()
        found.append(MisplacedRun(first, last, run.lag, improvement))
    return sorted(found, key=lambda one: one.improvement is None)


def _candidate_runs(segment: PairingSegment) -> list[_CandidateRun]:
    """The most likely runs, none overlapping another."""
    gained = gains_of_runs(segment.position_evidence, segment.lagged, segment.lags, SHIFTS, RUNS)
    likely = [_candidate_run(*which, of_rows) for which, of_rows in gained.items() if len(of_rows)]
    likely.sort(key=lambda run: -run.gain)
    taken: list[_CandidateRun] = []
    for run in likely:
        apart = all(run.first > other.last or run.last < other.first for other in taken)
        if run.gain >= EVIDENCE and apart and len(taken) < RUNS_TRIED:
            taken.append(run)
    return taken


def _candidate_run(lag: int, count: int, of_rows: Floats) -> _CandidateRun:
    """The most likely run of ``count`` rows; its bounds include runs that are nearly as likely."""
    best = int(of_rows.argmax())
    near = np.abs(np.arange(len(of_rows)) - best) < count
    uncertain = np.flatnonzero(near & (of_rows >= of_rows[best] - DOUBT))
    last = int(uncertain[-1]) + count - 1
    return _CandidateRun(
        float(of_rows[best]), int(uncertain[0]), last, lag, slice(best, best + count)
    )


SHORTEST, REVERSAL_EVIDENCE, REVERSALS_TRIED = 8, 8.0, 2
"""Shortest reversed run, evidence that it needs, and how many runs are reconstructed."""


@dataclass(frozen=True)
class ReversedRun:
    """Raw frames ``first`` to ``last``, which fit better with their positions reversed."""

    first: int
    last: int
    improvement: Improvement


def reversed_runs(segment: PairingSegment) -> list[ReversedRun]:
    """Runs that reconstructions confirm as reversed, the most likely first."""
    lagged = segment.lagged
    given_m = lagged.at(segment.lags)
    found: list[ReversedRun] = []
    reversals = most_likely_reversed_runs(segment.position_evidence, given_m)
    for _, first, last in reversals[:REVERSALS_TRIED]:
        reversed_m = given_m.copy()
        reversed_m[first : last + 1] = given_m[first : last + 1][::-1]
        other = Pairing.at(lagged.settings, reversed_m)
        improvement = segment.comparison.improvement_of(other)
        if improvement:
            a, b = lagged.exposures[[first, last]].tolist()
            found.append(ReversedRun(a, b, improvement))
    return found


def most_likely_reversed_runs(table: Float32s, positions_m: Floats) -> list[tuple[float, int, int]]:
    """Runs (evidence, first row, last row) that do not overlap, the most likely first.

    In a run that is reversed about c/2, frame k lies at the position of frame c − k. Only pairs of
    one frame inside the run and one outside contribute: for all runs about one c, the pairs whose
    members lie on either side of its edge.
    """
    n = len(table)
    i, j = neighbour_rows(positions_m, neighbour_reach_m(positions_m))
    if not len(i):
        return []
    runs: list[tuple[float, int, int]] = []
    for c in range(SHORTEST - 1, 2 * n - SHORTEST):
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
        if last - first + 1 >= SHORTEST and total[width] > REVERSAL_EVIDENCE:
            runs.append((float(total[width]), first, last))
    found: list[tuple[float, int, int]] = []
    for run in sorted(runs, reverse=True):
        if all(run[2] < other[1] or run[1] > other[2] for other in found):
            found.append(run)
    return found
