"""Whether frames and positions stay paired all through a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Float32s, Floats, Ints
from ..errors import BeamlineError, silenced_warnings
from ..planning.plan import Plan
from ..planning.selection import select
from ..scan import Scan
from ..settings import Settings
from ..summary import Finding
from .frame_features import FEWEST, survey
from .neighbour_likelihood import Places, gains_of_runs, links, near_m
from .pairing_breaks import DOUBT, Break, Stretch, joined
from .pairing_comparison import SHIFTS, Pairing
from .proposed_settings import finding
from .short_reconstruction import Outcome

SURVEYS, OVERLAP = 6, 500
"""A long scan is looked at in so many surveys at most, that have so many positions in common."""

ENOUGH = 0.8
"""Share of the frames before which a loss is to be ruled out for a scan to be called sound."""


@dataclass(frozen=True)
class Along:
    """What frames say, all along a scan, about others that were lost.

    Attributes
    ----------
    breaks
        Where frames and positions come apart, in the order of the scan.
    told, until
        Up to raw frame ``until`` the share of the frames before which a loss is ruled out.
    last
        Raw frame up to which frames were looked at.
    whole
        Whether that is the last one.
    spare
        Positions after that of the last frame.
    strays
        Frames between others that fit elsewhere; where there are breaks none are looked for.
    reversals
        Frames whose positions are listed backwards; likewise.
    gains
        Evidence for further lags of all frames.
    cut
        Whether the settings leave out later positions, or move them all.
    open_lags
        Lags of all frames that nothing rules out.
    """

    breaks: tuple[Break, ...]
    told: float
    until: int
    last: int
    whole: bool
    spare: int
    strays: tuple[Strays, ...] = ()
    reversals: tuple[Reversal, ...] = ()
    gains: Mapping[int, float] = field(default_factory=dict)
    cut: bool = False
    open_lags: tuple[int, ...] = ()

    @classmethod
    def of(cls, scan: Scan, settings: Settings, plan: Plan) -> Along:
        """Of ``plan``, which has each exposure as a position of its own, as ``settings`` have."""
        breaks: list[Break] = []
        told: list[float] = []
        amid: list[Strays] = []
        turned: list[Reversal] = []
        gains: dict[int, float] = {}
        first, lag = 0, 0
        while True:
            seen = survey(plan, in_order=True, first=first)
            places = Places(scan, settings, plan.selection.exposures[seen.positions, 0])
            stretch = Stretch.of(places, seen, lag)
            breaks += stretch.breaks
            amid += [] if breaks else strays(stretch)
            turned += [] if breaks else reversals(stretch)
            gains = gains or stretch.of_all()
            share, row = stretch.told()
            told.append(share)
            lag, end = int(stretch.lags[-1]), int(seen.positions[-1]) + 1
            whole = end == len(plan)
            if whole or len(told) == SURVEYS:
                break
            known = np.searchsorted(places.exposures, [one.last for one in stretch.breaks])
            first += max(len(seen.positions) - OVERLAP, *known.tolist(), 1)
        return cls(
            joined(breaks),
            float(np.mean(told)),
            int(places.exposures[row]),
            int(places.exposures[-1]),
            whole,
            places.after(stretch.lags),
            () if breaks else tuple(amid),
            () if breaks else tuple(turned),
            gains,
            settings.num_frames is not None or settings.positions.shift != 0,
        )

    def findings(self, scan: Scan, settings: Settings) -> list[Finding]:
        """An error for each break, or for the surest frames amid others that fit elsewhere."""
        if self.reversals:
            return [_finding_of_reversals(self.reversals)]
        for one in self.strays[:1]:
            if one.outcome:
                return [_finding_of_strays(one, one.outcome)]
        return [
            _finding(self.breaks[: number + 1], scan, settings)
            for number in range(len(self.breaks))
        ]

    @property
    def words(self) -> str:
        """What was tested: that no frame was lost, and how far along the scan; and what was not."""
        doubted = " and ".join(f"{one.first} to {one.last}" for one in self.strays)
        doubts = [
            f"frames {doubted} fit other positions as well" if doubted else "",
            f"a lag of {' or '.join(map(str, self.open_lags))} would not show"
            if self.open_lags
            else "",
        ]
        return "; ".join([self._tested, *filter(None, doubts)])

    @property
    def _tested(self) -> str:
        if self.told < ENOUGH:
            return f"lost frames would show in {self.told:.0%} of the scan only"
        if not self.whole or self.last - self.until > FEWEST:
            why = "a loss would not show" if self.whole else "nothing was looked at"
            return f"no frame was lost up to about frame {self.until}, after it {why}"
        if self.spare and self.cut:
            return f"no frame was lost up to frame {self.last}, the last one used"
        if self.spare:
            return f"no frame was lost: the scan was stopped after frame {self.last}"
        return "no frame was lost"


def _finding(breaks: Sequence[Break], scan: Scan, settings: Settings) -> Finding:
    """The last of ``breaks``."""
    this, total = breaks[-1], sum(one.lag for one in breaks)
    so_far = f" ({abs(total)} in all)" if len(breaks) > 1 else ""
    what = (
        f"from {_some_frame(this)} on, frames and positions are off by {abs(this.lag)}{so_far}"
        f": corrected, the validation error near there is {this.outcome.other:.3f} instead of "
        f"{this.outcome.given:.3f}"
    )
    lost = f"{abs(this.lag)} frame{'s' * (abs(this.lag) > 1)}"
    cause = f"{lost} were lost there" if abs(this.lag) > 1 else f"{lost} was lost there"
    if this.lag < 0:
        cause = f"positions of {lost} were lost there, or so many were taken twice"
    remedy = _by_number(breaks, scan)
    leaving_out = _leaving_out(breaks, scan, settings)
    if leaving_out:
        remedy = f"and check again, as more may have been lost before it; if not, {remedy}"
    return finding("error", what, cause, leaving_out, remedy)


def _finding_of_strays(these: Strays, outcome: Outcome) -> Finding:
    side = "later" if these.lag > 0 else "earlier"
    what = (
        f"frames between {these.first} and {these.last} belong {abs(these.lag)} positions {side}: "
        f"corrected, the validation error there is {outcome.other:.3f} instead of "
        f"{outcome.given:.3f}"
    )
    cause = "frames or positions were lost before and after them, or their numbers are wrong"
    remedy = f"leave them out (--reject {these.first}-{these.last}) and check again"
    return finding("error", what, cause, remedy=remedy)


def _finding_of_reversals(these: Sequence[Reversal]) -> Finding:
    frames = ",".join(f"{one.first}-{one.last}" for one in these)
    outcome = these[0].outcome
    what = (
        f"the positions of frames {frames} are listed backwards: reversed, the validation error "
        f"there is {outcome.other:.3f} instead of {outcome.given:.3f}"
    )
    remedy = (
        f"leave them out (--reject {frames}), or write them reversed into another file (--path "
        "positions=OTHER.h5::/PATH)"
    )
    return finding("error", what, "the stage ran the other way there", remedy=remedy)


def _some_frame(this: Break) -> str:
    if this.first == this.last:
        return f"frame {this.frame}"
    return f"a frame between {this.first} and {this.last} (likeliest {this.frame})"


def _by_number(breaks: Sequence[Break], scan: Scan) -> str:
    """What joins frames and positions by number; of lost frames the numbers themselves."""
    if scan.numbers is not None or any(one.lag < 0 for one in breaks):
        return (
            "join them by number (--path frame_index=PATH --path position_index=PATH, a whole "
            "number for each frame and position)"
        )
    lost, before = [], 0
    for one in breaks:
        first = one.frame + before
        lost.append(f"{first}:{first + one.lag}")
        before += one.lag
    numbers = f"np.delete(np.arange({len(scan) + before}), np.r_[{', '.join(lost)}])"
    doubted = ",".join(f"{one.first}-{one.last - 1}" for one in breaks if one.first < one.last)
    return (
        f"number the frames, {numbers}, in a dataset of an HDF5 file (--path "
        "frame_index=OTHER.h5::/PATH)"
        + (
            f", without those that may belong to either side (--reject {doubted})"
            if doubted
            else ""
        )
    )


def _leaving_out(breaks: Sequence[Break], scan: Scan, settings: Settings) -> dict[str, Any]:
    """What leaves out all frames that a break may have moved, if it is the first."""
    if len(breaks) > 1:
        return {}
    whole = settings.model_copy(update={"num_frames": None})
    try:
        with silenced_warnings():  # of the scan's own plan
            exposures = select(scan, whole).exposures
    except BeamlineError:
        return {}
    before = int(np.count_nonzero((exposures < breaks[0].first).all(axis=1)))
    return {"num_frames": before} if before else {}


RUNS = (24, 36, 48, 72, 96)
"""Numbers of frames in a row that are looked for."""

EVIDENCE, RUNS_TRIED = 9.0, 2
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
        if run.gain >= EVIDENCE and apart and len(taken) < RUNS_TRIED:
            taken.append(run)
    return taken


def _run(lag: int, count: int, of_rows: Floats) -> _Run:
    """The likeliest of runs of ``count`` rows; of runs nearly as likely all rows."""
    best = int(of_rows.argmax())
    near = np.abs(np.arange(len(of_rows)) - best) < count
    doubted = np.flatnonzero(near & (of_rows >= of_rows[best] - DOUBT))
    last = int(doubted[-1]) + count - 1
    return _Run(float(of_rows[best]), int(doubted[0]), last, lag, slice(best, best + count))


LEAST, TELLING, REVERSALS_TRIED = 8, 8.0, 2
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
    for _, first, last in likeliest(stretch.of_places, given_m)[:REVERSALS_TRIED]:
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
