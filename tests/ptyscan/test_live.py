"""Live scans, with a real writer process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import warnings

import h5py
import numpy as np
import pytest
import scans
import tifffile
from folders import HELPERS, ROOT
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineError, BeamlineWarning, Settings, formats, live, open_scan
from ptypy_beamline.errors import UnfollowableError
from ptypy_beamline.formats.exposure_groups import by_exposure
from ptypy_beamline.live import Follower
from ptypy_beamline.live.frames import RetryingFrames
from ptypy_beamline.scan import ArrayFrames, Window

WRITER = HELPERS / "live_writer.py"
COUNT = 23


@pytest.fixture
def write(tmp_path):
    """Start a writer; it is gone when the test is."""
    running = []

    def start(mode, period=0.05, count=COUNT, exposures=1):
        file = tmp_path / "live.h5"
        command = [sys.executable, str(WRITER), str(file), str(count), str(period), mode]
        grouped = os.environ | {"EXPOSURES": str(exposures)}
        running.append(subprocess.Popen(command, env=grouped))
        return file

    yield start
    for process in running:
        process.kill()
        process.wait()


def settings(file, timeout_s=4.0, poll_s=0.1, **more):
    return {
        "file": str(file),
        "shape": 32,
        "center": (16, 16),
        "live.timeout_s": timeout_s,
        "live.poll_s": poll_s,
    } | more


def expected_positions(count):
    numbers = np.arange(count)
    return np.column_stack([numbers // 5, numbers % 5]) * 1e-7


@pytest.mark.parametrize("mode", ["swmr", "pause", "grow", "reopen"])
def test_every_frame_arrives_once_in_order_with_its_position(write, mode):
    follower = Follower(Settings.of(settings(write(mode, 0.15), 2.5)))
    plan = follower.wait_for_first_frames()
    lengths = [len(plan)]
    while not (progress := follower.poll()).complete:
        lengths.append(len(progress.plan))
    plan = progress.plan
    frames = np.concatenate([block.frames for block in plan.blocks(4)])
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
    assert ended - follower._grew < 1.0 + 4 * 0.1 + 0.5
    frames = np.concatenate([block.frames for block in plan.blocks()])
    assert_array_equal(frames[:, 0, 0], np.arange(COUNT // 2 + 1))


def test_frames_are_seen_within_two_looks_of_their_flush(write):
    file = write("swmr", period=0.15, count=20)
    follower = Follower(Settings.of(settings(file, poll_s=0.4)))
    begun, look_of = [time.monotonic()], [0] * len(follower.wait_for_first_frames())
    complete = False
    while not complete:
        begun.append(time.monotonic())
        progress = follower.poll()
        complete = progress.complete
        look_of += [len(begun) - 1] * (len(progress.plan) - len(look_of))
    flushed = np.loadtxt(f"{file}.times")
    assert len(look_of) == len(flushed) == 20
    assert (np.array(look_of) <= np.searchsorted(begun, flushed) + 1).all()


def test_expected_number_ends_the_scan(write):
    start = time.monotonic()
    follower = Follower(Settings.of(settings(write("swmr", 0.1, 200), 60, num_frames=6)))
    assert len(follower.wait_until_complete()) == 6
    assert time.monotonic() - start < 30


def test_groups_are_delivered_whole(write):
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


def test_a_file_that_never_comes(tmp_path):
    start = time.monotonic()
    with pytest.raises(BeamlineError, match=r"never\.h5: no such file"):
        Follower(Settings.of(settings(tmp_path / "never.h5", 0.5))).wait_for_first_frames()
    assert 0.5 < time.monotonic() - start < 3


@pytest.mark.parametrize(
    "more", [{"select.shape": "circle", "select.radius": 1.0}, {"positions.snake": True}]
)
def test_what_needs_the_whole_scan_is_refused(more):
    with pytest.raises(BeamlineError, match="live scan"):
        Settings.of(settings("x.h5") | more)


@pytest.mark.ptypy
def test_a_loader_of_another_family_says_so(tmp_path):
    ptyscan = pytest.importorskip("ptypy_beamline.ptyscan")
    scan = ptyscan.BeamlinePtydScan(settings(scans.write(tmp_path)))
    with pytest.raises(BeamlineError, match="reads PTYD files, this is standard"):
        scan.initialize()


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


HELD = """
import sys, h5py, numpy as np
path, libver, chunks = sys.argv[1], sys.argv[2], (1, 32, 32) if sys.argv[3] == "chunks" else None
with h5py.File(path, "r+", libver=libver) as file:
    frames = file.create_dataset("entry/data", (49, 32, 32), "u2", chunks=chunks)
    for number in range(40):
        frames[number] = number + 1
        file.flush()
        print(number, flush=True)
        sys.stdin.readline()
