"""Near field or far field: the Fresnel number, and what a cone beam is to PtyPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Bools, Complexes, Floats
from ..parameter_values import orientation_code, orientation_flags
from ..planning.scan_geometry import focus_to_sample_m
from ..summary import Finding
from .proposed_settings import finding, only_orientation
from .unit_corrections import TYPICAL, UnitCorrection, possible_corrections

if TYPE_CHECKING:
    from .scan_sample import ScanSample


MOST, TOLERANCE_PX, TOLERANCE = 0.65, 1.5, 0.1
"""Share of the pairs of frames that must have moved consistently, and by how much the motion of an
image may differ from the stage's: in pixels, and as a fraction of it."""

LONG_PX = 3.0
"""Minimum median motion in pixels: by their speckles, fixed patterns seem to move."""

COARSEST = 0.5
"""Maximum Fresnel number p²/λz of a pixel in a near-field scan: above it, frames are contact
images, in which the phase does not show."""

NEAREST_FOCUS_M = 2e-4
"""Minimum distance from focus to sample in a near-field scan: a far-field scan that is sampled too
coarsely to hold its probe has it nearer."""


def magnification(sample: ScanSample) -> float | None:
    """How far images move over the detector, relative to the stage; None in the far field.

    Frames of the near field are pictures of the sample, which move as the stage does: M. Stockmar
    et al., Scientific Reports 3, 1927 (2013). A far-field pattern stays where it is, or is a
    shadow too where the probe diverges; but λz/p holds its probe. It is 1 where pixel and focus
    are right, as in a parallel beam: a cone beam has (z + s)/s.
    """
    times = _motion_ratio(sample)
    if times is None or abs(times - 1) <= TOLERANCE or correction_of_motion(sample, times):
        return times
    return None if _is_far(sample, times) else times


def is_near(sample: ScanSample) -> bool:
    """Whether the frames are pictures of the near field, see :func:`magnification`."""
    return magnification(sample) is not None


def _motion_ratio(sample: ScanSample) -> float | None:
    """:func:`magnification` of near fields, and of far fields whose probe diverges.

    The motion between two frames is where their correlation peaks. Most pairs must have moved as
    the stage has, up to one rotation and perhaps a mirror: orientation and axes need not be known.
    Of the ratios of single pairs the one that most others share is taken.
    """
    if sample.moves is None:
        return None
    stage, moved = (part @ (1j, 1) for part in sample.moves)
    tried = [(oriented, ratio) for oriented in (stage, stage.conj()) for ratio in moved / oriented]
    found = [(oriented, _agree(moved, ratio * oriented)) for oriented, ratio in tried]
    oriented, consistent = max(found, key=lambda one: one[1].sum())
    oriented, moved = oriented[consistent], moved[consistent]
    times = float(np.abs(np.vdot(oriented, moved) / np.vdot(oriented, oriented)))
    few = np.mean(consistent) < MOST or np.median(times * np.abs(oriented)) < LONG_PX
    return None if few or _beam_moves(sample, times) else times


def _agree(moved: Complexes, expected: Complexes) -> Bools:
    return np.abs(moved - expected) <= TOLERANCE_PX + TOLERANCE * np.abs(expected)


def correction_of_motion(sample: ScanSample, times: float) -> UnitCorrection | None:
    """The unit of positions or pixel with which pictures move as the stage does, the focus known.

    If either would do, the positions', unless the pixel is implausible for a detector.
    """
    if not _focus_is_known(sample):
        return None
    found, (low_m, high_m) = [], TYPICAL["pixel_m"]
    for correction in possible_corrections(sample.scan, sample.settings):
        by = {"positions": 1 / correction.factor, "pixel": correction.factor}.get(
            correction.quantity
        )
        if by and abs(times * by - 1) <= TOLERANCE:
            pixel_m = sample.energy_distance_pixel[2] * (
                correction.factor if correction.quantity == "pixel" else 1
            )
            found.append((not low_m <= pixel_m <= high_m, correction))
    return min(found, key=lambda one: one[0])[1] if found else None


def _focus_is_known(sample: ScanSample) -> bool:
    """Whether settings or file have it, including 0 for a parallel beam."""
    return sample.settings.focus_to_sample is not None or sample.scan.focus_m is not None


def _is_far(sample: ScanSample, times: float) -> bool:
    """Whether λz/p holds the probe, pixels are too coarse for fringes, or the focus is too near.

    The probe is as wide as its shadow on the detector, over the magnification: where frames are
    pictures of the sample, their speckles do not show it. Binning does not change λz/p.
    """
    plan, (_, distance_m, pixel_m) = sample.plan.geometry, sample.energy_distance_pixel
    field_m = plan.wavelength_m * distance_m / pixel_m
    probe_m = _width_px(sample) * min(plan.pixel_m) / times
    coarse_m = pixel_m * plan.distance_m / (distance_m * times)
    near_focus = times > 1 and plan.distance_m / (times - 1) < NEAREST_FOCUS_M
    return near_focus or probe_m < field_m or coarse_m > COARSEST * field_m


def _beam_moves(sample: ScanSample, times: float) -> bool:
    """Whether the whole beam moves over the detector, not a picture within a fixed beam."""
    stage = sample.plan.positions_m[sample.picked[sample.illuminated]] / min(
        sample.plan.geometry.pixel_m
    )
    frames = sample.frames[sample.illuminated]
    lines = [frames.sum(3 - axis, dtype=np.float64) for axis in (1, 2)]
    centres = [line @ np.arange(line.shape[1]) / line.sum(1) for line in lines]
    slope, *_ = np.linalg.lstsq(stage - stage.mean(0), np.transpose(centres) - np.mean(centres, 1))
    return bool(np.linalg.norm(slope, 2) > times / 2)


