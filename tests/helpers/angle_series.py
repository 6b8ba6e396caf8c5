"""Small series of angles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ptypy_beamline.testing.tomography import (
    SPHERES,
    AngleSeries,
    RotatingSample,
    align_volume,
    sphere_densities,
    write_series,
)

COUNT = 12


SERIES = AngleSeries(RotatingSample(voxel_m=80e-9), window=48, scan=(8, 8), step_px=9.0)


TINY = AngleSeries(RotatingSample(voxel_m=80e-9), window=32, scan=(5, 5))
"""Smaller than the spheres: for what does not depend on them."""


def simulated(path: Path, count: int, series: AngleSeries = SERIES) -> Path:
    """A series of so many angles, the sample moved by up to 5 pixels at each."""
    moves = np.random.default_rng(7).uniform(-5, 5, (count, 2))
    return write_series(path, series, np.arange(count) * 180 / count, moves)


def check_volume(volume: np.ndarray, sample: RotatingSample) -> None:
    """Requirements: correlation above 0.9, each sphere's density within a tenth."""
    truth = sample.volume(volume.shape)
    found = align_volume(volume, truth)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.9
    densities = [sphere.density_e_A3 for sphere in SPHERES]
    np.testing.assert_allclose(sphere_densities(found), densities, rtol=0.1)
