"""Small series of angles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ptypy_beamline.testing.tomography import AngleSeries, RotatingSample, write_series

COUNT = 12


SERIES = AngleSeries(RotatingSample(voxel_m=80e-9), window=48, scan=(8, 8), step_px=9.0)


TINY = AngleSeries(RotatingSample(voxel_m=80e-9), window=32, scan=(5, 5))
"""Smaller than the spheres: for what does not depend on them."""


def simulated(path: Path, count: int, series: AngleSeries = SERIES) -> Path:
    """A series of so many angles, the sample moved by up to 5 pixels at each."""
    moves = np.random.default_rng(7).uniform(-5, 5, (count, 2))
    return write_series(path, series, np.arange(count) * 180 / count, moves)
