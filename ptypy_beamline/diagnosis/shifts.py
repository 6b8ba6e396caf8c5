"""How far the stage and what frames show have moved between pairs of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints

if TYPE_CHECKING:
    from .look import Look

PLACES, FARTHER = 12, 2.0
"""Places that are compared with their nearest neighbour, and with one so many times as far."""

PAIRS, MOST_NEAR = 8, 30
"""Pairs of frames that are compared at least, and neighbours among which one is chosen."""


def moves(look: Look) -> tuple[Floats, Floats] | None:
    """(n, 2) how far the stage has moved between pairs of frames, and the pictures, in pixels.

    None where too few frames have neighbours.
    """
    first, second = _pairs(look)
    if len(first) < PAIRS:
        return None
    points = look.plan.positions_m / min(look.plan.geometry.pixel_m)
    return points[second] - points[first], _moved_px(look, first, second)


def _pairs(look: Look) -> tuple[Ints, Ints]:
    """Positions of the plan, and others near them: the nearest, and one farther away."""
    points = look.plan.positions_m
    lit = look.picked[look.lit]
    if len(lit) < 2:
        return lit[:0], lit[:0]
    here = lit[:: max(1, len(lit) // PLACES)][:PLACES]
    distances, near = cKDTree(points).query(points[here], k=min(MOST_NEAR, len(points)))
    pairs = []
    for place, away, others in zip(here, distances, near, strict=True):
        apart = away > 0
        if apart.any():
            nearest = int(np.argmax(apart))
            farther = int(np.argmin(np.abs(away - FARTHER * away[nearest])))
            pairs += [(place, others[k]) for k in {nearest, farther}]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return first, second


def _moved_px(look: Look, first: Ints, second: Ints) -> Floats:
    """(n, 2) by how many pixels the pictures of the second frames are those of the first moved."""
    level = np.maximum(look.mended, 1.0)
    needed, numbers = np.unique(np.stack([first, second]), return_inverse=True)
    frames, good = look.plan.correct(look.plan.load(needed), needed)
    waves = [
        scipy.fft.rfft2(np.where(ok & look.seen, (frame - level) / np.sqrt(level), 0))
        for frame, ok in zip(frames, good, strict=True)
    ]
    moved = []
    for one, other in numbers.reshape(2, -1).T:
        alike = scipy.fft.irfft2(waves[other] * waves[one].conj(), frames.shape[1:])
        place = np.unravel_index(int(alike.argmax()), alike.shape)
        moved.append([(c + n // 2) % n - n // 2 for c, n in zip(place, alike.shape, strict=True)])
    return np.array(moved, np.float64)
