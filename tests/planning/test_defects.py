"""Hot and dead pixels, found in a sample of frames."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ptypy_beamline.planning.defects import dead_pixels, hot_or_dead
from ptypy_beamline.planning.sample import Sample
from ptypy_beamline.scan import ArrayFrames, Window


def ripples(shape, curvature, seed, photons=400, n=20):
    """Poisson frames of a near field: rings that grow finer and brighter outwards."""
    rows, columns = np.indices(shape) - np.reshape([n / 2 for n in shape], (2, 1, 1))
    radius = (rows**2 + columns**2) * curvature
    pattern = photons * (1.2 + np.cos(radius)) * (1 + radius / radius.max())
    return np.random.default_rng(seed).poisson(pattern, (n, *shape)).astype(np.uint16)


@pytest.mark.parametrize("photons", [20, 400, 20_000])
@pytest.mark.parametrize("curvature", [0.002, 0.01, 0.02])
def test_no_good_pixel_at_the_edge_is_hot(curvature, photons):
    frames = ripples((64, 48), curvature, 3, photons)
    for window in (Window.full((64, 48)), Window(10, 12, 33, 21), Window(0, 0, 20, 48)):
        sample = Sample(ArrayFrames(frames), window)
        assert not hot_or_dead(sample, 0.0, 6.0).any()


def test_a_window_that_cuts_the_beam_keeps_its_edge():
    rows, columns = np.indices((64, 64)) - 32
    radius = np.hypot(rows, columns)
    for beam in (1e5 * np.exp(-((radius / 6) ** 2)), 1e3 * (radius < 12.3)):
        frames = np.random.default_rng(5).poisson(beam, (20, 64, 64)).astype(np.uint32)
        for window in (Window(32, 32, 32, 32), Window(36, 5, 20, 40), Window(0, 25, 64, 7)):
            assert not hot_or_dead(Sample(ArrayFrames(frames), window), 0.0, 6.0).any(), window


SPOTS = [[(0, 20)], [(0, 0)], [(63, 30), (63, 31)], [(5, 47)], [(30, 0), (31, 0)]]


@pytest.mark.parametrize("spots", SPOTS)
def test_a_hot_pixel_at_the_edge_is_found(spots):
    frames = ripples((64, 48), 0.002, 1)
    for place in spots:
        frames[:, place[0], place[1]] = 9000
    found = hot_or_dead(Sample(ArrayFrames(frames), Window.full((64, 48))), 0.0, 6.0)
    assert sorted(map(tuple, np.argwhere(found).tolist())) == sorted(spots)


def test_bands_give_the_result_of_the_whole_frame(monkeypatch):
    frames = ripples((64, 48), 0.01, 1)
    frames[:, 20, 20], frames[:, 40, 3], frames[:, 41, 30] = 9000, 0, 9000
    sample = Sample(ArrayFrames(frames), Window(2, 1, 60, 40))
    whole = hot_or_dead(sample, 0.0, 6.0)
    assert whole.sum() == 3
    monkeypatch.setattr("ptypy_beamline.planning.defects.BAND_PIXELS", 40 * 9)
    assert_array_equal(hot_or_dead(sample, 0.0, 6.0), whole)


# ---- large detectors ----


def test_gaps_between_modules_are_dead_from_edge_to_edge():
    y, x = np.indices((40, 50)) - 20
    total = np.rint(1e4 * np.exp(-(y**2 + x**2) / 60)) + (np.abs(x) < 15)
    total[24:27] = 0
    total[:, 31] = 0
    dead = dead_pixels(total, total > 0, 100)
    assert dead[24:27].all()
    assert dead[:, 31].all()
    assert dead.sum() == 3 * 50 + 40 - 3
