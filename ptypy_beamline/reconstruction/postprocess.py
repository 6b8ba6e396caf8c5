"""Post-processing for presentation, which changes no predicted frame.

Far-field ptychography does not determine a phase ramp, an amplitude and a phase: an object
O·exp(−iκ·r)/a and a probe P·exp(+iκ·r)·a give the same frames as O and P. Both are therefore
changed together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..arrays import Floats
from ..errors import ScanError
from ..extras import skimage
from .area import Rectangle, Slices, points_of, scanned
from .model import Reconstruction
from .phase import ramp, ramp_frequency
from .vacuum import find_vacuum

MIN_SHARE = 1 / 40
"""Minimum share of the scanned area from which a phase ramp may be extrapolated over all of it."""

Where = Rectangle | Literal["auto", "whole"]


@dataclass(frozen=True)
class Postprocess:
    """The steps to take; none by default.

    Attributes
    ----------
    normalise
        Mean amplitude 1 and mean phase 0 in the reference area.
    flatten
        Remove phase ramp and offset over a vacuum region: ``"auto"`` finds one, a
        :class:`Rectangle` gives it, ``"whole"`` uses the whole scanned area. It is the reference
        area of the other steps, too; by default they use the scanned area.
    crop, margin_m
        Crop the object to the positions' bounding box and this margin around it.
    unwrap
        Phases beyond ±π, within π of 0 in the reference area.
    """

    normalise: bool = False
    flatten: Where | None = None
    crop: bool = False
    margin_m: float = 0.0
    unwrap: bool = False


@dataclass(frozen=True, eq=False)
class Finished:
    """A presentable reconstruction.

    Attributes
    ----------
    reconstruction
        With the steps that were taken in ``provenance["postprocess"]``.
    phase_rad
        (layers, ny, nx) of its object, unwrapped if requested.
    zero
        The reference area, in metres on the axes of the positions.
    """

    reconstruction: Reconstruction
    phase_rad: Floats
    zero: Rectangle


def finish(found: Reconstruction, asked: Postprocess) -> Finished:
    """Apply the requested steps, in the order normalise, flatten, crop, unwrap.

    Raises
    ------
    ScanError
        No vacuum region was found, or the object is 0 there, or not finite.
    SettingsError
        The rectangle lies outside.
    BeamlineError
        scikit-image is needed and missing.
    """
    where = Rectangle.of(found, _reference(found, asked.flatten))
    if asked.normalise:
        found = normalise(found, where)
    if asked.flatten is not None:
        found = flatten(found, where)
    if asked.crop:
        found = crop(found, asked.margin_m)
    if not asked.unwrap:
        return Finished(found, np.angle(found.object).astype(np.float64), where)
    phase = unwrapped(found, where)
    return Finished(_with_step(found, step="unwrap", zero_m=str(where)), phase, where)


def normalise(found: Reconstruction, where: Rectangle) -> Reconstruction:
    """Mean amplitude 1 and mean phase 0 in a rectangle, of each layer; the probe takes the factor.

    Raises
    ------
    ScanError
        The object is 0 there, or not finite.
    """
    rows, columns = part = _finite(found, where)
    amplitude = np.abs(found.object[:, rows, columns]).mean(axis=(1, 2), dtype=np.float64)
    if not amplitude.all():
        raise ScanError(f"the object is 0 in the rectangle {where}", "choose another one")
    scaled = replace(
        found,
        object=(found.object / amplitude[:, None, None]).astype(np.complex64),
        probe=(found.probe * amplitude.prod()).astype(np.complex64),
    )
    return _with_step(
        _phase_at_zero(scaled, part),
        step="normalise",
        over_m=str(where),
        amplitude=amplitude.tolist(),
    )


def flatten(found: Reconstruction, where: Rectangle) -> Reconstruction:
    """Remove the phase ramp and offset that the object has in a rectangle.

    The ramp goes to the probe, so that each exit wave keeps all but a constant phase. Of several
    layers that holds for the first one's ramp only; the others lose their offset.

    Raises
    ------
    ScanError
        The object is not finite there.
    """
    rows, columns = part = _finite(found, where)
    wave = found.object[0, rows, columns].astype(np.complex128)
    frequency = ramp_frequency(wave * np.abs(wave))
    obj = found.object.copy()
    obj[0] *= ramp(obj.shape[1:], frequency).conj()
    probe = found.probe * ramp(found.probe.shape[1:], frequency)
    flat = replace(found, object=obj, probe=probe.astype(np.complex64))
    slope = [2 * np.pi * f / p for f, p in zip(frequency, found.pixel_m, strict=True)]
    return _with_step(
        _phase_at_zero(flat, part), step="flatten", over_m=str(where), ramp_rad_per_m=slope
    )


def crop(found: Reconstruction, margin_m: float = 0.0) -> Reconstruction:
    """Crop the object to the scanned area; views at its edge then reach beyond it."""
    rows, columns = scanned(found, margin_m)
    middle = [(part.start + part.stop - 1) / 2 for part in (rows, columns)]
    y, x = points_of(found, np.array(middle))
    cut = replace(found, object=found.object[:, rows, columns], center_m=(float(y), float(x)))
    return _with_step(
        cut,
        step="crop",
        margin_m=margin_m,
        rows=[rows.start, rows.stop],
        columns=[columns.start, columns.stop],
    )


def unwrapped(found: Reconstruction, zero: Rectangle) -> Floats:
    """Phases (layers, ny, nx) without jumps of 2π, within π of 0 in the median over ``zero``.

    Source: M. A. Herráez et al., Appl. Opt. 41, 7437 (2002), by scikit-image.

    Raises
    ------
    BeamlineError
        scikit-image is not installed.
    SettingsError
        The rectangle lies outside the object.
    """
    unwrap_phase = skimage("restoration").unwrap_phase
    rows, columns = zero.within(found)
    phase: Floats = np.array(
        [unwrap_phase(np.angle(layer), rng=0) for layer in found.object], np.float64
    )
    periods = np.rint(np.median(phase[:, rows, columns], axis=(1, 2)) / (2 * np.pi))
    return phase - 2 * np.pi * periods[:, None, None]


def _reference(found: Reconstruction, where: Where | None) -> Slices:
    """The area in which the phase is to be 0 and the amplitude 1."""
    if isinstance(where, Rectangle):
        return where.within(found)
    rows, columns = scanned(found)
    if where == "auto":
        wave = found.object[:, rows, columns].prod(axis=0)
        inner = find_vacuum(wave)
        share = wave[inner].size / wave.size
        if share < MIN_SHARE:
            raise ScanError(
                f"the vacuum region that was found is only {share:.1%} of the scanned area: a "
                "phase ramp measured there would be extrapolated too far",
                "specify a region (--flatten Y0,X0,H,W), or use the whole area (--flatten whole)",
            )
        rows, columns = (
            slice(outer.start + part.start, outer.start + part.stop)
            for outer, part in zip((rows, columns), inner, strict=True)
        )
    return rows, columns


def _finite(found: Reconstruction, where: Rectangle) -> Slices:
    """The pixels of a rectangle, all of them finite."""
    rows, columns = where.within(found)
    lost = int((~np.isfinite(found.object[:, rows, columns])).sum())
    if lost:
        raise ScanError(
            f"{lost} pixels of the object are not finite in the rectangle {where}",
            "choose another one (--flatten Y0,X0,H,W), or check whether the reconstruction "
            "diverged (--flatten none)",
        )
    return rows, columns


def _phase_at_zero(found: Reconstruction, part: Slices) -> Reconstruction:
    """Mean phase 0 in a part of each layer; a constant phase changes no frame."""
    mean = found.object[:, part[0], part[1]].mean(axis=(1, 2), dtype=np.complex128)
    factor = np.exp(-1j * np.angle(mean))
    return replace(found, object=(found.object * factor[:, None, None]).astype(np.complex64))


def _with_step(found: Reconstruction, **step: Any) -> Reconstruction:
    """The reconstruction with one more step in its provenance, which files may hold as JSON."""
    before = found.provenance.get("postprocess", [])
    before = json.loads(before) if isinstance(before, str) else before
    return replace(found, provenance={**found.provenance, "postprocess": [*before, step]})
