"""Small scans for many tests: simulated, as files of any format; and random ones in memory."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from ptypy_beamline import Scan, open_scan
from ptypy_beamline.scan import ArrayFrames
from ptypy_beamline.testing.simulate import Truth, simulate
from ptypy_beamline.testing.writers import WRITERS, Raw


@cache
def truth(n: int = 64, side: int = 7) -> Truth:
    return simulate(n, (side, side), 6, "jitter", photons=3e5, seed=4)


def write(folder: Path, format: str = "standard", **more) -> Path:
    """A raw file of 49 frames of 64x64 in ``format``; ``more`` replaces fields of ``Raw``."""
    raw = replace(Raw.of(truth()), **more)
    return WRITERS[format](folder / f"{format}.h5", raw)


def exposures(k: int = 3, seed: int = 0) -> np.ndarray:
    """Each frame of the scan as ``k`` exposures, one after another."""
    rng = np.random.default_rng(seed)
    return np.repeat(truth().frames, k, axis=0) + rng.integers(0, 3, (49 * k, 64, 64), np.uint32)


NY, NX = 20, 24
"""Of the frames in memory."""


def make_scan(n=6, dtype=np.uint16, positions=None, seed=0, **more):
    """A scan of ``n`` frames in memory; ``more`` replaces fields of ``Scan``."""
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
    """Frames and good pixels of a plan, in blocks of ``size``."""
    blocks = list(plan.blocks(size))
    return np.concatenate([b.frames for b in blocks]), np.concatenate([b.good for b in blocks])


def loaded(file, **settings):
    """Frames, good pixels and positions of a scan file."""
    plan = open_scan(file).plan(**settings)
    return *all_frames(plan), plan.positions_m


def as_nan(frames, good):
    """Frames with NaN where bad; bad pixels must hold 0."""
    assert (frames[~good] == 0).all()
    return np.where(good, frames, np.nan)


def raw_of(scan):
    """The raw frames of a scan in memory."""
    return scan.frames.array


def scan_of(frames, k=1, **more):
    """A scan in memory, ``k`` frames at each position; ``more`` replaces fields of ``Scan``."""
    number = np.arange(len(frames)) // k
    positions_m = np.column_stack([number // 4, number % 4]) * 1e-6
    known = {
        "energy_eV": 8e3,
        "distance_m": 2.0,
        "pixel_m": (75e-6, 75e-6),
        "center_px": tuple(n // 2 for n in frames.shape[1:]),
    }
    return Scan(ArrayFrames(frames), positions_m, **(known | more))


def write_positions_and_geometry(file, n):
    """What a standardized file of n frames of 8x8 has beside its frames."""
    file["/entry/pos"] = np.column_stack([np.arange(n) % 4, np.arange(n) // 4]) * 1e-6
    file["/entry/pos"].attrs["columns"] = "x,y"
    file["/entry/energy_eV"], file["/entry/det_dist_m"] = 8000.0, 2.0
    file["/entry/pixel_m"], file["/entry/center_px"] = 75e-6, [4.0, 4.0]
