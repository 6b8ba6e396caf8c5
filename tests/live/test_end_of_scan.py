"""When a followed scan is complete, and what is missing then."""

from __future__ import annotations

import os
import time
import warnings

import h5py
import numpy as np
import pytest
import scans
from live_settings import expected_positions, settings
from numpy.testing import assert_allclose

from ptypy_beamline import BeamlineError, BeamlineWarning, Settings, formats, open_scan
from ptypy_beamline.formats.exposure_groups import by_exposure
from ptypy_beamline.live import Follower


class TestEndOfScan:
    """What is known of a scan that is no longer written, and what is not."""

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

    def test_positions_that_stood_still_are_reported(self, tmp_path):
        """Once the scan has ended: until then their readings may come."""
        positions = scans.truth().positions_m.copy()
        positions[40:48] = positions[40]
        file = scans.write(tmp_path, positions_m=positions)
        os.utime(file, (time.time() - 100,) * 2)
        with pytest.warns(BeamlineWarning, match="positions of frames 40-47 are all the") as caught:
            assert self.end(file, timeout_s=60)[0] == 49
        assert len(caught) == 1

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

    def test_positions_ahead_of_their_frames_are_not_reported_in_a_live_scan(self, tmp_path):
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


class TestLostExposures:
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
    def test_groups_are_released_once_they_are_final(self, tmp_path, come, lost, first):
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
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            progress = follower.poll()
        assert progress.complete
        wanted = [{2 * g + 1, 2 * g + 2} - {lost} for g in range(self.POSITIONS)]
        self.check(progress.plan, numbers, wanted)
        messages = [str(one.message) for one in caught]
        assert len(messages) == bool(lost)
        assert all("live scan has ended with 10 positions" in line for line in messages)
        assert all("without some of their 2 exposures: 1, the first" in line for line in messages)

    def check(self, plan, numbers, wanted):
        """Which acquisitions are at each position, and that the frames are theirs."""
        exposures = plan.selection.exposures
        assert [{numbers[raw] for raw in group if raw >= 0} for group in exposures] == wanted
        assert_allclose(plan.positions_m, expected_positions(len(wanted)))

    def test_a_counter_of_unknown_origin_is_an_error_until_it_is_given(self, tmp_path, come):
        """The first position was lost, or the counter began at 0 and the first exposures were."""
        come(range(3, 9))
        with pytest.raises(BeamlineError, match=r"and 10 positions .* fit in two ways"):
            self.follow(tmp_path, timeout_s=0.1).wait_for_first_frames()
        follower = self.follow(tmp_path, **{"paths.position_index": "1"})
        assert_allclose(follower.wait_for_first_frames().positions_m, expected_positions(4)[1:])

    def test_the_assumed_origin_of_a_counter_is_reported_at_the_start(self, tmp_path, come):
        come(range(1, 6))
        with pytest.warns(BeamlineWarning, match="count from 1; if it counts from 0") as caught:
            self.follow(tmp_path).wait_for_first_frames()
        assert len(caught) == 1