"""


class TestWritersWithoutSwmr:
    """A writer that keeps its file open, in a process of its own; docs/live.md has them all."""

    @pytest.fixture
    def hold(self, tmp_path):
        """Have a file held open by a writer that writes a frame at each line it gets."""
        running = []

        def start(libver, chunks):
            path = tmp_path / "scan.h5"
            with (
                h5py.File(scans.write(tmp_path)) as whole,
                h5py.File(path, "w", libver=libver) as file,
            ):
                whole.copy("entry", file)
                del file["entry/data"]
            words = [sys.executable, "-c", HELD, str(path), libver, chunks]
            running.append(subprocess.Popen(words, stdin=-1, stdout=-1, text=True))
            assert running[-1].stdout.readline() == "0\n"
            return path, running[-1]

        yield start
        for process in running:
            process.kill()
            process.communicate()

    @staticmethod
    def write_on(process, count=1):
        for _ in range(count):
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()

    @pytest.mark.parametrize("libver", ["latest", "v110"])
    def test_a_file_that_hdf5_refuses_is_refused_at_once(self, hold, monkeypatch, libver):
        monkeypatch.setattr(live, "HELD_S", 0.3)
        path, _ = hold(libver, "chunks")
        start = time.monotonic()
        with pytest.raises(
            UnfollowableError,
            match=r"scan\.h5: the file is open for writing, not "
            "in SWMR mode.*SWMR mode, or load it without live",
        ):
            Follower(Settings.of(settings(path, timeout_s=60))).wait_for_first_frames()
        assert time.monotonic() - start < 10

    def test_what_a_killed_writer_left_is_saved_as_the_documentation_says(
        self, hold, tmp_path, monkeypatch
    ):
        path, process = hold("latest", "chunks")
        self.write_on(process, 2)
        process.kill()
        process.wait()
        with pytest.raises(BeamlineError, match=r"h5py\.File\(open\(NAME, 'rb'\)\)"):
            open_scan(path)
        page = (ROOT / "docs" / "live.md").read_text()
        (code,) = re.findall(r"```python\n(import h5py\n.*?)```", page, re.DOTALL)
        monkeypatch.chdir(tmp_path)
        exec(code, {})
        with pytest.warns(BeamlineWarning) as told:
            saved = open_scan("saved.h5")
        assert "46 of 49 frames were never written" in str(told[0].message)
        frames = saved.frames.read([0, 1, 2], Window(0, 0, 1, 1)).ravel()
        assert_array_equal(frames, [1, 2, 3])

    def test_a_file_that_is_flushed_is_followed(self, hold):
        path, process = hold("earliest", "chunks")
        follower = Follower(Settings.of(settings(path, timeout_s=60, poll_s=0.01)))
        assert len(follower.wait_for_first_frames()) == 1
        self.write_on(process, 4)
        time.sleep(0.02)
        assert len(follower.poll().plan) == 5

    def test_room_for_all_frames_is_not_taken_for_frames(self, hold):
        path, process = hold("earliest", "contiguous")
        follower = Follower(Settings.of(settings(path, timeout_s=60, poll_s=0.01)))
        with pytest.raises(BeamlineError, match="it holds no frame"):
            follower._begin()
        self.write_on(process)
        with pytest.raises(UnfollowableError, match="space for all its frames was allocated"):
            follower.wait_for_first_frames()
        process.kill()
        os.utime(path, (time.time() - 100,) * 2)
        assert (
            len(Follower(Settings.of(settings(path, timeout_s=60))).wait_for_first_frames()) == 49
        )

    def test_nor_is_room_in_a_chunk(self, tmp_path):
        path = scans.write(tmp_path)

        def write(first, last):
            with h5py.File(path, "a") as file:
                if "part" not in file:
                    file.create_dataset("part", (49, 32, 32), "u2", chunks=(4, 32, 32))
                file["part"][first:last] = 7
            time.sleep(0.02)

        follower = Follower(
            Settings.of(settings(path, timeout_s=3, poll_s=0.01) | {"paths.frames": "/part"})
        )
        write(0, 6)
        assert len(follower.wait_for_first_frames()) == 4
        write(6, 9)
        assert len(follower.poll().plan) == 8
        write(9, 49)
        assert len(follower.wait_until_complete()) == 49

    def test_nobody_is_told_to_copy_what_is_followed(self, tmp_path):
        path = scans.write(tmp_path)
        os.truncate(path, 3000)
        with pytest.raises(
            BeamlineError,
            match=r"nothing could be read of it for 0\.3 s: "
            r"truncated HDF5 file; if it is being written, have",
        ):
            Follower(Settings.of(settings(path, timeout_s=0.3))).wait_for_first_frames()


class TestTheEnd:
    """What is known of a scan that nobody writes any more, and what is not."""

    def end(self, file, timeout_s=0.6, **more):
        """Positions at the end, and seconds until then."""
        follower = Follower(
            Settings.of(
                {"file": str(file), "live.timeout_s": timeout_s, "live.poll_s": 0.05} | more
            )
        )
        start = time.monotonic()
        return len(follower.wait_until_complete()), time.monotonic() - start

    def test_all_positions_of_a_list_that_cannot_grow_have_frames(self, tmp_path):
        file = scans.write(tmp_path)
        os.utime(file, (time.time() - 100,) * 2)
        count, seconds = self.end(file, timeout_s=60)
        assert count == 49
        assert seconds < 60, "at once"

    def test_positions_that_stood_still_are_said(self, tmp_path):
        """Once the scan has ended: until then their readings may come."""
        positions = scans.truth().positions_m.copy()
        positions[40:48] = positions[40]
        file = scans.write(tmp_path, positions_m=positions)
        os.utime(file, (time.time() - 100,) * 2)
        with pytest.warns(BeamlineWarning, match="positions of frames 40-47 are all the") as seen:
            assert self.end(file, timeout_s=60)[0] == 49
        assert len(seen) == 1

    def test_a_list_that_has_just_been_written_may_be_written_again(self, tmp_path):
        """With more positions, by a writer that replaces it with each frame."""
        count, seconds = self.end(scans.write(tmp_path))
        assert count == 49
        assert 0.6 < seconds < 5

    def test_all_announced_frames_are_there(self, tmp_path):
        from ptypy_beamline.writers.ptyd import write_ptyd

        plan = open_scan(scans.write(tmp_path)).plan()
        count, seconds = self.end(write_ptyd(plan, tmp_path / "done.ptyd"), timeout_s=60)
        assert count == 49
        assert seconds < 60, "at once"

    def test_positions_that_may_grow_announce_nothing(self, tmp_path):
        """A writer that opens its file for each frame has closed it all the time."""
        file = scans.write(tmp_path)
        with h5py.File(file, "a") as opened:
            for name in ("posx_m", "posy_m"):
                values = opened[f"entry/{name}"][()]
                del opened[f"entry/{name}"]
                opened.create_dataset(f"entry/{name}", data=values, maxshape=(None,))
        os.utime(file, (time.time() - 100,) * 2)
        count, seconds = self.end(file)
        assert count == 49
        assert 0.6 < seconds < 5

    def test_a_position_logged_before_its_frame_announces_nothing(self, tmp_path):
        file = scans.write(tmp_path, "areadetector")
        with h5py.File(file, "a") as opened:  # the number of the last frame is not there yet
            place = opened["entry/instrument/NDAttributes"]
            ids = place["NDArrayUniqueId"][:-1]
            del place["NDArrayUniqueId"]
            place["NDArrayUniqueId"] = ids
        follower = Follower(Settings.of(settings(file, timeout_s=5, poll_s=0.01)))
        assert len(follower.wait_for_first_frames()) == 48
        assert not follower.poll().complete
        with h5py.File(file, "a") as opened:
            place = opened["entry/instrument/NDAttributes"]
            del place["NDArrayUniqueId"]
            place["NDArrayUniqueId"] = np.arange(49) + 1
        time.sleep(0.02)
        progress = follower.poll()
        assert (len(progress.plan), progress.complete) == (49, False)

    def test_positions_ahead_of_their_frames_are_no_news_while_they_come(self, tmp_path):
        file = scans.write(tmp_path)
        with h5py.File(file, "a") as opened:
            frames = opened["entry/data"][:-1]
            del opened["entry/data"]
            opened["entry/data"] = frames
        with pytest.warns(BeamlineWarning, match="48 frames for 49 positions"):
            formats.open_with(Settings.of({"file": str(file), "shape": 32, "center": (16, 16)}))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(formats.open_with(Settings.of(settings(file)))) == 48

    @pytest.mark.parametrize("k", [2, 3, 4, 5, 9])
    def test_a_line_of_positions_is_not_taken_for_repeats(self, k):
        line = np.column_stack([np.zeros(100), np.arange(100) * 1e-7])
        noise = np.random.default_rng(1).normal(0, 1e-8, (100 * k, 2))
        assert not by_exposure(line, k)
        assert by_exposure(np.repeat(line, k, axis=0) + noise, k)


class TestExposuresThatAreLost:
    """Two of each position, numbered by the detector; positions are in another file."""

    POSITIONS = 10

    @pytest.fixture
    def come(self, tmp_path):
        """Write frames of these acquisition numbers, and no more."""
        file = tmp_path / "frames.h5"
        with h5py.File(tmp_path / "positions.h5", "w") as other:
            other["y"], other["x"] = expected_positions(self.POSITIONS).T
            other["y"].attrs["units"] = other["x"].attrs["units"] = "m"

        def write(numbers):
            with h5py.File(file, "a") as opened:
                for name in ("data", "instrument/NDAttributes/NDArrayUniqueId"):
                    opened.pop(f"/entry/{name}", None)
                frames = np.full((len(numbers), 32, 32), np.reshape(numbers, (-1, 1, 1)), "u2")
                opened["/entry/data/data"] = frames
                opened["/entry/instrument/NDAttributes/NDArrayUniqueId"] = numbers

        return write

    def follow(self, tmp_path, timeout_s=60.0, **more):
        other = tmp_path / "positions.h5"
        known = {
            "energy": 8.0,
            "distance": 1.0,
            "psize": 75e-6,
            "frames_per_position": 2,
            "paths.x": f"{other}::/x",
            "paths.y": f"{other}::/y",
        }
        return Follower(
            Settings.of(settings(tmp_path / "frames.h5", timeout_s, 1e-3) | known | more)
        )

    @pytest.mark.parametrize(("lost", "first"), [(0, None), (8, None), (9, None), (1, "1")])
    @pytest.mark.filterwarnings("ignore:.*taken to count from 1")
    def test_what_is_released_is_all_that_will_come(self, tmp_path, come, lost, first):
        numbers = [n for n in range(1, 2 * self.POSITIONS + 1) if n != lost]
        come(numbers[:3])
        follower = self.follow(tmp_path, **{"paths.position_index": first} if first else {})
        follower.wait_for_first_frames()
        for count in range(4, len(numbers)):
            come(numbers[:count])
            time.sleep(0.002)
            progress = follower.poll()
            groups = numbers[count - 1] // 2
            assert not progress.complete
            wanted = [{2 * g + 1, 2 * g + 2} - {lost} for g in range(groups)]
            self.check(progress.plan, numbers, wanted)
        come(numbers)
        time.sleep(0.002)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            progress = follower.poll()
        assert progress.complete
        wanted = [{2 * g + 1, 2 * g + 2} - {lost} for g in range(self.POSITIONS)]
        self.check(progress.plan, numbers, wanted)
        said = [str(one.message) for one in seen]
        assert len(said) == bool(lost)
        assert all("live scan has ended with 10 positions" in line for line in said)
        assert all("without some of their 2 exposures: 1, the first" in line for line in said)

    def check(self, plan, numbers, wanted):
        """Which acquisitions are at each position, and that the frames are theirs."""
        exposures = plan.selection.exposures
        assert [{numbers[raw] for raw in group if raw >= 0} for group in exposures] == wanted
        assert_allclose(plan.positions_m, expected_positions(len(wanted)))

    def test_a_counter_of_unknown_origin_is_settled_not_guessed(self, tmp_path, come):
        """The first position was lost, or the counter began at 0 and the first exposures were."""
        come(range(3, 9))
        with pytest.raises(BeamlineError, match=r"so far and 10 positions .* fit in two ways"):
            self.follow(tmp_path, timeout_s=0.1).wait_for_first_frames()
        follower = self.follow(tmp_path, **{"paths.position_index": "1"})
        assert_allclose(follower.wait_for_first_frames().positions_m, expected_positions(4)[1:])

    def test_what_is_assumed_of_a_counter_is_said_at_the_start(self, tmp_path, come):
        come(range(1, 6))
        with pytest.warns(BeamlineWarning, match="count from 1; if it counts from 0") as seen:
            self.follow(tmp_path).wait_for_first_frames()
        assert len(seen) == 1


class TestFilesThatCome:
    """Whole files appear one by one."""

    @pytest.fixture
    def come(self, tmp_path):
        """Write frame ``number`` of the scan, or ``part`` of its file."""

        def write(number, part=1.0):
            path = tmp_path / f"f_{number:03d}.tif"
            tifffile.imwrite(path, scans.truth().frames[number])
            whole = path.read_bytes()
            path.write_bytes(whole[: int(part * len(whole))])

        return write

    def follow(self, tmp_path, listed=49, room=None, **more):
        """A follower of the directory, whose sidecar has ``listed`` positions."""
        sidecar = scans.write(tmp_path)
        with h5py.File(sidecar, "a") as file:
            del file["entry/data"]
            for name in ("posx_m", "posy_m"):
                values = file[f"entry/{name}"][:listed]
                del file[f"entry/{name}"]
                file.create_dataset(f"entry/{name}", data=values, maxshape=room and (None,))
        live = {"live.timeout_s": 0.4, "live.poll_s": 0.01}
        names = {"file": str(tmp_path / "f_*.tif"), "sidecar": str(sidecar)}
        return Follower(Settings.of(names | live | more))

    def seen(self, follower):
        """Positions at the next look."""
        time.sleep(0.02)
        return len(follower.poll().plan)

    def test_several_files_are_being_copied_at_once(self, tmp_path, come):
        follower = self.follow(tmp_path)
        for number in (0, 1, 3):
            come(number)
        come(2, part=0.5)
        assert len(follower.wait_for_first_frames()) == 2
        come(2)
        assert self.seen(follower) == 4

    def test_a_file_that_comes_late_is_told(self, tmp_path, come):
        follower = self.follow(tmp_path)
        for number in (0, 1, 3):
            come(number)
        assert len(follower.wait_for_first_frames()) == 3
        come(2)
        with pytest.raises(BeamlineError, match="read before have changed"):
            self.seen(follower)

    def test_pages_that_come(self, tmp_path):
        follower = self.follow(tmp_path)
        frames = scans.truth().frames
        tifffile.imwrite(tmp_path / "f_0.tif", frames[:4], photometric="minisblack")
        tifffile.imwrite(tmp_path / "f_1.tif", frames[4])
        assert len(follower.wait_for_first_frames()) == 5
        tifffile.imwrite(tmp_path / "f_1.tif", frames[5], append=True)
        plan = follower.poll().plan
        loaded = plan.load(np.arange(5))[:, 0]
        assert_array_equal(loaded, frames[:5])
        assert self.seen(follower) == 6

    def test_positions_may_come_after_their_frames(self, tmp_path, come):
        follower = self.follow(tmp_path, listed=3, room=True)
        for number in range(5):
            come(number)
        assert len(follower.wait_for_first_frames()) == 3
        with h5py.File(tmp_path / "standard.h5", "a") as file:
            for axis, name in enumerate(("posy_m", "posx_m")):
                file[f"entry/{name}"].resize((5,))
                file[f"entry/{name}"][:] = scans.truth().positions_m[:5, axis]
        assert self.seen(follower) == 5
        assert_allclose(follower.poll().plan.positions_m, scans.truth().positions_m[:5])

    def test_who_was_away_for_long_misses_nothing(self, tmp_path, come):
        follower = self.follow(tmp_path)
        come(0)
        follower.wait_for_first_frames()
        for number in range(1, 49):
            come(number)
            if number % 16 == 0:
                time.sleep(0.5)  # longer than the timeout
                assert self.seen(follower) == number + 1
        assert len(follower.wait_until_complete()) == 49

    def test_a_position_may_take_longer_than_the_timeout(self, tmp_path, come):
        """Twelve positions of four exposures, also when twelve frames are there."""
        follower = self.follow(tmp_path, listed=12, frames_per_position=4)
        for number in range(4):
            come(number)
        assert len(follower.wait_for_first_frames()) == 1
        for number in range(4, 14):
            come(number)
            time.sleep(0.15)
            plan = follower.poll().plan
            assert_allclose(plan.positions_m, scans.truth().positions_m[: (number + 1) // 4])
        with pytest.warns(BeamlineWarning, match="live scan has ended with 3 positions"):
            plan = follower.wait_until_complete()
        assert_array_equal(plan.selection.exposures[-1], [8, 9, 10, 11])

    def test_positions_listed_for_each_exposure_beforehand(self, tmp_path, come):
        scan = scans.truth()
        each = np.repeat(scan.positions_m[:12], 4, axis=0)
        follower = self.follow(tmp_path, listed=48, frames_per_position=4)
        with h5py.File(tmp_path / "standard.h5", "a") as file:
            file["entry/posy_m"][:], file["entry/posx_m"][:] = each.T
        for number in range(9):
            come(number)
        assert_allclose(follower.wait_for_first_frames().positions_m, scan.positions_m[:2])
        for number in range(9, 48):
            come(number)
        progress = follower.poll() if self.seen(follower) else None
        assert progress.complete
        assert_allclose(progress.plan.positions_m, scan.positions_m[:12])

    def test_reading_is_tried_again(self):
        class Hiccup(ArrayFrames):
            """Fails some times."""

            failures = 2

            def read(self, indices, window):
                Hiccup.failures -= 1
                if Hiccup.failures >= 0:
                    raise BeamlineError("truncated")
                return super().read(indices, window)

        frames = RetryingFrames(Hiccup(np.ones((3, 4, 4))), 1.0, 0.01)
        assert frames.read([1], Window.full((4, 4))).shape == (1, 4, 4)
        Hiccup.failures = 10**6
        with pytest.raises(BeamlineError, match="truncated"):
            RetryingFrames(frames.frames, 0.05, 0.01).read([1], Window.full((4, 4)))

    def test_a_directory_filling_with_tiffs(self, tmp_path):
        scan = scans.truth()
        sidecar = scans.write(tmp_path)
        with h5py.File(sidecar, "a") as file:
            del file["entry/data"]
        pattern = str(tmp_path / "f_*.tif")

        def come(number):
            tifffile.imwrite(tmp_path / f"f_{number:03d}.tif", scan.frames[number])

        come(0)
        follower = Follower(
            Settings.of(
                {
                    "file": pattern,
                    "sidecar": str(sidecar),
                    "live.timeout_s": 3.0,
                    "live.poll_s": 0.01,
                }
            )
        )
        assert len(follower.wait_for_first_frames()) == 1
        for number in range(1, 20):
            come(number)
        whole = (tmp_path / "f_019.tif").read_bytes()
        (tmp_path / "f_020.tif").write_bytes(whole[: len(whole) // 2])
        time.sleep(0.05)
        assert len(follower.poll().plan) == 20, "the half written one is not taken"
        for number in range(20, 49):
            come(number)
        plan = follower.wait_until_complete()
        frames = np.concatenate([block.frames for block in plan.blocks(7)])
        assert_array_equal(frames, scan.frames)
        assert_allclose(plan.positions_m, scan.positions_m)

    def test_a_linked_ptyd(self, tmp_path):
        from ptypy_beamline.writers.ptyd import write_ptyd

        plan = open_scan(scans.write(tmp_path)).plan()
        done = write_ptyd(plan, tmp_path / "done.ptyd", save="link", block=10)
        growing = tmp_path / "growing.ptyd"
        shutil.copy(done, growing)
        with h5py.File(growing, "a") as file:
            links = [file.get(f"chunks/{n}", getlink=True) for n in range(5)]
            for number in range(1, 5):
                del file[f"chunks/{number}"]
        follower = Follower(
            Settings.of({"file": str(growing), "live.timeout_s": 5.0, "live.poll_s": 0.01})
        )
        seen = [len(follower.wait_for_first_frames())]
        for number in range(1, 5):
            with h5py.File(growing, "a") as file:
                file[f"chunks/{number}"] = links[number]
            time.sleep(0.03)
            seen.append(len(follower.poll().plan))
        assert seen == [10, 20, 30, 40, 49]
        progress = follower.poll()
        assert progress.complete, "meta/num_frames are there"
        frames = np.concatenate([block.frames for block in progress.plan.blocks()])
        assert_array_equal(frames, scans.truth().frames)

    def test_masks_do_not_depend_on_when_somebody_looked(self, tmp_path):
        from ptypy_beamline.writers.ptyd import write_ptyd

        done = write_ptyd(open_scan(scans.write(tmp_path)).plan(), tmp_path / "done.ptyd", block=10)
        with h5py.File(done, "a") as file:
            file["chunks/0/weights"][:, 7, 7] = False  # bad in the first ten frames only
            file["chunks/1/weights"][0, 8, 8] = False
            del file["meta/num_frames"]
        growing = tmp_path / "growing.ptyd"
        with h5py.File(done) as old, h5py.File(growing, "w") as new:
            old.copy("meta", new)
            old.copy("chunks/0", new.create_group("chunks"))
        early, late = (
            Follower(Settings.of({"file": str(file), "live.timeout_s": 0.3, "live.poll_s": 0.01}))
            for file in (growing, done)
        )
        assert len(early.wait_for_first_frames()) == 10
        with h5py.File(done) as old, h5py.File(growing, "a") as new:
            for number in (1, 2, 3, 4):
                old.copy(f"chunks/{number}", new["chunks"])
            del new["chunks/4/weights"]  # the writer is at it
        time.sleep(0.02)
        assert len(early.poll().plan) == 40
        with h5py.File(done) as old, h5py.File(growing, "a") as new:
            old.copy("chunks/4/weights", new["chunks/4"])
        both = [
            np.concatenate([block.good for block in follower.wait_until_complete().blocks()])
            for follower in (early, late)
        ]
        assert_array_equal(both[0], both[1])
        assert_array_equal((~both[0]).sum((1, 2)), [1] * 10 + [1] + [0] * 38)


class TestDroppedFrames:
    """NDArrayUniqueId tells which frames the detector dropped."""

    def file(self, tmp_path, dropped, listed):
        keep = np.delete(np.arange(49), dropped)
        file = scans.write(
            tmp_path,
            "areadetector",
            frames=scans.truth().frames[keep],
            positions_m=scans.truth().positions_m[keep],
        )
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

    def test_a_position_may_be_logged_before_the_number_of_its_frame(self, tmp_path):
        file, keep = self.file(tmp_path, [3, 30], listed=False)
        with h5py.File(file, "a") as opened:
            opened["entry/instrument/NDAttributes/NDArrayUniqueId"][-2:] = 0  # not written yet
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BeamlineWarning)
            plan = open_scan(file).plan()
        assert_allclose(plan.positions_m, scans.truth().positions_m[keep[:45]])

    def test_groups_stay_together(self, tmp_path):
        file, keep = self.file(tmp_path, [3, 4, 30], listed=False)
        with h5py.File(file, "a") as opened:
            for axis, name in enumerate(("posy_m", "posx_m")):
                logged = opened[f"entry/instrument/NDAttributes/{name}"]
                logged[:] = scans.truth().positions_m[keep // 7 * 7, axis]
        with pytest.warns(BeamlineWarning, match="without some of their 7 exposures: 2, the first"):
            plan = open_scan(file, frames_per_position=7).plan()
        of_group = [keep[row[row >= 0]] // 7 for row in plan.selection.exposures]
        assert [set(groups.tolist()) for groups in of_group] == [{g} for g in range(7)]
