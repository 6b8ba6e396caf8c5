"""Assessments that are made up, for the tests of maps, thumbnails and the report."""

import numpy as np

from ptypy_beamline.quality import Assessment
from ptypy_beamline.quality.thumbnails import PALETTE

SIDE = 12
STEP_M = 0.5e-6
REJECTED = (17, 40, 41, 99)
"""Rows, not raw frames: raw frames are these plus ten."""


def raster(rows=SIDE, columns=SIDE):
    return np.stack(np.mgrid[:rows, :columns], axis=-1).reshape(-1, 2) * STEP_M


def assessed(positions_m=None, rejected=REJECTED, **changes):
    """Rejected frames have the highest scores; the picture of row i is all 16 (i mod 16) + 8."""
    positions_m = raster() if positions_m is None else positions_m
    n = len(positions_m)
    rejected = np.isin(np.arange(n), rejected)
    rng = np.random.default_rng(1)
    score = np.where(rejected, 0.99, 0.5) + np.linspace(0, 0.01, n)
    values = {
        "frames": np.arange(n) + 10,
        "total": n + 10,
        "positions_m": positions_m,
        "features": {},
        "deviation": np.where(rejected, 20.0, 1.0) + rng.random(n),
        "reason": np.where(rejected, "total_counts", "<img src=x onerror=alert(1)>"),
        "score": score,
        "stxm": 1e6 + 1e3 * np.arange(n),
        "dpcx": rng.normal(size=n),
        "dpcy": rng.normal(size=n),
        "labels": np.full(n, -1),
        "masked": np.ones(n, bool),
        "rejected": rejected,
        "images": np.broadcast_to(
            (np.arange(n) % 16 * 16 + 8).astype(np.uint8)[:, None, None], (n, 16, 16)
        ),
        "settings": {"rule": "score of 0.98 & more"},
        "beam": np.ones(n + 10),
    }
    return Assessment(**{**values, **changes})


def spiral(n=300):
    k = np.arange(n)
    radius, angle = STEP_M * np.sqrt(k), k * np.pi * (3 - 5**0.5)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)


def jitter(positions_m, amount=0.3, seed=2):
    move = np.random.default_rng(seed).uniform(-amount, amount, positions_m.shape)
    return positions_m + move * STEP_M


SCANS = {
    "raster": raster(),
    "wide steps": raster() * (1, 4),
    "tall": raster(40, 6),
    "jittered": jitter(raster()),
    "spiral": spiral(),
    "three exposures": jitter(np.repeat(raster(6, 8), 3, axis=0), 0.002),
    "line": raster(1, 30),
    "two": raster(1, 2),
    "one position": np.zeros((9, 2)),
    "one frame": np.zeros((1, 2)) + 1e-3,
}


def pictures_of(found, rows, shape=(40, 60)):
    return {int(found.frames[row]): np.full(shape, 10.0 + row, np.float32) for row in rows}


def colour_of(value):
    """Of a tile: one of 16."""
    return tuple(PALETTE[np.linspace(0, 255, 16).round().astype(int)][value // 16].astype(int))
