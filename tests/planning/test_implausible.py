"""Corrections that leave nothing, or no number that a float32 holds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import reference_corrections as reference
from numpy.testing import assert_allclose
from scans import all_frames, scan_of

from ptypy_beamline import BeamlineError, BeamlineWarning


@pytest.mark.parametrize("rebin", [1, 2])
@pytest.mark.parametrize("k", [1, 2])
def test_a_good_pixel_is_finite(k, rebin):
    rng = np.random.default_rng(1)
    frames = rng.poisson(30, (8, 16, 16)).astype(np.float64)
    frames[0, 1, 1], frames[2, 4:6, 4:6], frames[5, 8, 8] = 1e39, 3e38, -np.inf
    frames[3, 4, 4] = 3e38
    frames[6, 2, 2] = 1e308
    flat = np.ones((16, 16))
    flat[0, 0], flat[0, 1] = 1e-38, 1e-39
    i0 = np.array([1.0, 1, 1, 1, 1, 1, 1, 1e-300])
    settings = {"frames_per_position": k} if k > 1 else {}
    with pytest.warns(BeamlineWarning, match="1000 times off"):
        plan = scan_of(frames, k, monitor=i0).plan(flat=flat, monitor=True, rebin=rebin, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BeamlineWarning)  # that nothing is left of the last frame
        got, good = all_frames(plan)
    assert np.isfinite(got).all()
    flat[0, 1] = np.nan  # 1/flat is more than a float32 can hold
    counts = reference.correct(frames, flat=flat, scale=i0.mean() / i0).reshape(-1, k, 16, 16)
    wanted = [reference.rebin(reference.group(some, "sum"), rebin) for some in counts]
    assert_allclose(np.where(good, got, np.nan), wanted, rtol=1e-5)
    assert not good.all()


# ---- absurd factors ----


def test_absurd_factors_are_named(tmp_path):
    frames = np.random.default_rng(0).poisson(50, (8, 16, 16)).astype(np.uint16)
    flat, i0 = np.ones((16, 16)), np.ones(8)
    flat[3, :5], i0[2], i0[4], i0[5] = 1e-4, 1e-4, 0, np.nan
    scan = scan_of(frames, monitor=i0)
    with pytest.warns(BeamlineWarning, match=r"flat is more than 1000 times off .* at 5 pixels"):
        scan.plan(flat=flat)
    with pytest.warns(BeamlineWarning) as caught:
        scan.plan(monitor=True)
    messages = " ".join(str(w.message) for w in caught)
    assert "not a number at 2 of 8 frames, which are left out" in messages
    assert "more than 1000 times off its median of 1 at 1 of 8 frames" in messages
    with pytest.warns(BeamlineWarning, match="dark and background exceed every count of 8"):
        plan = scan.plan(dark=np.full((16, 16), 1e3))
    with pytest.warns(BeamlineWarning, match="8 of 8 frames hold no count"):
        all_frames(plan)


def test_darks_that_are_no_numbers_or_far_below_zero_are_named():
    frames = np.random.default_rng(0).poisson(50, (8, 16, 16)).astype(np.uint16)
    dark, mask = np.zeros((16, 16)), np.zeros((16, 16), bool)
    dark[0, :5], dark[3, 3], dark[4, 4] = [np.nan, np.inf, -np.inf, 1e39, -1e39], -1e38, -3
    mask[0, 0] = True
    with pytest.warns(BeamlineWarning) as caught:
        good = all_frames(scan_of(frames).plan(dark=dark, mask=mask))[1]
    messages = [str(w.message) for w in caught]
    assert len(messages) == 2
    assert "NaN, infinite or beyond a float32 at 4 pixels, which become bad" in messages[0]
    assert "below 0 at 1 pixels by more than 1000 times the highest count" in messages[1]
    assert not good[:, 0, :5].any()


def test_absurd_images_are_reported_once_when_the_centre_is_searched():
    y, x = np.indices((16, 16))
    beam = 200 * np.exp(-((y - 8) ** 2 + (x - 7) ** 2) / 18)
    frames = np.random.default_rng(0).poisson(beam, (8, 16, 16)).astype(np.uint16)
    flat = np.full((16, 16), 3.0)
    flat[:, :8] = 4  # so that the median of a window is another
    with pytest.warns(BeamlineWarning, match="the flat has a median of") as caught:
        scan_of(frames, center_px=None).plan(flat=flat, shape=8)
    assert len(caught) == 1


@pytest.mark.parametrize("k", [1, 2])
def test_empty_frames_are_counted(k):
    frames = np.random.default_rng(0).poisson(50, (16, 16, 16)).astype(np.uint16)
    frames[2:6], frames[8:10] = 0, 300
    plan = scan_of(frames, k).plan(saturation=300, frames_per_position=k if k > 1 else None)
    with pytest.warns(BeamlineWarning) as caught:
        good = all_frames(plan, 3)[1]
    messages = [str(w.message) for w in caught]
    n = 16 // k
    assert len(messages) == 2
    assert messages[0].startswith(f"{4 // k} of {n} frames hold no count")
    assert messages[1].startswith(f"{2 // k} of {n} frames have no good pixel")
    assert (~good.any((1, 2))).sum() == 2 // k


@pytest.mark.parametrize(
    "given", [{"threshold": np.inf}, {"threshold": np.nan}, {"saturation": 0}, {"saturation": -1}]
)
def test_limits_that_leave_nothing_are_errors(given):
    with pytest.raises(BeamlineError, match=next(iter(given))):
        scan_of(np.ones((4, 8, 8), np.uint16)).plan(**given)


# ---- edges ----
