"""Dark, flat and mask of each frame, and stacks of masks, against the plain NumPy reference."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from itertools import product

import h5py
import numpy as np
import pytest
import reference_corrections as reference
from numpy.testing import assert_allclose, assert_array_equal
from scans import NX, NY, all_frames, as_nan, make_scan, raw_of

from ptypy_beamline import BeamlineWarning, open_scan
from ptypy_beamline.errors import ScanError, SettingsError
from ptypy_beamline.frames.wrappers import PickedFrames
from ptypy_beamline.scan import ArrayFrames
from ptypy_beamline.summary import loading_steps

N = 6
OWN = pytest.mark.filterwarnings("ignore:.*an image for each:")


def images(seed=3, n=N):
    """Darks, flats and masks (True = bad), one for each of ``n`` frames."""
    rng = np.random.default_rng(seed)
    dark = rng.uniform(5, 60, (n, NY, NX))
    flat = rng.uniform(0.8, 1.2, (n, NY, NX))
    flat[0, 2, 3], flat[1, 4, 5], dark[2, 6, 7] = 0, np.nan, np.inf
    return dark, flat, rng.random((n, NY, NX)) < 0.05


def wanted(scan, dark=0.0, flat=1.0, mask=None, **more):
    """Each frame with its own images; a single one counts for all."""
    n = len(scan)
    darks = np.broadcast_to(dark, (n, NY, NX))
    flats = np.broadcast_to(flat, (n, NY, NX))
    bad = np.zeros((n, NY, NX), bool) if mask is None else np.broadcast_to(mask, (n, NY, NX))
    bad = bad | ~np.isfinite(darks)
    return np.array(
        [
            reference.correct(raw[None], bad=b, dark=np.where(b, 0, d), flat=f, **more)[0]
            for raw, b, d, f in zip(raw_of(scan), bad, darks, flats, strict=True)
        ]
    )


@OWN
@pytest.mark.parametrize("own", [*product([False, True], repeat=3)])
def test_any_of_dark_flat_and_mask_may_differ_from_frame_to_frame(own):
    dark, flat, mask = (a if each else a[5] for a, each in zip(images(), own, strict=True))
    scan = make_scan(N, bad=images(4)[2][0])
    given = {"background": 3.5, "threshold": 9.0, "saturation": 460}
    plan = scan.plan(dark=dark, flat=flat, mask=mask, **given)
    expected = wanted(scan, dark, flat, mask | scan.bad, **given)
    assert_allclose(as_nan(*all_frames(plan)), expected, rtol=1e-6)
    again = pickle.loads(pickle.dumps(plan))
    assert_allclose(as_nan(*all_frames(again, 2)), expected, rtol=1e-6)


@OWN
def test_calibration_images_go_by_raw_frame_whatever_is_selected():
    dark, flat, mask = images()
    scan = make_scan(N)
    plan = scan.plan(dark=dark, flat=flat, mask=mask, reject=[1, 4], step=2)
    assert_array_equal(plan.selection.exposures[:, 0], [0, 2])
    expected = wanted(scan, dark, flat, mask)
    assert_allclose(as_nan(*all_frames(plan)), expected[[0, 2]], rtol=1e-6)
    some = np.array([5, 2, 3])
    part = replace(scan, frames=PickedFrames(scan.frames, some), positions_m=scan.positions_m[:3])
    assert_allclose(
        as_nan(*all_frames(part.plan(dark=dark, flat=flat, mask=mask))), expected[some], rtol=1e-6
    )


@OWN
@pytest.mark.parametrize("grouping", ["sum", "mean", "first", "best"])
def test_exposures_of_a_position_each_have_their_own(grouping):
    dark, flat, mask = images()
    scan = make_scan(N, positions=[(0, 0), (0, 1e-6), (1e-6, 0)])
    plan = scan.plan(dark=dark, flat=flat, mask=mask, frames_per_position=2, grouping=grouping)
    single = wanted(scan, dark, flat, mask).reshape(3, 2, NY, NX)
    expected = [reference.group(pair, grouping) for pair in single]
    assert_allclose(as_nan(*all_frames(plan)), expected, rtol=1e-5)


@OWN
def test_a_window_over_the_edge_is_binned_and_rotated():
    dark, flat, mask = images()
    scan = make_scan(N)
    plan = scan.plan(dark=dark, flat=flat, mask=mask, shape=16, center=(5, 12), rebin=2, rotate=90)
    for frame, whole in zip(as_nan(*all_frames(plan)), wanted(scan, dark, flat, mask), strict=True):
        cut = reference.cut(whole, -3, 4, 16, 16)
        assert_allclose(frame, np.rot90(reference.rebin(cut, 2), -1), rtol=1e-5)


def test_the_choice_is_reported():
    dark, _, _ = images()
    scan = make_scan(N)
    with pytest.warns(BeamlineWarning, match="dark has an image for each of the 6 raw frames"):
        scan.plan(dark=dark)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = scan.plan(dark=dark[3:])
    assert_allclose(mean.calibration.offset, dark[3:].mean(0), rtol=1e-6)


@OWN
def test_the_plan_reports_it():
    dark, _, mask = images()
    steps = dict(loading_steps(make_scan(N).plan(dark=dark, mask=mask, saturation=460)))
    assert steps["own"] == "dark, mask of each frame"
    assert "saturation 460" in steps["bad"]
    assert "own" not in dict(loading_steps(make_scan(N).plan()))


def test_own_images_of_another_shape_are_refused():
    with pytest.raises(ScanError, match=r"dark has shape \(20, 23\)"):
        make_scan(N).plan(dark=np.ones((N, NY, NX - 1)))


def stack_of_masks():
    bad = np.zeros((3, NY, NX), bool)
    bad[0, 1, 2] = bad[2, 3, 4] = bad[2, 1, 2] = True
    return bad


@pytest.mark.parametrize("values", ["bad", "good"])
def test_a_pixel_is_bad_that_is_bad_in_any_of_some_masks(values):
    bad = stack_of_masks()
    with pytest.warns(BeamlineWarning, match="mask has 3 masks for 6 frames: a pixel that is bad"):
        plan = make_scan(N).plan(mask=bad if values == "bad" else ~bad, mask_values=values)
    assert_array_equal(~plan.good, bad.any(0))


def test_nan_is_no_good_pixel():
    mask = np.ones((NY, NX))
    mask[2, 2], mask[3, 3] = np.nan, 0
    assert_array_equal(
        np.argwhere(~make_scan().plan(mask=mask, mask_values="good").good), [[2, 2], [3, 3]]
    )


def write(path, scan, shape, **more):
    """A standardized file whose frames are laid out as ``shape``."""
    with h5py.File(path, "w") as file:
        file["entry/data"] = raw_of(scan).reshape(*shape, NY, NX)
        y, x = scan.positions_m.T.reshape(2, *shape)
        file["entry/posx_m"], file["entry/posy_m"] = x, y
        for name, value in {
            "energy_eV": 8e3,
            "det_dist_m": 2.0,
            "pixel_m": 75e-6,
            "center_px": [10, 12],
        }.items():
            file[f"entry/{name}"] = value
        for name, unit in (("energy_eV", "eV"), ("det_dist_m", "m"), ("pixel_m", "m")):
            file[f"entry/{name}"].attrs["units"] = unit
        for name, value in more.items():
            file[f"entry/{name}"] = value.reshape(*shape, NY, NX)
    return path


@OWN
@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_calibration_images_may_have_the_layout_of_the_data(tmp_path, shape):
    dark, flat, mask = images()
    scan = make_scan(N)
    file = write(tmp_path / "own.h5", scan, shape, dark=dark, flat=flat, mask=mask.astype("u1"))
    expected = wanted(scan, dark, flat, mask)
    assert_allclose(as_nan(*all_frames(open_scan(file).plan())), expected, rtol=1e-6)
    plain = write(tmp_path / "plain.h5", scan, shape)
    given = {name: f"{file}::/entry/{name}" for name in ("dark", "flat", "mask")}
    assert_allclose(as_nan(*all_frames(open_scan(plain).plan(**given))), expected, rtol=1e-6)
    as_arrays = {"dark": dark.reshape(*shape, NY, NX), "mask": mask.reshape(*shape, NY, NX)}
    expected = wanted(scan, dark, 1.0, mask)
    frames = as_nan(*all_frames(open_scan(plain).plan(**as_arrays)))
    assert_allclose(frames, expected, rtol=1e-6)


@OWN
def test_those_of_the_chosen_projection(tmp_path):
    scan = make_scan(2 * N)
    dark, _, mask = images(n=2 * N)
    file = write(tmp_path / "own.h5", scan, (2, N), dark=dark, mask=mask)
    frames = as_nan(*all_frames(open_scan(file, outer_index=1).plan()))
    assert_allclose(frames, wanted(scan, dark, 1.0, mask)[N:], rtol=1e-6)


@pytest.mark.parametrize("values", ["bad", "good"])
def test_a_file_with_some_masks(tmp_path, values):
    bad = stack_of_masks()
    file = write(tmp_path / "a.h5", make_scan(N), (N,))
    with h5py.File(file, "a") as opened:
        opened["entry/mask"] = bad if values == "bad" else ~bad
    with pytest.warns(BeamlineWarning, match="/entry/mask has 3 masks for 6 frames: a pixel that"):
        scan = open_scan(file, mask_values=values)
    assert_array_equal(scan.bad, bad.any(0))


def test_masks_of_single_frames_cannot_be_followed_live():
    scan = replace(make_scan(N), bad_each=ArrayFrames(images()[2]))
    with pytest.raises(SettingsError, match="cannot be followed live"):
        scan.plan(**{"live.timeout_s": 1.0})


@pytest.mark.filterwarnings("ignore:.*without some of their 2 exposures")
@pytest.mark.parametrize("name", ["dark", "flat", "mask"])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.filterwarnings("ignore:.*beyond a float32")
def test_a_stack_with_one_image_per_acquisition_is_reported(name, k):
    """Two frames of 2k positions were lost: which images are theirs is unknown."""
    given = dict(zip(("dark", "flat", "mask"), images(n=N * k), strict=True))[name]
    kept = np.delete(np.arange(N * k), [1, 4])
    scan = make_scan(N * k, positions=[(0, i * 1e-6) for i in range(N)])
    scan = replace(scan, frames=ArrayFrames(raw_of(scan)[kept]), numbers=kept)
    settings = {"frames_per_position": k} if k > 1 else {}
    with pytest.warns(BeamlineWarning, match=f"{name} has {N * k} images, as many as positions or"):
        scan.plan(**{name: given}, **settings)


@pytest.mark.filterwarnings("ignore:.*beyond a float32")
def test_a_stack_with_one_image_per_selected_or_announced_frame_is_reported():
    dark, _, _ = images()
    scan = make_scan(N + 2)
    some = PickedFrames(scan.frames, np.arange(N))
    picked = replace(scan, frames=some, positions_m=scan.positions_m[:N])
    for unclear in (picked, replace(make_scan(N - 2), expected=N)):
        with pytest.warns(BeamlineWarning, match="dark has 6 images, as many as positions or"):
            unclear.plan(dark=dark)


@pytest.mark.filterwarnings("ignore:.*beyond a float32")
def test_images_of_a_live_scan_are_averaged_with_a_warning():
    dark, _, _ = images()
    with pytest.warns(BeamlineWarning, match="dark has 6 images, as many as frames are expected"):
        plan = make_scan(N).plan(dark=dark, **{"live.timeout_s": 1.0})
    assert_allclose(plan.calibration.offset[0], dark.mean(0)[0], rtol=1e-6)
