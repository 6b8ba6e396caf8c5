"""Files as the documents that this package grew from describe them."""

from __future__ import annotations

import h5py
import numpy as np
from processes import python

ENERGY_EV, DISTANCE_M, PIXEL_M, EXPOSURE_S = 8800.0, 2.0, 75e-6, 0.05
SIDE = 1040
"""Of the large detector: a window of 1024 fits."""


def spots(n, side=SIDE, seed=1):
    """(n, side, side) uint16 frames: few counts, in the middle, and a gradient of its own."""
    rng, frames = np.random.default_rng(seed), np.zeros((n, side, side), np.uint16)
    half = min(40, side // 4)
    middle = slice(side // 2 - half, side // 2 + half)
    frames[:, middle, middle] = rng.poisson(50, (n, 2 * half, 2 * half))
    frames[:, side // 10, side * 7 // 8] = 7 + np.arange(n)
    return frames


def grid(n):
    """(n, 2) positions x, y in metres."""
    x, y = np.divmod(np.arange(n), 4)
    return np.column_stack([x, y]) * 1e-6


def standardized(path, frames, positions, **more):
    """The kit's schema, all that it has in /entry."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry["data"], entry["pos"] = frames, positions
        entry["energy_eV"], entry["det_dist_m"], entry["pixel_m"] = ENERGY_EV, DISTANCE_M, PIXEL_M
        entry["exposure_s"] = EXPOSURE_S
        for name, value in more.items():
            entry[name] = value
    return path


def last_line(*words):
    """The last line that a Python program prints."""
    return python(*words).stdout.strip().splitlines()[-1]
