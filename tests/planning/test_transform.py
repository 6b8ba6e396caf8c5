"""Window, orientation, binning and padding against the plain NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest
import reference_corrections as reference
from numpy.testing import assert_allclose, assert_array_equal
from scans import NX, NY, all_frames, as_nan, make_scan, raw_of

from ptypy_beamline.scan import Window


@pytest.mark.parametrize("code", range(8))
@pytest.mark.parametrize("b", [1, 2, 4])
def test_orientation_binning_and_padding(code, b):
    bad = np.zeros((NY, NX), bool)
    bad[4, 5] = True
    scan = make_scan(bad=bad)
    plan = scan.plan(orientation=code, rebin=b, pad=(1, 2, 3, 4))
    wanted = []
    for raw in reference.correct(raw_of(scan), bad=bad):
        wanted.append(reference.pad(reference.orient(reference.rebin(raw, b), code), (1, 2, 3, 4)))
    assert_allclose(as_nan(*all_frames(plan)), wanted, rtol=1e-6)
    assert_array_equal(plan.good, np.isfinite(wanted[0]))


@pytest.mark.parametrize("code", range(8))
@pytest.mark.parametrize("b", [1, 2, 4])
def test_the_center_follows_its_pixel(code, b):
    """One bright block of pixels ends up at the centre of the plan."""
    scan = make_scan(center_px=(9.5, 13.5))
    scan.frames.array[:] = 0
    scan.frames.array[:, 8:12, 12:16] = 1
    plan = scan.plan(orientation=code, rebin=b, pad=(2, 0, 1, 5))
    frame = all_frames(plan)[0][0]
    rows, columns = np.indices(frame.shape)
    mass = (frame * rows).sum() / frame.sum(), (frame * columns).sum() / frame.sum()
    assert_allclose(plan.geometry.center_px, mass, atol=1e-9)


@pytest.mark.parametrize(
    ("rotate", "flip", "operation"),
    [
        (0, None, lambda f: f),
        (90, None, lambda f: np.rot90(f, -1)),
        (180, None, lambda f: np.rot90(f, 2)),
        (270, "none", lambda f: np.rot90(f, 1)),
        (0, "h", np.fliplr),
        (90, "v", lambda f: np.flipud(np.rot90(f, -1))),
        (270, "hv", lambda f: np.flipud(np.fliplr(np.rot90(f, 1)))),
    ],
)
def test_rotate_clockwise_then_flip(rotate, flip, operation):
    scan = make_scan()
    frames, _ = all_frames(scan.plan(rotate=rotate, flip=flip))
    assert_array_equal(frames, [operation(f) for f in raw_of(scan)])


def test_turning_swaps_the_pixel_size():
    scan = make_scan(pixel_m=(50e-6, 75e-6))
    assert scan.plan(rotate=90, rebin=2).geometry.pixel_m == (150e-6, 100e-6)


@pytest.mark.parametrize("center", [(10, 12), (1, 22), (18.4, 2.6), (0, 0)])
@pytest.mark.filterwarnings("ignore:.*of the window")
def test_window_past_the_edge_is_bad_there(center):
    scan = make_scan()
    plan = scan.plan(shape=(10, 12), center=center)
    top, left = int(np.floor(center[0] + 0.5)) - 5, int(np.floor(center[1] + 0.5)) - 6
    wanted = [reference.cut(f.astype(float), top, left, 10, 12) for f in raw_of(scan)]
    assert_allclose(as_nan(*all_frames(plan)), wanted)
    assert_allclose(plan.geometry.center_px, np.array(center) - (top, left))


@pytest.mark.filterwarnings("ignore:.*of the window")
def test_center_as_fractions_and_fftshift():
    scan = make_scan()
    assert scan.plan(center=(0.5, 0.5)).center_px == (NY // 2, NX // 2)
    assert scan.plan(center="fftshift").center_px == (NY // 2, NX // 2)
    assert scan.plan(center=(0, 1), shape=4).window == Window(-2, -1, 4, 4)


def test_align_brings_each_frame_to_the_common_center():
    scan = make_scan(center_px=(10.0, 12.0))
    for i, frame in enumerate(scan.frames.array):
        frame[:] = np.roll(frame, (i - 3, 2 - i), (0, 1))
    plan = scan.plan(align="com", dark=np.full((NY, NX), 60.0))
    counts = reference.correct(raw_of(scan), dark=60.0)
    wanted = [reference.align(c, (10.0, 12.0)) for c in counts]
    assert_allclose(as_nan(*all_frames(plan)), wanted, rtol=1e-6)


def test_pad_square():
    scan = make_scan()
    plan = scan.plan(pad="square")
    assert plan.geometry.shape == (NX, NX)
    assert_array_equal(plan.good.sum(1) > 0, [False] * 2 + [True] * NY + [False] * 2)
