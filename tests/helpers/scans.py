"""Small simulated scans, written once for many tests."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

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
