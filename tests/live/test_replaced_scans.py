"""A followed scan in whose place another one is written, and one that ends too early."""

from __future__ import annotations

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal
from scans import all_frames

from ptypy_beamline import BeamlineError, BeamlineWarning, Settings
from ptypy_beamline.live import Follower

ALL, N = 12, 8


def settings(file, **more):
    return Settings.of(
        {"file": str(file), "center": (4, 4), "live.timeout_s": 1.0, "live.poll_s": 0.01} | more
    )


def write_scan(path, count, value, positions=ALL):
    """Frames of ``value`` and more; positions of the whole scan are the same in each."""
    frames = np.arange(count, dtype=np.uint16)[:, None, None] + np.full((1, N, N), value, "u2")
    with h5py.File(path, "w", libver="latest") as file:
        entry = file.create_group("entry")
        entry.create_dataset("data", data=frames, maxshape=(None, N, N), chunks=(1, N, N))
        where = np.arange(positions * 2.0).reshape(-1, 2) * 1e-7
        entry.create_dataset("pos", data=where, maxshape=(None, 2))
        entry["pos"].attrs["columns"] = "x,y"
        entry["energy_eV"], entry["det_dist_m"], entry["pixel_m"] = 6200.0, 1.0, 75e-6
    return path


def append(path, value, until):
    with h5py.File(path, "r+", locking=False) as file:
        data = file["entry/data"]
        start = len(data)
        data.resize(until, axis=0)
        for number in range(start, until):
            data[number] = value + number


def replaced_file(path, count, value):
    os.replace(write_scan(path.with_name("new.h5"), count, value), path)


SWMR = """
import sys, h5py, numpy as np
value, count = int(sys.argv[2]), int(sys.argv[3])
with h5py.File(sys.argv[1], "r+", libver="latest") as file:
    file.swmr_mode = True
    data = file["entry/data"]
    data.resize(count, axis=0)
    data[...] = value + np.arange(count)[:, None, None]
    data.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def swmr():
    """Have a process keep a file open in SWMR mode."""
    running = []

    def start(path, value, count):
        write_scan(path, 0, 0)
        words = [sys.executable, "-c", SWMR, str(path), str(value), str(count)]
        running.append(subprocess.Popen(words, stdin=-1, stdout=-1, text=True))
        assert running[-1].stdout.readline() == "written\n"

    yield start
    for process in running:
        process.communicate("")


def follow_on(follower):
    """Poll until the scan is complete or an error is raised."""
    while not follower.poll().complete:
        pass


@pytest.mark.parametrize("how", ["renamed", "in place"])
@pytest.mark.parametrize("count", [5, 9])
def test_another_scan_of_the_same_shape_is_no_continuation(tmp_path, how, count):
    path = write_scan(tmp_path / "a.h5", 5, 100)
    follower = Follower(settings(path))
    assert len(follower.wait_for_first_frames()) == 5
    (replaced_file if how == "renamed" else write_scan)(path, count, 200)
    with pytest.raises(BeamlineError, match="frame 0 is no longer what it was: another scan"):
        follow_on(follower)


def test_a_shorter_new_scan_is_noticed_by_its_file(tmp_path):
    path = write_scan(tmp_path / "a.h5", 5, 100)
    follower = Follower(settings(path, **{"live.timeout_s": 60.0}))
    follower.wait_for_first_frames()
    replaced_file(path, 2, 200)
    with pytest.raises(BeamlineError, match="another scan"):
        follow_on(follower)


def test_another_scan_written_in_swmr_mode_is_no_continuation(tmp_path, swmr):
    path = tmp_path / "a.h5"
    swmr(path, 100, 5)
    follower = Follower(settings(path))
    assert len(follower.wait_for_first_frames()) == 5
    swmr(tmp_path / "new.h5", 200, 7)
    os.replace(tmp_path / "new.h5", path)
    with pytest.raises(BeamlineError, match="another scan"):
        follow_on(follower)


def test_blocks_are_not_read_from_the_new_file_either(tmp_path):
    """Nobody looks again between the last look and loading."""
    path = write_scan(tmp_path / "a.h5", 5, 100)
    plan = Follower(settings(path)).wait_for_first_frames()
    replaced_file(path, 5, 200)
    with pytest.raises(BeamlineError, match="another scan"):
        list(plan.blocks(2))


@pytest.mark.filterwarnings("ignore:the live scan has ended")
def test_the_same_scan_copied_again_goes_on(tmp_path):
    path = write_scan(tmp_path / "a.h5", 5, 100)
    follower = Follower(settings(path))
    follower.wait_for_first_frames()
    replaced_file(path, 8, 100)
    plan = follower.wait_until_complete()
    frames = all_frames(plan)[0]
    assert_array_equal(frames[:, 0, 0], 100 + np.arange(8))


class TestTiff:
    @pytest.fixture
    def follower(self, tmp_path):
        self.names = [tmp_path / f"s_{number:02d}.tif" for number in range(ALL)]
        self.write(range(6), 100)
        sidecar = write_scan(tmp_path / "sidecar.h5", 0, 0)
        with h5py.File(sidecar, "r+") as file:
            del file["entry/data"]
        made = Follower(settings(tmp_path / "s_*.tif", sidecar=str(sidecar)))
        assert len(made.wait_for_first_frames()) == 6
        return made

    def write(self, numbers, value, **options):
        for number in numbers:
            image = np.full((N, N), value + number, "u2")
            tifffile.imwrite(self.names[number], image, **options)

    @pytest.mark.parametrize("which", [0, 3, 5])
    @pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
    def test_a_file_written_again_ends_it(self, follower, which, options):
        self.write([which], 200, **options)
        with pytest.raises(BeamlineError, match="no longer"):
            follow_on(follower)

    @pytest.mark.filterwarnings("ignore:the live scan has ended")
    def test_the_same_images_copied_again_go_on(self, follower):
        self.write(range(8), 100)
        assert len(follower.wait_until_complete()) == 8


@pytest.mark.parametrize("came", [5, 11])
def test_a_scan_that_ends_too_early_is_reported(tmp_path, came):
    path = write_scan(tmp_path / "a.h5", 3, 100)
    follower = Follower(settings(path))
    follower.wait_for_first_frames()
    append(path, 100, came)
    with pytest.warns(
        BeamlineWarning, match=f"has ended with {came} positions.*{came}.*{ALL}|{ALL}.*{came}"
    ):
        assert len(follower.wait_until_complete()) == came


def test_a_complete_scan_gives_no_warning(tmp_path):
    path = write_scan(tmp_path / "a.h5", 3, 100)
    follower = Follower(settings(path))
    follower.wait_for_first_frames()
    append(path, 100, ALL)
    assert len(follower.wait_until_complete()) == ALL
