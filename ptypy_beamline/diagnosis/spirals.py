"""Lags that turn a whole scan: on a Fermat spiral they look like a wrong orientation."""

from __future__ import annotations

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..options import turn_of
from ..planning.plan import Plan
from ..summary import step_m
from .candidates import Patch, held_out_errors
from .evidence import FEWEST
from .gauge import PAIRS
from .neighbours import SHIFTS

ALIKE_STEPS, NEAR_DEGREES = 0.3, 20.0
"""How far positions, shifted and turned, lie beside each other at most, and off a quarter turn."""


def hidden_lag(plan: Plan, positions: Ints, patch: Patch, best: int) -> int:
    """Frames by which ``positions`` may lag, where that foretells better than any orientation.

    Frames that lag by two on a Fermat spiral lie at places turned by 85 degrees, and so fit a
    wrong orientation. 0 where no lag does so, or each position has several frames.

    Parameters
    ----------
    plan
        Frames not turned.
    positions
        Those of the plan whose frames ``patch`` has.
    best
        The orientation that foretells best without a lag.
    """
    if plan.selection.exposures.shape[1] > 1:
        return 0
    for lag in SHIFTS:
        before, known = _taken_before(plan, lag)
        if not turns_by_a_quarter(plan.positions_m[before[known]], plan.positions_m[known]):
            continue
        usable = known[positions]
        if usable.sum() < FEWEST:
            continue
        given = patch.some(usable)
        lagging = given.at(plan.positions_m[before[positions[usable]]])
        if _better(lagging, given.turned(turn_of(best))):
            return lag
    return 0


def _better(lagging: Patch, given: Patch) -> bool:
    """Whether frames that lag foretell better in some orientation than as given.

    Better at all is enough to doubt: the right reading of a right scan has no rival here.
    """
    unlagged = held_out_errors(given).mean()
    return any(held_out_errors(lagging.turned(turn_of(code))).mean() < unlagged for code in PAIRS)


def _taken_before(plan: Plan, lag: int) -> tuple[Ints, Bools]:
    """For each position that of the frame taken ``lag`` frames before, and whether there is one."""
    taken = plan.selection.exposures[:, 0]
    before = np.searchsorted(taken, taken - lag).clip(0, len(taken) - 1)
    return before, taken[before] == taken - lag


def turns_by_a_quarter(here_m: Floats, there_m: Floats) -> bool:
    """Whether positions (n, 2) are others turned by 90 degrees or nearly so.

    The best turn is that of P. Schönemann, Psychometrika 31, 1 (1966).
    """
    if len(here_m) < FEWEST:
        return False
    here, there = here_m - here_m.mean(axis=0), there_m - there_m.mean(axis=0)
    left, _, right = np.linalg.svd(here.T @ there)
    turn = left @ right
    beside = np.sqrt(((there - here @ turn) ** 2).sum(axis=1).mean())
    angle = np.degrees(np.arctan2(turn[0, 1], turn[0, 0]))
    quarter = abs(abs(angle) - 90) < NEAR_DEGREES
    return bool(quarter and beside < ALIKE_STEPS * step_m(here_m))
