"""Two pairings of frames with positions compared: by similar neighbours, by reconstructions.

Of two pairings most neighbours are the same; those that only one of them has tell which is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order
from scipy.spatial import cKDTree
from scipy.special import ndtr

from ..arrays import Bools, Float32s, Floats, Ints
from ..errors import silenced_warnings
from ..planning.selection import select
from ..scan import Scan
from ..settings import Settings
from ..summary import step_m
from .frame_features import Survey, liveliest
from .short_reconstruction import HELD_OUT, RATIO, STUDENT_T, Outcome, Patch, folds, held_out_errors

NEIGHBOUR_STEPS = 1.5
"""Positions so many steps apart are neighbours."""

SHIFTS = (1, -1, 2, -2, 3, -3)
FAR_SHIFTS = (*range(-12, -3), *range(4, 13))
"""Frames by which a pairing may be off, and by which it hardly is."""

FEWEST_LINKS = 8


@dataclass(frozen=True, eq=False)
class Pairing:
    """One way of pairing frames with positions.

    Attributes
    ----------
    settings
        Those that make it, each exposure a position of its own.
    places_m
        (n, 2) where each exposure of the survey was taken; NaN where the pairing has none for it.
    links
        Pairs of exposures that are neighbours, the lower number first.
    """

    settings: Settings
    places_m: Floats
    links: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, scan: Scan, settings: Settings, exposures: Ints) -> Pairing:
        """Of the raw ``exposures`` (n,), increasing."""
        with silenced_warnings():  # said of the scan's own plan
            selection = select(scan, settings)
        kept = np.isin(selection.exposures[:, 0], exposures)
        numbers = np.searchsorted(exposures, selection.exposures[kept, 0])
        places_m = np.full((len(exposures), 2), np.nan)
        places_m[numbers] = selection.positions_m[kept]
        return cls.at(settings, places_m)

    @classmethod
    def at(cls, settings: Settings, places_m: Floats) -> Pairing:
        """Of exposures at ``places_m`` (n, 2)."""
        numbers = np.flatnonzero(np.isfinite(places_m).all(axis=1))
        near = NEIGHBOUR_STEPS * _step_m(places_m[numbers])
        pairs = cKDTree(places_m[numbers]).query_pairs(near, output_type="ndarray")
        ordered = np.sort(numbers[pairs], axis=1)
        return cls(settings, places_m, frozenset(map(tuple, ordered.tolist())))

    @property
    def step_m(self) -> float:
        """Median distance of neighbours."""
        return _step_m(self.places_m[np.isfinite(self.places_m).all(axis=1)])


def _step_m(places_m: Floats) -> float:
    return step_m(np.unique(places_m, axis=0))  # several exposures are at one place


@dataclass(frozen=True)
class Likeness:
    """How a pairing's neighbours compare with those of the given one, where the two differ.

    Attributes
    ----------
    chance
        Probability that they look more alike by chance (rank test of H. Mann and D. Whitney,
        Ann. Math. Stat. 18, 50 (1947)); 1 where too few differ.
    share
        Share of all comparisons of a link of its own with one of the given pairing's in which its
        own looks more alike.
    """

    chance: float
    share: float

    @classmethod
    def of(cls, pairing: Pairing, given: Pairing, looks: Float32s) -> Likeness:
        """Of the links that only one of the two has; ``looks`` of a ``Survey``."""
        own, others = (
            np.array([*links], np.int64).reshape(-1, 2)
            for links in (pairing.links - given.links, given.links - pairing.links)
        )
        return cls.compared(own, others, looks)

    @classmethod
    def of_neighbours(cls, pairing: Pairing, looks: Float32s) -> Likeness:
        """Of all neighbours, compared with as many pairs of frames drawn at random."""
        return cls._of_links(np.array([*pairing.links], np.int64).reshape(-1, 2), looks)

    @classmethod
    def in_order(cls, looks: Float32s) -> Likeness:
        """Of frames taken one after another, likewise."""
        return cls._of_links(np.arange(len(looks) - 1)[:, None] + (0, 1), looks)

    @classmethod
    def _of_links(cls, links: Ints, looks: Float32s) -> Likeness:
        any_two = np.random.default_rng(0).integers(0, len(looks), links.shape)
        return cls.compared(links, any_two[any_two[:, 0] != any_two[:, 1]], looks)

    @classmethod
    def compared(cls, own: Ints, others: Ints, looks: Float32s) -> Likeness:
        """Of links (n, 2) with others (m, 2)."""
        if min(len(own), len(others)) < FEWEST_LINKS:
            return cls(1.0, 0.5)
        unlike = [np.linalg.norm(looks[a] - looks[b], axis=1) for a, b in (own.T, others.T)]
        return ranked_less(*unlike)


def ranked_less(these: NDArray[Any], others: NDArray[Any]) -> Likeness:
    """Whether ``these`` (n,) are less than ``others`` (m,).

    As ``scipy.stats.mannwhitneyu(these, others, alternative="less", method="asymptotic")`` has it,
    without the CPU second that importing it takes.
    """
    n, m = len(these), len(others)
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, these, side=side) for side in ("left", "right"))
    greater = float((below + up_to).sum()) / 2  # pairs in which the other is less, ties half
    _, tied = np.unique(np.concatenate([these, others]), return_counts=True)
    ties = float((tied.astype(float) ** 3 - tied).sum()) / ((n + m) * (n + m - 1))
    spread = np.sqrt(n * m / 12 * max(n + m + 1 - ties, 0.0))
    z = (n * m / 2 - greater - 0.5) / spread if spread else 0.0
    return Likeness(float(ndtr(-z)), 1 - greater / (n * m))


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
