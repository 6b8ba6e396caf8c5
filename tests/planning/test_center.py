"""The beam centre found from the data."""

from __future__ import annotations

import numpy as np
import pytest
import reference_center
import scipy.special
from folders import REAL_DATA
from numpy.testing import assert_allclose
from scipy import ndimage

from ptypy_beamline import BeamlineError, BeamlineWarning, Scan
from ptypy_beamline.scan import ArrayFrames


def beam(center, shape=(64, 80), n=100, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    disc = 200 * np.exp(-((rows - center[0]) ** 2 + (columns - center[1]) ** 2) / 50)
    return rng.poisson(disc + 2, (n, *shape)).astype(np.float32)


class TestCenter:
    """The beam is found from all over the scan, whatever spoils single frames and pixels."""

    true = (30.3, 47.8)

    def found(self, frames, **more):
        scan = Scan(
            ArrayFrames(frames), np.zeros((len(frames), 2)), 8e3, 2.0, (75e-6, 75e-6), **more
        )
        return scan.plan().center_px

    def test_clean(self):
        assert_allclose(self.found(beam(self.true)), self.true, atol=0.15)

    def test_hot_pixels(self):
        frames = beam(self.true)
        frames[:, 3, 5], frames[:, 60, 70] = 60000, 65535
        assert_allclose(self.found(frames), self.true, atol=0.15)

    def test_blank_and_nan_frames(self):
        frames = beam(self.true)
        frames[:10], frames[50:60], frames[20:23] = 0, np.nan, 1e6
        assert_allclose(self.found(frames), self.true, atol=0.15)

    def test_a_masked_gap(self):
        bad = np.zeros((64, 80), bool)
        bad[:, 70:74] = True
        frames = beam(self.true)
        frames[:, bad] = 65535
        assert_allclose(self.found(frames, bad=bad), self.true, atol=0.15)

    def test_nothing_to_see(self):
        with pytest.raises(BeamlineError, match=r"no counts .* set center"):
            self.found(np.zeros((10, 64, 80)))

    def test_a_wide_gap_of_the_highest_count(self):
        frames = beam(self.true)
        frames[:, 50:64] = 2.0**32 - 1
        bad = np.zeros((64, 80), bool)
        bad[50:64] = True
        assert_allclose(self.found(frames, bad=bad), self.true, atol=0.3)

    def test_a_gap_that_only_the_user_knows(self):
        frames = beam(self.true)
        frames[:, 50:64] = 65535
        mask = np.zeros((64, 80))
        mask[50:64] = 1
        scan = Scan(ArrayFrames(frames), np.zeros((100, 2)), 8e3, 2.0, (75e-6, 75e-6))
        assert_allclose(scan.plan(mask=mask).center_px, self.true, atol=0.3)
        assert_allclose(scan.plan(saturation=60000).center_px, self.true, atol=0.3)

    def test_an_uneven_dark(self):
        dark = np.zeros((64, 80))
        dark[:32] = 500
        scan = Scan(
            ArrayFrames(beam(self.true) + dark), np.zeros((100, 2)), 8e3, 2.0, (75e-6, 75e-6)
        )
        assert_allclose(scan.plan(dark=dark).center_px, self.true, atol=0.15)

    @pytest.mark.parametrize("counts", [100, 300])
    def test_an_even_background(self, counts):
        background = np.random.default_rng(1).poisson(counts, (100, 64, 80))
        assert_allclose(self.found(beam(self.true) + background), self.true, atol=0.3)

    @pytest.mark.parametrize("slope", [0.02, 0.3, 1])
    def test_a_background_with_a_slope(self, slope):
        even = 300 * (1 + slope * np.linspace(-0.5, 0.5, 80)) * np.ones((100, 64, 1))
        background = np.random.default_rng(1).poisson(even)
        assert_allclose(self.found(beam(self.true) + background), self.true, atol=0.5)

    def test_a_background_without_a_beam(self):
        frames = np.random.default_rng(1).poisson(300, (100, 64, 80))
        with pytest.warns(BeamlineWarning, match="no beam stands out .* set center"):
            assert_allclose(self.found(frames), (31.5, 39.5), atol=0.5)

    @pytest.mark.parametrize("frames", [1, 16])
    def test_a_wide_beam_without_a_background(self, frames):
        rows, columns = np.indices((64, 80))
        wide = 50 * np.exp(-((rows - 30.3) ** 2 + (columns - 42.8) ** 2) / (2 * 22**2))
        counted = np.random.default_rng(2).poisson(wide, (frames, 64, 80))
        assert_allclose(self.found(counted), (30.3, 42.8), atol=1)

    @pytest.mark.parametrize("away", [1, 2, 4])
    def test_a_hot_pixel_beside_a_masked_gap(self, away):
        """It must not spread into the gap."""
        bad = np.zeros((64, 80), bool)
        bad[:, 10:18] = True
        frames = beam(self.true)
        frames[:, bad], frames[:, 20, 17 + away] = 65535, 60000
        assert_allclose(self.found(frames, bad=bad), self.true, atol=0.15)

    @pytest.mark.parametrize("share", [0.5, 0.8])
    def test_most_pixels_are_masked(self, share):
        """The others have none beside them, and are no outliers for that."""
        bad = np.random.default_rng(3).random((64, 80)) < share
        frames = beam(self.true)
        frames[:, bad] = 65535
        assert_allclose(self.found(frames, bad=bad), self.true, atol=0.5)

    def test_every_other_column_is_masked(self):
        bad = np.zeros((64, 80), bool)
        bad[:, ::2] = True
        frames = beam(self.true)
        frames[:, bad] = 65535
        assert_allclose(self.found(frames, bad=bad), self.true, atol=0.3)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 2), (15, 16)])
    def test_frames_of_a_few_pixels(self, shape):
        frames = np.random.default_rng(1).poisson(9.0, (10, *shape))
        center = self.found(frames)
        assert all(0 <= c < n for c, n in zip(center, shape, strict=True))


