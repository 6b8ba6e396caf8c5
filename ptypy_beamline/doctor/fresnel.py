"""Near field or far field: the Fresnel number, and what a cone beam is to PtyPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..options import code_of, turn_of
from ..planning.make import focus_to_sample_m
from ..summary import Finding
from .evidence import Floats
from .remedy import finding

if TYPE_CHECKING:
    from .look import Look

PLACES, FARTHER = 12, 2.0
"""Places that are compared with their nearest neighbour, and with one so many times as far."""

PAIRS, MOST, MOST_NEAR = 8, 0.75, 30
"""Pairs of frames that are compared at least, the share that must have moved alike, and neighbours
among which one is chosen."""

TOLERANCE_PX, TOLERANCE = 1.5, 0.1
"""By how much a picture's move may differ from the stage's: pixels, and share of it."""

NEAREST_FOCUS_M = 1e-3
"""From the focus to the sample of a near-field scan at least; zone plates and mirrors for the far
field have it within some tenths of it."""

FULL = 0.5
"""Probe over the field of view λz/p from which it does not fit."""

FOLLOWS = 0.2
"""How far moves may be off the stage's, over how far they differ from each other, in the median."""


def magnification(look: Look) -> float | None:
    """How far pictures move over the detector for each step of the stage; None in the far field.

    Frames of the near field are pictures of the sample, which move as the stage does: M. Stockmar
    et al., Scientific Reports 3, 1927 (2013). A far-field pattern stays where it is. How far
    pairs of neighbouring frames have moved is the place of their correlation's highest value;
    only its length counts, so that orientation and axes need not be known. It is 1 where pixel
    and focus are right, as in a parallel beam: a cone beam has (z + s)/s.
    """
    times = shadows(look)
    if times is None or abs(times - 1) <= TOLERANCE:
        return times
    return None if _holds_probe(look) or _near_focus(look, times) else times


def shadows(look: Look) -> float | None:
    """:func:`magnification` of near fields, and of far fields whose probe diverges."""
    moves = look.moves
    if moves is None:
        return None
    stage_px, moved_px = (np.linalg.norm(part, axis=1) for part in moves)
    times = float(np.median(moved_px / stage_px))
    off = np.abs(moved_px - times * stage_px)
    alike = np.mean(off <= TOLERANCE_PX + TOLERANCE * moved_px) >= MOST
    # Patterns that stay seem to move by the size of their speckles, however far the stage went.
    follows = np.median(off) < FOLLOWS * np.median(np.abs(moved_px - np.median(moved_px)))
    return times if alike and follows else None


def _near_focus(look: Look, times: float) -> bool:
    """Whether the sample would be as near to the focus as far-field scans have it."""
    distance_m = look.plan.geometry.distance_m
    return times > 1 and distance_m / (times - 1) < NEAREST_FOCUS_M


def is_near(look: Look) -> bool:
    """Whether the frames are pictures of the near field, see :func:`magnification`."""
    return magnification(look) is not None


def _holds_probe(look: Look) -> bool:
    """Whether λz/p holds the probe, or the frames do not tell: these are far-field ones.

    Their patterns are shadows too where the probe diverges.
    """
    return look.share is None or look.share < FULL


def moves(look: Look) -> tuple[Floats, Floats] | None:
    """(n, 2) how far the stage has moved between pairs of frames, and the pictures, in pixels.

    None where too few frames have neighbours.
    """
    first, second = _pairs(look)
    if len(first) < PAIRS:
        return None
    points = look.plan.positions_m / min(look.plan.geometry.pixel_m)
    return points[second] - points[first], _moved_px(look, first, second)


def misorientation(look: Look) -> list[Finding]:
    """Whether near-field pictures move the way the stage does, frames and positions being paired.

    The view goes to ``r``, so that what it shows moves by ``−r``.
    """
    if look.moves is None:
        return []
    stage_px, moved_px = look.moves
    misfit = {code: float(np.median(np.linalg.norm(_turned(moved_px, code) + stage_px, axis=1)))
              for code in range(8)}  # fmt: skip
    best = min(misfit, key=lambda code: misfit[code])
    if not misfit[best] <= TOLERANCE_PX or misfit[0] <= 2 * misfit[best] + TOLERANCE_PX:
        return []
    code = code_of(look.settings.turn)
    what = (
        f"pictures of the near field move otherwise than the stage, by {misfit[0]:.3g} pixels in "
        f"the median, and by {misfit[best]:.2g} if they are turned"
    )
    if code:  # the turns would have to be combined
        return [finding("error", what, "frames are rotated or mirrored relative to the positions",
                        remedy="try the other orientations (--orientation)")]  # fmt: skip
    return [Finding("error", what, f"set orientation={best} (--orientation {best})",
                    "frames are rotated or mirrored relative to the positions",
                    {"orientation": best, "rotate": None, "flip": None})]  # fmt: skip


