"""Frames, chunks and modules that were never written."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scans import all_frames, write_positions_and_geometry

from ptypy_beamline import BeamlineError, BeamlineWarning, open_scan
from ptypy_beamline.frames.hdf5 import Hdf5Frames
from ptypy_beamline.live import Follower
from ptypy_beamline.settings import Settings


def room(path, written, n=12, chunks=(1, 8, 8), shape=(8, 8), fill=None):
    """A standardized file with room for n frames, of which some were written."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("/entry/data", (n, *shape), "u2", chunks=chunks, fillvalue=fill)
        for i in written:
            data[i] = 100 + i
        write_positions_and_geometry(file, n)
    return path


def check_frames(file, wanted, lacking, n=12):
    with pytest.warns(BeamlineWarning, match=f"{lacking} of {n} frames were never written"):
        scan = open_scan(file)
    plan = scan.plan()
    assert plan.selection.exposures[:, 0].tolist() == wanted
    assert all_frames(plan)[0][:, 0, 0].tolist() == [100 + i for i in wanted]
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
def test_a_virtual_dataset_is_as_complete_as_its_sources(tmp_path, how):
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
        write_positions_and_geometry(file, 12)
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
        write_positions_and_geometry(file, n)
    return folder / "v.h5"


@pytest.mark.parametrize("how", ["", "nested", "by file", "unlimited"])
def test_pixels_between_the_modules_of_a_virtual_detector_are_bad(tmp_path, how):
    scan = open_scan(modules(tmp_path, how))
    assert_array_equal(scan.bad, ~COVERED)
    assert any("28 pixels were not written in any frame" in note for note in scan.notes)
    got, good = all_frames(scan.plan())
    assert_array_equal(good, np.broadcast_to(COVERED, good.shape))
    wanted = np.arange(100, 112)[:, None, None] * COVERED
    assert_array_equal(got, wanted)


def test_unwritten_chunks_with_a_mask_and_zero_frequency_at_the_corner(tmp_path):
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
    assert_array_equal(all_frames(scan.plan())[1][0], wanted)


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


def test_in_a_live_scan_they_are_frames_to_come(tmp_path):
    file = room(tmp_path / "a.h5", [0, 1, 2, 4])
    follower = Follower(
        Settings.of({"file": str(file), "live.timeout_s": 0.6, "live.poll_s": 0.01})
    )
    assert follower.wait_for_first_frames().selection.exposures[:, 0].tolist() == [0, 1, 2]
    with h5py.File(file, "a") as opened:
        opened["/entry/data"][3] = 103
    while len(plan := follower.poll().plan) < 5:
        pass
    assert plan.selection.exposures[:, 0].tolist() == [0, 1, 2, 3, 4]
    with h5py.File(file, "a") as opened:
        opened["/entry/data"][7] = 107
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plan = follower.wait_until_complete()
    assert any("ended with 6 positions: " in str(one.message) for one in caught)
    assert any("6 of 12 frames were never written" in str(one.message) for one in caught)
    assert plan.selection.exposures[:, 0].tolist() == [0, 1, 2, 3, 4, 7]


def test_the_index_of_many_chunks_is_asked_only_where_some_lack(tmp_path, monkeypatch):
    file = room(tmp_path / "a.h5", range(12))
    frames = Hdf5Frames(file, "/entry/data")
    monkeypatch.setattr("ptypy_beamline.frames.written._chunk_offsets", None)
    assert frames.written() is None


# ---- finite ----
