"""Live scans, written by a process of its own."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scans
from live_settings import expected_positions, settings
from numpy.testing import assert_allclose, assert_array_equal
from processes import live_writer

from ptypy_beamline import BeamlineError, BeamlineWarning, Settings
from ptypy_beamline.live import Follower
from ptypy_beamline.live.growth import RetryingFrames
from ptypy_beamline.scan import ArrayFrames, Window

COUNT = 23


@pytest.fixture
def write(tmp_path):
    """Start a writer; it is gone when the test is."""
    running = []

    def start(mode, period=0.05, count=COUNT, exposures=1):
        file = tmp_path / "live.h5"
        running.append(live_writer(file, count, period, mode, exposures=exposures))
        return file

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize("mode", ["swmr", "pause", "grow", "reopen"])
def test_every_frame_arrives_once_in_order_with_its_position(write, mode):
    follower = Follower(Settings.of(settings(write(mode, 0.15), 2.5)))
    plan = follower.wait_for_first_frames()
    lengths = [len(plan)]
    while not (progress := follower.poll()).complete:
        lengths.append(len(progress.plan))
    plan = progress.plan
    frames = scans.all_frames(plan, 4)[0]
    assert_array_equal(frames[:, 0, 0], np.arange(COUNT))
    assert_allclose(plan.positions_m, expected_positions(COUNT))
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 3, "it was seen growing"


def test_a_killed_writer_ends_the_scan_within_the_timeout(write):
    file = write("killed")
    while not file.exists():  # a process may take long to start
        time.sleep(0.01)
    follower = Follower(Settings.of(settings(file, timeout_s=1.0)))
    plan = follower.wait_until_complete()
    ended = time.monotonic()
    assert_array_equal(plan.selection.exposures[:, 0], np.arange(COUNT // 2 + 1))
    assert ended - follower._growth._grew < 1.0 + 4 * 0.1 + 0.5
    frames = scans.all_frames(plan)[0]
    assert_array_equal(frames[:, 0, 0], np.arange(COUNT // 2 + 1))


def test_frames_are_seen_within_two_polls_of_their_flush(write):
    file = write("swmr", period=0.15, count=20)
    follower = Follower(Settings.of(settings(file, poll_s=0.4)))
    begun, poll_of = [time.monotonic()], [0] * len(follower.wait_for_first_frames())
    complete = False
    while not complete:
        begun.append(time.monotonic())
        progress = follower.poll()
        complete = progress.complete
        poll_of += [len(begun) - 1] * (len(progress.plan) - len(poll_of))
    flushed = np.loadtxt(f"{file}.times")
    assert len(poll_of) == len(flushed) == 20
    assert (np.array(poll_of) <= np.searchsorted(begun, flushed) + 1).all()


def test_expected_number_ends_the_scan(write):
    start = time.monotonic()
    follower = Follower(Settings.of(settings(write("swmr", 0.1, 200), 60, num_frames=6)))
    assert len(follower.wait_until_complete()) == 6
    assert time.monotonic() - start < 30


def test_groups_are_returned_complete(write):
    file = write("swmr", exposures=4)
    follower = Follower(Settings.of(settings(file, 1.5, frames_per_position=4)))
    follower.wait_for_first_frames()

    def wait_until_complete():
        while not (progress := follower.poll()).complete:
            assert (progress.plan.selection.exposures >= 0).all()
        return progress.plan

    with pytest.warns(BeamlineWarning, match="last position has 3 of 4 exposures"):
        plan = wait_until_complete()
    assert_array_equal(plan.selection.exposures[-1], [16, 17, 18, 19])


def test_a_file_that_never_appears(tmp_path):
    start = time.monotonic()
    with pytest.raises(BeamlineError, match=r"never\.h5: no such file"):
        Follower(Settings.of(settings(tmp_path / "never.h5", 0.5))).wait_for_first_frames()
    assert 0.5 < time.monotonic() - start < 3


@pytest.mark.parametrize(
    "more", [{"select.shape": "circle", "select.radius": 1.0}, {"positions.snake": True}]
)
def test_settings_that_need_the_whole_scan_are_refused(more):
    with pytest.raises(BeamlineError, match="live scan"):
        Settings.of(settings("x.h5") | more)


@pytest.mark.ptypy
def test_a_loader_refuses_a_file_of_another_family(tmp_path, ptyscan):
    scan = ptyscan.BeamlinePtydScan(settings(scans.write(tmp_path)))
    with pytest.raises(BeamlineError, match="reads PTYD files, this is standard"):
        scan.initialize()


@pytest.mark.ptypy
def test_ptypy_gets_whole_blocks_and_then_the_rest(write, ptyscan):
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


def test_reading_is_retried():
    class FailingFrames(ArrayFrames):
        """Fails some times."""

        failures = 2

        def read(self, indices, window):
            FailingFrames.failures -= 1
            if FailingFrames.failures >= 0:
                raise BeamlineError("truncated")
            return super().read(indices, window)

    frames = RetryingFrames(FailingFrames(np.ones((3, 4, 4))), 1.0, 0.01)
    assert frames.read([1], Window.full((4, 4))).shape == (1, 4, 4)
    FailingFrames.failures = 10**6
    with pytest.raises(BeamlineError, match="truncated"):
        RetryingFrames(frames.frames, 0.05, 0.01).read([1], Window.full((4, 4)))