SHAPE = (560, 640)
"""A detector that is too large to be looked at all at once."""
ROWS, COLUMNS = np.indices(SHAPE)


def peak(center, counts, width=12, power=3):
    """Falls with a power of the distance."""
    return counts / (1 + (np.hypot(ROWS - center[0], COLUMNS - center[1]) / width) ** power)


def disc(center, radius, counts, edge=2.0):
    """The cone of a focusing optic."""
    away = np.hypot(ROWS - center[0], COLUMNS - center[1])
    return counts * scipy.special.expit((radius - away) / edge)


def frames_of(envelope, n=8, seed=0):
    """Speckle under an envelope, counted."""
    rng = np.random.default_rng(seed)
    speckle = [ndimage.uniform_filter(rng.exponential(1, SHAPE), 3) for _ in range(n)]
    return rng.poisson(envelope * np.array(speckle)).astype(np.uint16)


def inside(bad, frames, value=65535):
    frames[:, bad] = value
    return frames


def spoiled(frames, seed=1):
    """With hot pixels, columns and rows, some of them brighter than the beam."""
    rng = np.random.default_rng(seed)
    some = rng.integers(0, frames[0].size, 300)
    frames.reshape(len(frames), -1)[:, some] = rng.integers(100, 60000, 300)
    frames[:, :, 430], frames[:, 31], frames[:, 500:503, 100:103] = 60000, 400, 50000
    return frames


def stopped():
    """Where a beam stop shades the detector."""
    stop = np.hypot(ROWS - 265, COLUMNS - 323) < 20
    stop[262:268, 320:] = True
    return stop


def modules():
    """Gaps between modules, and one that is dead."""
    bad = np.zeros(SHAPE, bool)
    bad[255:292], bad[:, 300:310], bad[400:, 400:] = True, True, True
    return bad


def dimmed():
    frames = frames_of(peak((263, 320), 400), 24)
    frames[[0, 9, 10, 11, 23]], frames[15] = 0, 60000
    return frames


def measured(background=0.0):
    star = np.load(REAL_DATA)["frames"][::8]
    frames = np.zeros((len(star), *SHAPE), np.uint16)
    frames[:, 400:528, 500:628] = star
    return frames + np.random.default_rng(0).poisson(background, frames.shape).astype(np.uint16)


DARK = np.random.default_rng(2).normal(100, 3, SHAPE).astype(np.float32) + 200 * (COLUMNS < 250)
FLAT = (1 + 0.4 * np.sin(COLUMNS / 70)).astype(np.float32)

