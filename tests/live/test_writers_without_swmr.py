"""Writers that keep a file open without SWMR mode."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import h5py
import pytest
import scans
from folders import ROOT
from live_settings import settings
from numpy.testing import assert_array_equal

from ptypy_beamline import BeamlineError, BeamlineWarning, Settings, live, open_scan
from ptypy_beamline.errors import UnfollowableError
from ptypy_beamline.live import Follower
from ptypy_beamline.scan import Window

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

    def test_leftovers_of_a_killed_writer_are_recovered_as_documented(
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
        with pytest.warns(BeamlineWarning) as caught:
            saved = open_scan("saved.h5")
        assert "46 of 49 frames were never written" in str(caught[0].message)
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
            follower._start()
        self.write_on(process)
        with pytest.raises(UnfollowableError, match="space for all its frames was allocated"):
            follower.wait_for_first_frames()
        process.kill()
        os.utime(path, (time.time() - 100,) * 2)
        assert (
            len(Follower(Settings.of(settings(path, timeout_s=60))).wait_for_first_frames()) == 49
        )

    def test_room_in_a_chunk_is_not_counted(self, tmp_path):
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

    def test_the_remedy_for_a_followed_file_is_not_to_copy_it(self, tmp_path):
        path = scans.write(tmp_path)
        os.truncate(path, 3000)
        with pytest.raises(
            BeamlineError,
            match=r"nothing could be read of it for 0\.3 s: "
            r"truncated HDF5 file; if it is being written, have",
        ):
            Follower(Settings.of(settings(path, timeout_s=0.3))).wait_for_first_frames()
