"""From the phases at each angle to aligned projections: ``projections.h5``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..arrays import Complex64s, Float32s, Ints
from ..errors import BeamlineWarning, ScanError
from ..output import together
from .air import unwrapped
from .align import align, moved
from .angles import Angle
from .coverage import check_coverage
from .folder import sources_of
from .phases import Phase
from .picture import draw_alignment
from .progress import Progress, silent
from .volume import Projections, write_projections

PROJECTIONS, ALIGNMENT = "projections.h5", "alignment.png"
PIXELS_AGREE = 1e-3

SMALL = 0.7
"""Of the usual image, along each axis: smaller ones are refused."""

LEAST_PX = 8
"""Rows and columns that an image needs."""

ODD_MASS = 0.4
"""Of the usual mass: an angle that differs by more is not like the others."""


@dataclass(frozen=True)
class Alignment:
    """How phases become aligned projections.

    Attributes
    ----------
    axis
        Image axis along which the rotation axis lies: ``y``, vertical, or ``x``, horizontal.
    air_px
        Pixels at both ends of the other axis without sample; None = found.
    sign
        Of the phase of material: ``negative`` as PtyPy has it, ``positive`` where waves are
        exp(−ikz), or ``conjugate``: the conjugate solution, turned by 180°.
    rounds
        Most rounds of reprojection.
    pixel_m, energy_eV
        Of phases that other programs wrote.
    """

    axis: Literal["y", "x"] = "y"
    air_px: int | None = None
    sign: Literal["negative", "positive", "conjugate"] = "negative"
    rounds: int = 30
    pixel_m: float | None = None
    energy_eV: float | None = None

    def upright(self, wave: Complex64s) -> Complex64s:
        """An object with negative phase, its rotation axis along the columns."""
        if self.sign == "conjugate":
            wave = wave[::-1, ::-1]
        if self.sign != "negative":
            wave = wave.conj()
        return wave.T if self.axis == "x" else wave


def align_series(
    folder: Path,
    angles: Sequence[Angle],
    out: Path,
    alignment: Alignment | None = None,
    progress: Progress = silent,
) -> Projections:
    """Unwrap the phases in a folder, take ramps off, align, and write ``projections.h5``.

    Parameters
    ----------
    folder
        ``ptycho_tomo``.
    angles
        Those in it that count.
    out
        Where ``projections.h5`` and ``alignment.png`` go.
    alignment
        How; default: as :class:`Alignment` has it.
    progress
        Shows how far it is.

    Raises
    ------
    ScanError
        Pixels, energies or sizes differ, or the angles cover too little.
    """
    how = alignment or Alignment()
    degrees = np.array([angle.theta_deg for angle in angles])
    check_coverage(degrees)
    phases = [Phase.of(folder / angle.name, how.pixel_m, how.energy_eV) for angle in angles]
    pixel_m, energy_eV = _common(phases)
    shape = _shape(phases)
    stack, air = unwrapped((how.upright(_middle(p.read(), shape)) for p in phases), how.air_px)
    _check_mass(stack, angles)
    if stack.sum() > 0:
        warnings.warn(
            "the sample's phase is positive, so its density will be negative; set --sign "
            "positive or conjugate",
            BeamlineWarning,
            stacklevel=2,
        )
    with progress("aligning", how.rounds) as advance:
        shifts = align(-stack, degrees, how.rounds, lambda *_: advance(1))
    found = Projections(
        moved(stack, shifts),
        degrees,
        shifts,
        pixel_m if how.axis == "y" else pixel_m[::-1],
        energy_eV,
        tuple(angle.name for angle in angles),
        {"angles": sources_of(folder, angles), "air_px": air, "axis": how.axis, "sign": how.sign},
    )
    with together():
        write_projections(out / PROJECTIONS, found)
        draw_alignment(found, out / ALIGNMENT)
    return found


def _common(phases: Sequence[Phase]) -> tuple[tuple[float, float], float]:
    """The pixel (y, x) and energy that all share.

    Raises
    ------
    ScanError
        One differs by more than a thousandth.
    """
    known = np.array([(*phase.pixel_m, phase.energy_eV) for phase in phases])
    y, x, energy = (float(value) for value in np.median(known, axis=0))
    odd = np.flatnonzero(np.abs(known / (y, x, energy) - 1).max(axis=1) > PIXELS_AGREE)
    if odd.size:
        other = phases[odd[0]]
        raise ScanError(
            f"a pixel of {other.pixel_m[0]:.6g} m at {other.energy_eV:.6g} eV, others "
            f"have {y:.6g} m at {energy:.6g} eV",
            "reconstruct all with one window, or leave this angle out (--skip)",
            other.path,
        )
    return (y, x), energy


def _shape(phases: Sequence[Phase]) -> Ints:
    """(ny, nx) of the part that all have.

    Raises
    ------
    ScanError
        One is much smaller than others: all would be cut to it.
    """
    shapes = np.array([phase.shape for phase in phases])
    usual, least = np.median(shapes, axis=0), shapes.min(axis=0)
    if (least < SMALL * usual).any() or least.min() < LEAST_PX:
        path = phases[int((shapes / usual).min(axis=1).argmin())].path
        raise ScanError(
            f"too small: all would be cut to {least[0]}x{least[1]} pixels, most have "
            f"{usual[0]:g}x{usual[1]:g}",
            "leave this angle out (--skip)",
            path,
        )
    return np.asarray(least)


def _check_mass(stack: Float32s, angles: Sequence[Angle]) -> None:
    """Warn of angles whose mass is not that of the others, as a turned body's is."""
    mass = stack.sum(axis=(1, 2), dtype=np.float64)
    usual = np.median(mass)
    odd = [
        angle
        for angle, own in zip(angles, mass, strict=True)
        if abs(own - usual) > ODD_MASS * abs(usual)
    ]
    if odd:
        numbers = ",".join(str(angle.number) for angle in odd)
        warnings.warn(
            f"the mass at {odd[0].name} is not that of the others: failed "
            "reconstructions spoil the volume, as does a sample that leaves the image; "
            f"if they are few, leave them out (--skip {numbers})",
            BeamlineWarning,
            stacklevel=3,
        )


def _middle(wave: Complex64s, shape: Ints) -> Complex64s:
    return wave[
        tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(wave.shape, shape, strict=True))
    ]
