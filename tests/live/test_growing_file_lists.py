"""Scans of several files, which appear one by one."""

from __future__ import annotations

import shutil
import time

import h5py
import numpy as np
import pytest
import scans
import tifffile
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineError, BeamlineWarning, Settings, open_scan
from ptypy_beamline.live import Follower


class TestGrowingFileLists:
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
        """Positions at the next poll."""
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

    def test_a_file_that_appears_late_is_reported(self, tmp_path, come):
        follower = self.follow(tmp_path)
        for number in (0, 1, 3):
            come(number)
        assert len(follower.wait_for_first_frames()) == 3
        come(2)
        with pytest.raises(BeamlineError, match="read before have changed"):
            self.seen(follower)

    def test_pages_appended_to_a_tiff(self, tmp_path):
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

    def test_a_follower_that_paused_for_long_misses_nothing(self, tmp_path, come):
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
        assert_array_equal(scans.all_frames(plan, 7)[0], scan.frames)
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
        assert_array_equal(scans.all_frames(progress.plan)[0], scans.truth().frames)

    def test_masks_do_not_depend_on_when_the_file_was_polled(self, tmp_path):
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
        both = [scans.all_frames(one.wait_until_complete())[1] for one in (early, late)]
        assert_array_equal(both[0], both[1])
        assert_array_equal((~both[0]).sum((1, 2)), [1] * 10 + [1] + [0] * 38)
