"""Small series of angles."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from folders import ROOT

from ptypy_beamline.testing.tomography import AngleSeries, RotatingSample, write_series

COUNT = 12


SERIES = AngleSeries(RotatingSample(voxel_m=80e-9), window=48, scan=(8, 8), step_px=9.0)


TINY = AngleSeries(RotatingSample(voxel_m=80e-9), window=32, scan=(5, 5))
"""Smaller than the balls: for what does not depend on them."""


def simulated(path: Path, count: int, series: AngleSeries = SERIES) -> Path:
    """A series of so many angles, the sample moved by up to 5 pixels at each."""
    moves = np.random.default_rng(7).uniform(-5, 5, (count, 2))
    return write_series(path, series, np.arange(count) * 180 / count, moves)


def environment() -> dict[str, str]:
    """Of a process of its own, or of MPI ranks, which ask root to insist."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
