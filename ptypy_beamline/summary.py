"""A scan and its plan in words and numbers, for ``info`` and ``check``; what is implausible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .arrays import Floats
from .frames.wrappers import CorrectedFrames
from .planning.plan import Plan
from .positions import step_m
from .scan import Scan, WarnedNote, sample_indices


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
        The likely cause.
    settings
        Loader parameters that fix it, as :meth:`ptypy_beamline.settings.Settings.of` takes them.
    """

    level: str
    what: str
    remedy: str = ""
    cause: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.level}: " + "; ".join(filter(None, (self.what, self.cause, self.remedy)))


def describe_scan(scan: Scan) -> dict[str, Any]:
    """Contents of the file, in SI units, which the keys name."""
    images = {"dark": scan.dark, "flat": scan.flat}
    positions = scan.positions_m if scan.positions_px is None else scan.positions_px
    return {
        "file": str(scan.source),
        "format": scan.format,
        "frames": list(scan.frames.shape),
        "dtype": str(scan.frames.dtype),
        "stored_as": scan.stored_as,
        "zero_frequency": "corner" if scan.zero_frequency == "corner" else None,
        "positions": int(np.isfinite(positions).all(axis=1).sum()),
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
    """Notes on a scan that were not given as warnings already."""
    return [note for note in scan.notes if not isinstance(note, WarnedNote)]


def describe_plan(plan: Plan) -> dict[str, Any]:
    """What loading gives, in SI units; ``resolution_m`` is the reconstructed pixel."""
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
        "resolution_m": list(geometry.object_pixel_m),
        "field_of_view_m": [
            n * r for n, r in zip(geometry.shape, geometry.object_pixel_m, strict=True)
        ],
        "scan_m": (high - low).tolist(),
        "step_m": step_m(plan.positions_m),
        "good_pixels": float(plan.good.mean()),
    }


def bad_pixels(plan: Plan) -> str:
    """How many pixels every frame lacks, and the raw values that are excluded wherever they are."""
    counting = plan.calibration.counting
    limit = min(counting.no_count, _saturation(plan))
    values = str(replace(counting, no_count=limit, never=None))
    excluded = f"{np.count_nonzero(~plan.good)} of {plan.good.size}"
    return excluded + (f", and any that read {values}" if values else "")


def _saturation(plan: Plan) -> float:
    own = plan.frames if isinstance(plan.frames, CorrectedFrames) else plan.calibration
    return float(own.saturation)


def loading_steps(plan: Plan) -> list[tuple[str, str]]:
    """Steps of loading: (step, what it does)."""
    used = int((plan.selection.exposures >= 0).sum())
    return [
        ("select", f"{len(plan)} positions from {used} of {plan.frames.shape[0]} frames"),
        ("read", _read(plan)),
        *_corrections(plan),
        *_transforms(plan),
    ]


def _read(plan: Plan) -> str:
    w = plan.window
    read = f"rows {w.top} to {w.top + w.height}, columns {w.left} to {w.left + w.width}"
    past = plan.inside.shape != w.shape
    return f"{read} (reaches past the detector, where pixels are bad)" if past else read


def _corrections(plan: Plan) -> list[tuple[str, str]]:
    """Corrections of counts: bad pixels, dark, flat, monitor, threshold."""
    cal, good = plan.calibration, ~plan.calibration.bad
    own = plan.frames if isinstance(plan.frames, CorrectedFrames) else None
    saturation = _saturation(plan)
    limit = "none" if np.isinf(saturation) else f"{saturation:.10g}"
    counts = f", no counts: {cal.counting}" if str(cal.counting) else ""
    offset, gain = cal.offset[good], cal.gain[good]
    dark = f"{offset.mean():.4g} counts on average, background included" if offset.any() else "none"
    flat = "none" if (gain == 1).all() else f"gain {gain.min():.3g} to {gain.max():.3g}"
    return [
        *([("own", own.images)] if own else []),
        ("bad", f"{int(cal.bad.sum())} static pixels, saturation {limit}{counts}"),
        ("dark", dark),
        ("flat", flat),
        ("monitor", _monitor(plan.selection.scale)),
        ("threshold", f"{cal.threshold:g}"),
    ]


def _transforms(plan: Plan) -> list[tuple[str, str]]:
    """Operations on frames: group, align, bin, orient, pad."""
    transform, k = plan.transform, plan.selection.exposures.shape[1]
    names = ("transpose", "flip up-down", "flip left-right")
    applied = [name for name, on in zip(names, transform.orientation, strict=True) if on]
    return [
        ("group", f"{transform.grouping} of {k}" if k > 1 else "one exposure per position"),
        ("align", "centre of mass" if transform.align else "none"),
        ("bin", f"{transform.rebin} x {transform.rebin}" if transform.rebin > 1 else "none"),
        ("orient", ", ".join(applied) or "none"),
        ("pad", f"{transform.pad} (top, bottom, left, right)" if any(transform.pad) else "none"),
    ]


def _monitor(scale: Floats) -> str:
    usable = scale[np.isfinite(scale)]
    plain = (usable == 1).all()
    return "none" if plain else f"factors {usable.min():.4g} to {usable.max():.4g}"


STEP = "the step of"
"""First words of findings on the step, which assume far-field pixels."""

FIT = (
    "positions, pixel, distance or energy are inconsistent: run ptypy-beamline check, or "
    "correct units.positions (--unit positions=UNIT), the geometry or the window (--roi)"
)


def physics(plan: Plan) -> list[Finding]:
    """Problems with the geometry and the positions of a plan."""
    found, (ny, nx) = _of_step(plan), plan.geometry.shape
    if ny != nx:
        found.append(
            Finding(
                "warning",
                f"frames of {ny}x{nx} are not square, PtyPy needs square ones",
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


def _of_step(plan: Plan) -> list[Finding]:
    """A step that is inconsistent with the field of view or the pixel."""
    geometry, step = plan.geometry, step_m(plan.positions_m)
    field = min(n * r for n, r in zip(geometry.shape, geometry.object_pixel_m, strict=True))
    pixel = min(geometry.object_pixel_m)
    if len(plan) > 1 and step == 0:
        remedy = (
            "set frames_per_position (--frames-per-pos) if each has several exposures, or check "
            "the position datasets (--path x=PATH --path y=PATH)"
        )
        return [Finding("error", "most positions coincide with another", remedy)]
    level = "error" if step > field else "warning"
    if step > field:
        what = f"exceeds the {field:.3g} m field of view, so no two views can overlap"
    elif step > field / 2:
        what = (
            f"is more than half the {field:.3g} m field of view; a well sampled probe is at most "
            "half as wide as it"
        )
    elif 0 < step < 0.3 * pixel:
        what = f"is less than a third of the {pixel:.3g} m reconstructed pixel"
    else:
        return []
    return [Finding(level, f"{STEP} {step:.3g} m {what}", FIT)]


def empty_beam(scan: Scan, plan: Plan) -> list[Finding]:
    """Whether frames are as bright as the empty beam allows, if a reference was measured.

    A phantom's probe comes from its reference frame without a sample, in root counts: no frame can
    have more photons, and a thin sample absorbs few.
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
