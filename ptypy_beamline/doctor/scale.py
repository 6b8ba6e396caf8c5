"""Whether λz/p is right: a pixel of another binning, a distance that was not measured well."""

from __future__ import annotations

import numpy as np

from ..summary import Finding
from .candidates import PATCH_FRAMES, Outcome, Patch, held_out_errors, in_order
from .evidence import FEWEST, Floats, liveliest, survey
from .geometry import Numbers
from .look import Look
from .remedy import finding

BINNINGS = (0.25, 0.5, 2.0, 4.0)
FACTORS = (*BINNINGS, 0.67, 0.82, 1.22, 1.5)
"""By what λz/p is tried to be smaller."""

FINE, SAME = 1.07, 0.12
"""Between factors that are tried around the best one, and how far from a binning is still one."""

STUDENT_T = 4.0


def findings(look: Look) -> list[Finding]:
    """Whether another λz/p foretells unseen frames better.

    Overlap cannot tell a factor of 2; short reconstructions of neighbouring positions can. Only
    λz/p enters, so that positions scaled by a factor stand for a pixel scaled by it, or a distance
    divided by it. A fifth or less is hardly seen: the object can make up for it.
    """
    plan = look.plan
    if look.in_pixels or len(plan) < FEWEST or plan.geometry.shape[0] != plan.geometry.shape[1]:
        return []
    seen = survey(plan)
    patch = Patch.of(seen, liveliest(seen, PATCH_FRAMES))
    step = Numbers.of(look).step
    tried = [f for f in FACTORS if look.share is None or f * step < 1]
    errors = {factor: _errors(patch, factor) for factor in (1.0, *tried)}
    best = in_order(errors)[0]
    outcome = Outcome.of(errors[1.0], errors[best])
    if not outcome.convinces() or outcome.margin.t < STUDENT_T:
        return []
    return [_finding(look, _refined(patch, best), outcome)]


def _errors(patch: Patch, factor: float) -> Floats:
    return held_out_errors(patch.at(patch.positions_m * factor))


def _refined(patch: Patch, best: float) -> float:
    """A binning, or the factor around ``best`` that foretells best: the lowest place of a parabola.

    Errors scatter from factor to factor, since places are rounded to pixels.
    """
    powers = np.arange(-3, 4)
    means = [float(_errors(patch, best * FINE**k).mean()) for k in powers]
    bend, slope, _ = np.polyfit(powers, means, 2)
    lowest = -slope / (2 * bend) if bend > 0 else powers[int(np.argmin(means))]
    factor = best * FINE ** float(np.clip(lowest, -3, 3))
    return next((b for b in BINNINGS if abs(factor / b - 1) < SAME), float(f"{factor:.3g}"))


def _finding(look: Look, factor: float, outcome: Outcome) -> Finding:
    what = (
        "unseen frames of a short reconstruction are predicted with an error of "
        f"{outcome.given:.3f}, and of {outcome.other:.3f} with a reconstructed pixel "
        f"{1 / factor:.3g} times as large"
    )
    if factor not in BINNINGS:
        _, distance_m, _ = look.detector
        return finding(
            "warning",
            what,
            "distance, pixel, energy or the stage's scale is off",
            {"distance": float(f"{distance_m / factor:.3g}")},
            "right to a tenth: measure it again, or what else is wrong by this factor",
        )
    pixel_m = look.settings.psize or look.scan.pixel_m or (0.0, 0.0)
    y, x = (float(f"{p * factor:.6g}") for p in pixel_m)
    when = "before the detector's own" if factor > 1 else "after"
    return finding(
        "error", what, f"the pixel is that {when} binning by {max(factor, 1 / factor):.0f}",
        {"psize": y if y == x else (y, x)}, "or, by the same factor, distance or energy",
    )  # fmt: skip
