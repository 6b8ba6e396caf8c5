"""Memory for each pixel of a large detector."""

from __future__ import annotations

import tracemalloc

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scans import all_frames, write_positions_and_geometry

from ptypy_beamline import open_scan
from ptypy_beamline.diagnosis.page import block_means


@pytest.mark.parametrize("settings", [{}, {"hot_sigma": 6, "shape": 256}])
def test_a_large_detector_takes_few_bytes_a_pixel(tmp_path, monkeypatch, settings):
    """Planning, with the centre looked for, and loading; a detector for which 2000² is large."""
    monkeypatch.setattr("ptypy_beamline.planning.find_center.MOST_PIXELS", 2**18)
    monkeypatch.setattr("ptypy_beamline.planning.defects.BAND_PIXELS", 2**18)
    side, file = 2000, tmp_path / "a.h5"
    beam = 300 * np.exp(-(((np.arange(side) - 900) / 100) ** 2))
    with h5py.File(file, "w") as opened:
        data = opened.create_dataset("/entry/data", (3, side, side), "u2", chunks=(1, 500, side))
        data[:] = np.outer(beam / 300, beam).astype(np.uint16)
        write_positions_and_geometry(opened, 3)
        del opened["/entry/center_px"]
    all_frames(open_scan(file).plan(shape=64))  # compiles
    tracemalloc.start()
    try:
        plan = open_scan(file).plan(**settings)
        sums = [s for block in plan.blocks() for s in block.frames.sum((1, 2))]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(sums) == 3
    assert_allclose(np.add(plan.center_px, (plan.window.top, plan.window.left)), 900, atol=0.1)
    assert peak < 32 * side**2, peak / side**2


@pytest.mark.long
def test_so_does_its_picture(tmp_path, monkeypatch, type_in):
    monkeypatch.setattr("ptypy_beamline.planning.find_center.MOST_PIXELS", 2**18)
    monkeypatch.setattr("ptypy_beamline.diagnosis.page.MOST_PX", 300)
    side, file = 2000, tmp_path / "a.h5"
    with h5py.File(file, "w") as opened:
        data = opened.create_dataset("/entry/data", (12, side, side), "u2", chunks=(1, 500, side))
        stripe = np.zeros((side, side), np.uint16)
        stripe[600:900] = 3
        for number in range(12):
            data[number] = stripe
        write_positions_and_geometry(opened, 12)
    words = ["--roi-center", "900,900", "--plot", tmp_path / "a.png"]
    assert type_in("info", file, *words)[0] == 0  # compiles
    tracemalloc.start()
    try:
        assert type_in("info", file, *words)[0] == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * side**2, peak / side**2


def test_a_coarse_picture_keeps_the_place_of_its_pixels():
    image = np.arange(7 * 5).reshape(7, 5)
    wanted = [[image[:3, :2].mean(), image[:3, 2:4].mean()]]
    wanted += [[image[3:6, :2].mean(), image[3:6, 2:4].mean()]]
    assert_array_equal(block_means(image, (3, 2)), wanted)
    assert_array_equal(block_means(image, (1, 1)), image)
