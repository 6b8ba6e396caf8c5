"""Raw numbers that are no counts: of masked pixels, of gaps between modules."""

from __future__ import annotations

import numpy as np
import pytest
import scans
import tifffile
from numpy.testing import assert_allclose, assert_array_equal
from scans import all_frames, scan_of

from ptypy_beamline import open_scan
from ptypy_beamline.diagnosis.findings import diagnose
from ptypy_beamline.settings import Settings

GAP = np.zeros((64, 64), bool)
GAP[30:34], GAP[:, 10:13] = True, True
BLIND = GAP.copy()
BLIND[50, 51] = BLIND[7, 40] = True
"""Gaps between modules, and two masked pixels."""


def masked(dtype, value, where=BLIND):
    frames = scans.truth().frames.astype(dtype)
    frames[:, where] = value
    return frames


MARKS = [
    ("uint32", 2**32 - 1),
    ("uint16", 2**16 - 1),
    ("uint8", 255),
    ("int32", -1),
    ("int32", -2),
    ("int16", -1),
    ("int32", 2**31 - 1),
    ("int64", 2**32 - 1),
    ("uint64", 2**64 - 1),
    ("float32", 2**32 - 1),
    ("float64", 2**16 - 1),
    ("float32", 2**31 - 1),
    ("float32", -1),
    ("float64", 2**31 - 1),
    ("uint32", 2**16 - 1),
    ("uint32", 2**31 - 1),
    ("int32", 2**16 - 1),
    ("int64", -9999),
]


@pytest.mark.parametrize(("dtype", "value"), MARKS)
@pytest.mark.parametrize("k", [1, 2])
def test_the_no_count_value_is_not_a_count(dtype, value, k):
    frames = np.clip(scans.truth().frames, 0, 200).astype(dtype)
    frames[:, BLIND] = value
    plan = scan_of(frames[:48], k).plan(frames_per_position=k if k > 1 else None)
    got, good = all_frames(plan)
    assert_array_equal(good, np.broadcast_to(~BLIND, got.shape))
    raw = np.where(BLIND, 0, frames[:48]).astype(np.float64)
    assert_array_equal(got, raw.reshape(-1, k, 64, 64).sum(1))


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float32", "float64"])
def test_the_mark_of_eiger_at_a_single_pixel_of_a_wider_type(dtype):
    frames = np.clip(scans.truth().frames[:12], 0, 200).astype(dtype)
    frames[:, 7, 40] = 2**32 - 1
    got, good = all_frames(scan_of(frames).plan())
    assert_array_equal(~good[0], np.indices((64, 64))[0] * 64 + np.indices((64, 64))[1] == 488)
    assert got.max() <= 200


@pytest.mark.parametrize("dtype", ["int32", "int16", "float32"])
def test_marks_of_pilatus_beside_pixels_that_are_negative_in_some_frames(dtype):
    frames = np.clip(scans.truth().frames[:12], 0, 200).astype(dtype)
    always = np.zeros((64, 64), bool)
    always[7, 40] = always[50, 51] = always[20, 20] = True
    frames[:, always] = [-1, -2, -1]
    frames[3, 9, 9] = frames[5, 30, 30] = -1
    good = all_frames(scan_of(frames).plan())[1]
    wanted = np.broadcast_to(~always, good.shape).copy()
    wanted[3, 9, 9] = wanted[5, 30, 30] = False
    assert_array_equal(good, wanted)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("dark", [None, np.zeros((12, 64, 64))], ids=["no dark", "own darks"])
@pytest.mark.filterwarnings("ignore:.*an image for each")
def test_marks_of_pilatus_beside_noise_that_is_negative(dtype, dark):
    """Where a dark was subtracted negative numbers are counts, but not those of the gaps."""
    noise = np.random.default_rng(0).normal(2, 3, (12, 64, 64)).round()
    frames = noise.astype(dtype)
    frames[:, GAP], frames[:, 50, 51] = -1, -2
    plan = scan_of(frames).plan(dark=dark)
    got, good = all_frames(plan)
    marked = GAP.copy()
    marked[50, 51] = True
    assert_array_equal(good, np.broadcast_to(~marked, good.shape))
    assert_array_equal(got, np.where(marked, 0, noise.clip(0)))


