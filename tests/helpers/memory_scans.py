"""Scans in memory, and all the frames of their plans."""

from __future__ import annotations

import numpy as np

from ptypy_beamline import Scan
from ptypy_beamline.scan import ArrayFrames

NY, NX = 20, 24


def make_scan(n=6, dtype=np.uint16, positions=None, seed=0, **more):
    rng = np.random.default_rng(seed)
    frames = rng.poisson(40, (n, NY, NX))
    frames[:, 6:14, 8:16] += rng.poisson(400, (n, 8, 8))
    if positions is None:
        positions = np.column_stack([np.arange(n) // 3, np.arange(n) % 3]) * 1e-6
    values = {
        "energy_eV": 8000.0,
        "distance_m": 2.0,
        "pixel_m": (75e-6, 75e-6),
        "center_px": (10.0, 12.0),
    }
    return Scan(ArrayFrames(frames.astype(dtype)), np.asarray(positions, float), **(values | more))


def all_frames(plan, size=None):
    blocks = list(plan.blocks(size))
    return np.concatenate([b.frames for b in blocks]), np.concatenate([b.good for b in blocks])


def as_nan(frames, good):
    """Frames with NaN where bad; bad pixels must hold 0."""
    assert (frames[~good] == 0).all()
    return np.where(good, frames, np.nan)


def raw_of(scan):
    return scan.frames.array
