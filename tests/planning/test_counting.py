"""Numbers that are no counts: of masked pixels, of frames that never came, past a float32."""

from __future__ import annotations

import tracemalloc
import warnings

import h5py
import numpy as np
import pytest
import reference_corrections as reference
import scans
import tifffile
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineError, BeamlineWarning, Scan, open_scan
from ptypy_beamline.diagnosis.findings import diagnose
from ptypy_beamline.diagnosis.page import block_means
from ptypy_beamline.frames.hdf5 import Hdf5Frames
from ptypy_beamline.live import Follower
from ptypy_beamline.planning.defects import dead_pixels, hot_or_dead
from ptypy_beamline.planning.sample import Sample
from ptypy_beamline.scan import ArrayFrames, Window
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


def memory(frames, k=1, **more):
    """A scan of frames of which ``k`` have one position."""
    number = np.arange(len(frames)) // k
    places = np.column_stack([number // 4, number % 4]) * 1e-6
    known = {
        "energy_eV": 8e3,
        "distance_m": 2.0,
        "pixel_m": (75e-6, 75e-6),
        "center_px": tuple(n // 2 for n in frames.shape[1:]),
    }
    return Scan(ArrayFrames(frames), places, **(known | more))


def loaded(plan, size=None):
    blocks = list(plan.blocks(size))
    return np.concatenate([b.frames for b in blocks]), np.concatenate([b.good for b in blocks])


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
def test_what_marks_a_pixel_without_a_count_is_no_count(dtype, value, k):
    frames = np.clip(scans.truth().frames, 0, 200).astype(dtype)
    frames[:, BLIND] = value
    plan = memory(frames[:48], k).plan(frames_per_position=k if k > 1 else None)
    got, good = loaded(plan)
    assert_array_equal(good, np.broadcast_to(~BLIND, got.shape))
    raw = np.where(BLIND, 0, frames[:48]).astype(np.float64)
    assert_array_equal(got, raw.reshape(-1, k, 64, 64).sum(1))


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float32", "float64"])
def test_the_mark_of_eiger_at_a_single_pixel_of_a_wider_type(dtype):
    frames = np.clip(scans.truth().frames[:12], 0, 200).astype(dtype)
    frames[:, 7, 40] = 2**32 - 1
    got, good = loaded(memory(frames).plan())
    assert_array_equal(~good[0], np.indices((64, 64))[0] * 64 + np.indices((64, 64))[1] == 488)
    assert got.max() <= 200


@pytest.mark.parametrize("dtype", ["int32", "int16", "float32"])
def test_marks_of_pilatus_beside_pixels_that_are_negative_in_some_frames(dtype):
    frames = np.clip(scans.truth().frames[:12], 0, 200).astype(dtype)
    always = np.zeros((64, 64), bool)
    always[7, 40] = always[50, 51] = always[20, 20] = True
    frames[:, always] = [-1, -2, -1]
    frames[3, 9, 9] = frames[5, 30, 30] = -1
    good = loaded(memory(frames).plan())[1]
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
    plan = memory(frames).plan(dark=dark)
    got, good = loaded(plan)
    marked = GAP.copy()
    marked[50, 51] = True
    assert_array_equal(good, np.broadcast_to(~marked, good.shape))
    assert_array_equal(got, np.where(marked, 0, noise.clip(0)))


@pytest.mark.parametrize("dtype", ["uint32", "uint64", "float32", "float64"])
@pytest.mark.parametrize("frame", [0, 5])  # the first one is looked at
def test_a_mark_in_one_frame_only_spoils_that_frame(dtype, frame):
    frames = scans.truth().frames.astype(dtype)
    frames[frame, 3, 4] = 2**32 - 1
    good = loaded(memory(frames).plan())[1]
    assert (~good).sum() == 1
    assert not good[frame, 3, 4]


@pytest.mark.parametrize("brightest", [1e9, 1e12])
def test_bright_frames_that_no_detector_counted_are_left_alone(brightest):
    frames = np.full((12, 16, 16), brightest)
    frames[3] *= 6
    got, good = loaded(memory(frames).plan())
    assert good.all()
    assert_allclose(got, frames, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_counts_stay_counts(dtype):
    rng = np.random.default_rng(0)
    frames = rng.normal(0 if dtype != "uint16" else 50, 3, (12, 64, 64)).round().astype(dtype)
    frames[:, 32, 30:33] = np.iinfo(dtype).max if dtype != "float32" else 65535  # a bright beam
    got, good = loaded(memory(frames).plan())
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
    good = loaded(open_scan(file).plan() if not more else open_scan(file, **more).plan())[1]
    assert_array_equal(good, np.broadcast_to(~BLIND, good.shape))


def test_so_do_tiff_and_npz(tmp_path):
    frames = masked("int32", -1)
    scans.write(tmp_path, frames=scans.truth().frames).rename(tmp_path / "sidecar.h5")
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack")
    good = loaded(open_scan(tmp_path / "a.tif").plan())[1]
    assert_array_equal(good, np.broadcast_to(~BLIND, good.shape))
    y, x = scans.truth().positions_m.T / 1e-8
    np.savez(tmp_path / "b.npz", diff3d=frames, xcoords=x, ycoords=y)
    scan = open_scan(tmp_path / "b.npz", energy=8.8, distance=0.681, psize=75e-6)
    good = loaded(scan.plan())[1]
    assert_array_equal(good, np.broadcast_to(~BLIND, good.shape))


def test_the_centre_is_not_pulled_by_them():
    frames = masked("int32", -1)
    frames[:, 60, 60] = 2**31 - 1
    wanted = memory(scans.truth().frames.astype(np.int32), center_px=None).plan().center_px
    assert_allclose(memory(frames, center_px=None).plan().center_px, wanted, atol=0.5)


def said(file, **settings):
    """What ``check`` prints but for its reconstructions."""
    return [str(f) for f in diagnose(Settings.of({"file": str(file), **settings}), False).findings]


def test_check_names_them_and_finds_no_problem(tmp_path):
    found = said(scans.write(tmp_path, frames=masked("uint32", 2**32 - 1)))
    assert any("4294967295 and above are not counts" in line for line in found), found
    assert not any("highest count" in line or "between lit" in line for line in found), found


def test_the_remedy_of_check_is_typed_as_printed(tmp_path, type_in):
    frames = scans.truth().frames.astype(np.uint32)
    frames[:, 30:34, 30:34] = 16777213  # a limit of seven digits and more
    file = scans.write(tmp_path, frames=frames)
    line = next(line for line in said(file) if "--sat" in line)
    words = line.split("(--sat")[1].split(")")[0].split()
    assert words == ["16777213"]
    code, shown, _ = type_in("info", file, "--plan", "--sat", *words)
    assert code == 0
    assert "saturation 16777213" in shown
    assert not any("16777213" in line for line in said(file, saturation=words[0]))
    good = loaded(open_scan(file).plan(saturation=float(words[0])))[1]
    assert not good[:, 30:34, 30:34].any()


# ---- frames that never came ----


def room(path, written, n=12, chunks=(1, 8, 8), shape=(8, 8), fill=None):
    """A standardized file with room for n frames, of which some were written."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("/entry/data", (n, *shape), "u2", chunks=chunks, fillvalue=fill)
        for i in written:
            data[i] = 100 + i
        _beside(file, n)
    return path


def _beside(file, n):
    file["/entry/pos"] = np.column_stack([np.arange(n) % 4, np.arange(n) // 4]) * 1e-6
    file["/entry/pos"].attrs["columns"] = "x,y"
    file["/entry/energy_eV"], file["/entry/det_dist_m"] = 8000.0, 2.0
    file["/entry/pixel_m"], file["/entry/center_px"] = 75e-6, [4.0, 4.0]


def check_frames(file, wanted, lacking, n=12):
    with pytest.warns(BeamlineWarning, match=f"{lacking} of {n} frames were never written"):
        scan = open_scan(file)
    plan = scan.plan()
    assert plan.selection.exposures[:, 0].tolist() == wanted
    assert loaded(plan)[0][:, 0, 0].tolist() == [100 + i for i in wanted]
    assert_allclose(plan.positions_m[:, 1] * 1e6, [i % 4 for i in wanted], atol=1e-9)
    return scan


@pytest.mark.filterwarnings("ignore:.*stopped")
@pytest.mark.parametrize(
    ("written", "chunks"),
    [
        ([0, 1, 2, 3, 4], (1, 8, 8)),
        ([2, 3, 7], (1, 8, 8)),
        ([0, 11], (1, 3, 8)),
        ([3, 4, 5], (3, 8, 8)),
    ],
)
def test_chunks_that_were_never_written_are_left_out(tmp_path, written, chunks):
    file = room(tmp_path / "a.h5", written, chunks=chunks)
    check_frames(file, written, 12 - len(written))


@pytest.mark.filterwarnings("ignore:.*stopped")
def test_a_frame_of_which_only_a_part_was_written_is_left_out(tmp_path):
    file = room(tmp_path / "a.h5", [0, 1, 2], chunks=(1, 4, 8))
    with h5py.File(file, "a") as opened:
        opened["/entry/data"][3, :4] = 7
    check_frames(file, [0, 1, 2], 9)


@pytest.mark.parametrize("chunks", [(1, 8, 8), None])
def test_nothing_written_is_an_error(tmp_path, chunks):
    file = room(tmp_path / "a.h5", [], chunks=chunks)
    with pytest.raises(BeamlineError, match="none of the 12 frames was ever written"):
        open_scan(file)


def test_a_dark_that_was_never_written_is_an_error(tmp_path):
    file = room(tmp_path / "a.h5", range(12))
    with h5py.File(file, "a") as opened:
        opened.create_dataset("/entry/dark", (8, 8), "f4")
    with pytest.raises(BeamlineError, match="no image of dark was ever written"):
        open_scan(file).plan()


@pytest.mark.filterwarnings("ignore:.*stopped")
@pytest.mark.parametrize("how", ["unmapped", "source", "interleaved", "short"])
def test_a_virtual_dataset_is_as_whole_as_its_sources(tmp_path, how):
    layout, wanted = h5py.VirtualLayout((12, 8, 8), "u2"), [0, 1, 2, 6, 7]
    stacks = {"a.h5": [0, 1, 2, 3, 4, 5], "b.h5": [6, 7, 8, 9, 10, 11]}
    if how == "interleaved":
        stacks, wanted = {"a.h5": [0, 2, 4, 6, 8, 10], "b.h5": [1, 3, 5, 7, 9, 11]}, [0, 1, 2, 3, 5]
    for name, frames in stacks.items():
        with h5py.File(tmp_path / name, "w") as file:
            data = file.create_dataset(
                "d", (6, 8, 8), "u2", chunks=(1, 8, 8), maxshape=(None, 8, 8)
            )
            for i, frame in enumerate(frames):
                if how == "unmapped" or frame in wanted:
                    data[i] = 100 + frame
            if how == "short":
                data.resize(sum(frame in wanted for frame in frames), 0)
        source = h5py.VirtualSource(name, "d", (6, 8, 8), maxshape=(None, 8, 8))
        keep = [i for i, f in enumerate(frames) if f in wanted] if how == "unmapped" else range(6)
        first, last, step = frames[0], frames[max(keep)], frames[1] - frames[0]
        layout[first : last + 1 : step] = source[: len(keep)]
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("/entry/data", layout)
        _beside(file, 12)
    check_frames(tmp_path / "v.h5", wanted, 12 - len(wanted))


FIRST, LAST = slice(0, 3), slice(5, 8)
MODULES = {"a": (FIRST, FIRST), "b": (FIRST, LAST), "c": (LAST, FIRST), "d": (LAST, LAST)}
COVERED = np.zeros((8, 8), bool)
for where in MODULES.values():
    COVERED[where] = True


def modules(folder, how="", n=12):
    """Four modules of 3x3 pixels, gaps of 2 between them, which read as 0, in a virtual dataset."""
    layout = h5py.VirtualLayout((n, 8, 8), "u2", maxshape=(None, 8, 8))
    for name, (rows, columns) in MODULES.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            data = file.create_dataset(
                "d", (n, 3, 3), "u2", maxshape=(None, 3, 3), chunks=(1, 3, 3)
            )
            data[:] = np.arange(100, 100 + n)[:, None, None]
        source = h5py.VirtualSource(f"{name}.h5", "d", (n, 3, 3), maxshape=(None, 3, 3))
        if how == "unlimited":
            every = slice(0, h5py.h5s.UNLIMITED)
            layout[every, rows, columns] = source[every]
        elif how == "by file":
            layout[: n // 2, rows, columns] = source[: n // 2]
            layout[n // 2 :, rows, columns] = source[n // 2 :]
        elif how == "moved" and name == "d":
            layout[: n // 2, rows, columns] = source[: n // 2]
            layout[n // 2 :, rows, slice(4, 7)] = source[n // 2 :]
        else:
            layout[:, rows, columns] = source
    with h5py.File(folder / "v.h5", "w") as file:
        nested = how == "nested"
        file.create_virtual_dataset("/inner" if nested else "/entry/data", layout)
        if nested:
            whole = h5py.VirtualLayout((n, 8, 8), "u2")
            whole[...] = h5py.VirtualSource(".", "/inner", (n, 8, 8))
            file.create_virtual_dataset("/entry/data", whole)
        _beside(file, n)
    return folder / "v.h5"


@pytest.mark.parametrize("how", ["", "nested", "by file", "unlimited"])
def test_pixels_between_the_modules_of_a_virtual_detector_are_bad(tmp_path, how):
    scan = open_scan(modules(tmp_path, how))
    assert_array_equal(scan.bad, ~COVERED)
    assert any("28 pixels were not written in any frame" in note for note in scan.notes)
    got, good = loaded(scan.plan())
    assert_array_equal(good, np.broadcast_to(COVERED, good.shape))
    wanted = np.arange(100, 112)[:, None, None] * COVERED
    assert_array_equal(got, wanted)


def test_so_are_they_beside_a_mask_and_where_the_corner_is_stored(tmp_path):
    file = modules(tmp_path)
    with h5py.File(file, "a") as opened:
        opened["/entry/mask"] = np.eye(8, dtype=np.uint8)
    assert_array_equal(open_scan(file).bad, ~COVERED | np.eye(8, dtype=bool))
    scan = open_scan(file, zero_frequency="corner")
    assert_array_equal(scan.bad, np.fft.fftshift(~COVERED | np.eye(8, dtype=bool)))


def test_a_pixel_that_some_frames_lack_is_bad_in_all(tmp_path):
    with pytest.warns(BeamlineWarning, match="6 pixels were not written in some frames"):
        scan = open_scan(modules(tmp_path, "moved"))
    wanted = COVERED.copy()
    wanted[5:8, 7] = False
    assert_array_equal(scan.bad, ~wanted)
    assert_array_equal(loaded(scan.plan())[1][0], wanted)


@pytest.mark.filterwarnings("ignore:.*stopped")
def test_frames_and_pixels_that_were_never_written(tmp_path):
    """A module that was stopped, and one chunk of the detector that is never written."""
    file = modules(tmp_path)
    with h5py.File(tmp_path / "b.h5", "a") as opened:
        del opened["d"]
        data = opened.create_dataset("d", (12, 3, 3), "u2", chunks=(1, 3, 3))
        data[:9] = np.arange(100, 109)[:, None, None]
    assert_array_equal(check_frames(file, list(range(9)), 3).bad, ~COVERED)
    file = room(tmp_path / "chunks.h5", [], chunks=(1, 4, 8))
    with h5py.File(file, "a") as opened:
        opened["/entry/data"][:, :4] = np.arange(100, 112)[:, None, None]
    assert_array_equal(open_scan(file).bad[:, 0], np.arange(8) >= 4)


def test_pixels_of_a_leading_axis(tmp_path):
    """Two projections with a gap of one row."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = np.ones((2, 12, 8, 8), np.uint16)
        layout = h5py.VirtualLayout((2, 12, 8, 8), "u2")
        source = h5py.VirtualSource(".", "d", (2, 12, 8, 8))
        for number in range(2):
            layout[number, :, :7] = source[number, :, :7]
        file.create_virtual_dataset("/v", layout)
    for number in range(2):
        gaps = Hdf5Frames(tmp_path / "a.h5", "/v", number).gaps()
        assert_array_equal(gaps.always, np.indices((8, 8))[0] == 7)


def test_more_room_than_positions(tmp_path):
    file = room(tmp_path / "a.h5", range(12), n=12)
    with h5py.File(file, "a") as opened:
        data = opened["/entry/data"][()]
        del opened["/entry/data"]
        bigger = opened.create_dataset("/entry/data", (1000, 8, 8), "u2", chunks=(1, 8, 8))
        bigger[:12] = data
    check_frames(file, list(range(12)), 988, 1000)


def test_live_they_are_frames_to_come(tmp_path):
    file = room(tmp_path / "a.h5", [0, 1, 2, 4])
    follower = Follower(
        Settings.of({"file": str(file), "live.timeout_s": 0.6, "live.poll_s": 0.01})
    )
    assert follower.first().selection.exposures[:, 0].tolist() == [0, 1, 2]
    with h5py.File(file, "a") as opened:
        opened["/entry/data"][3] = 103
    while len(plan := follower.look().plan) < 5:
        pass
    assert plan.selection.exposures[:, 0].tolist() == [0, 1, 2, 3, 4]
    with h5py.File(file, "a") as opened:
        opened["/entry/data"][7] = 107
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        plan = follower.wait_until_complete()
    assert any("ended with 6 positions: " in str(one.message) for one in said)
    assert any("6 of 12 frames were never written" in str(one.message) for one in said)
    assert plan.selection.exposures[:, 0].tolist() == [0, 1, 2, 3, 4, 7]


def test_the_index_of_many_chunks_is_asked_only_where_some_lack(tmp_path, monkeypatch):
    file = room(tmp_path / "a.h5", range(12))
    frames = Hdf5Frames(file, "/entry/data")
    monkeypatch.setattr("ptypy_beamline.frames.written._chunk_offsets", None)
    assert frames.written() is None


# ---- finite ----


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
        plan = memory(frames, k, monitor=i0).plan(flat=flat, monitor=True, rebin=rebin, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BeamlineWarning)  # that nothing is left of the last frame
        got, good = loaded(plan)
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
    scan = memory(frames, monitor=i0)
    with pytest.warns(BeamlineWarning, match=r"flat is more than 1000 times off .* at 5 pixels"):
        scan.plan(flat=flat)
    with pytest.warns(BeamlineWarning) as seen:
        scan.plan(monitor=True)
    said = " ".join(str(w.message) for w in seen)
    assert "not a number at 2 of 8 frames, which are left out" in said
    assert "more than 1000 times off its median of 1 at 1 of 8 frames" in said
    with pytest.warns(BeamlineWarning, match="dark and background exceed every count of 8"):
        plan = scan.plan(dark=np.full((16, 16), 1e3))
    with pytest.warns(BeamlineWarning, match="8 of 8 frames hold no count"):
        loaded(plan)


def test_darks_that_are_no_numbers_or_far_below_zero_are_named():
    frames = np.random.default_rng(0).poisson(50, (8, 16, 16)).astype(np.uint16)
    dark, mask = np.zeros((16, 16)), np.zeros((16, 16), bool)
    dark[0, :5], dark[3, 3], dark[4, 4] = [np.nan, np.inf, -np.inf, 1e39, -1e39], -1e38, -3
    mask[0, 0] = True
    with pytest.warns(BeamlineWarning) as seen:
        good = loaded(memory(frames).plan(dark=dark, mask=mask))[1]
    said = [str(w.message) for w in seen]
    assert len(said) == 2
    assert "NaN, infinite or beyond a float32 at 4 pixels, which become bad" in said[0]
    assert "below 0 at 1 pixels by more than 1000 times the highest count" in said[1]
    assert not good[:, 0, :5].any()


def test_absurd_images_are_named_once_where_the_centre_is_found_from_the_data():
    y, x = np.indices((16, 16))
    beam = 200 * np.exp(-((y - 8) ** 2 + (x - 7) ** 2) / 18)
    frames = np.random.default_rng(0).poisson(beam, (8, 16, 16)).astype(np.uint16)
    flat = np.full((16, 16), 3.0)
    flat[:, :8] = 4  # so that the median of a window is another
    with pytest.warns(BeamlineWarning, match="the flat has a median of") as seen:
        memory(frames, center_px=None).plan(flat=flat, shape=8)
    assert len(seen) == 1


@pytest.mark.parametrize("k", [1, 2])
def test_frames_that_hold_nothing_are_counted(k):
    frames = np.random.default_rng(0).poisson(50, (16, 16, 16)).astype(np.uint16)
    frames[2:6], frames[8:10] = 0, 300
    plan = memory(frames, k).plan(saturation=300, frames_per_position=k if k > 1 else None)
    with pytest.warns(BeamlineWarning) as seen:
        good = loaded(plan, 3)[1]
    said = [str(w.message) for w in seen]
    n = 16 // k
    assert len(said) == 2
    assert said[0].startswith(f"{4 // k} of {n} frames hold no count")
    assert said[1].startswith(f"{2 // k} of {n} frames have no good pixel")
    assert (~good.any((1, 2))).sum() == 2 // k


@pytest.mark.parametrize(
    "given", [{"threshold": np.inf}, {"threshold": np.nan}, {"saturation": 0}, {"saturation": -1}]
)
def test_limits_that_leave_nothing_are_errors(given):
    with pytest.raises(BeamlineError, match=next(iter(given))):
        memory(np.ones((4, 8, 8), np.uint16)).plan(**given)


# ---- edges ----


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


def test_bands_find_what_one_look_finds(monkeypatch):
    frames = ripples((64, 48), 0.01, 1)
    frames[:, 20, 20], frames[:, 40, 3], frames[:, 41, 30] = 9000, 0, 9000
    sample = Sample(ArrayFrames(frames), Window(2, 1, 60, 40))
    whole = hot_or_dead(sample, 0.0, 6.0)
    assert whole.sum() == 3
    monkeypatch.setattr("ptypy_beamline.planning.defects.BAND_PIXELS", 40 * 9)
    assert_array_equal(hot_or_dead(sample, 0.0, 6.0), whole)


# ---- large detectors ----


@pytest.mark.parametrize("settings", [{}, {"hot_sigma": 6, "shape": 256}])
def test_a_large_detector_takes_few_bytes_a_pixel(tmp_path, monkeypatch, settings):
    """Planning, with the centre looked for, and loading; a detector for which 2000² is large."""
    monkeypatch.setattr("ptypy_beamline.planning.center.MOST_PIXELS", 2**18)
    monkeypatch.setattr("ptypy_beamline.planning.defects.BAND_PIXELS", 2**18)
    side, file = 2000, tmp_path / "a.h5"
    beam = 300 * np.exp(-(((np.arange(side) - 900) / 100) ** 2))
    with h5py.File(file, "w") as opened:
        data = opened.create_dataset("/entry/data", (3, side, side), "u2", chunks=(1, 500, side))
        data[:] = np.outer(beam / 300, beam).astype(np.uint16)
        _beside(opened, 3)
        del opened["/entry/center_px"]
    loaded(open_scan(file).plan(shape=64))  # compiles
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
    monkeypatch.setattr("ptypy_beamline.planning.center.MOST_PIXELS", 2**18)
    monkeypatch.setattr("ptypy_beamline.diagnosis.page.MOST_PX", 300)
    side, file = 2000, tmp_path / "a.h5"
    with h5py.File(file, "w") as opened:
        data = opened.create_dataset("/entry/data", (12, side, side), "u2", chunks=(1, 500, side))
        stripe = np.zeros((side, side), np.uint16)
        stripe[600:900] = 3
        for number in range(12):
            data[number] = stripe
        _beside(opened, 12)
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


def test_gaps_between_modules_are_dead_from_edge_to_edge():
    y, x = np.indices((40, 50)) - 20
    total = np.rint(1e4 * np.exp(-(y**2 + x**2) / 60)) + (np.abs(x) < 15)
    total[24:27] = 0
    total[:, 31] = 0
    dead = dead_pixels(total, total > 0, 100)
    assert dead[24:27].all()
    assert dead[:, 31].all()
    assert dead.sum() == 3 * 50 + 40 - 3
