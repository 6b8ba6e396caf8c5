"""An error that a wrong reconstruction cannot make small: of frames it has not seen.

Any frame by itself can be fitted, with wrong positions, a wrong geometry or numbers that are no
counts: what says something is whether the object found from the others foretells it.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import xlogy

from ...arrays import Floats, Ints
from .engine import Engine, State

SHARE, FEWEST, LEAST = 20, 20, 2
"""One frame of so many is held out, two at least; none of fewer frames than that: at the rim of a
small scan others do not tell enough of a frame."""

APART = 0.5
"""Frames nearer than that, in mean distances of the positions, are held out together: a frame that
was taken twice would be foretold by the other, however wrong the positions."""

FLOOR = 0.01
"""Share of the mean pattern in a foretold one: no count is then impossible."""


def held_out(positions_m: Floats, seed: int) -> Ints:
    """Frames at ``positions_m`` (n, 2) that are held out; none of a few."""
    count = len(positions_m)
    if count < FEWEST:
        return np.zeros(0, np.int64)
    extent_m = np.ptp(positions_m, axis=0)
    spacing_m = max(np.sqrt(extent_m.prod() / count), extent_m.max() / count)
    beside = cKDTree(positions_m).query_ball_point(positions_m, APART * spacing_m)
    chosen: dict[int, None] = {}
    for frame in np.random.default_rng([seed, count]).permutation(count):
        if len(chosen) >= max(count // SHARE, LEAST):
            break
        if len(chosen) + len(beside[frame]) <= count // 4:
            chosen |= dict.fromkeys([frame, *beside[frame]])
    return np.array([*chosen], np.int64)


def held_out_error(engine: Engine, state: State, unseen: Ints) -> float:
    """Share of the deviance that the reconstruction leaves of frames it has not seen.

    The Poisson deviance D(I, M) = 2·Σ[I·ln(I/M) − (I − M)] of the counts I from the pattern M that
    is foretold, over that from the mean pattern of the other frames: 0 where all is foretold, 1
    where the mean does as well, more where it does better. The unit of the counts does not matter.
    It is 1 − R² of the deviance: A. C. Cameron and F. A. G. Windmeijer, J. Econometrics 77, 329
    (1997).

    Returns
    -------
    float
        NaN where no frame is held out.
    """
    seen = np.setdiff1d(np.arange(len(engine.moduli)), unseen)
    usual = sum(engine.moduli[k].astype(np.float64) ** 2 for k in seen) / max(len(seen), 1)
    left, all_of_it = 0.0, 0.0
    for k in unseen:
        good = ~engine.bad_of(k)
        counts, mean = engine.moduli[k][good].astype(np.float64) ** 2, np.asarray(usual)[good]
        foretold = np.abs(engine.waves(state, np.array([k]))[0, good]).astype(np.float64) ** 2
        left += _deviance(counts, (1 - FLOOR) * foretold + FLOOR * mean)
        all_of_it += _deviance(counts, mean)
    return left / all_of_it if all_of_it > 0 else float("nan")


def _deviance(counts: Floats, expected: Floats) -> float:
    """Poisson deviance; where nothing is ever counted nothing is foretold."""
    expected = np.maximum(expected, 1e-9)
    return 2 * float((xlogy(counts, counts / expected) - (counts - expected)).sum())
