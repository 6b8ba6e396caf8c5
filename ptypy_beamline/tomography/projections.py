"""From the phases at each angle to aligned projections: ``projections.h5``.

The phase in the air beside the sample is 0, which separates the sample's phase from a ramp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..arrays import Bools, Complex64s, Complexes, Float32s, Ints
from ..errors import ScanError, SettingsError, warn
from ..extras import skimage
from ..output.files import renamed_together
from ..reconstruction.area import middle_part
from ..reconstruction.phase import flatten_phase
from .angles import Angle, check_coverage
from .folder import Phase, sources_of
from .parallel_beam import align, moved
from .picture import draw_alignment
from .volume import Projections, write_projections

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(label, total) → a context manager that yields a function, called with the steps done."""


def silent(label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """No progress."""
    return nullcontext(lambda done: None)


PROJECTIONS, ALIGNMENT = "projections.h5", "alignment.png"
PIXEL_TOLERANCE = 1e-3

MIN_SIZE = 0.7
"""Images smaller than this fraction of the median size along an axis are refused."""

MIN_PX = 8
"""Minimum number of rows and columns of an image."""

MAX_MASS_DEVIATION = 0.4
"""A projection whose mass differs by more than this fraction of the median is reported."""

MIN_AIR_PX = 3
OCCUPIED = 2.0
"""A column is air if its phases scatter less than this many times those of the outermost
columns."""

MAX_AIR_SCATTER = 0.2
"""Scatter of the air, relative to the sample's phases, above which it is probably not air."""


@dataclass(frozen=True)
class Alignment:
    """How phases become aligned projections.

    Attributes
    ----------
    axis
        Image axis along which the rotation axis lies: ``y``, vertical, or ``x``, horizontal.
    air_px
        Pixels without sample at both ends of the other axis; None: found from the phases.
    sign
        Sign of the phase of material: ``negative`` as in PtyPy, ``positive`` where waves are
        exp(−ikz), or ``conjugate``: the conjugate solution, rotated by 180°.
    rounds
        Maximum number of reprojection rounds.
    pixel_m, energy_eV
        For phases that other programs wrote.
    """

    axis: Literal["y", "x"] = "y"
    air_px: int | None = None
    sign: Literal["negative", "positive", "conjugate"] = "negative"
    rounds: int = 30
    pixel_m: float | None = None
    energy_eV: float | None = None

    def oriented(self, wave: Complex64s) -> Complex64s:
        """The object with negative phase, its rotation axis along the columns."""
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
    """Unwrap the phases in a folder, remove ramps, align, and write ``projections.h5``.

    Parameters
    ----------
    folder
        ``ptycho_tomo``.
    angles
        The angles to use.
    out
        Folder for ``projections.h5`` and ``alignment.png``.
    alignment
        Default: :class:`Alignment`'s.
    progress
        Shows the progress.

    Raises
    ------
    ScanError
        Pixels, energies or sizes differ, or the angles cover too little.
    """
    how = alignment or Alignment()
    degrees = np.array([angle.theta_deg for angle in angles])
    check_coverage(degrees)
    phases = [Phase.of(folder / angle.name, how.pixel_m, how.energy_eV) for angle in angles]
    pixel_m, energy_eV = _common_pixel_and_energy(phases)
    shape = _common_shape(phases)
    stack, air = unwrapped((how.oriented(middle_part(p.read(), shape)) for p in phases), how.air_px)
    _check_mass(stack, angles)
    if stack.sum() > 0:
        warn(
            "the sample's phase is positive, so its density will be negative; set --sign "
            "positive or conjugate"
        )
    with progress("aligning", how.rounds) as advance:
        shifts = align(-stack, degrees, how.rounds, advance)
    found = Projections(
        moved(stack, shifts),
        degrees,
        shifts,
        pixel_m if how.axis == "y" else pixel_m[::-1],
        energy_eV,
        tuple(angle.name for angle in angles),
        {"angles": sources_of(folder, angles), "air_px": air, "axis": how.axis, "sign": how.sign},
    )
    with renamed_together():
        write_projections(out / PROJECTIONS, found)
        draw_alignment(found, out / ALIGNMENT)
    return found


def _common_pixel_and_energy(phases: Sequence[Phase]) -> tuple[tuple[float, float], float]:
    """The pixel (y, x) and energy common to all images, to a thousandth."""
    known = np.array([(*phase.pixel_m, phase.energy_eV) for phase in phases])
    y, x, energy = (float(value) for value in np.median(known, axis=0))
    odd = np.flatnonzero(np.abs(known / (y, x, energy) - 1).max(axis=1) > PIXEL_TOLERANCE)
    if odd.size:
        other = phases[odd[0]]
        raise ScanError(
            f"a pixel of {other.pixel_m[0]:.6g} m at {other.energy_eV:.6g} eV, others "
            f"have {y:.6g} m at {energy:.6g} eV",
            "reconstruct all with one window, or leave this angle out (--skip)",
            other.path,
        )
    return (y, x), energy


def _common_shape(phases: Sequence[Phase]) -> Ints:
    """(ny, nx) of the part common to all images, none of which may be much smaller."""
    shapes = np.array([phase.shape for phase in phases])
    usual, least = np.median(shapes, axis=0), shapes.min(axis=0)
    if (least < MIN_SIZE * usual).any() or least.min() < MIN_PX:
        path = phases[int((shapes / usual).min(axis=1).argmin())].path
        raise ScanError(
            f"too small: all would be cut to {least[0]}x{least[1]} pixels, most have "
            f"{usual[0]:g}x{usual[1]:g}",
            "leave this angle out (--skip)",
            path,
        )
    return np.asarray(least)


def _check_mass(stack: Float32s, angles: Sequence[Angle]) -> None:
    """Warn of angles whose mass differs from the others': that of a rotated body is constant."""
    mass = stack.sum(axis=(1, 2), dtype=np.float64)
    usual = np.median(mass)
    odd = [
        angle
        for angle, own in zip(angles, mass, strict=True)
        if abs(own - usual) > MAX_MASS_DEVIATION * abs(usual)
    ]
    if odd:
        numbers = ",".join(str(angle.number) for angle in odd)
        warn(
            f"the mass at {odd[0].name} differs from that of the others: failed "
            "reconstructions spoil the volume, as does a sample that leaves the image; "
            f"if they are few, leave them out (--skip {numbers})"
        )


def unwrapped(waves: Iterable[Complexes], air_px: int | None = None) -> tuple[Float32s, int]:
    """Phases of objects with air at their left and right: unwrapped, 0 in the air.

    Ptychography does not determine a linear ramp and an offset; the air does.

    Parameters
    ----------
    waves
        Complex transmissions (ny, nx) of one size, one for each angle.
    air_px
        Columns at the left and at the right that hold no sample at any angle; default: found.

    Returns
    -------
    phase
        (n, ny, nx) float32 in rad; material has negative phase.
    air_px
        Columns at either side that were taken as air.

    Raises
    ------
    SettingsError
        There are no such columns.
    """
    phases = [_unwrap(wave, air_px or min_air(wave.shape[1])) for wave in waves]
    width = phases[0].shape[1]
    first = air_px or min_air(width)
    if not 0 < first <= width // 3:
        raise SettingsError(
            f"air of {first} columns at both sides of {width}", "give fewer (--air)"
        )
    stack = np.array([_without_background(phase, first) for phase in phases], np.float32)
    air = air_px or found_air(stack, first)
    if air != first:
        stack = np.array([_without_background(phase, air) for phase in stack], np.float32)
    _warn_of_sample_in_air(stack, air)
    return stack, air


def min_air(width: int) -> int:
    """Columns of air at each side from which :func:`found_air` starts."""
    return max(MIN_AIR_PX, width // 24)


def found_air(stack: Float32s, start: int) -> int:
    """Columns of air at either side: their phases scatter as little as the outermost ones'."""
    scatter = np.sqrt(np.mean(np.square(stack, dtype=np.float64), axis=(0, 1)))
    both = np.maximum(scatter, scatter[::-1])[: stack.shape[2] // 3]
    occupied = np.flatnonzero(both > OCCUPIED * both[:start].max())
    return max(start, int(occupied[0]) if occupied.size else len(both))


def _unwrap(wave: Complexes, air: int) -> Float32s:
    """The unwrapped phase; the ramp is removed first, as noise would disturb the unwrapping."""
    flat = flatten_phase(wave, _air_columns(wave.shape[1], air)[None, :] * np.ones(wave.shape))
    return np.asarray(skimage("restoration").unwrap_phase(np.angle(flat)), np.float32)


def _without_background(phase: Float32s, air: int) -> Float32s:
    """The phase less the plane that fits its air, by least squares."""
    y, x = np.indices(phase.shape)
    inside = np.broadcast_to(_air_columns(phase.shape[1], air), phase.shape)
    plane = np.stack([np.ones(phase.shape), y, x], axis=-1)
    found = np.linalg.lstsq(plane[inside], phase[inside], rcond=None)[0]
    return np.asarray(phase - plane @ found, np.float32)


def _air_columns(width: int, air: int) -> Bools:
    """(width,) True in the outermost columns."""
    columns = np.arange(width)
    return np.asarray((columns < air) | (columns >= width - air))


def _warn_of_sample_in_air(stack: Float32s, air: int) -> None:
    inside = stack[:, :, _air_columns(stack.shape[2], air)]
    scatter, reach = float(inside.std()), float(np.percentile(np.abs(stack), 99))
    if scatter > MAX_AIR_SCATTER * reach:
        worst = int(inside.std(axis=(1, 2)).argmax())
        warn(
            f"the outer {air} columns scatter by {scatter:.2g} rad, the sample by {reach:.2g}: "
            f"they may not be empty, above all in projection {worst} of {len(stack)}; set --air, "
            "scan wider, or leave bad angles out (--skip)"
        )
