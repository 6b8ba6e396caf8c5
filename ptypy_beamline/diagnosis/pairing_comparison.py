"""Two pairings of frames with positions compared by short reconstructions.

Of two pairings most neighbours are the same; those that only one of them has decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from ..arrays import Bools, Floats, Ints
from .frame_features import FrameFeatures, most_varied
from .pairings import Pairing, as_rows, neighbour_reach_m
from .short_reconstruction import (
    HELD_OUT,
    PATCH_FRAMES,
    RATIO,
    STUDENT_T,
    Improvement,
    Patch,
    folds,
    held_out_errors,
)

FEWEST_HELD_OUT = 4
"""Fewest affected frames to hold out."""

GROUPS, RATIO_OF_FEW = 3, 1.1
"""Few affected frames are held out in this many groups, so that all of them count, and must be
predicted better by this ratio."""

CLEARLY_WORSE, ENOUGH = 1.1, 0.8
"""How much worse a pairing may be with the given one's probe and still be tried, and the share of
the frames that must have positions in it."""


@dataclass(frozen=True, eq=False)
class HeldOutErrors:
    """Errors (m,) of held-out frames in the given pairing and in another.

    Attributes
    ----------
    given, other
        Of the same frames.
    ratio
        Ratio of the errors required of the better one.
    """

    given: Floats
    other: Floats
    ratio: float

    def improvement(self, t: float = STUDENT_T) -> Improvement | None:
        """Of the other pairing, where it is better beyond doubt: by a Student's ``t``."""
        improvement = Improvement.of(self.given, self.other)
        return improvement if improvement.margin.exceeds(self.ratio, t) else None

    @property
    def is_worse(self) -> bool:
        """Whether the given pairing is better beyond doubt."""
        return Improvement.of(self.other, self.given).is_convincing(self.ratio)


