"""Whether frames and positions belong together all along a scan, or come apart in its middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import BeamlineError, silenced_warnings
from ..planning.plan import Plan
from ..planning.selection import select
from ..scan import Scan
from ..settings import Settings
from ..summary import Finding
from .breaks import Break, Stretch, joined
from .candidates import Outcome
from .evidence import FEWEST, survey
from .remedy import finding
from .reversals import Reversal, reversals
from .slips import Places
from .strays import Strays, strays

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
