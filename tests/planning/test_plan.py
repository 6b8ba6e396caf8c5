"""Plans as a whole: geometry, errors, and that results do not depend on how they are loaded."""

from __future__ import annotations

import os
import pickle
import signal
from typing import ClassVar

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scans import NX, NY, all_frames, make_scan, raw_of

from ptypy_beamline import BeamlineError, open_scan
from ptypy_beamline.errors import MissingDataError
from ptypy_beamline.scan import ArrayFrames


@pytest.mark.filterwarnings("ignore:the monitor is 0")
@pytest.mark.parametrize("size", [1, 2, 4, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_do_not_depend_on_chunks_or_threads(size, threads):
    settings = {
        "saturation": 470,
        "align": "com",
        "rebin": 2,
        "rotate": 90,
        "monitor": True,
        "hot_sigma": 6,
        "shape": 16,
        "center": None,
    }
    scan = make_scan(7, monitor=np.arange(7.0), positions=np.eye(7, 2) * 1e-6, center_px=None)
    reference_frames, reference_good = all_frames(scan.plan(**settings))
    frames, good = all_frames(scan.plan(**settings, threads=threads), size)
    assert_array_equal(frames, reference_frames)
    assert_array_equal(good, reference_good)


def test_a_plan_survives_pickling():
    plan = make_scan().plan(dark=np.ones((NY, NX)), shape=16, rotate=90)
    again = pickle.loads(pickle.dumps(plan))
    assert_array_equal(all_frames(again)[0], all_frames(plan)[0])
    assert again.geometry == plan.geometry


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_makes_blocks_with_threads_of_its_own():
    plan = make_scan().plan(threads=2)
    frames, _ = all_frames(plan)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # rather than wait for threads that are not there
        try:
            os._exit(0 if np.array_equal(all_frames(plan)[0], frames) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_cone_beam_hands_over_the_effective_geometry():
    geometry = make_scan().plan(focus_to_sample=0.5).geometry
    assert geometry.distance_m == pytest.approx(2.0 / 5)
    assert geometry.pixel_m == pytest.approx((15e-6, 15e-6))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"enrgy": 8}, "unknown parameter 'enrgy'; did you mean 'energy'"),
        ({"select.radus": 8}, "unknown parameter 'select.radus'; did you mean 'select.radius'"),
        (
            {"energy": 8800},
            r"energy of 8.8e\+06 eV is impossible.*given in eV.*--energy-kev 8.8\)$",
        ),
        ({"energy": "much"}, "energy='much': expected a number"),
        (
            {"distance": 2000},
            r"distance of 2000 m.*given in mm.*set distance in m \(--distance-m 2\)$",
        ),
        ({"psize": 0.055}, r"pixel of 0.055 m.*given in mm.*--pixel-m 55e-6\)$"),
        ({"psize": 1e9}, r"pixel of 1e\+09 m is impossible.*set psize in m \(--pixel-m\)$"),
        ({"psize": 55}, r"pixel of 55 m.*given in µm.*set psize in m \(--pixel-m 55e-6\)$"),
        ({"center": (30, 3)}, r"center .*\(30.0, 3.0\) lies outside the 20x24"),
        ({"rotate": 90, "orientation": 3}, "not both"),
        ({"orientation": 8}, "orientation=8"),
        ({"rotate": 45}, "rotate=45"),
        ({"rebin": 3}, "not a multiple of rebin=3; set shape .* 18,24"),
        ({"select.shape": "circle"}, "needs select.radius"),
        (
            {"select.shape": "circle", "select.radius": 1e-9, "select.center": (1, 1)},
            "no position lies in the selected circle",
        ),
        ({"reject": range(6)}, "all 6 selected frames are rejected"),
        ({"reject": [77]}, "names frame 77"),
        ({"reject": [0.5]}, "Expected whole frame indices"),
        ({"dark": np.zeros((3, 4))}, r"dark has shape \(3, 4\), the frames have \(20, 24\)"),
        ({"mask": np.zeros((3, 4))}, r"mask has shape \(3, 4\)"),
        ({"dark": "nowhere.npy"}, "nowhere.npy: no such file; check dark"),
        ({"monitor": True}, "no monitor is recorded; set paths.monitor"),
        ({"monitor": [1.0, 2.0]}, "2 monitor values for 6 frames"),
        ({"saturation": "file"}, "no saturation value is recorded"),
        ({"grouping": "hdr"}, "needs exposure times"),
        ({"grouping": "median"}, "grouping='median'"),
        ({"pad": -3}, "pad"),
    ],
)
def test_a_mistake_is_named_with_its_remedy_in_one_line(settings, message):
    with pytest.raises(BeamlineError, match=message) as caught:
        make_scan().plan(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["energy_eV", "distance_m", "pixel_m"])
