"""Live scans, with a real writer process."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import scans
import tifffile
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineError, BeamlineWarning, Settings, open_scan
from ptypy_beamline.live import Follower

WRITER = Path(__file__).parent / "live_writer.py"
COUNT = 23


@pytest.fixture
def write(tmp_path):
    """Start a writer; it is gone when the test is."""
    running = []

    def start(mode, period=0.05, count=COUNT):
        file = tmp_path / "live.h5"
        command = [sys.executable, str(WRITER), str(file), str(count), str(period), mode]
        running.append(subprocess.Popen(command))
        return file

    yield start
    for process in running:
        process.kill()
        process.wait()


def settings(file, timeout_s=4.0, poll_s=0.1, **more):
    return {"file": str(file), "shape": 32, "center": (16, 16), "live.timeout_s": timeout_s,
            "live.poll_s": poll_s} | more  # fmt: skip


def expected_positions(count):
    numbers = np.arange(count)
    return np.column_stack([numbers // 5, numbers % 5]) * 1e-7


@pytest.mark.parametrize("mode", ["swmr", "pause", "grow"])
def test_every_frame_arrives_once_in_order_with_its_position(write, mode):
    follower = Follower(Settings.of(settings(write(mode), 2.5)))
    plan = follower.first()
    lengths = [len(plan)]
    while not (progress := follower.look()).complete:
        lengths.append(len(progress.plan))
    plan = progress.plan
    frames = np.concatenate([block.frames for block in plan.blocks(4)])
    assert_array_equal(frames[:, 0, 0], np.arange(COUNT))
    assert_allclose(plan.positions_m, expected_positions(COUNT))
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 3, "it was seen growing"


def test_a_killed_writer_ends_the_scan_within_the_timeout(write):
    follower = Follower(Settings.of(settings(write("killed"), timeout_s=1.0)))
    plan = follower.to_the_end()
    ended = time.monotonic()
    assert_array_equal(plan.selection.exposures[:, 0], np.arange(COUNT // 2 + 1))
    assert ended - follower._grew < 1.0 + 4 * 0.1 + 0.5
    frames = np.concatenate([block.frames for block in plan.blocks()])
    assert_array_equal(frames[:, 0, 0], np.arange(COUNT // 2 + 1))


def test_frames_are_seen_within_two_polls_of_their_flush(write):
    poll_s = 0.4
    file = write("swmr", period=0.15, count=20)
    follower = Follower(Settings.of(settings(file, poll_s=poll_s)))
    seen_at: list[float] = []
    seen_at += [time.monotonic()] * len(follower.first())
    while not (progress := follower.look()).complete:
        seen_at += [time.monotonic()] * (len(progress.plan) - len(seen_at))
    seen_at += [time.monotonic()] * (len(progress.plan) - len(seen_at))
    flushed = np.loadtxt(f"{file}.times")
    assert len(seen_at) == len(flushed) == 20
    assert (np.array(seen_at) - flushed).max() < 2 * poll_s


def test_expected_number_ends_the_scan(write):
    start = time.monotonic()
    follower = Follower(Settings.of(settings(write("swmr", 0.1, 200), 60, num_frames=6)))
    assert len(follower.to_the_end()) == 6
    assert time.monotonic() - start < 30


def test_groups_are_delivered_whole(write):
    follower = Follower(Settings.of(settings(write("swmr"), 1.5, frames_per_position=4)))
    plan = follower.first()
    assert (plan.selection.exposures >= 0).all()
    while not (progress := follower.look()).complete:
        assert (progress.plan.selection.exposures >= 0).all()
    assert_array_equal(progress.plan.selection.exposures[-1], [20, 21, 22, -1])


def test_a_file_that_never_comes(tmp_path):
    start = time.monotonic()
    with pytest.raises(BeamlineError, match=r"never\.h5: no such file"):
        Follower(Settings.of(settings(tmp_path / "never.h5", 0.5))).first()
    assert 0.5 < time.monotonic() - start < 3


@pytest.mark.parametrize(
    "more", [{"select.shape": "circle", "select.radius": 1.0}, {"positions.snake": True}]
)
def test_what_needs_the_whole_scan_is_refused(more):
    with pytest.raises(BeamlineError, match="live scan"):
        Settings.of(settings("x.h5") | more)


@pytest.mark.ptypy
def test_ptypy_gets_whole_blocks_and_then_the_rest(write):
    ptyscan = pytest.importorskip("ptypy_beamline.ptyscan")
    from ptypy import utils as u

    u.verbose.set_level("ERROR")
    scan = ptyscan.BeamlineScan(settings(write("swmr"), 3.0))
    scan.initialize()
    blocks, asked = [], 0
    while (package := scan.auto(5)) != scan.EOS:
        asked += 1
        if package != scan.WAIT:
            blocks.append(package["iterable"])
    assert [len(block) for block in blocks] == [5, 5, 5, 5, 3]
    items = [item for block in blocks for item in block]
    assert [item["index"] for item in items] == list(range(COUNT))
    assert_array_equal([item["data"][0, 0] for item in items], np.arange(COUNT))
    assert_allclose([item["position"] for item in items], expected_positions(COUNT))
    assert asked < 200, "waiting does not spin"


class TestFilesThatCome:
    """Whole files appear one by one."""

    def test_a_directory_filling_with_tiffs(self, tmp_path):
        scan = scans.truth()
        sidecar = scans.write(tmp_path)
        with h5py.File(sidecar, "a") as file:
            del file["entry/data"]
        pattern = str(tmp_path / "f_*.tif")

        def come(number):
            tifffile.imwrite(tmp_path / f"f_{number:03d}.tif", scan.frames[number])

        come(0)
        follower = Follower(Settings.of({"file": pattern, "sidecar": str(sidecar),
                                         "live.timeout_s": 3.0, "live.poll_s": 0.01}))  # fmt: skip
        assert len(follower.first()) == 1
        for number in range(1, 20):
            come(number)
        whole = (tmp_path / "f_019.tif").read_bytes()
        (tmp_path / "f_020.tif").write_bytes(whole[: len(whole) // 2])
        time.sleep(0.05)
        assert len(follower.look().plan) == 20, "the half written one is not taken"
        for number in range(20, 49):
            come(number)
        plan = follower.to_the_end()
        frames = np.concatenate([block.frames for block in plan.blocks(7)])
        assert_array_equal(frames, scan.frames)
        assert_allclose(plan.positions_m, scan.positions_m)

    def test_a_linked_ptyd(self, tmp_path):
        from ptypy_beamline.exports.ptyd import write_ptyd

        plan = open_scan(scans.write(tmp_path)).plan()
        done = write_ptyd(plan, tmp_path / "done.ptyd", save="link", block=10)
        growing = tmp_path / "growing.ptyd"
        shutil.copy(done, growing)
        with h5py.File(growing, "a") as file:
            links = [file.get(f"chunks/{n}", getlink=True) for n in range(5)]
            for number in range(1, 5):
                del file[f"chunks/{number}"]
        follower = Follower(Settings.of({"file": str(growing), "live.timeout_s": 5.0,
                                         "live.poll_s": 0.01}))  # fmt: skip
        seen = [len(follower.first())]
        for number in range(1, 5):
            with h5py.File(growing, "a") as file:
                file[f"chunks/{number}"] = links[number]
            time.sleep(0.03)
            seen.append(len(follower.look().plan))
        assert seen == [10, 20, 30, 40, 49]
        progress = follower.look()
        assert progress.complete, "meta/num_frames are there"
        frames = np.concatenate([block.frames for block in progress.plan.blocks()])
        assert_array_equal(frames, scans.truth().frames)


class TestDroppedFrames:
    """NDArrayUniqueId tells which frames the detector dropped."""

    def file(self, tmp_path, dropped, listed):
        keep = np.delete(np.arange(49), dropped)
        file = scans.write(tmp_path, "areadetector", frames=scans.truth().frames[keep],
                           positions_m=scans.truth().positions_m[keep])  # fmt: skip
        with h5py.File(file, "a") as opened:
            ids = opened["entry/instrument/NDAttributes/NDArrayUniqueId"]
            ids[:] = keep + 1
            if listed:
                for axis, name in enumerate("yx"):
                    opened[f"planned/{name}_m"] = scans.truth().positions_m[:, axis]
        return file, keep

    @pytest.mark.parametrize("listed", [False, True])
    def test_their_positions_are_skipped(self, tmp_path, listed):
        file, keep = self.file(tmp_path, [3, 4, 30], listed)
        paths = {"x": "/planned/x_m", "y": "/planned/y_m"} if listed else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BeamlineWarning)
            plan = open_scan(file, paths=paths).plan()
        assert_allclose(plan.positions_m, scans.truth().positions_m[keep])
        assert_array_equal(plan.selection.exposures[:, 0], np.arange(46))

    def test_groups_stay_together(self, tmp_path):
        file, keep = self.file(tmp_path, [3, 4, 30], listed=False)
        plan = open_scan(file).plan(frames_per_position=7)
        of_group = [keep[row[row >= 0]] // 7 for row in plan.selection.exposures]
        assert [set(groups.tolist()) for groups in of_group] == [{g} for g in range(7)]
