"""Short reconstructions of two pairings of frames with positions, where these differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from ..arrays import Bools, Floats, Ints
from .candidates import HELD_OUT, RATIO, STUDENT_T, Outcome, Patch, folds, held_out_errors
from .evidence import Survey, liveliest
from .neighbours import NEIGHBOUR_STEPS, Pairing

TRIAL_FRAMES, FEWEST_UNSEEN = 120, 4
"""Neighbouring frames that are reconstructed, and those at least that differ and are held out."""

TURNS, RATIO_OF_FEW = 3, 1.1
"""Where few frames differ they are held out in so many turns, so that all of them count, and are to
be predicted better by so much."""

HOPELESS, ENOUGH = 1.1, 0.8
"""By how much worse a pairing may be that starts from the given one's probe to be tried at all, and
share of the frames that it must have places for to be judged so."""


@dataclass(frozen=True, eq=False)
class Contest:
    """Errors (m,) of unseen frames in the given pairing and in another.

    Attributes
    ----------
    given, other
        Of the same frames.
    ratio
        By which one must be better.
    """

    given: Floats
    other: Floats
    ratio: float

    def won_by(self, t: float = STUDENT_T) -> Outcome | None:
        """Of the other pairing, where it is better beyond doubt: by a Student's ``t``."""
        outcome = Outcome.of(self.given, self.other)
        return outcome if outcome.margin.surely(self.ratio, t) else None

    @property
    def lost(self) -> bool:
        """Whether the given pairing is better beyond doubt."""
        return Outcome.of(self.other, self.given).convinces(self.ratio)


@dataclass(frozen=True, eq=False)
class Trial:
    """Short reconstructions of the given pairing and of others, where they differ.

    Attributes
    ----------
    given
        The pairing that the others are compared with.
    seen
        The exposures, in the order in which they were taken.
    """

    given: Pairing
    seen: Survey

    def of_another(self, other: Pairing) -> Outcome | None:
        """By how much another pairing foretells the frames better that the difference concerns.

        None where the two hardly differ, or the other is not better beyond doubt.
        """
        contest = self.against(other)
        return contest.won_by() if contest else None

    def against(self, other: Pairing) -> Contest | None:
        """Errors of the frames that the difference concerns; None where there are hardly any.

        Another pairing that is hopeless from the probe that suits the given one gets none of its
        own; where its own makes it the better one, the given one gets one, too.
        """
        picked, concerned = self._where_they_differ(other)
        if np.count_nonzero(concerned) < FEWEST_UNSEEN:
            return None
        plain = Patch.of(self.seen, self.seen.positions[picked])
        turned = plain.turned(self.given.settings.turn)
        given, moved = (turned.at(pairing.places_m[picked]) for pairing in (self.given, other))
        turns = self._turns(other, picked, concerned)
        ratio = RATIO if len(turns) == 1 else RATIO_OF_FEW
        probe = given.engine.scaled(self._lively.probe)
        errors, quick = np.zeros(0), np.zeros(0)
        for unseen in turns:
            errors, quick = (
                np.append(before, held_out_errors(patch, unseen, probe=probe))
                for before, patch in ((errors, given), (quick, moved))
            )
            contest = Contest(errors, quick, ratio)
            hopeless = quick.mean() > HOPELESS * errors.mean()
            if hopeless and contest.lost:
                return contest
        if hopeless:
            return contest
        own = _own_probe(moved, turns)
        if own.mean() < errors.mean():  # the given one may have a better probe there, too
            errors = min(errors, _own_probe(given, turns), key=np.mean)
        return Contest(errors, own, ratio)

    def hopeless(self, other: Pairing) -> bool:
        """Whether another pairing foretells frames much worse, where these differ most.

        Cheap: both start from the probe that suits the given one.
        """
        picked, patch = self._picked, self._lively
        unseen, given = self._lively_errors
        places_m = other.places_m[picked]
        known: Bools = np.asarray(np.isfinite(places_m).all(axis=1))
        if known.mean() < ENOUGH:
            return False
        judges = known[unseen]
        there = patch.at(places_m).some(known)
        numbers = (np.cumsum(known) - 1)[unseen[judges]]
        errors = held_out_errors(there, numbers, probe=patch.probe)
        return bool(errors.mean() > HOPELESS * given[judges].mean())

    @cached_property
    def _picked(self) -> Ints:
        """Neighbouring exposures that differ most."""
        picked = np.searchsorted(self.seen.positions, liveliest(self.seen, TRIAL_FRAMES))
        return picked[np.isfinite(self.given.places_m[picked]).all(axis=1)]

    @cached_property
    def _lively(self) -> Patch:
        """Of these; its probe is what all trials start from."""
        patch = Patch.of(self.seen, self.seen.positions[self._picked])
        return patch.turned(self.given.settings.turn).at(self.given.places_m[self._picked])

    @cached_property
    def _lively_errors(self) -> tuple[Ints, Floats]:
        """Which of them are not seen, and their errors."""
        (unseen,) = folds(len(self._picked), 1)
        return unseen, held_out_errors(self._lively, unseen)

    def _turns(self, other: Pairing, picked: Ints, concerned: Ints) -> list[Ints]:
        """Which of the ``picked`` frames are held out, turn by turn.

        Where the other pairing only moves some of them otherwise than the rest, as at the ends of
        a raster's rows, it is those; else the ones most concerned.
        """
        move_m = other.places_m[picked] - self.given.places_m[picked]
        away_m = np.linalg.norm(move_m - np.median(move_m, axis=0), axis=1)
        few = np.flatnonzero(away_m > NEIGHBOUR_STEPS * self.given.step_m)
        if TURNS * FEWEST_UNSEEN // 2 <= len(few) < len(picked) // 2:
            few = np.random.default_rng(0).permutation(few)
            return [few[turn::TURNS] for turn in range(TURNS)]
        most = np.argsort(-concerned, kind="stable")
        return [most[: max(FEWEST_UNSEEN, len(picked) // HELD_OUT)]]

    def _where_they_differ(self, other: Pairing) -> tuple[Ints, Ints]:
        """Exposures (n,) around one that has different neighbours, and how many each has."""
        n = len(self.seen.positions)
        places_m = np.stack([self.given.places_m, other.places_m])
        usable: Bools = np.asarray(np.isfinite(places_m).all(axis=(0, 2)) & self.seen.lit)
        differing = np.array([*(self.given.links ^ other.links)], np.int64).ravel()
        concerned = np.where(usable, np.bincount(differing, minlength=n), 0)
        links = np.array([*(self.given.links | other.links)], np.int64).reshape(-1, 2)
        links = links[usable[links].all(axis=1)]
        if not concerned.any():
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), (n, n)).tocsr()
        first = np.flatnonzero(concerned)[np.count_nonzero(concerned) // 2]
        around = breadth_first_order(graph, first, directed=False, return_predecessors=False)
        picked = np.sort(around[:TRIAL_FRAMES]).astype(np.int64)
        return picked, np.asarray(concerned[picked], np.int64)


def _own_probe(patch: Patch, turns: list[Ints]) -> Floats:
    """(m,) errors of the frames held out in turn, from the probe that suits the patch best."""
    errors = [held_out_errors(patch, unseen, probe=patch.probe) for unseen in turns]
    return np.concatenate(errors)
