"""Whether λz/p is right: a pixel of another binning, a distance that was not measured well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Complex64s, Floats
from ..summary import Finding
from .frame_features import FEWEST, measure_features, most_varied
from .orientation import rank
from .proposed_settings import changed, finding
from .scan_sample import ScanSample
from .short_reconstruction import (
    PASSES,
    PATCH_FRAMES,
    RATIO,
    Improvement,
    Margin,
    Patch,
    folds,
    held_out_errors,
)
from .unit_corrections import Dimensions

Factors = tuple[float, float]
"""Factors by which positions (y, x) are scaled, equivalent to a λz/p smaller by the factor."""

BINNINGS = (0.25, 0.5, 2.0, 4.0)

NEARBY = 1.3
"""The nearest factor that gives a clearly worse reconstruction where λz/p is right."""

CLEAR, CLEAR_T = 1.02, 3.0
"""Ratio of errors, and Student's t, by which factors on both sides must be worse for a decision."""

LONG_PASSES, FOLDS = 16, 4
"""A difference of a third needs longer reconstructions: passes, and number of held-out groups."""

SHORT, ROUNDS = 0, (0, FOLDS // 2, FOLDS)
"""Numbers of long reconstructions with different frames held out: first only a short one."""

LONG_RATIO, STUDENT_T = 1.03, 4.0
"""Margin of another factor in long reconstructions; Student's t of any."""

FINE, SAME = 1.12, 0.12
"""Ratio of neighbouring factors around the best, and tolerance for taking one as a binning."""

MIN_COUNTS = 3000.0
"""Counts of a frame below which a wrong scale may fit better by chance."""


@dataclass(frozen=True, eq=False)
class Scales:
    """Errors of held-out frames of one patch with its positions scaled by factors."""

    patch: Patch
    known: dict[tuple[Factors, int], Floats] = field(default_factory=dict)
    probes: dict[Factors, Complex64s] = field(default_factory=dict)

    @classmethod
    def of(cls, sample: ScanSample) -> Scales:
        """Of the positions whose frames differ most."""
        features = measure_features(sample.plan)
        return cls(Patch.of(features, most_varied(features, PATCH_FRAMES)))

    def errors(self, factors: Factors, rounds: int = SHORT) -> Floats:
        """(m,) of the same frames for all factors."""
        parts = [self._one(factors, which) for which in range(rounds)] or [self._one(factors, -1)]
        return np.concatenate(parts)

    def _one(self, factors: Factors, which: int) -> Floats:
        """Of one long reconstruction, or (-1) of the short one."""
        key = factors, which
        if key not in self.known:
            patch = self.patch.at(self.patch.positions_m * factors)
            if factors not in self.probes:
                self.probes[factors] = patch.probe
            held_out = folds(len(patch.frames), FOLDS)[max(which, 0)]
            passes = PASSES if which < 0 else LONG_PASSES
            self.known[key] = held_out_errors(patch, held_out, passes, self.probes[factors])
        return self.known[key]

    def best(self, tried: Iterable[Factors], rounds: int = SHORT) -> Factors:
        """The factors with the lowest mean error."""
        return min(tried, key=lambda factors: float(self.errors(factors, rounds).mean()))

    def improvement(self, factors: Factors, rounds: int) -> Improvement:
        """Of these factors over unscaled positions."""
        return Improvement.of(self.errors(AS_SET, rounds), self.errors(factors, rounds))

    def margin(self, factors: Factors, rounds: int) -> Margin:
        """By how much the present scale is better than these factors."""
        return Margin.of(self.errors(AS_SET, rounds), self.errors(factors, rounds))

    def is_worse_with_same_probe(self, factors: Factors) -> bool:
        """Whether these factors are clearly worse with the probe of the present scale; cheap."""
        here = self.errors(AS_SET)
        patch = self.patch.at(self.patch.positions_m * factors)
        errors = held_out_errors(patch, probe=self.probes[AS_SET])
        return Margin.of(here, errors).exceeds(CLEAR, CLEAR_T)

    def is_worse(self, factors: Factors) -> bool:
        """Whether short reconstructions show that these factors are worse, or else long ones."""
        margins = (self.margin(factors, rounds) for rounds in ROUNDS)
        return any(m.exceeds(CLEAR, CLEAR_T) for m in margins)

    def most_significant(self, factors: Factors) -> Margin:
        """The most significant of the margins computed."""
        known = [n for n in ROUNDS if (factors, n - 1) in self.known]
        return max((self.margin(factors, n) for n in known), key=lambda margin: margin.t)

    def optimum(self, start_factors: Factors) -> float | None:
        """Factor at which held-out frames are predicted best: the minimum of a parabola.

        None where factors on either side are not clearly worse: strongly overlapping views predict
        a smooth sample well at any scale. Errors scatter from factor to factor, since positions are
        rounded to pixels.
        """
        powers = np.arange(-2, 3) * np.log(FINE)
        start = np.log(max(start_factors, key=lambda f: abs(np.log(f))))
        used = [1.0 if f != 1 else 0.0 for f in start_factors]
        errors = [self.errors(powered(start + p, used), FOLDS) for p in powers]
        means = [float(e.mean()) for e in errors]
        least = errors[int(np.argmin(means))]
        if not all(Margin.of(least, e).exceeds(CLEAR, CLEAR_T) for e in (errors[0], errors[-1])):
            return None
        bend, slope, _ = np.polyfit(powers, means, 2)
        optimum = -slope / (2 * bend) if bend > 0 else powers[int(np.argmin(means))]
        return float(np.exp(start + np.clip(optimum, powers[0], powers[-1])))


def isotropic(factor: float) -> Factors:
    """The same along both axes."""
    return factor, factor


def powered(log: float, used: list[float]) -> Factors:
    """``exp(log)`` along the axes that are ``used``, 1 along another."""
    y, x = (float(np.exp(log * u)) for u in used)
    return y, x


AS_SET = isotropic(1.0)


def findings(sample: ScanSample, doubt: str = "") -> Iterator[Finding]:
    """Whether another λz/p predicts held-out frames better.

    Overlap does not reveal a factor of 2; short reconstructions of neighbouring positions can. Only
    λz/p enters, so that positions scaled by a factor stand for a pixel scaled by it, or a distance
    divided by it. Errors of a fifth or less hardly show: the object can absorb them.

    Parameters
    ----------
    sample
        Of the scan.
    doubt
        Why the scale is not checked: with another problem, a wrong scale may fit better.
    """
    if not _has_scale(sample):
        return
    doubt = doubt or _too_few_counts(sample)
    if doubt:
        yield finding("note", f"distance and pixel were not checked by reconstructions: {doubt}")
        return
    scales = Scales.of(sample)
    nearby = [isotropic(NEARBY), isotropic(1 / NEARBY)]
    undecided = [factors for factors in nearby if not scales.is_worse(factors)]
    one = [pair for f in (NEARBY, 1 / NEARBY) for pair in ((f, 1.0), (1.0, f))]
    undecided += [
        f for f in one if not scales.is_worse_with_same_probe(f) and not scales.is_worse(f)
    ]
    if not undecided:
        yield finding("note", f"distance and pixel fit the positions' scale: {_comparison(scales)}")
        return
    if any(scales.margin(factors, SHORT).ratio < CLEAR for factors in nearby):
        best = scales.best([*binnings(sample), *nearby])
        improvement = scales.improvement(best, SHORT)
        factor = scales.optimum(best) if improvement.margin.exceeds(RATIO, STUDENT_T) else None
        if factor is not None:
            yield _of_both(sample, factor, improvement)
            return
    yield _compare_nearby(sample, scales, undecided)


def wrong_binning(sample: ScanSample) -> Iterator[Finding]:
    """Whether the pixel is that of another binning, where no orientation fits with the one set.

    With the right one held-out frames are predicted better, and the orientation that is set is the
    one that the frames then determine.
    """
    if not _has_scale(sample) or _too_few_counts(sample):
        return
    scales = Scales.of(sample)
    best = scales.best(binnings(sample))
    improvement = scales.improvement(best, SHORT)
    if not improvement.margin.exceeds(RATIO, STUDENT_T):
        return
    found = _of_both(sample, best[0], improvement)
    ranking = rank(sample.scan, changed(sample.settings, found.settings))
    if ranking.decided and ranking.agrees(sample.settings.orientation_flags):
        yield found


def binnings(sample: ScanSample) -> list[Factors]:
    """Binnings with which neighbours still overlap."""
    step = Dimensions.of(sample).step
    return [isotropic(f) for f in BINNINGS if sample.probe_share is None or f * step < 1]


def _has_scale(sample: ScanSample) -> bool:
    """Whether there are enough positions, in metres, and one pixel for both axes."""
    height, width = sample.plan.geometry.shape
    return not sample.in_pixels and len(sample.plan) >= FEWEST and height == width


def _too_few_counts(sample: ScanSample) -> str:
    """Why the frames are too dim for it; empty where they are not."""
    if sample.usual_counts >= MIN_COUNTS:
        return ""
    return f"{sample.usual_counts:.3g} counts per frame, at least {MIN_COUNTS:.0f} are needed"


def _compare_nearby(sample: ScanSample, scales: Scales, tried: list[Factors]) -> Finding:
    """Whether a factor near 1 fits better in long reconstructions, along both axes or one."""
    best = scales.best(tried, FOLDS)
    improvement = scales.improvement(best, FOLDS)
    factor = scales.optimum(best) if improvement.margin.exceeds(LONG_RATIO, STUDENT_T) else None
    if factor is None:
        what = "the data do not determine distance and pixel to within a third"
        return finding("note", f"{what}: {_comparison(scales)}")
    same = best[0] == best[1]
    return _of_both(sample, factor, improvement) if same else _of_one(best, factor, improvement)


def _comparison(scales: Scales) -> str:
    large, small = (scales.most_significant(isotropic(f)) for f in (1 / NEARBY, NEARBY))
    return (
        f"with a reconstructed pixel {NEARBY:g} times as large, frames left out of the fit are "
        f"predicted {_worse(large)}, and with one {1 / NEARBY:.2g} times {_worse(small)}"
    )


def _worse(margin: Margin) -> str:
    percent = 100 * (margin.ratio - 1)
    return f"{abs(percent):.2g} % {'worse' if percent >= 0 else 'better'}"


def _of_both(sample: ScanSample, factor: float, improvement: Improvement) -> Finding:
    factor = next((b for b in BINNINGS if abs(factor / b - 1) < SAME), float(f"{factor:.3g}"))
    what = (
        "a short reconstruction predicts frames left out of the fit with an error of "
        f"{improvement.given:.3f}, and of {improvement.other:.3f} with a reconstructed pixel "
        f"{1 / factor:.3g} times as large"
    )
    energy_eV, distance_m, _ = sample.energy_distance_pixel
    if factor not in BINNINGS:
        return finding(
            "warning",
            what,
            "distance, pixel, energy or the stage's scale is off",
            {"distance": float(f"{distance_m / factor:.3g}")},
            "right to a tenth: measure it again, or what else is wrong by this factor",
        )
    pixel_m = sample.settings.psize or sample.scan.pixel_m or (0.0, 0.0)
    y, x = (float(f"{p * factor:.6g}") for p in pixel_m)
    when = "before the detector's own" if factor > 1 else "after"
    return finding(
        "error",
        what,
        f"likely the pixel is that {when} binning by {max(factor, 1 / factor):.0f}",
        {"psize": y if y == x else (y, x)},
        f"or else --distance-m {distance_m / factor:.4g}, or --energy-kev "
        f"{energy_eV / 1e3 * factor:.4g}",
    )


def _of_one(best: Factors, factor: float, improvement: Improvement) -> Finding:
    axis = "y" if best[1] == 1 else "x"
    return finding(
        "warning",
        "a short reconstruction predicts frames left out of the fit with an error of "
        f"{improvement.given:.3f}, and of {improvement.other:.3f} with positions {factor:.3g} "
        f"times as far apart along {axis}",
        f"the scale of the stage's {axis} axis is off",
        remedy=f"give {axis} times {factor:.3g} as a separate dataset (--path "
        f"{axis}=OTHER.h5::/PATH); right to a tenth",
    )
