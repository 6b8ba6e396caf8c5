"""Whether energy, distance, pixel and positions are consistent, and which unit corrects them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np

from ..errors import BeamlineError, GeometryError
from ..formats import open_with
from ..planning.scan_geometry import in_metres
from ..positions import step_m
from ..quantities import OVERRIDES
from ..scan import Scan
from ..settings import Settings
from ..summary import Finding
from .proposed_settings import changed, finding, planned
from .scan_sample import ScanSample

UNITS = {
    "positions": ("m", "mm", "um", "nm", "px"),
    "distance": ("m", "mm"),
    "pixel": ("m", "mm", "um"),
    "energy": ("eV", "keV", "J"),
}
"""Units in which a number may actually be."""

FACTORS = (1e-3, 1e3, 1e-6, 1e6)


@dataclass(frozen=True)
class UnitCorrection:
    """A setting that changes one quantity by a factor."""

    quantity: str
    factor: float
    settings: dict[str, Any]

    @property
    def cause(self) -> str:
        """In words."""
        if self.settings.get("units.positions") == "px":
            return "positions in pixels"
        too = "small" if self.factor > 1 else "large"
        return f"{self.quantity} {max(self.factor, 1 / self.factor):.3g} times too {too}"


def possible_corrections(scan: Scan, settings: Settings) -> Iterator[UnitCorrection]:
    """Other units of the file's numbers, and other powers of ten of numbers that are given."""
    for quantity, units in UNITS.items():
        value = _value(scan, settings, quantity)
        given = OVERRIDES.get(quantity)
        if value is None:
            continue
        if given and getattr(settings, given) is not None:
            stored = getattr(settings, given)
            for factor in FACTORS:
                number = (
                    tuple(_round(v * factor) for v in stored)
                    if isinstance(stored, tuple)
                    else _round(stored * factor)
                )
                yield UnitCorrection(quantity, factor, {given: number})
            continue
        for unit in units:
            name = f"units.{quantity}"
            try:
                other = _value(open_with(changed(settings, {name: unit})), settings, quantity)
            except BeamlineError:
                continue
            if other and not np.isclose(other, value, rtol=0.01):
                yield UnitCorrection(quantity, other / value, {name: unit})


def _value(scan: Scan, settings: Settings, quantity: str) -> float | None:
    """In SI units; for positions, their largest extent. None where there is no value."""
    if quantity == "positions":
        try:
            positions_m = in_metres(scan, settings).positions_m
        except BeamlineError:  # pixels have no size in an impossible geometry
            return None
        finite = positions_m[np.isfinite(positions_m).all(1)]
        return (float(np.ptp(finite, axis=0).max()) or None) if len(finite) else None
    given = getattr(settings, OVERRIDES[quantity])
    if quantity == "energy":
        return float(given) * 1e3 if given is not None else scan.energy_eV
    if quantity == "distance":
        return float(given) if given is not None else scan.distance_m
    pixel = given if given is not None else scan.pixel_m
    return None if pixel is None else float(min(pixel))


def _round(value: float) -> float:
    return float(f"{value:.6g}")


TYPICAL = {
    "energy_eV": (50.0, 60e3),
    "distance_m": (5e-3, 50.0),
    "pixel_m": (3e-7, 5e-4),
    "object_pixel_m": (3e-10, 5e-7),
    "probe_m": (2e-8, 2e-4),
}
"""Usual ranges of X-ray ptychography; only a guide to which number is wrong."""

STEP = (0.01, 1.2)
"""Plausible step in probe diameters: outside it, a number is wrong or views do not overlap."""

UNIT = np.log(100)
"""Logarithm of the factor above which a quantity is in another unit, and loading makes no sense."""

UNEVEN = 100.0
"""Ratio of the extents along the two axes above which their units may differ."""

USUAL_STEP, LIKELY_STEP = 0.25, (0.03, 1.0)
"""Step of a typical scan, and the range to which a corrected unit must bring it."""

UNKNOWN_SHARE = 0.3
"""Probe diameter in fields of view where the frames do not show it."""


