"""What random settings have found, each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ptypy_beamline import BeamlineWarning, Scan, open_scan
from ptypy_beamline.scan import ArrayFrames
from ptypy_beamline.testing.writers import WRITERS, Raw


def scan_of(frames, positions_m, **more):
    known = {"energy_eV": 8e3, "distance_m": 2.0, "pixel_m": (75e-6, 75e-6), "center_px": (6, 6)}
    return Scan(ArrayFrames(frames), np.asarray(positions_m, float), **(known | more))


@pytest.mark.filterwarnings("ignore:the monitor is 0")
def test_every_second_position_counts_those_with_an_unusable_monitor():
    frames = np.arange(8, dtype=np.uint16)[:, None, None] * np.ones((12, 12), np.uint16)
    monitor = np.array([1.0, 1, 1, np.nan, 1, 1, 1, 1])
    scan = scan_of(frames, np.eye(8, 2) + np.arange(8)[:, None], monitor=monitor)
    taken = scan.plan(monitor=True, step=2).selection.exposures[:, 0]
    assert_array_equal(taken, [0, 2, 4, 6])


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_broken_pixel_of_the_dark_leaves_its_neighbours_good(broken):
    rng = np.random.default_rng(1)
    y, x = np.indices((12, 12))
    beam = 2000 * np.exp(-((y - 6) ** 2 + (x - 6) ** 2) / 30) + 20
    frames = rng.poisson(beam, (9, 12, 12)).astype(np.uint16)
    dark = np.zeros((12, 12))
    dark[2, 6] = broken
    with pytest.warns(BeamlineWarning, match="dark"):
        plan = scan_of(frames, np.eye(9, 2)).plan(dark=dark, hot_sigma=12)
    assert np.argwhere(plan.calibration.bad).tolist() == [[2, 6]]


@pytest.mark.parametrize("format", ["cxi", "tiff", "ptychopinn", "product"])
def test_rows_as_long_as_a_group_are_no_groups(tmp_path, format):
    """Three exposures at each position of a raster with three positions in a row."""
    places = np.indices((4, 3)).reshape(2, -1).T * 1e-6
    frames = np.random.default_rng(2).integers(1, 99, (36, 12, 12)).astype(np.uint16)
    file = WRITERS[format](tmp_path / "scan.h5", Raw(frames, places, center_px=(6, 6)))
    geometry = {"energy": 8.8, "distance": 2.0, "psize": 75e-6} if format == "ptychopinn" else {}
    plan = open_scan(file, frames_per_position=3, center=(6, 6), **geometry).plan()
    assert_array_equal(plan.selection.exposures, np.arange(36).reshape(12, 3))
    np.testing.assert_allclose(plan.positions_m, places, atol=1e-12)