def _turned(moved_px: Floats, code: int) -> Floats:
    """Moves (n, 2) over frames that are turned by ``code``."""
    transpose, ud, lr = turn_of(code)
    turned = moved_px[:, ::-1] if transpose else moved_px
    return np.asarray(turned * (-1 if ud else 1, -1 if lr else 1))


def _pairs(look: Look) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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


def _moved_px(look: Look, first: NDArray[np.int64], second: NDArray[np.int64]) -> Floats:
    """(n, 2) by how many pixels the pictures of the second frames are those of the first moved."""
    level = np.maximum(look.mended, 1.0)
    needed, numbers = np.unique(np.stack([first, second]), return_inverse=True)
    frames, good = look.plan.correct(look.plan.load(needed), needed)
    waves = [scipy.fft.rfft2(np.where(ok & look.seen, (frame - level) / np.sqrt(level), 0))
             for frame, ok in zip(frames, good, strict=True)]  # fmt: skip
    moved = []
    for one, other in numbers.reshape(2, -1).T:
        alike = scipy.fft.irfft2(waves[other] * waves[one].conj(), frames.shape[1:])
        place = np.unravel_index(int(alike.argmax()), alike.shape)
        moved.append([(c + n // 2) % n - n // 2 for c, n in zip(place, alike.shape, strict=True)])
    return np.array(moved, np.float64)


def as_cone(look: Look) -> list[Finding]:
    """That frames which fit no far field may be of the near field of a cone beam."""
    times = shadows(look)
    if times is None or times <= 1 + TOLERANCE or _near_focus(look, times):
        return []
    return [_near(look, times, focus_to_sample_m(look.scan, look.settings))]


def findings(look: Look, times: float | None) -> list[Finding]:
    """The regime, by :func:`magnification`, and what a known focus makes effective."""
    plan, focus_m = look.plan.geometry, focus_to_sample_m(look.scan, look.settings)
    found = []
    if focus_m is not None:
        what = (
            f"cone beam: effective distance {plan.distance_m:.4g} m and pixel "
            f"{min(plan.pixel_m):.4g} m are handed over"
        )
        found.append(finding("note", what))
    if times is not None:
        found.append(_near(look, times, focus_m))
        if abs(times - 1) <= TOLERANCE:
            found += misorientation(look)
    elif look.share is not None:
        span_m2 = plan.wavelength_m * plan.distance_m
        number = (look.share * look.field_m) ** 2 / span_m2
        found.append(finding("note", f"far field: Fresnel number {number:.2g} of the probe"))
    return found


def _near(look: Look, times: float, focus_m: float | None) -> Finding:
    """What is to be set for frames of the near field."""
    plan = look.plan.geometry
    beam_m = _width_px(look) * min(plan.pixel_m)
    number = beam_m**2 / (plan.wavelength_m * plan.distance_m)
    model = "set propagation='nearfield' in PtyPy's scan"
    if abs(times - 1) <= TOLERANCE:
        what = (
            f"near field: frames move over the detector as the stage does, Fresnel number "
            f"{number:.3g} of the {beam_m:.3g} m beam over {plan.distance_m:.3g} m"
        )
        level = "warning" if focus_m is None else "note"
        return finding(level, what, "no far-field pixel applies", remedy=model)
    what = f"near field: frames move over the detector {times:.3g} times as far as the stage"
    _, distance_m, _ = look.detector
    enlarged = times * (1 if focus_m is None else (distance_m + focus_m) / focus_m)
    if enlarged <= 1 + TOLERANCE:
        return finding("warning", what, "the positions' unit or the pixel is wrong, or the focus",
                       remedy="check units.positions (--unit positions=UNIT), pixel and "
                       f"focus_to_sample; and {model}")  # fmt: skip
    found_m = distance_m / (enlarged - 1)
    return finding("warning", what, f"a cone beam magnifies {enlarged:.3g} times",
                   {"focus_to_sample": float(f"{found_m:.4g}")},
                   f"right to a few per cent; and {model}")  # fmt: skip


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
