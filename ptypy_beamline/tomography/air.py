"""The phase in the air beside the sample is 0: what tells a sample's phase from a ramp's."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np

from ..arrays import Bools, Complexes, Float32s
from ..errors import BeamlineWarning, SettingsError
from ..extras import skimage
from ..reconstruction.phase import flatten_phase

NARROWEST_PX = 3
OCCUPIED = 2.0
"""A column is air as long as its phases scatter less than so many times as the outermost's."""

DOUBTFUL = 0.2
"""The air's scatter, over the sample's own phases, at which it hardly is air."""


def unwrapped(waves: Iterable[Complexes], air_px: int | None = None) -> tuple[Float32s, int]:
    """Phases of objects with air at their left and right: unwrapped, 0 in the air.

    Ptychography leaves a linear ramp and an offset open; they are those of the air.

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
        Columns at either side that were taken for air.

    Raises
    ------
    SettingsError
        There are no such columns.
    """
    phases = [_unwrap(wave, air_px or narrowest(wave.shape[1])) for wave in waves]
    width = phases[0].shape[1]
    first = air_px or narrowest(width)
    if not 0 < first <= width // 3:
        raise SettingsError(
            f"air of {first} columns at both sides of {width}", "give fewer (--air)"
        )
    stack = np.array([_levelled(phase, first) for phase in phases], np.float32)
    air = air_px or found_air(stack, first)
    if air != first:
        stack = np.array([_levelled(phase, air) for phase in stack], np.float32)
    _doubt(stack, air)
    return stack, air


def narrowest(width: int) -> int:
    """Columns at each side that are looked at first."""
    return max(NARROWEST_PX, width // 24)


def found_air(stack: Float32s, start: int) -> int:
    """Columns at either side that scatter, over all rows and angles, as the outermost ones do."""
    scatter = np.sqrt(np.mean(np.square(stack, dtype=np.float64), axis=(0, 1)))
    both = np.maximum(scatter, scatter[::-1])[: stack.shape[2] // 3]
    occupied = np.flatnonzero(both > OCCUPIED * both[:start].max())
    return max(start, int(occupied[0]) if occupied.size else len(both))


def _unwrap(wave: Complexes, air: int) -> Float32s:
    """The phase without its jumps; first without the ramp, whose jumps noise would spoil."""
    flat = flatten_phase(wave, _beside(wave.shape[1], air)[None, :] * np.ones(wave.shape))
    return np.asarray(skimage("restoration").unwrap_phase(np.angle(flat)), np.float32)


def _levelled(phase: Float32s, air: int) -> Float32s:
    """The phase less the plane through its air, by least squares."""
    y, x = np.indices(phase.shape)
    inside = np.broadcast_to(_beside(phase.shape[1], air), phase.shape)
    plane = np.stack([np.ones(phase.shape), y, x], axis=-1)
    found = np.linalg.lstsq(plane[inside], phase[inside], rcond=None)[0]
    return np.asarray(phase - plane @ found, np.float32)


def _beside(width: int, air: int) -> Bools:
    """(width,) True in the outermost columns."""
    columns = np.arange(width)
    return np.asarray((columns < air) | (columns >= width - air))


def _doubt(stack: Float32s, air: int) -> None:
    inside = stack[:, :, _beside(stack.shape[2], air)]
    scatter, reach = float(inside.std()), float(np.percentile(np.abs(stack), 99))
    if scatter > DOUBTFUL * reach:
        worst = int(inside.std(axis=(1, 2)).argmax())
        warnings.warn(
            f"the outer {air} columns scatter by {scatter:.2g} rad, the sample by {reach:.2g}: "
            f"they may not be empty, least in projection {worst} of the {len(stack)}; set --air, "
            "scan wider, or leave bad angles out (--skip)",
            BeamlineWarning,
            stacklevel=3,
        )
