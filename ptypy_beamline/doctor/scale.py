"""Whether the detector pixel is the one before or after binning: a factor of a few."""

from __future__ import annotations

from dataclasses import replace

from ..summary import Finding
from .candidates import PATCH_FRAMES, Margin, Patch, held_out_errors, in_order, window_px
from .evidence import FEWEST, liveliest, survey
from .geometry import Numbers
from .look import Look
from .remedy import finding

BINNINGS = (2, 4)
RATIO, STUDENT_T = 1.05, 4.0
"""Margin by which unseen frames of a reconstruction must be foretold better."""


def findings(look: Look) -> list[Finding]:
    """Whether another pixel, by a factor of a binning, foretells unseen frames better.

    Overlap cannot tell a factor of 2; short reconstructions of neighbouring positions can. The
    pixel only enters as λz/p, so that positions scaled by a factor stand for a pixel scaled by it.
    """
    plan = look.plan
    if look.in_pixels or len(plan) < FEWEST or plan.geometry.shape[0] != plan.geometry.shape[1]:
        return []
    seen = survey(plan)
    patch = Patch.of(plan, liveliest(seen, PATCH_FRAMES), window_px(seen))
    step, factors = Numbers.of(look).step, [1.0, *(f for b in BINNINGS for f in (float(b), 1 / b))]
    errors = {
        factor: held_out_errors(replace(patch, positions_m=patch.positions_m * factor))
        for factor in factors
        if factor == 1 or look.share is None or factor * step < 1
    }
    best = in_order(errors)[0]
    margin = Margin.of(errors[best], errors[1.0])
    if best == 1 or margin.ratio < RATIO or margin.t < STUDENT_T:
        return []
    return [_finding(look, best, float(errors[1.0].mean()), float(errors[best].mean()))]


def _finding(look: Look, factor: float, given: float, best: float) -> Finding:
    pixel_m = look.settings.psize or look.scan.pixel_m or (0.0, 0.0)
    y, x = (float(f"{p * factor:.6g}") for p in pixel_m)
    when = "before the detector's own" if factor > 1 else "after"
    return finding(
        "error",
        f"unseen frames of a short reconstruction are foretold with an error of {given:.3f}, and "
        f"of {best:.3f} with a pixel of {min(y, x):.4g} m",
        f"the pixel is that {when} binning by {max(factor, 1 / factor):.0f}",
        {"psize": y if y == x else (y, x)},
        "or, by the same factor, distance or energy",
    )
