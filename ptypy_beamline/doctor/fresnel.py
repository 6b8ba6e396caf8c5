"""Near field or far field: the Fresnel number, and what a cone beam is to PtyPy."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..planning.make import focus_to_sample_m
from ..summary import Finding
from .look import Look
from .remedy import finding

PAIRS, MOST = 5, 0.6
"""Pairs of frames that are compared at least, and the share that must have moved as the stage."""

TOLERANCE_PX, TOLERANCE = 1.5, 0.1
"""By how much a picture's move may differ from the stage's: pixels, and share of it."""


def is_near(look: Look) -> bool:
    """Whether the frames are holograms of the near field.

    These are pictures of the sample, which move over the detector as the stage does: M. Stockmar
    et al., Scientific Reports 3, 1927 (2013). A far-field pattern stays where it is. How far
    pairs of neighbouring frames have moved is the place of their correlation's highest value;
    only its length counts, so that orientation and axes need not be known.
    """
    first, second, expected_px = _pairs(look)
    if len(first) < PAIRS:
        return False
    moved = [_moved_px(look, a, b) for a, b in zip(first, second, strict=True)]
    off = np.abs(np.array(moved) - expected_px)
    return bool(np.mean(off <= TOLERANCE_PX + TOLERANCE * expected_px) >= MOST)


def _pairs(look: Look) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Frames of the sample, their nearest neighbours, and how far these are in detector pixels."""
    lit = np.flatnonzero(look.lit)
    points = look.plan.positions_m[look.picked[lit]] / min(look.plan.geometry.pixel_m)
    if len(points) < 2:
        return lit[:0], lit[:0], np.zeros(0)
    distance, nearest = (column[:, 1] for column in cKDTree(points).query(points, k=2))
    seen = (distance > 2 * TOLERANCE_PX) & (distance < min(look.plan.geometry.shape) / 3)
    return lit[seen], lit[nearest[seen]], distance[seen]


def _moved_px(look: Look, first: int, second: int) -> float:
    """By how many pixels one frame is another one moved."""
    level = np.maximum(look.mended, 1.0)
    one, other = (scipy.fft.fft2(np.where(look.seen, (look.frames[k] - level) / np.sqrt(level), 0))
                  for k in (first, second))  # fmt: skip
    alike = scipy.fft.ifft2(one * other.conj()).real
    place = np.unravel_index(int(alike.argmax()), alike.shape)
    return float(np.hypot(*(min(c, n - c) for c, n in zip(place, alike.shape, strict=True))))


def findings(look: Look, near: bool) -> list[Finding]:
    """The regime, ``near`` as :func:`is_near` has it, and what a known focus makes effective."""
    geometry, known = look.plan.geometry, focus_to_sample_m(look.scan, look.settings) is not None
    span_m2 = geometry.wavelength_m * geometry.distance_m
    found = []
    if known:
        found.append(
            finding(
                "note",
                f"cone beam: effective distance {geometry.distance_m:.4g} m "
                f"and pixel {min(geometry.pixel_m):.4g} m are handed over",
            )
        )
    if near:
        beam_m = _width_px(look) * min(geometry.pixel_m)
        what = (
            f"frames move over the detector as the stage does: Fresnel number "
            f"{beam_m**2 / span_m2:.3g} of the {beam_m:.3g} m beam over {geometry.distance_m:.3g} m"
        )
        where = "" if known else "; for a cone beam also focus_to_sample (--focus-to-sample-m)"
        found.append(
            finding(
                "warning",
                what,
                "near-field frames, no far-field pixel applies",
                remedy="set propagation='nearfield' in PtyPy's scan" + where,
            )
        )
    elif look.share is not None:
        number = (look.share * look.field_m) ** 2 / span_m2
        found.append(finding("note", f"far field: Fresnel number {number:.2g} of the probe"))
    return found


def _width_px(look: Look) -> float:
    """4σ of the mean frame above its faintest fifth, the mean of both axes."""
    weight = np.maximum(look.mended - np.quantile(look.mended, 0.2), 0)
    total = float(weight.sum()) or 1.0
    widths = []
    for axis in (0, 1):
        line, at = weight.sum(1 - axis), np.arange(weight.shape[axis])
        middle = float(line @ at) / total
        widths.append(4 * np.sqrt(float(line @ (at - middle) ** 2) / total))
    return float(np.mean(widths))
