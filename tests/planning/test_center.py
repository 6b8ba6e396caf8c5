"""The beam centre found from the data."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ptypy_beamline import BeamlineError, Scan
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
