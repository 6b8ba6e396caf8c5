"""Overlap, oversampling, photons, the dose, and the resolution they allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from ..geometry import PHOTON
from ..positions import step_m
from ..summary import Finding
from ..units import EV_J, in_words
from .proposed_settings import finding
from .scan_sample import ScanSample

WATER = {
    1.0: 406.5,
    1.5: 137.2,
    2.0: 61.52,
    3.0: 19.17,
    4.0: 8.191,
    5.0: 4.188,
    6.0: 2.405,
    8.0: 0.9915,
    10.0: 0.4944,
    15.0: 0.1374,
    20.0: 0.05503,
    30.0: 0.01557,
    40.0: 6.947e-3,
    50.0: 4.223e-3,
    60.0: 3.190e-3,
    80.0: 2.597e-3,
    100.0: 2.546e-3,
}
"""Mass energy-absorption coefficient μen/ρ of water in m²/kg, by photon energy in keV.

Source: J. H. Hubbell and S. M. Seltzer, NISTIR 5632 (1995), table 4.
"""


def dose_to_water(fluence_m2: float, energy_eV: float) -> float | None:
    """Absorbed dose to water at its surface, D = Φ·E·μen/ρ.

    Parameters
    ----------
    fluence_m2
        Photons per square metre.
    energy_eV
        Photon energy.

    Returns
    -------
    float or None
        In gray; None outside 1 to 100 keV.
    """
    energies, coefficients = np.array([*WATER]), np.array([*WATER.values()])
    if not energies[0] <= energy_eV / 1e3 <= energies[-1]:
        return None
    log = np.interp(np.log(energy_eV / 1e3), np.log(energies), np.log(coefficients))
    return float(fluence_m2 * energy_eV * EV_J * np.exp(log))


LARGE_OVERLAP = 0.75
"""Linear overlap above which neighbouring frames are similar."""

ENOUGH_OVERLAP = 0.4
"""Linear overlap below which phases are poorly determined: O. Bunk et al., Ultramicroscopy 108,
481 (2008) recommend 0.6; the probe's diameter is known to a third."""


@dataclass(frozen=True)
class Sampling:
    """How well a scan is sampled.

    Attributes
    ----------
    probe_m
        Diameter of the probe, from the frames.
    step_m, overlap
        Median distance between neighbours; the overlap as a fraction of the probe diameter.
    coverage
        How many times the scanned area is illuminated.
    oversampling
        Field of view over probe diameter; at 2 the diffraction patterns are just sampled.
    photons, fluence_m2
        Counts per frame, and photons per square metre of the sample.
    resolution_m
        Half period at which a pixel still counts one photon, summed over all views of a point.
    """

    probe_m: float
    step_m: float
    overlap: float
    coverage: float
    oversampling: float
    photons: float
    fluence_m2: float
    resolution_m: float

    @classmethod
    def of(cls, sample: ScanSample) -> Sampling | None:
        """None where the probe size cannot be measured from the frames."""
        if sample.probe_share is None or len(sample.plan) < 2:
            return None
        probe_m, step = sample.probe_share * sample.field_m, step_m(sample.plan.positions_m)
        spot, area = np.pi * probe_m**2 / 4, _area_m2(sample, probe_m)
        number, photons = len(sample.plan), float(np.median(sample.totals[sample.illuminated]))
        coverage = number * spot / area
        return cls(
            probe_m,
            step,
            1 - step / probe_m,
            coverage,
            1 / sample.probe_share,
            photons,
            number * photons / area,
            _resolution_m(sample, coverage),
        )


def findings(sample: ScanSample) -> list[Finding]:
    """Sampling as notes; as warnings where it is insufficient."""
    usable = (
        f"{len(sample.plan)} positions; {sample.illuminated.mean():.0%} of "
        f"{len(sample.illuminated)} sampled frames show the beam "
        "(ptypy-beamline qc examines every frame)"
    )
    sampling = Sampling.of(sample)
    if sampling is None:
        return [finding("note", usable + "; too few photons or frames to measure the probe's size")]
    return [
        finding("note", usable),
        _overlap(sampling),
        _oversampling(sampling, sample),
        _photons(sampling, sample),
    ]


