"""From a plan to a quick reconstruction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays import Bools, Complex64s, Float32s, Ints
from ...errors import SettingsError
from ...geometry import transfer
from ...planning.plan import Plan
from .rpie import PASSES, Reconstruction, reconstruct


def preview(
    plan: Plan,
    iterations: int = PASSES,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
    near_field: bool = False,
) -> Reconstruction:
    """Load every frame of ``plan`` and reconstruct.

    With ``near_field`` the frames are taken as holograms, at the plan's (effective) distance and
    pixel.

    Raises
    ------
    SettingsError
        The frames are not square.
    """
    return _reconstructed(
        plan, None, near_field, iterations=iterations, seed=seed, progress=progress
    )


def probe_of(
    plan: Plan, frames: int = 300, iterations: int = 3, near_field: bool = False
) -> Complex64s:
    """A probe (N, N) to start a reconstruction with, from the data alone.

    A few passes of the preview over at most ``frames`` consecutive positions in the middle of the
    scan; in root counts, as PtyPy's ``illumination.model`` takes it.

    Raises
    ------
    SettingsError
        The frames are not square.
    """
    start = max(0, (len(plan) - frames) // 2)
    middle = np.arange(start, min(start + frames, len(plan)))
    found = _reconstructed(plan, middle, near_field, iterations=iterations)
    probe: Complex64s = found.probe[0]
    return probe


def _reconstructed(
    plan: Plan, positions: Ints | None, near_field: bool, **more: Any
) -> Reconstruction:
    geometry = plan.geometry
    ny, nx = geometry.shape
    if ny != nx:
        raise SettingsError(
            f"frames of {ny}x{nx} are not square",
            "set shape (--roi) to a square window, or pad='square' (--pad square)",
        )
    frames, good = load_all(plan, positions)
    free_space = transfer(
        geometry.shape, geometry.pixel_m, geometry.distance_m, geometry.wavelength_m
    )
    return reconstruct(
        frames,
        good,
        plan.positions_m if positions is None else plan.positions_m[positions],
        geometry.pixel_m if near_field else geometry.resolution_m,
        center_px=geometry.center_px,
        transfer=free_space if near_field else None,
        **more,
    )


def load_all(plan: Plan, positions: Ints | None = None) -> tuple[Float32s, Bools]:
    """Frames (M, ny, nx) and good pixels, (ny, nx) where all frames share them."""
    wanted = np.arange(len(plan)) if positions is None else positions
    frames = np.empty((len(wanted), *plan.geometry.shape), np.float32)
    good, done = plan.good, 0
    for block in plan.stream(wanted):
        part = slice(done, done + len(block.frames))
        frames[part] = block.frames
        if block.good.strides[0] and good.ndim == 2:  # the first with bad pixels of its own
            good = np.broadcast_to(good, frames.shape).copy()
        if good.ndim == 3:
            good[part] = block.good
        done = part.stop
    return frames, good
