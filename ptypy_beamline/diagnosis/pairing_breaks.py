"""Breaks in the pairing of frames and positions: rows from which frames are lost or added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import Float32s, Floats, Ints
from .frame_features import FEWEST, FrameFeatures
from .neighbour_likelihood import (
    dissimilarity,
    gains,
    log_likelihood_ratio,
)
from .pairing_comparison import PairingComparison
from .pairings import (
    FAR_SHIFTS,
    SHIFTS,
    LaggedPositions,
    Pairing,
    neighbour_reach_m,
    neighbour_rows,
)
from .short_reconstruction import Improvement

MOST_LOST, MOST_BREAKS = 100, 4
"""Most frames lost at one break, and most breaks in a segment."""

ALWAYS_TRIED = tuple(lag for lag in range(-6, 7) if lag)
"""Lags that are always tried, whatever the numbers of frames and positions."""

EVIDENCE, TRIED, RIVAL = 12.0, 3, 0.7
"""Evidence that a break needs to be reconstructed, how many breaks are, and the share of the
evidence of a confirmed one that a rival needs. Correct scans reach 20, since neighbouring pairs of
frames are not independent."""

RULED_OUT = 6.0
"""Evidence against a loss at which it is ruled out."""

SIMILAR = 100.0
"""Evidence for the given neighbours above which evidence against other lags counts."""

CLOSE = 6
"""Frames between two breaks that may be one, with some frames that fit neither side."""

DOUBT, MARGIN_ROWS = 9.0, 1
"""Loss of evidence that bounds a break's location, and rows added on either side. Of 297
simulated and measured losses, 98 % lay within these bounds, whose median width is 7 rows."""

EDGE = FEWEST // 2
"""Rows at either end where a break cannot be distinguished from a lag of all frames, or from
none."""


@dataclass(frozen=True)
class Break:
    """From raw frame ``frame`` on, frames belong ``lag`` positions later than those before it.

    Attributes
    ----------
    frame, lag
        The most likely values.
    first, last
        Range of frames before one of which the break lies.
    improvement
        By short reconstructions with the break corrected.
    """

    frame: int
    lag: int
    first: int
    last: int
    improvement: Improvement


def merge_close(breaks: Iterable[Break]) -> tuple[Break, ...]:
    """Breaks in the order of the scan; close ones are merged."""
    one_each: list[Break] = []
    for this in sorted(breaks, key=lambda one: one.frame):
        before = one_each[-1] if one_each else None
        if before is None or this.frame - before.frame > CLOSE:
            one_each.append(this)
            continue
        lag, more_certain = (
            before.lag + this.lag,
            max(before, this, key=lambda one: one.improvement.margin.t),
        )
        first, last = min(before.first, this.first), max(before.last, this.last)
        one_each[-1] = Break(this.frame, lag, first, last, more_certain.improvement)
    return tuple(one for one in one_each if one.lag)


@dataclass(frozen=True)
class CandidateBreak:
    """A break before row ``row``, or another row in ``within``, and the evidence for it."""

    gain: float
    row: int
    lag: int
    within: tuple[int, int]

    def on(self, lags: Ints) -> Ints:
        """(n,) how many positions later each row belongs, ``lags`` without this break."""
        return lags + np.where(np.arange(len(lags)) >= self.row, self.lag, 0)


@dataclass(frozen=True, eq=False)
class PairingSegment:
    """The pairing of one part of a scan, with the breaks found in it.

    Attributes
    ----------
    lagged, features
        Positions by lag, and features, of the frames of this part.
    dissimilarities
        Of its frames, see :func:`.neighbour_likelihood.dissimilarity`.
    lags
        (n,) how many positions later than given each row belongs.
    breaks
        In the order of the scan.
    """

    lagged: LaggedPositions
    features: FrameFeatures
    dissimilarities: Float32s
    lags: Ints
    breaks: tuple[Break, ...] = ()

    @classmethod
    def of(cls, lagged: LaggedPositions, features: FrameFeatures, lag: int = 0) -> PairingSegment:
        """With all breaks that reconstructions confirm; ``lag``: of the first row."""
        lags = np.full(len(features.positions), lag, np.int64)
        found = cls(lagged, features, dissimilarity(features.patterns), lags)
        while len(found.breaks) < MOST_BREAKS:
            more = found._with_next_break()
            if more is None:
                break
            found = more
        return found

    @cached_property
    def comparison(self) -> PairingComparison:
        """Of other pairings against the one with all breaks so far."""
        return PairingComparison(self.lagged.pairing(self.lags), self.features)

    @cached_property
    def position_evidence(self) -> Float32s:
        """(n, n) evidence that two frames are neighbours, assuming the present positions are right.

        See :func:`.log_likelihood_ratio`; exposures of one position count once.
        """
        positions_m = self.lagged.at(self.lags)
        known = np.isfinite(positions_m).all(axis=1)
        exposures = np.count_nonzero(known) / max(len(np.unique(positions_m[known], axis=0)), 1)
        table: Float32s = log_likelihood_ratio(self.dissimilarities, positions_m, True)
        table /= np.float32(max(exposures, 1) ** 2)
        return table

    def evidence_for_lags(self) -> dict[int, float]:
        """Evidence for a further lag of all rows, or against it if given neighbours are similar."""
        positions_m = self.lagged.at(self.lags)
        table = log_likelihood_ratio(self.dissimilarities, positions_m, False)
        close = table[neighbour_rows(positions_m, neighbour_reach_m(positions_m))].sum()
        least = -np.inf if close >= SIMILAR else 0.0
        gained = gains(table, self.lagged, self.lags, (*SHIFTS, *FAR_SHIFTS))
        return {lag: max(float(of_rows[0]), least) for lag, of_rows in gained.items()}

    def share_without_loss(self) -> tuple[float, int]:
        """Share of the rows before which a loss of few frames is ruled out; the last of them."""
        unused = self.lagged.unused_after(self.lags)
        few = range(1, min(unused, max(ALWAYS_TRIED)) + 1) if unused else (-1, 1)
        gained = [*self._gains(few, self.lags).values()]
        if not gained or len(self.lags) <= 2 * EDGE:
            return 0.0, 0
        out = np.max(gained, axis=0)[EDGE:-EDGE] <= -RULED_OUT
        last = int(np.flatnonzero(out)[-1]) if out.any() else 0
        return float(np.mean(out[: last + 1])), last + EDGE

    def _with_next_break(self) -> PairingSegment | None:
        """With the most likely further break that reconstructions confirm; None without one."""
        best: tuple[CandidateBreak, Pairing, Improvement] | None = None
        for candidate in self.candidates():
            if best and candidate.gain < RIVAL * best[0].gain:
                continue
            pairing = self.lagged.pairing(candidate.on(self.lags))
            improvement = self.comparison.improvement_of(pairing)
            if improvement and (
                best is None or PairingComparison(best[1], self.features).improvement_of(pairing)
            ):
                best = candidate, pairing, improvement
                if candidate.lag == self.lagged.unused_after(
                    self.lags
                ):  # all missing frames at one break
                    break
        return best and self._with_break(best[0], best[2])

    def _with_break(self, candidate: CandidateBreak, improvement: Improvement) -> PairingSegment:
        frame, first, last = self.lagged.exposures[[candidate.row, *candidate.within]].tolist()
        another = Break(frame, candidate.lag, first, last, improvement)
        breaks = sorted((*self.breaks, another), key=lambda one: one.frame)
        lags = candidate.on(self.lags)
        return PairingSegment(self.lagged, self.features, self.dissimilarities, lags, tuple(breaks))

    def candidates(self) -> Iterator[CandidateBreak]:
        """The most likely further breaks; first, if likely, the loss of all missing at once."""
        unused = self.lagged.unused_after(self.lags)
        tried = {*ALWAYS_TRIED, *range(1, min(unused, MOST_LOST) + 1), unused} - {0}
        roughly = _candidates(self._gains(tried))
        if not roughly:
            return
        candidates = _candidates(self._gains(tried, roughly[0].on(self.lags)))
        yield from (
            one for one in candidates if one.lag == unused and one.gain > candidates[0].gain / 2
        )
        peaks = [one for one in candidates if not _next_to_a_better_one(one, candidates)]
        yield from (one for one in peaks[:TRIED] if one.lag != unused)

    def _gains(self, tried: Iterable[int], right: Ints | None = None) -> dict[int, Floats]:
        """Evidence for further breaks; ``right``: lags that show how similar neighbours are."""
        lags = self.lags if right is None else right
        table = log_likelihood_ratio(self.dissimilarities, self.lagged.at(lags), right is not None)
        return gains(table, self.lagged, self.lags, tried)


def _candidates(gained: dict[int, Floats]) -> list[CandidateBreak]:
    """Those with enough evidence, also against a lag of all rows; the most likely first."""
    found = []
    for lag, of_rows in gained.items():
        inside = of_rows[EDGE:-EDGE]
        if len(inside):
            best = int(inside.argmax())
            gain = float(inside[best]) - max(float(of_rows[0]), 0.0)
            uncertain = np.flatnonzero(inside >= inside[best] - DOUBT)[[0, -1]] + EDGE
            within = int(uncertain[0]) - MARGIN_ROWS, int(uncertain[1]) + MARGIN_ROWS
            found.append(CandidateBreak(gain, best + EDGE, lag, within))
    return sorted((one for one in found if one.gain >= EVIDENCE), key=lambda one: -one.gain)


def _next_to_a_better_one(candidate: CandidateBreak, candidates: list[CandidateBreak]) -> bool:
    return any(
        abs(one.lag - candidate.lag) == 1 and one.gain > candidate.gain for one in candidates
    )