def test_nothing_physical_has_a_silent_default(name):
    with pytest.raises(BeamlineError, match=r"no .* in the file; set .*--path"):
        make_scan(**{name: None}).plan()


def test_all_that_a_file_does_not_say_is_named_at_once(tmp_path):
    path = tmp_path / "bare.h5"
    with h5py.File(path, "w") as file:
        file["frames"] = np.ones((4, 8, 8))
        file["places"] = np.arange(8.0).reshape(4, 2)
        file["places"].attrs["units"] = "um"
    scan = open_scan(path, paths={"frames": "/frames", "positions": "/places"})
    wanted = r"no photon energy, detector distance and detector pixel size .*--pixel-m.*pixel=PATH"
    with pytest.raises(MissingDataError, match=wanted):
        scan.plan()
    with pytest.raises(MissingDataError, match="no detector distance in the file; set dist"):
        scan.plan(energy=8.8, psize=75e-6)


class TestNothingLeft:
    """Whatever takes all counts away is named, with its file."""

    BRIGHT: ClassVar = {"center_px": None, "source": "a.h5"}

    @pytest.mark.parametrize(
        ("settings", "stored", "words"),
        [
            ({"dark": np.full((NY, NX), np.nan)}, {}, "dark"),
            ({"dark": np.full((NY, NX), 1e5)}, {}, "the dark that is given exceeds the counts"),
            ({}, {"dark": 1e5}, "the file's dark"),
            ({"flat": np.zeros((NY, NX))}, {}, "the flat that is given is 0, negative"),
            ({"flat": np.full((NY, NX), -1.0)}, {}, r"flat .* give another flat \(--flat\)"),
            ({"mask": np.ones((NY, NX))}, {}, "the mask that is given leaves no pixel"),
            ({}, {"bad": np.ones((NY, NX), bool)}, "the file's mask .*--mask-values"),
            ({"saturation": 1}, {}, r"saturation=1.* set saturation \(--sat\)"),
            ({"background": 1e5}, {}, "background=100000.0 .*--background"),
        ],
    )
    @pytest.mark.parametrize("center", [None, (10, 12)])
    @pytest.mark.filterwarnings("ignore::ptypy_beamline.BeamlineWarning")
    def test_the_setting_that_removes_all_counts_is_named(self, settings, stored, words, center):
        if "dark" in stored:
            stored = {"dark": ArrayFrames(np.full((1, NY, NX), stored["dark"]))}
        scan = make_scan(**(self.BRIGHT | stored))
        only_counts = any(np.all(v == 1e5) for v in settings.values()) or "dark" in stored
        if center and only_counts:  # pixels are good, and hold 0
            assert not all_frames(scan.plan(center=center, **settings))[0].any()
            return
        start = "no frame has a good pixel" if center else "no counts in a sample"
        with pytest.raises(BeamlineError, match=f"^a.h5: {start}.*: .*{words}"):
            scan.plan(center=center, **settings)

    @pytest.mark.parametrize("first", [0, 5])
    def test_one_frame_with_a_good_pixel_is_enough(self, first):
        scan = make_scan(dtype=np.float32)
        raw_of(scan)[:first] = np.nan
        assert len(scan.plan()) == 6

    def test_frames_of_nan_are_refused(self):
        scan = make_scan(dtype=np.float32)
        raw_of(scan)[:] = np.nan
        with pytest.raises(BeamlineError, match="no frame has a good pixel: the frames are NaN"):
            scan.plan()

    def test_bins_that_all_have_a_bad_pixel(self):
        with pytest.raises(BeamlineError, match=r"no frame has a good pixel; .*rebin \(--bin\)"):
            make_scan().plan(rebin=2, mask=np.indices((NY, NX)).sum(0) % 2)