def misorientation(sample: ScanSample) -> Iterator[Finding]:
    """Whether near-field pictures move the way the stage does, frames and positions being paired.

    Where the view moves by ``r``, the picture moves by ``−r``.
    """
    if sample.moves is None:
        return
    stage_px, moved_px = sample.moves
    misfit = {
        code: float(np.median(np.linalg.norm(_oriented(moved_px, code) + stage_px, axis=1)))
        for code in range(8)
    }
    best = min(misfit, key=lambda code: misfit[code])
    if not misfit[best] <= TOLERANCE_PX or misfit[0] <= 2 * misfit[best] + TOLERANCE_PX:
        return
    code = orientation_code(sample.settings.orientation_flags)
    what = (
        "near-field frames do not move with the stage: the median deviation is "
        f"{misfit[0]:.3g} pixels, and {misfit[best]:.2g} if they are rotated or mirrored"
    )
    cause = "frames are rotated or mirrored relative to the positions"
    if code:  # the two would have to be combined
        yield Finding("error", what, "try the other orientations (--orientation)", cause)
    else:
        remedy = f"set orientation={best} (--orientation {best})"
        yield Finding("error", what, remedy, cause, only_orientation(best))


def _oriented(moved_px: Floats, code: int) -> Floats:
    """Motion (n, 2) over frames oriented by ``code``."""
    transpose, ud, lr = orientation_flags(code)
    oriented = moved_px[:, ::-1] if transpose else moved_px
    return np.asarray(oriented * (-1 if ud else 1, -1 if lr else 1))


def findings(sample: ScanSample, times: float | None) -> Iterator[Finding]:
    """The regime, by :func:`magnification`, and what a known focus makes effective."""
    plan, focus_m = sample.plan.geometry, focus_to_sample_m(sample.scan, sample.settings)
    if focus_m is not None:
        what = (
            f"cone beam: effective distance {plan.distance_m:.4g} m and pixel "
            f"{min(plan.pixel_m):.4g} m are used"
        )
        yield finding("note", what)
    if times is not None:
        yield _near(sample, times, focus_m)
        if abs(times - 1) <= TOLERANCE:
            yield from misorientation(sample)
    elif sample.probe_share is not None:
        span_m2 = plan.wavelength_m * plan.distance_m
        number = (sample.probe_share * sample.field_m) ** 2 / span_m2
        yield finding("note", f"far field: Fresnel number {number:.2g} of the probe")


def _near(sample: ScanSample, times: float, focus_m: float | None) -> Finding:
    """What to set for near-field frames."""
    plan = sample.plan.geometry
    beam_m = _width_px(sample) * min(plan.pixel_m)
    number = beam_m**2 / (plan.wavelength_m * plan.distance_m)
    model = "set propagation='nearfield' in PtyPy's scan"
    if abs(times - 1) <= TOLERANCE:
        what = (
            f"near field: frames move over the detector as the stage does, Fresnel number "
            f"{number:.3g} of the {beam_m:.3g} m beam over {plan.distance_m:.3g} m"
        )
        what += "" if focus_m is None else f"; {_open_foci(sample, focus_m)}"
        level = "note" if _focus_is_known(sample) else "warning"
        return finding(level, what, "no far-field pixel applies", remedy=model)
    what = f"near field: frames move over the detector {times:.3g} times as far as the stage"
    correction = correction_of_motion(sample, times)
    if correction:
        return finding("error", what, f"likely {correction.cause}", correction.settings)
    _, distance_m, _ = sample.energy_distance_pixel
    enlarged = times * (1 if focus_m is None else (distance_m + focus_m) / focus_m)
    if enlarged <= 1 + TOLERANCE:
        return finding(
            "warning",
            what,
            "the positions' unit or the pixel is wrong, or the focus",
            remedy="check units.positions (--unit positions=UNIT), pixel and "
            f"focus_to_sample; and {model}",
        )
    found_m = distance_m / (enlarged - 1)
    return finding(
        "warning",
        what,
        f"a cone beam magnifies {enlarged:.3g} times",
        {"focus_to_sample": float(f"{found_m:.4g}")},
        f"right to a few per cent; and {model}",
    )


def _open_foci(sample: ScanSample, focus_m: float) -> str:
    """Range of focus distances that the motion, accurate to a tenth, allows."""
    _, distance_m, _ = sample.energy_distance_pixel
    times = (distance_m + focus_m) / focus_m
    least, most = times * (1 - TOLERANCE) - 1, times * (1 + TOLERANCE) - 1
    farthest = f" to {distance_m / least:.3g} m" if least > 0 else " m on"
    return f"they fit any focus from {distance_m / most:.3g}{farthest}"


def _width_px(sample: ScanSample) -> float:
    """4σ of the mean frame above its faintest fifth, the mean of both axes."""
    weight = np.maximum(sample.filled_mean - np.quantile(sample.filled_mean, 0.2), 0)
    total = float(weight.sum()) or 1.0
    widths = []
    for axis in (0, 1):
        line, at = weight.sum(1 - axis), np.arange(weight.shape[axis])
        middle = float(line @ at) / total
        widths.append(4 * np.sqrt(float(line @ (at - middle) ** 2) / total))
    return float(np.mean(widths))
