"""Lags that turn a whole scan: on a Fermat spiral they look like a wrong orientation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..options import turn_of
from ..planning.plan import Plan
from ..summary import step_m
from .candidates import Outcome, Patch, held_out_errors
from .evidence import Floats
from .gauge import PAIRS

LAGS = (1, -1, 2, -2, 3, -3)

ALIKE_STEPS, NEAR_DEGREES = 0.3, 20.0
"""How far positions, shifted and turned, lie beside each other at most, and off a quarter turn."""


def hidden_lag(plan: Plan, positions: NDArray[np.int64], patch: Patch, best: int) -> int:
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
    taken = plan.selection.exposures
    if taken.shape[1] > 1:
        return 0
    for lag in LAGS:
        if not turns_by_a_quarter(plan.positions_m, lag):
            continue
        before = np.searchsorted(taken[:, 0], taken[positions, 0] - lag).clip(0, len(taken) - 1)
        known = taken[before, 0] == taken[positions, 0] - lag
        given = _some(patch, known)
        lagging = replace(given, positions_m=plan.positions_m[before[known]])
        unlagged = held_out_errors(given.turned(turn_of(best)))
        for code in PAIRS:
            if Outcome.of(unlagged, held_out_errors(lagging.turned(turn_of(code)))).convinces():
                return lag
    return 0


def turns_by_a_quarter(positions_m: Floats, lag: int) -> bool:
    """Whether positions ``lag`` places on are the same ones turned, by 90 degrees or nearly so.

    The best turn is that of P. Schönemann, Psychometrika 31, 1 (1966).
    """
    here, there = positions_m[: -abs(lag)], positions_m[abs(lag) :]
    if lag < 0:
        here, there = there, here
    here, there = here - here.mean(axis=0), there - there.mean(axis=0)
    left, _, right = np.linalg.svd(here.T @ there)
    turn = left @ right
    beside = np.sqrt(((there - here @ turn) ** 2).sum(axis=1).mean())
    angle = np.degrees(np.arctan2(turn[0, 1], turn[0, 0]))
    quarter = abs(abs(angle) - 90) < NEAR_DEGREES
    return bool(quarter and beside < ALIKE_STEPS * step_m(positions_m))


def _some(patch: Patch, which: NDArray[np.bool_]) -> Patch:
    good = patch.good if patch.good.ndim == 2 else patch.good[which]
    return replace(patch, frames=patch.frames[which], good=good,
                   positions_m=patch.positions_m[which])  # fmt: skip