def _overlap(s: Sampling) -> Finding:
    what = (
        f"overlap {max(s.overlap, 0):.0%} between neighbours, step {in_words(s.step_m)}, "
        f"probe about {in_words(s.probe_m, 3)}, each point is illuminated {s.coverage:.3g} times"
    )
    if (
        s.overlap >= ENOUGH_OVERLAP or s.overlap < -0.2
    ):  # an impossible overlap is reported with the geometry
        return finding("note", what)
    return finding(
        "warning",
        what,
        "too large a step",
        remedy=f"scan with steps below {in_words(0.4 * s.probe_m, 3)}",
    )


def _oversampling(s: Sampling, sample: ScanSample) -> Finding:
    if s.oversampling > 2:
        return finding("note", f"oversampling {s.oversampling:.3g} (field of view over probe)")
    if (sample.raw >= sample.plan.calibration.limits[1]).any():
        return finding(
            "note", "oversampling at most 2, as far as pixels show it that are not saturated"
        )
    return finding(
        "warning",
        "oversampling at most 2: the speckles are as fine as the pixels",
        "the probe fills the field of view λz/p, or these are near-field frames",
        remedy="bin less (--bin)"
        if sample.settings.rebin > 1
        else "move the detector back next time",
    )


def _photons(s: Sampling, sample: ScanSample) -> Finding:
    energy_eV, radiation = sample.plan.geometry.energy_eV, sample.plan.geometry.radiation
    taken = sample.plan.selection.exposures.shape[1]
    summed = sample.settings.grouping == "sum"  # otherwise a frame has the counts of one exposure
    fluence_m2 = s.fluence_m2 * (1 if summed else taken)
    dose_Gy = dose_to_water(fluence_m2, energy_eV) if radiation == PHOTON else None
    dose = "" if dose_Gy is None else f", {dose_Gy:.3g} Gy to water"
    what = (
        f"{s.photons:.3g} counts per frame, {fluence_m2 * 1e-12:.3g} {radiation}s/µm² of the "
        f"frames used ({fluence_m2 * energy_eV * EV_J:.3g} J/m²{dose}), enough for a half period "
        f"of about {in_words(s.resolution_m, 3)}"
    )
    exposure = sample.scan.exposure_s
    seconds = float(np.median(exposure)) if exposure is not None and np.size(exposure) else 0.0
    if seconds > 0:
        what += f"; {s.photons / (seconds * (taken if summed else 1)):.3g} counts/s"
    return finding("note", what)


def _area_m2(sample: ScanSample, probe_m: float) -> float:
    """Convex hull of the positions, widened by half a probe on all sides (Steiner's formula)."""
    points = sample.plan.positions_m
    try:
        hull = ConvexHull(points)
        area, round_m = float(hull.volume), float(hull.area)  # in a plane: area and perimeter
    except (QhullError, ValueError):
        area, round_m = 0.0, 2 * float(np.hypot(*np.ptp(points, axis=0)))
    return area + round_m * probe_m / 2 + np.pi * probe_m**2 / 4


def _resolution_m(sample: ScanSample, coverage: float) -> float:
    """Half period at which a pixel still counts one photon, summed over all views of a point.

    The counts of a ring, minus those in the frame's far corners, times ``coverage``; never finer
    than the reconstructed pixel.
    """
    shape, finest = sample.plan.geometry.shape, max(sample.plan.geometry.object_pixel_m)
    edge = min(shape) / 2
    ring = np.minimum((sample.radius * edge).astype(int), int(edge)).ravel()
    good = sample.ever_good.ravel()
    number = np.maximum(np.bincount(ring[good], minlength=int(edge) + 1), 1)
    counts = np.bincount(ring[good], sample.mean.ravel()[good], minlength=int(edge) + 1) / number
    far = sample.mean[sample.ever_good & (sample.radius > 1.2)]
    counts -= float(np.median(far)) if far.size else 0.0
    strong = np.flatnonzero(counts * coverage >= 1)
    radius = max(int(strong[-1]) if strong.size else 1, 1)
    return max(sample.field_m / (2 * radius), finest)