HARD = {
    "peak": lambda: (frames_of(peak((263, 320), 4e3)), {}),
    "at an edge": lambda: (frames_of(peak((6, 630), 400)), {}),
    "disc": lambda: (frames_of(disc((250.4, 300.7), 50, 20)), {}),
    "disc as wide as the detector": lambda: (frames_of(disc((280, 330), 300, 20, 30)), {}),
    "a few pixels": lambda: (frames_of(disc((300.3, 500.2), 3, 900, 0.5) + 0.02), {}),
    "a few pixels over scattering": lambda: (
        frames_of(disc((300.3, 400.2), 4, 900, 0.5) + peak((310, 390), 0.5, 100, 2)),
        {},
    ),
    "weak": lambda: (frames_of(peak((263, 320), 0.5, 20) + 2e-3, 40), {}),
    "two beams": lambda: (frames_of(disc((250, 300), 40, 20) + disc((280, 410), 30, 10)), {}),
    "hot": lambda: (spoiled(frames_of(peak((263, 320), 40))), {}),
    "beam stop": lambda: (
        inside(stopped(), frames_of(peak((263, 320), 4e3)), 0),
        {"bad": stopped()},
    ),
    "beam stop, not masked": lambda: (inside(stopped(), frames_of(peak((263, 320), 4e3)), 0), {}),
    "modules": lambda: (inside(modules(), frames_of(peak((263, 320), 4e3))), {"bad": modules()}),
    "modules under a disc": lambda: (
        inside(modules(), frames_of(disc((280, 330), 120, 9))),
        {"bad": modules()},
    ),
    "blank and bright frames": lambda: (dimmed(), {}),
    "dark": lambda: (frames_of(peak((263, 320), 400)) + DARK.astype(np.uint16), {"dark": DARK}),
    "flat": lambda: (
        (frames_of(disc((263, 320), 90, 30)) * FLAT).astype(np.uint16),
        {"flat": FLAT},
    ),
    "measured": lambda: (measured(), {}),
    "measured over a background": lambda: (measured(0.02), {}),
}


@pytest.mark.parametrize("name", HARD)
def test_the_same_centre_is_found_by_reading_less_of_a_large_detector(name):
    """Once on binned frames and in a window; once from all pixels of all frames."""
    if name.startswith("measured") and not REAL_DATA.is_file():
        pytest.skip("needs the measured frames")
    frames, images = HARD[name]()
    bad = images.pop("bad", None)
    scan = Scan(ArrayFrames(frames), np.zeros((len(frames), 2)), 8e3, 2.0, (75e-6, 75e-6), bad=bad)
    reference = reference_center.found(frames, bad=bad, **images)
    assert_allclose(scan.plan(**images).center_px, reference, atol=0.25)


@pytest.mark.parametrize("counts", [30, 300])
@pytest.mark.parametrize("slope", [0, 0.2])
def test_a_background_does_not_move_the_centre_on_a_large_detector(counts, slope):
    frames = frames_of(peak((301.2, 250.7), 300), 16)
    even = counts * (1 + slope * COLUMNS / SHAPE[1])
    frames += np.random.default_rng(1).poisson(even, frames.shape).astype(np.uint16)
    scan = Scan(ArrayFrames(frames), np.zeros((16, 2)), 8e3, 2.0, (75e-6, 75e-6))
    assert_allclose(scan.plan().center_px, (301.2, 250.7), atol=1)


@pytest.mark.parametrize("background", [0, 30])
def test_only_the_beam_is_read_of_most_frames(monkeypatch, background):
    """A few whole frames, then a window."""
    frames = frames_of(peak((263, 320), 4e3), 40)
    frames += np.random.default_rng(1).poisson(background, frames.shape).astype(np.uint16)
    read = []
    original = ArrayFrames.read

    def counted(self, indices, window):
        if self.shape[0] > 1:
            read.append(len(indices) * window.pixels)
        return original(self, indices, window)

    monkeypatch.setattr(ArrayFrames, "read", counted)
    scan = Scan(ArrayFrames(frames), np.zeros((len(frames), 2)), 8e3, 2.0, (75e-6, 75e-6))
    scan.plan(center=(1, 1))
    given = sum(read)
    read.clear()
    scan.plan()
    assert sum(read) - given < 10 * frames[0].size
