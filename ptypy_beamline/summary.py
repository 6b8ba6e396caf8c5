"""A scan and its plan in words and numbers: what ``info`` prints and ``check`` judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from .arrays import Floats
from .frames.wrappers import CorrectedFrames
from .planning.plan import Plan
from .scan import Assumed, Scan, sample_indices


@dataclass(frozen=True)
class Finding:
    """Something worth knowing about a scan.

    Attributes
    ----------
    level
        ``error``, ``warning`` or ``note``.
    what
        The evidence, with numbers.
    remedy
        The parameter or flag to set.
    cause
        What is likely behind it.
    settings
        Loader parameters that mend it, as :meth:`ptypy_beamline.settings.Settings.of` takes them.
    """

    level: str
    what: str
    remedy: str = ""
    cause: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.level}: " + "; ".join(filter(None, (self.what, self.cause, self.remedy)))


def _known_positions(scan: Scan) -> int:
    """Those that are known: numbers without a reading have none."""
    listed = scan.positions_m if scan.positions_px is None else scan.positions_px
    return int(np.isfinite(listed).all(axis=1).sum())


def describe_scan(scan: Scan) -> dict[str, Any]:
    """What the file says, in SI units, with names that carry them."""
    images = {"dark": scan.dark, "flat": scan.flat}
    return {
        "file": str(scan.source),
        "format": scan.format,
        "frames": list(scan.frames.shape),
        "dtype": str(scan.frames.dtype),
        "stored_as": scan.stored_as,
        "zero_frequency": "corner" if scan.zero_frequency == "corner" else None,
        "positions": _known_positions(scan),
        "grid": scan.grid,
        "energy_eV": scan.energy_eV,
        "distance_m": scan.distance_m,
        "pixel_m": scan.pixel_m,
        "center_px": scan.center_px,
        "saturation": scan.saturation,
        "bad_pixels": None if scan.bad is None else int(scan.bad.sum()),
        **{name: None if f is None else list(f.shape) for name, f in images.items()},
        "monitor": None if scan.monitor is None else len(scan.monitor),
        "probe": None if scan.probe is None else list(scan.probe.shape),
        "notes": list(scan.notes),
    }


def unwarned_notes(scan: Scan) -> list[str]:
    """Notes on a scan that no warning has said already."""
    return [note for note in scan.notes if not isinstance(note, Assumed)]


def describe_plan(plan: Plan) -> dict[str, Any]:
    """What loading hands over."""
    geometry = plan.geometry
    low, high = plan.positions_m.min(0), plan.positions_m.max(0)
    return {
        "positions": len(plan),
        "shape": list(geometry.shape),
        "energy_eV": geometry.energy_eV,
        "radiation": geometry.radiation,
        "wavelength_m": geometry.wavelength_m,
        "distance_m": geometry.distance_m,
        "pixel_m": list(geometry.pixel_m),
        "center_px": list(geometry.center_px),
        "resolution_m": list(geometry.resolution_m),
        "field_of_view_m": [
            n * r for n, r in zip(geometry.shape, geometry.resolution_m, strict=True)
        ],
        "scan_m": (high - low).tolist(),
        "step_m": step_m(plan.positions_m),
        "good_pixels": float(plan.good.mean()),
    }


def step_m(positions_m: Floats) -> float:
    """Median distance of a position from its nearest neighbour; 0 for fewer than two."""
    if len(positions_m) < 2:
        return 0.0
    distances = cKDTree(positions_m).query(positions_m, k=2)[0][:, 1]
    return float(np.median(distances))


def stations(plan: Plan) -> list[tuple[str, str]]:
    """What loading does, station by station: (station, what)."""
    selection, cal, transform = plan.selection, plan.calibration, plan.transform
    k = selection.exposures.shape[1]
    used = int((selection.exposures >= 0).sum())
    w, inside = plan.window, plan.inside
    own = plan.frames if isinstance(plan.frames, CorrectedFrames) else None
    saturation = own.saturation if own else cal.saturation
    limit = "none" if np.isinf(saturation) else f"{saturation:.10g}"
    counts = f", no counts: {cal.counting}" if str(cal.counting) else ""
    turned = [
        n
        for n, on in zip(
            ("transpose", "flip up-down", "flip left-right"), transform.turn, strict=True
        )
        if on
    ]
    return [
        ("select", f"{len(selection)} positions from {used} of {plan.frames.shape[0]} frames"),
        (
            "read",
            f"rows {w.top} to {w.top + w.height}, columns {w.left} to {w.left + w.width}"
            + ("" if inside.shape == w.shape else " (reaches past the detector: bad there)"),
        ),
        *([("own", own.images)] if own else []),
        ("bad", f"{int(cal.bad.sum())} static pixels, saturation {limit}{counts}"),
        (
            "dark",
            f"{cal.offset[~cal.bad].mean() if (~cal.bad).any() else 0:.4g} counts on average, "
            "background included",
        ),
        (
            "flat",
            "none"
            if (cal.gain[~cal.bad] == 1).all()
            else f"gain {cal.gain[~cal.bad].min():.3g} to {cal.gain[~cal.bad].max():.3g}",
        ),
        ("monitor", _monitor(selection.scale)),
        ("threshold", f"{cal.threshold:g}"),
        ("group", f"{transform.grouping} of {k}" if k > 1 else "one exposure a position"),
        ("align", "centre of mass" if transform.align else "none"),
        ("bin", f"{transform.rebin} x {transform.rebin}" if transform.rebin > 1 else "none"),
        ("orient", ", ".join(turned) or "none"),
        ("pad", f"{transform.pad} (top, bottom, left, right)" if any(transform.pad) else "none"),
    ]


def _monitor(scale: Floats) -> str:
    usable = scale[np.isfinite(scale)]
    if (usable == 1).all():
        return "none"
    return f"factors {usable.min():.4g} to {usable.max():.4g}"


STEP = "the step of"
"""How findings on the step begin; they are of far-field pixels."""

FIT = (
    "positions, pixel, distance or energy do not fit each other: run ptypy-beamline check, or "
    "correct units.positions (--unit positions=UNIT), the geometry or the window (--roi)"
)


def physics(plan: Plan) -> list[Finding]:
    """What the geometry and the positions of a plan give away."""
    geometry, found = plan.geometry, []
    field = min(n * r for n, r in zip(geometry.shape, geometry.resolution_m, strict=True))
    step, pixel = step_m(plan.positions_m), min(geometry.resolution_m)
    if len(plan) > 1 and step == 0:
        found.append(
            Finding(
                "error",
                "most positions coincide with another",
                "set frames_per_position (--frames-per-pos) if each has several exposures, or "
                "check the position datasets (--path x=PATH --path y=PATH)",
            )
        )
    elif step > field:
        found.append(
            Finding(
                "error",
                f"{STEP} {step:.3g} m exceeds the {field:.3g} m field of view, so no two "
                "views can overlap",
                FIT,
            )
        )
    elif step > field / 2:
        found.append(
            Finding(
                "warning",
                f"{STEP} {step:.3g} m is more than half the {field:.3g} m field of "
                "view: a well sampled probe is at most half of it wide",
                FIT,
            )
        )
    elif 0 < step < 0.3 * pixel:
        found.append(
            Finding(
                "warning",
                f"{STEP} {step:.3g} m is less than a third of the {pixel:.3g} m "
                "reconstructed pixel",
                FIT,
            )
        )
    if geometry.shape[0] != geometry.shape[1]:
        found.append(
            Finding(
                "warning",
                f"frames of {geometry.shape[0]}x{geometry.shape[1]} are "
                "not square, PtyPy needs square ones",
                "set shape (--roi) or pad='square' (--pad square)",
            )
        )
    share = float(plan.good.mean())
    if share < 0.5:
        found.append(
            Finding(
                "warning",
                f"only {share:.0%} of the pixels are good",
                "check the window (--roi), the mask and mask_values (--mask-values)",
            )
        )
    return found


def empty_beam(scan: Scan, plan: Plan) -> list[Finding]:
    """Whether frames are as bright as the empty beam lets them be, where a reference was measured.

    A phantom's probe comes from its reference frame without a sample, in root counts: no frame can
    hold more photons than it, and a thin sample takes few.
    """
    if scan.format != "phantom" or scan.probe is None:
        return []
    picked = sample_indices(len(plan))
    totals = plan.correct(plan.load(picked), picked)[0].sum((1, 2), dtype=np.float64)
    share = float(np.median(totals) / np.sum(np.abs(scan.probe) ** 2, dtype=np.float64))
    if 0.1 <= share <= 1.1:
        return []
    return [
        Finding(
            "warning",
            f"frames hold {share:.3g} times the counts of the empty beam",
            "check stored_as (--stored-as), flat and monitor",
        )
    ]


def as_json(finding: Finding) -> dict[str, Any]:
    """A finding for machines."""
    return asdict(finding)