@dataclass(frozen=True, eq=False)
class PairingComparison:
    """Short reconstructions of the given pairing and of others, where they differ.

    Attributes
    ----------
    given
        The pairing that the others are compared with.
    features
        Of the exposures, in the order in which they were taken.
    """

    given: Pairing
    features: FrameFeatures

    def improvement_of(self, other: Pairing) -> Improvement | None:
        """By how much another pairing predicts the affected frames better.

        None where the two hardly differ, or the other is not better beyond doubt.
        """
        result = self.errors_of(other)
        return result.improvement() if result else None

    def errors_of(self, other: Pairing) -> HeldOutErrors | None:
        """Errors of the frames that the difference affects; None where there are hardly any.

        A pairing that is clearly worse with the given one's probe gets no probe of its own. Where
        its own probe makes it better, a new probe is found for the given pairing, too.
        """
        picked, affected = self._where_they_differ(other)
        if np.count_nonzero(affected) < FEWEST_HELD_OUT:
            return None
        given = self._patch(picked)
        moved = given.at(other.positions_m[picked])
        groups = self._held_out_groups(other, picked, affected)
        ratio = RATIO if len(groups) == 1 else RATIO_OF_FEW
        probe = given.engine.scaled(self._common_patch.probe)
        errors, with_given_probe = np.zeros(0), np.zeros(0)
        for held_out in groups:
            errors, with_given_probe = (
                np.append(before, held_out_errors(patch, held_out, probe=probe))
                for before, patch in ((errors, given), (with_given_probe, moved))
            )
            result = HeldOutErrors(errors, with_given_probe, ratio)
            is_clearly_worse = with_given_probe.mean() > CLEARLY_WORSE * errors.mean()
            if is_clearly_worse and result.is_worse:
                return result
        if is_clearly_worse:
            return result
        own = _own_probe(moved, groups)
        if own.mean() < errors.mean():  # there may be a better probe for the given one, too
            errors = min(errors, _own_probe(given, groups), key=np.mean)
        return HeldOutErrors(errors, own, ratio)

    def is_clearly_worse(self, other: Pairing) -> bool:
        """Whether another pairing predicts much worse where the frames vary most.

        Cheap: both start from the probe of the given one.
        """
        picked, patch = self._common_rows, self._common_patch
        held_out, given = self._common_errors
        positions_m = other.positions_m[picked]
        known: Bools = np.asarray(np.isfinite(positions_m).all(axis=1))
        if known.mean() < ENOUGH:
            return False
        usable = known[held_out]
        moved = patch.at(positions_m).subset(known)
        numbers = (np.cumsum(known) - 1)[held_out[usable]]
        errors = held_out_errors(moved, numbers, probe=patch.probe)
        return bool(errors.mean() > CLEARLY_WORSE * given[usable].mean())

    def _patch(self, rows: Ints) -> Patch:
        """Frames of some exposures as the given pairing has them."""
        patch = Patch.of(self.features, rows).oriented(self.given.settings.orientation_flags)
        return patch.at(self.given.positions_m[rows])

    @cached_property
    def _common_rows(self) -> Ints:
        """Neighbouring exposures that differ most."""
        picked = most_varied(self.features, PATCH_FRAMES)
        return picked[np.isfinite(self.given.positions_m[picked]).all(axis=1)]

    @cached_property
    def _common_patch(self) -> Patch:
        """Of these; all comparisons start from its probe."""
        return self._patch(self._common_rows)

    @cached_property
    def _common_errors(self) -> tuple[Ints, Floats]:
        """Which of them are held out, and their errors."""
        (held_out,) = folds(len(self._common_rows), 1)
        return held_out, held_out_errors(self._common_patch, held_out)

    def _held_out_groups(self, other: Pairing, picked: Ints, affected: Ints) -> list[Ints]:
        """Which of the ``picked`` frames are held out, group by group.

        Where the other pairing moves only a few of them differently, as at the ends of a raster's
        rows, those; else the most affected ones.
        """
        move_m = other.positions_m[picked] - self.given.positions_m[picked]
        away_m = np.linalg.norm(move_m - np.median(move_m, axis=0), axis=1)
        few = np.flatnonzero(away_m > neighbour_reach_m(self.given.positions_m))
        if GROUPS * FEWEST_HELD_OUT // 2 <= len(few) < len(picked) // 2:
            few = np.random.default_rng(0).permutation(few)
            return [few[group::GROUPS] for group in range(GROUPS)]
        most = np.argsort(-affected, kind="stable")
        return [most[: max(FEWEST_HELD_OUT, len(picked) // HELD_OUT)]]

    def _where_they_differ(self, other: Pairing) -> tuple[Ints, Ints]:
        """Exposures (n,) around one that has different neighbours, and how many each has."""
        n = len(self.features.positions)
        positions_m = np.stack([self.given.positions_m, other.positions_m])
        usable: Bools = np.asarray(
            np.isfinite(positions_m).all(axis=(0, 2)) & self.features.illuminated
        )
        differing = as_rows(self.given.neighbours ^ other.neighbours).ravel()
        affected = np.where(usable, np.bincount(differing, minlength=n), 0)
        neighbours = as_rows(self.given.neighbours | other.neighbours)
        neighbours = neighbours[usable[neighbours].all(axis=1)]
        if not affected.any():
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        graph = coo_array(
            (np.ones(len(neighbours)), (neighbours[:, 0], neighbours[:, 1])), (n, n)
        ).tocsr()
        first = np.flatnonzero(affected)[np.count_nonzero(affected) // 2]
        around = breadth_first_order(graph, first, directed=False, return_predecessors=False)
        picked = np.sort(around[:PATCH_FRAMES]).astype(np.int64)
        return picked, np.asarray(affected[picked], np.int64)


def _own_probe(patch: Patch, groups: list[Ints]) -> Floats:
    """(m,) errors of the frames held out in turn, with the patch's own best probe."""
    errors = [held_out_errors(patch, held_out) for held_out in groups]
    return np.concatenate(errors)
