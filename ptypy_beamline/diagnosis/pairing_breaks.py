"""Breaks in the pairing of one survey: rows from which on frames belong to later positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import Float32s, Floats, Ints
from .frame_features import FEWEST, Survey
from .neighbour_likelihood import Places, evidence, gains, links, near_m, unlikeness
from .pairing_comparison import FAR_SHIFTS, SHIFTS, Pairing, Trial
from .short_reconstruction import Outcome

MOST_LOST, MOST_BREAKS = 100, 4
"""Frames lost in one place, and places in a survey, that are looked for."""

ALWAYS = tuple(lag for lag in range(-6, 7) if lag)
"""Lags that are tried whatever the numbers of frames and positions."""

EVIDENCE, TRIED, RIVAL = 12.0, 3, 0.7
"""What a lag's neighbours must have for it to be reconstructed, how many lags are, and the share of
the evidence of one that convinces that another needs. Correct scans have up to 20, since
neighbouring pairs of frames say the same."""

RULED_OUT = 6.0
"""Evidence against a loss at which it is ruled out."""

TELLING = 100.0
"""Evidence for the given neighbours at which that against other lags counts."""

NEAR = 6
"""Frames between two breaks that may be one, of which some frames fit neither side."""

DOUBT, BESIDE = 9.0, 1
"""Evidence that a break may lack where it is, and rows that are doubted beside these. Of 297
simulated and measured losses 98 % lay in what this gives, which is 7 rows wide in the median."""

EDGE = FEWEST // 2
"""Rows at either end of a survey that tell no break from a lag of the whole, or from none."""


@dataclass(frozen=True)
class Break:
    """From raw frame ``frame`` on, frames belong ``lag`` positions later than those before it.

    Attributes
    ----------
    frame, lag
        The likeliest.
    first, last
        The break is before a frame of these, or before one between them.
    outcome
        What short reconstructions say about it.
    """

    frame: int
    lag: int
    first: int
    last: int
    outcome: Outcome


def joined(breaks: Iterable[Break]) -> tuple[Break, ...]:
    """Breaks in the order of the scan; those so close together that they are one, as one."""
    one_each: list[Break] = []
    for this in sorted(breaks, key=lambda one: one.frame):
        before = one_each[-1] if one_each else None
        if before is None or this.frame - before.frame > NEAR:
            one_each.append(this)
            continue
        lag, surer = before.lag + this.lag, max(before, this, key=lambda one: one.outcome.margin.t)
        first, last = min(before.first, this.first), max(before.last, this.last)
        one_each[-1] = Break(this.frame, lag, first, last, surer.outcome)
    return tuple(one for one in one_each if one.lag)


@dataclass(frozen=True)
class Guess:
    """A break before row ``row`` of a survey, or another ``within``, and the evidence for it."""

    gain: float
    row: int
    lag: int
    within: tuple[int, int]

    def on(self, lags: Ints) -> Ints:
        """(n,) how many positions later each row belongs, so far ``lags``."""
        return lags + np.where(np.arange(len(lags)) >= self.row, self.lag, 0)


@dataclass(frozen=True, eq=False)
class Stretch:
    """What is known of the pairing of one survey.

    Attributes
    ----------
    places, seen
        Of the survey.
    unlike
        Of its frames, see :func:`.neighbour_likelihood.unlikeness`.
    lags
        (n,) how many positions later than given each row belongs.
    breaks
        In the order of the scan.
    """

    places: Places
    seen: Survey
    unlike: Float32s
    lags: Ints
    breaks: tuple[Break, ...] = ()

    @classmethod
    def of(cls, places: Places, seen: Survey, lag: int = 0) -> Stretch:
        """With all breaks that convince; ``lag``: of the first row."""
        lags = np.full(len(seen.positions), lag, np.int64)
        found = cls(places, seen, unlikeness(seen.looks), lags)
        while len(found.breaks) < MOST_BREAKS:
            more = found._with_another()
            if more is None:
                break
            found = more
        return found

    @property
    def pairing(self) -> Pairing:
        """With all breaks so far."""
        return Pairing.at(self.places.settings, self.places.at(self.lags))

    @cached_property
    def trial(self) -> Trial:
        """Of other pairings against this one."""
        return Trial(self.pairing, self.seen)

    @cached_property
    def of_places(self) -> Float32s:
        """(n, n) evidence that two places are neighbours, these being taken for right.

        As in :func:`.neighbour_likelihood.evidence`; exposures of one position count once.
        """
        places_m = self.places.at(self.lags)
        known = np.isfinite(places_m).all(axis=1)
        exposures = np.count_nonzero(known) / max(len(np.unique(places_m[known], axis=0)), 1)
        table: Float32s = evidence(self.unlike, places_m, True)
        table /= np.float32(max(exposures, 1) ** 2)
        return table

    def of_all(self) -> dict[int, float]:
        """Evidence for a further lag of all rows, or against it if given neighbours look alike."""
        places_m = self.places.at(self.lags)
        table = evidence(self.unlike, places_m, False)
        close = table[links(places_m, near_m(places_m))].sum()
        least = -np.inf if close >= TELLING else 0.0
        gained = gains(table, self.places, self.lags, (*SHIFTS, *FAR_SHIFTS))
        return {lag: max(float(of_rows[0]), least) for lag, of_rows in gained.items()}

    def told(self) -> tuple[float, int]:
        """Where a loss of few frames, or a slip of one, is ruled out.

        The last row before which it is, and the share of the rows up to there.
        """
        spare = self.places.after(self.lags)
        few = range(1, min(spare, max(ALWAYS)) + 1) if spare else (-1, 1)
        gained = [*self._gains(few, self.lags).values()]
        if not gained or len(self.lags) <= 2 * EDGE:
            return 0.0, 0
        out = np.max(gained, axis=0)[EDGE:-EDGE] <= -RULED_OUT
        last = int(np.flatnonzero(out)[-1]) if out.any() else 0
        return float(np.mean(out[: last + 1])), last + EDGE

    def _with_another(self) -> Stretch | None:
        """With the likeliest further break that convinces and that no other beats."""
        best: tuple[Guess, Pairing, Outcome] | None = None
        for guess in self.guesses():
            if best and guess.gain < RIVAL * best[0].gain:
                continue
            pairing = Pairing.at(self.places.settings, self.places.at(guess.on(self.lags)))
            outcome = self.trial.of_another(pairing)
            if outcome and (best is None or Trial(best[1], self.seen).of_another(pairing)):
                best = guess, pairing, outcome
                if guess.lag == self.places.after(self.lags):  # all that is missing, in one place
                    break
        return best and self._broken(best[0], best[2])

    def _broken(self, guess: Guess, outcome: Outcome) -> Stretch:
        frame, first, last = self.places.exposures[[guess.row, *guess.within]].tolist()
        another = Break(frame, guess.lag, first, last, outcome)
        breaks = sorted((*self.breaks, another), key=lambda one: one.frame)
        lags = guess.on(self.lags)
        return Stretch(self.places, self.seen, self.unlike, lags, tuple(breaks))

    def guesses(self) -> Iterator[Guess]:
        """The likeliest further breaks; first, if likely, the loss in one place of all missing."""
        spare = self.places.after(self.lags)
        tried = {*ALWAYS, *range(1, min(spare, MOST_LOST) + 1), spare} - {0}
        roughly = _guesses(self._gains(tried))
        if not roughly:
            return
        guesses = _guesses(self._gains(tried, roughly[0].on(self.lags)))
        yield from (one for one in guesses if one.lag == spare and one.gain > guesses[0].gain / 2)
        peaks = [one for one in guesses if not _beside_a_better_one(one, guesses)]
        yield from (one for one in peaks[:TRIED] if one.lag != spare)

    def _gains(self, tried: Iterable[int], right: Ints | None = None) -> dict[int, Floats]:
        """Of further breaks; what neighbours look like is learnt from the lags taken for right."""
        lags = self.lags if right is None else right
        table = evidence(self.unlike, self.places.at(lags), right is not None)
        return gains(table, self.places, self.lags, tried)


def _guesses(gained: dict[int, Floats]) -> list[Guess]:
    """With enough evidence, also against a lag of all rows; the likeliest first."""
    found = []
    for lag, of_rows in gained.items():
        inside = of_rows[EDGE:-EDGE]
        if len(inside):
            best = int(inside.argmax())
            gain = float(inside[best]) - max(float(of_rows[0]), 0.0)
            doubted = np.flatnonzero(inside >= inside[best] - DOUBT)[[0, -1]] + EDGE
            within = int(doubted[0]) - BESIDE, int(doubted[1]) + BESIDE
            found.append(Guess(gain, best + EDGE, lag, within))
    return sorted((one for one in found if one.gain >= EVIDENCE), key=lambda one: -one.gain)


def _beside_a_better_one(guess: Guess, guesses: list[Guess]) -> bool:
    return any(abs(one.lag - guess.lag) == 1 and one.gain > guess.gain for one in guesses)
