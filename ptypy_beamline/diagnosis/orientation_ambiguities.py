"""Orientations that fit the same data: equivalent axes, the conjugate twin, a lag on a spiral."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Complexes, Floats, Ints
from ..errors import ScanError
from ..options import Positions
from ..parameter_values import orientation_flags
from ..planning.plan import Plan
from ..positions import step_m, to_image_axes
from ..reconstruction.phase import ramp, ramp_frequency
from ..reconstruction.vacuum import find_vacuum
from .frame_features import FEWEST, FrameFeatures, partly_in_vacuum
from .pairings import SHIFTS
from .short_reconstruction import PATCH_FRAMES, Patch, held_out_errors, reconstruct_without

AXES: tuple[str, ...] = get_args(Positions.model_fields["axes"].annotation)
PAIRS = (0, 1, 4, 5)
"""The lower orientation of each pair."""


def conjugate_twin(code: int) -> int:
    """The orientation rotated by 180 degrees, with object and probe conjugated."""
    return code ^ 3


def relation(code: int, axes: str) -> Floats:
    """(2, 2) signed permutation M⁻¹A that the data see, up to its sign.

    M is what ``code`` does to the frames, A what ``axes`` do to the positions. The opposite sign
    conjugates probe and object.
    """
    transpose, ud, lr = orientation_flags(code)
    plain = np.eye(2)[::-1] if transpose else np.eye(2)
    oriented = np.diag([-1.0 if ud else 1.0, -1.0 if lr else 1.0]) @ plain
    return np.asarray(oriented.T @ to_image_axes(np.eye(2), axes).T)


def equivalents(code: int, axes: str) -> Iterator[tuple[int, str]]:
    """Every (orientation, axes) that fits the same data, those with ``axes`` first."""
    wanted = relation(code, axes)
    for other in (axes, *(a for a in AXES if a != axes)):
        for number in range(8):
            # The trace of a signed permutation is ±2 for ± the identity only.
            if abs(np.trace(relation(number, other) @ wanted.T)) == 2:
                yield number, other


def same_axes(given: int, code: int, axes: str) -> str:
    """The axes with which orientation ``given`` is equivalent to ``code`` with ``axes``.

    The same object, not its conjugate twin: the phases keep their sign.
    """
    wanted = relation(code, axes)
    return next(other for other in AXES if np.array_equal(relation(given, other), wanted))


MATCHING_STEPS, NEAR_DEGREES = 0.3, 20.0
"""Largest distance of shifted and rotated positions, in steps; deviation from 90 degrees."""


def hidden_lag(plan: Plan, positions: Ints, patch: Patch, best: int) -> int:
    """Lag of the frames at ``positions`` that fits better than any orientation.

    Frames that lag by two on a Fermat spiral lie at positions rotated by 85 degrees, and so fit a
    wrong orientation. 0 where no lag does so, or each position has several frames.

    Parameters
    ----------
    plan
        With frames in the orientation of the detector.
    positions
        Those of the plan whose frames ``patch`` has.
    best
        The orientation that fits best without a lag.
    """
    if plan.selection.exposures.shape[1] > 1:
        return 0
    for lag in SHIFTS:
        before, known = _taken_before(plan, lag)
        if not is_quarter_turn(plan.positions_m[before[known]], plan.positions_m[known]):
            continue
        usable = known[positions]
        if usable.sum() < FEWEST:
            continue
        given = patch.subset(usable)
        lagging = given.at(plan.positions_m[before[positions[usable]]])
        if _better(lagging, given.oriented(orientation_flags(best))):
            return lag
    return 0


def _better(lagging: Patch, given: Patch) -> bool:
    """Whether lagging frames fit better in some orientation than the given ones.

    Any improvement is enough for doubt: a correct scan has no rival here.
    """
    unlagged = held_out_errors(given).mean()
    return any(
        held_out_errors(lagging.oriented(orientation_flags(code))).mean() < unlagged
        for code in PAIRS
    )


def _taken_before(plan: Plan, lag: int) -> tuple[Ints, Bools]:
    """For each position that of the frame taken ``lag`` frames before, and whether there is one."""
    taken = plan.selection.exposures[:, 0]
    before = np.searchsorted(taken, taken - lag).clip(0, len(taken) - 1)
    return before, taken[before] == taken - lag


def is_quarter_turn(here_m: Floats, there_m: Floats) -> bool:
    """Whether positions (n, 2) are others rotated by about 90 degrees.

    The best rotation is that of P. Schönemann, Psychometrika 31, 1 (1966).
    """
    if len(here_m) < FEWEST:
        return False
    here, there = here_m - here_m.mean(axis=0), there_m - there_m.mean(axis=0)
    left, _, right = np.linalg.svd(here.T @ there)
    rotation = left @ right
    apart = np.sqrt(((there - here @ rotation) ** 2).sum(axis=1).mean())
    angle = np.degrees(np.arctan2(rotation[0, 1], rotation[0, 0]))
    quarter = abs(abs(angle) - 90) < NEAR_DEGREES
    return bool(quarter and apart < MATCHING_STEPS * step_m(here_m))


PASSES = 20

CORRELATED = 0.12
"""A weaker correlation of phase and absorption does not distinguish an object from its twin."""

ONE_SIDED, ABOVE_NOISE = 0.5, 3.0
"""How one-sided the phase around vacuum must be, and how far above the noise in the vacuum."""


@dataclass(frozen=True)
class PhasePrior:
    """Prior knowledge of the phase: is it that of an object, or of its conjugate twin?

    Attributes
    ----------
    source
        ``"vacuum"``, ``"absorption"``, or empty where neither decides.
    value
        −1 to 1, above 0 for the object itself. For absorption the correlation of the steps of phase
        and log amplitude; for vacuum how far the phase of the sample is below that of the vacuum,
        −Σφ/Σ|φ|.
    """

    source: str
    value: float

    @property
    def prefers_conjugate(self) -> bool:
        """Whether the conjugate twin is the more likely object."""
        return self.source != "" and self.value < 0


def phase_prior(features: FrameFeatures, patch: Patch, code: int) -> PhasePrior:
    """Of the object that frames oriented by ``code`` give: by vacuum, else by absorption.

    Vacuum is searched for in frames at the edge of the sample, absorption in those of ``patch``.
    """
    flags = orientation_flags(code)
    edge_patch = Patch.of(features, partly_in_vacuum(features, PATCH_FRAMES))
    below = phase_below_vacuum(_object(edge_patch.oriented(flags)))
    if below is not None:
        return PhasePrior("vacuum", below)
    correlation = phase_absorption_correlation(_object(patch.oriented(flags)))
    return PhasePrior("absorption" if abs(correlation) > CORRELATED else "", correlation)


def phase_absorption_correlation(obj: Complexes) -> float:
    """Correlation of the steps of phase and log amplitude, −1 to 1.

    Where the thickness t rises, both fall. Steps need no unwrapping, and a ramp of the phase is a
    constant that is taken off.
    """
    steps = [_steps(obj, axis) for axis in (0, 1)]
    phase, amplitude = (np.concatenate(part) for part in zip(*steps, strict=True))
    return float(np.corrcoef(phase, amplitude)[0, 1])


def phase_below_vacuum(obj: Complexes) -> float | None:
    """How far the phase is below that of vacuum, −1 to 1; None where no vacuum is found.

    The phase ramp of the vacuum is subtracted.
    """
    try:
        vacuum = find_vacuum(obj)
    except ScanError:
        return None
    flat = obj * ramp(obj.shape, ramp_frequency(obj[vacuum] * np.abs(obj[vacuum]))).conj()
    phase = np.angle(flat * np.exp(-1j * np.angle(flat[vacuum].sum())))
    outside = np.ones(phase.shape, np.bool_)
    outside[vacuum] = False
    around = phase[outside]
    if not around.size or np.std(around) < ABOVE_NOISE * np.std(phase[vacuum]):
        return None
    below = -float(around.sum()) / max(float(np.abs(around).sum()), 1e-12)
    return below if abs(below) > ONE_SIDED else None


def _object(patch: Patch) -> Complexes:
    """The reconstructed object, roughly where the middle of the probe has been."""
    engine, state, _ = reconstruct_without(patch, PASSES)
    side = len(state.probe)
    first = engine.corners_px.min(axis=0) + side // 2 - side // 16
    last = engine.corners_px.max(axis=0) + side // 2 + side // 16
    return np.asarray(state.object[first[0] : last[0] + 1, first[1] : last[1] + 1])


def _steps(obj: Complexes, axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Steps of phase and of log amplitude between pixels, each without its mean."""
    obj = np.moveaxis(obj, axis, 0)
    ratio = (obj[1:] / np.where(np.abs(obj[:-1]) > 0, obj[:-1], 1)).ravel()
    log = np.log(ratio[np.abs(ratio) > 0])
    return log.imag - log.imag.mean(), log.real - log.real.mean()