@dataclass(frozen=True)
class Dimensions:
    """The numbers that must be consistent.

    Attributes
    ----------
    energy_eV, distance_m, pixel_m
        As stored or given.
    step_m
        Median distance of neighbouring positions.
    object_pixel_m, field_m
        Pixel and field of view of the reconstruction.
    share
        Probe diameter in fields of view, from the frames: no unit enters.
    """

    energy_eV: float
    distance_m: float
    pixel_m: float
    step_m: float
    object_pixel_m: float
    field_m: float
    share: float

    @classmethod
    def of(cls, sample: ScanSample) -> Dimensions:
        """Those of a plan."""
        return cls(
            *sample.energy_distance_pixel,
            step_m(sample.plan.positions_m),
            min(sample.plan.geometry.object_pixel_m),
            sample.field_m,
            sample.probe_share or UNKNOWN_SHARE,
        )

    @property
    def probe_m(self) -> float:
        """Diameter of the probe."""
        return self.share * self.field_m

    @property
    def step(self) -> float:
        """Step in probe diameters."""
        return self.step_m / self.probe_m

    def scaled(self, quantity: str, factor: float) -> Dimensions:
        """With one quantity ``factor`` times as large; λz/p follows."""
        if quantity == "positions":
            return replace(self, step_m=self.step_m * factor)
        name = {"energy": "energy_eV", "distance": "distance_m", "pixel": "pixel_m"}[quantity]
        span = factor if quantity == "distance" else 1 / factor
        return replace(
            self,
            **{name: getattr(self, name) * factor},
            object_pixel_m=self.object_pixel_m * span,
            field_m=self.field_m * span,
        )

    @property
    def is_plausible(self) -> bool:
        """Whether the views overlap, by no more than in any real scan."""
        return STEP[0] <= self.step <= STEP[1]

    @property
    def implausibility(self) -> float:
        """How far from typical, in powers of ten, summed over all numbers."""
        far = abs(np.log10(self.step / USUAL_STEP)) / 2
        for name, (low, high) in TYPICAL.items():
            value = getattr(self, name)
            far += 2 * max(0.0, np.log10(low / value), np.log10(value / high))
        return float(far)


def findings(sample: ScanSample) -> Iterator[Finding]:
    """Whether the step fits the probe size seen in the frames; if not, what makes it fit."""
    now = Dimensions.of(sample)
    if len(sample.plan) < 2 or now.step_m == 0 or now.is_plausible:
        return
    what = _mismatch(now)
    uneven = _uneven(sample)
    likely = [] if sample.in_pixels or uneven else likely_corrections(sample, now)
    unusable = now.step_m > now.field_m or (likely and abs(np.log(likely[0].factor)) > UNIT)
    level = "error" if unusable else "warning"
    if not likely:
        cause, remedy = "", "check units.positions (--unit positions=UNIT), distance, pixel"
        if uneven:
            cause, remedy = uneven, "give both axes in one unit (--path x=PATH --path y=PATH)"
        elif 1 < now.step < 10:
            cause, remedy = "too large a step", f"scan with steps below {0.4 * now.probe_m:.2g} m"
        yield finding(level, what, cause, remedy=remedy)
        return
    best, others = likely[0], likely[1:]
    cause = "likely " + best.cause
    if others:
        cause += ", less likely " + ", ".join(correction.cause for correction in others)
    yield finding(level, what, cause, best.settings)


def _uneven(sample: ScanSample) -> str:
    """Text on positions that extend much farther along one axis; empty where they do not."""
    y, x = np.ptp(sample.plan.positions_m, axis=0).tolist()
    if min(y, x) == 0 or 1 / UNEVEN < y / x < UNEVEN:
        return ""
    return f"positions spread over {y:.3g} m in y and {x:.3g} m in x: is one in another unit?"


def likely_corrections(sample: ScanSample, now: Dimensions) -> list[UnitCorrection]:
    """Changes of a single quantity that make everything plausible, the most likely first."""
    found = []
    for correction in possible_corrections(sample.scan, sample.settings):
        then = now.scaled(correction.quantity, correction.factor)
        if LIKELY_STEP[0] <= then.step <= LIKELY_STEP[1] and then.implausibility < min(
            1.5, now.implausibility
        ):
            found.append((then.implausibility, correction))
    return [correction for _, correction in sorted(found, key=itemgetter(0))]


def impossible(settings: Settings, error: GeometryError) -> Finding:
    """The most plausible correction of an impossible geometry that gives a plan."""
    plain = Finding("error", error.problem, error.remedy)
    try:
        scan = open_with(settings)
    except BeamlineError:
        return plain
    found = []
    for correction in possible_corrections(scan, settings):
        tried = changed(settings, correction.settings)
        try:
            corrected, plan = planned(tried)
        except BeamlineError:
            continue
        now = Dimensions.of(ScanSample.at(corrected, tried, plan))
        found.append((now.implausibility, correction))
    if not found:
        return plain
    best = min(found, key=itemgetter(0))[1]
    # The correction knows more about the file's unit than the error does.
    stored = any(name.startswith("units.") for name in best.settings)
    problem = error.problem.partition(" (stored")[0] if stored else error.problem
    return finding("error", problem, best.cause, best.settings)


def _mismatch(now: Dimensions) -> str:
    """The step, and what it does not fit."""
    step, probe = f"the step of {now.step_m:.3g} m", f"the probe of {now.probe_m:.3g} m"
    if now.step_m > now.field_m:
        return f"{step} exceeds the {now.field_m:.3g} m field of view and {probe}"
    pixel = f"the {now.object_pixel_m:.3g} m reconstructed pixel"
    if now.step_m < 0.3 * now.object_pixel_m:
        return f"{step} is less than a third of {pixel} and {now.step:.2g} of {probe}"
    return f"{step} is {now.step:.3g} times {probe}"
