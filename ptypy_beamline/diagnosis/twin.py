"""Which of two twins: what is known of a sample's phase beforehand.

The far field is the same for an object and for its complex conjugate turned by 180 degrees.
Material has a negative phase, as δ > 0 in T = exp(−k·β·t − i·k·δ·t), and absorbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Complexes
from ..errors import ScanError
from ..reconstruction.phase import ramp, ramp_frequency
from ..reconstruction.vacuum import find_empty
from .candidates import PATCH_FRAMES, Patch, fitted
from .evidence import Survey, half_empty

PASSES = 20

FALL_TOGETHER = 0.12
"""A weaker correlation of phase and absorption does not tell an object from its twin."""

ONE_SIDED, ABOVE_NOISE = 0.5, 3.0
"""How far the phase beside an empty region is to one side of its own, and above its scatter."""


@dataclass(frozen=True)
class Prior:
    """What speaks for an object, or against it and for its twin.

    Attributes
    ----------
    source
        ``"empty region"``, ``"absorption"``, or nothing where neither tells.
    value
        −1 to 1, above 0 for the object itself. Of absorption it is the correlation of the steps of
        phase and log amplitude; of an empty region how far the phase of the rest is below its own,
        −Σφ/Σ|φ|.
    """

    source: str
    value: float

    @property
    def prefers_twin(self) -> bool:
        """Whether the twin is the likelier object."""
        return self.source != "" and self.value < 0


def prior(seen: Survey, patch: Patch, turn: tuple[bool, bool, bool]) -> Prior:
    """Of the object that frames turned by ``turn`` give: by an empty region, else by absorption.

    An empty region is looked for in neighbouring frames of its own; ``patch`` shows absorption.
    """
    half = Patch.of(seen, half_empty(seen, PATCH_FRAMES))
    below = below_empty(_object(half.turned(turn)))
    if below is not None:
        return Prior("empty region", below)
    together = falls_together(_object(patch.turned(turn)))
    return Prior("absorption" if abs(together) > FALL_TOGETHER else "", together)


def falls_together(obj: Complexes) -> float:
    """Correlation of the steps of phase and log amplitude, −1 to 1.

    Where the thickness t rises, both fall. Steps need no unwrapping, and a ramp of the phase is a
    constant that is taken off.
    """
    steps = [_steps(obj, axis) for axis in (0, 1)]
    phase, amplitude = (np.concatenate(part) for part in zip(*steps, strict=True))
    return float(np.corrcoef(phase, amplitude)[0, 1])


def below_empty(obj: Complexes) -> float | None:
    """How far the phase is below that of an empty region, −1 to 1; None where none is to be seen.

    The ramp that the empty region has is taken off.
    """
    try:
        empty = find_empty(obj)
    except ScanError:
        return None
    flat = obj * ramp(obj.shape, ramp_frequency(obj[empty] * np.abs(obj[empty]))).conj()
    phase = np.angle(flat * np.exp(-1j * np.angle(flat[empty].sum())))
    outside = np.ones(phase.shape, np.bool_)
    outside[empty] = False
    beside = phase[outside]
    if not beside.size or np.std(beside) < ABOVE_NOISE * np.std(phase[empty]):
        return None
    below = -float(beside.sum()) / max(float(np.abs(beside).sum()), 1e-12)
    return below if abs(below) > ONE_SIDED else None


def _object(patch: Patch) -> Complexes:
    """The reconstructed object where the middle of the probe has been, or nearly so."""
    engine, state, _ = fitted(patch, PASSES)
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