@pytest.mark.parametrize("dtype", ["uint32", "uint64", "float32", "float64"])
@pytest.mark.parametrize("frame", [0, 5])  # the first one is looked at
def test_a_mark_in_one_frame_only_spoils_that_frame(dtype, frame):
    frames = scans.truth().frames.astype(dtype)
    frames[frame, 3, 4] = 2**32 - 1
    good = all_frames(scan_of(frames).plan())[1]
    assert (~good).sum() == 1
    assert not good[frame, 3, 4]


@pytest.mark.parametrize("brightest", [1e9, 1e12])
def test_bright_frames_that_are_no_counts_are_not_corrected(brightest):
    frames = np.full((12, 16, 16), brightest)
    frames[3] *= 6
    got, good = all_frames(scan_of(frames).plan())
    assert good.all()
    assert_allclose(got, frames, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_counts_stay_counts(dtype):
    rng = np.random.default_rng(0)
    frames = rng.normal(0 if dtype != "uint16" else 50, 3, (12, 64, 64)).round().astype(dtype)
    frames[:, 32, 30:33] = np.iinfo(dtype).max if dtype != "float32" else 65535  # a bright beam
    got, good = all_frames(scan_of(frames).plan())
    assert good.all()
    assert_array_equal(got, frames.clip(0))


@pytest.mark.parametrize("format", ["standard", "areadetector", "cxi", "nxcxi", "hdf5"])
@pytest.mark.parametrize(("dtype", "value"), [("uint32", 2**32 - 1), ("int32", -1)])
def test_every_hdf5_format_knows_them(tmp_path, format, dtype, value):
    frames, writer = masked(dtype, value), "standard" if format == "hdf5" else format
    file = scans.write(tmp_path, writer, frames=frames)
    more = {}
    if format == "hdf5":
        more = {
            "format": "hdf5",
            "energy": 8.8,
            "distance": 0.681,
            "psize": 75e-6,
            "paths.frames": "/entry/data",
            "paths.x": "/entry/posx_m",
            "paths.y": "/entry/posy_m",
            "units.positions": "m",
        }
    good = all_frames(open_scan(file).plan() if not more else open_scan(file, **more).plan())[1]
    assert_array_equal(good, np.broadcast_to(~BLIND, good.shape))


def test_so_do_tiff_and_npz(tmp_path):
    frames = masked("int32", -1)
    scans.write(tmp_path, frames=scans.truth().frames).rename(tmp_path / "sidecar.h5")
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack")
    good = all_frames(open_scan(tmp_path / "a.tif").plan())[1]
    assert_array_equal(good, np.broadcast_to(~BLIND, good.shape))
    y, x = scans.truth().positions_m.T / 1e-8
    np.savez(tmp_path / "b.npz", diff3d=frames, xcoords=x, ycoords=y)
    scan = open_scan(tmp_path / "b.npz", energy=8.8, distance=0.681, psize=75e-6)
    good = all_frames(scan.plan())[1]
    assert_array_equal(good, np.broadcast_to(~BLIND, good.shape))


def test_the_centre_is_not_pulled_by_them():
    frames = masked("int32", -1)
    frames[:, 60, 60] = 2**31 - 1
    wanted = scan_of(scans.truth().frames.astype(np.int32), center_px=None).plan().center_px
    assert_allclose(scan_of(frames, center_px=None).plan().center_px, wanted, atol=0.5)


def warned(file, **settings):
    """What ``check`` prints but for its reconstructions."""
    return [str(f) for f in diagnose(Settings.of({"file": str(file), **settings}), False).findings]


def test_check_names_them_and_finds_no_problem(tmp_path):
    found = warned(scans.write(tmp_path, frames=masked("uint32", 2**32 - 1)))
    assert any("4294967295 and above hold no counts" in line for line in found), found
    assert not any("highest count" in line or "between lit" in line for line in found), found


def test_the_remedy_of_check_is_typed_as_printed(tmp_path, type_in):
    frames = scans.truth().frames.astype(np.uint32)
    frames[:, 30:34, 30:34] = 16777213  # a limit of seven digits and more
    file = scans.write(tmp_path, frames=frames)
    line = next(line for line in warned(file) if "--sat" in line)
    words = line.split("(--sat")[1].split(")")[0].split()
    assert words == ["16777213"]
    code, shown, _ = type_in("info", file, "--plan", "--sat", *words)
    assert code == 0
    assert "saturation 16777213" in shown
    assert not any("16777213" in line for line in warned(file, saturation=words[0]))
    good = all_frames(open_scan(file).plan(saturation=float(words[0])))[1]
    assert not good[:, 30:34, 30:34].any()


# ---- frames that never came ----
