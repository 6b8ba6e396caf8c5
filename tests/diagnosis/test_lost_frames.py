"""Frames that were lost in the middle of a scan whose positions are all there."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from folders import REAL_DATA

from ptypy_beamline.diagnosis import frame_features, lost_frames
from ptypy_beamline.diagnosis.frame_features import measure_features, unoriented_plan
from ptypy_beamline.diagnosis.lost_frames import LostFrames
from ptypy_beamline.diagnosis.neighbour_likelihood import dissimilarity
from ptypy_beamline.diagnosis.pairing import check_pairing
from ptypy_beamline.diagnosis.pairing_breaks import PairingSegment
from ptypy_beamline.diagnosis.pairings import LaggedPositions
from ptypy_beamline.scan import ArrayFrames, Scan
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.simulate import simulate

EACH = Settings(grouping="none")
SHAPE = (12, 14)


@cache
def simulated(pattern, shape=SHAPE):
    return simulate(64, shape, 6, pattern, photons=1e5, seed=3)


def scan_of(truth, kept):
    """The frames ``kept`` with the positions of all."""
    return Scan(
        ArrayFrames(truth.frames[kept]),
        truth.positions_m,
        truth.energy_eV,
        truth.distance_m,
        truth.pixel_m,
        center_px=(32, 32),
    )


def without(truth, *lost):
    """``lost``: (first, number) of the frames that are missing."""
    gone = [np.arange(first, first + count) for first, count in lost]
    return scan_of(truth, np.delete(np.arange(len(truth.frames)), np.concatenate(gone)))


def measured(scan):
    plan = unoriented_plan(scan, EACH)
    features = measure_features(plan, in_order=True)
    return LaggedPositions(scan, EACH, plan.selection.exposures[features.positions, 0]), features


@pytest.mark.parametrize(
    "stopped",
    [pytest.param(0, marks=pytest.mark.long), 20, pytest.param(60, marks=pytest.mark.long)],
)
@pytest.mark.parametrize("pattern", ["raster", "snake", "jitter", "fermat", "spiral"])
def test_a_sound_scan_has_no_break(pattern, stopped):
    truth = simulated(pattern)
    scan = scan_of(truth, np.arange(len(truth.frames) - stopped))
    found = LostFrames.of(scan, EACH, unoriented_plan(scan, EACH))
    assert found.breaks == ()
    assert (found.complete, found.unused, found.last) == (True, stopped, len(scan) - 1)
    if pattern != "spiral":  # along its arm frames change slowly
        assert found.share_checked > 0.8
        assert found.checked_until > 0.75 * len(scan)
        assert ("up to about" in found.summary) == (found.last - found.checked_until > 24)


@pytest.mark.parametrize("where", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("lost", [1, 5, 30])
@pytest.mark.parametrize("pattern", ["raster", "snake"])
def test_similar_neighbours_suggest_where_frames_were_lost(pattern, lost, where):
    first = int(where * 16) * 18
    lagged, features = measured(without(simulated(pattern, (16, 18)), (first, lost)))
    no_lags = np.zeros(len(features.positions), np.int64)
    candidates = [
        *PairingSegment(lagged, features, dissimilarity(features.patterns), no_lags).candidates()
    ]
    assert any(one.lag == lost and one.within[0] <= first <= one.within[1] for one in candidates)


@pytest.mark.parametrize(
    ("pattern", "lost"),
    [
        ("snake", (60, 1)),
        pytest.param("raster", (80, 5), marks=pytest.mark.long),
        pytest.param("fermat", (126, 1), marks=pytest.mark.long),
        pytest.param("fermat", (84, 30), marks=pytest.mark.long),
        pytest.param("spiral", (42, 30), marks=pytest.mark.long),
        pytest.param("jitter", (42, 5), marks=pytest.mark.long),
    ],
)
def test_frames_that_were_lost_in_the_middle_are_found(pattern, lost):
    scan = without(simulated(pattern), lost)
    found, _ = check_pairing(scan, Settings())
    assert [one.level for one in found] == ["error"]
    first, count = lost
    assert f"off by {count}:" in found[0].what
    assert f"{count} frame" in found[0].cause
    assert int(re.search(r"most likely (\d+)", found[0].what)[1]) == pytest.approx(first, abs=6)
    assert first - 20 < found[0].settings["num_frames"] <= first
    numbers, low, high = re.search(
        r"frames, (np\.delete\(.*\)), in a dataset .*frame_index=.*--reject (\d+)-(\d+)\)",
        found[0].remedy,
    ).groups()
    assert len(eval(numbers, {"np": np})) == len(scan)
    sure = np.delete(np.arange(len(scan)), np.arange(int(low), int(high) + 1))
    right = np.delete(np.arange(len(scan) + count), np.arange(first, first + count))
    assert (eval(numbers, {"np": np})[sure] == right[sure]).all()


@pytest.mark.long
def test_two_losses_are_found_one_after_the_other():
    """At first they look like one loss of all; without the frames after it, they do not."""
    scan = without(simulated("jitter", (16, 18)), (96, 10), (192, 8))
    found, _ = check_pairing(scan, Settings())
    kept = found[0].settings["num_frames"]
    assert kept > 100
    assert "check again, as more may have been lost before it" in found[0].remedy
    (found,), lost_frames = check_pairing(scan, Settings(num_frames=kept))
    assert 76 < found.settings["num_frames"] <= 96
    assert lost_frames.breaks[0].lag == 10


def test_a_loss_near_the_end_that_does_not_show_is_not_denied():
    """Of a raster's last rows only the ends would show it."""
    scan = without(simulated("raster"), (130, 30))
    found = LostFrames.of(scan, EACH, unoriented_plan(scan, EACH))
    assert found.breaks == ()
    assert found.checked_until <= 132


@pytest.mark.long
def test_lost_exposures_of_positions_that_have_two():
    truth = simulated("snake")
    frames = np.delete(np.repeat(truth.frames, 2, axis=0), slice(150, 153), axis=0)
    scan = replace(scan_of(truth, slice(None)), frames=ArrayFrames(frames))
    (found,), _ = check_pairing(scan, Settings(frames_per_position=2))
    assert "off by 3" in found.what


@pytest.mark.parametrize(
    "pattern", ["snake", *(pytest.param(p, marks=pytest.mark.long) for p in ("raster", "fermat"))]
)
def test_misplaced_frames_between_correct_ones_are_found(pattern):
    """Lost were 40, 41 and 90; numbered as if it had been 65 to 67, what is doubtful left out."""
    truth = simulated(pattern, (14, 14))
    kept = np.delete(np.arange(196), [40, 41, 90])
    given = np.delete(np.arange(196), [65, 66, 67])
    scan = replace(scan_of(truth, kept), positions_m=truth.positions_m[given])
    (found,), _ = check_pairing(scan, Settings(reject=[*range(62, 71)]))
    first, last, lag = re.search(
        r"frames between (\d+) and (\d+) belong (\d) positions later", found.what
    ).groups()
    assert (int(first), int(last), int(lag)) == (
        pytest.approx(40, abs=6),
        pytest.approx(75, abs=10),
        2,
    )
    assert f"--reject {first}-{last}" in found.remedy


def test_a_long_scan_is_examined_in_parts(monkeypatch):
    truth = simulated("raster")
    monkeypatch.setattr(frame_features, "MOST_FRAMES", 70)
    monkeypatch.setattr(lost_frames, "OVERLAP", 30)
    whole = scan_of(truth, slice(None))
    found = LostFrames.of(whole, EACH, unoriented_plan(whole, EACH))
    assert (found.breaks, found.complete, found.last) == ((), True, len(truth.frames) - 1)
    monkeypatch.setattr(lost_frames, "MOST_PARTS", 2)
    found = LostFrames.of(whole, EACH, unoriented_plan(whole, EACH))
    assert (found.complete, found.last) == (False, 109)
    assert "nothing was checked" in found.summary


@pytest.mark.real
def test_frames_that_were_lost_from_a_measured_scan(tmp_path):
    """``check`` called these well paired."""
    with np.load(REAL_DATA) as data:
        frames, positions_m = data["frames"], data["positions_px"] * 10e-9
    kept = np.delete(np.arange(len(frames)), slice(200, 230))
    scan = Scan(
        ArrayFrames(frames[kept]), positions_m, 8800.0, 0.681, (75e-6, 75e-6), center_px=(64, 64)
    )
    (found,), _ = check_pairing(scan, Settings())
    bounds = re.search(
        r"a frame between (\d+) and (\d+) .* on, frames and positions are off by 30", found.what
    )
    assert int(bounds[1]) <= 200 <= int(bounds[2]) < int(bounds[1]) + 25
    assert found.settings["num_frames"] <= 200
    stopped = replace(scan, frames=ArrayFrames(frames[:486]))
    nothing = LostFrames.of(stopped, EACH, unoriented_plan(stopped, EACH))
    assert nothing.breaks == ()
    assert nothing.summary == "no frame was lost: the scan was stopped after frame 485"


@pytest.mark.long
@pytest.mark.real
def test_the_beginning_of_a_measured_scan_that_is_off_is_not_certified():
    """Frames 0 to 29 belong one position earlier than the rest, which was corrected."""
    with np.load(REAL_DATA) as data:
        frames, positions_m = data["frames"], data["positions_px"] * 10e-9
    kept = np.delete(np.arange(516), [30, 400])
    scan = Scan(
        ArrayFrames(frames[kept]), positions_m, 8800.0, 0.681, (75e-6, 75e-6), center_px=(64, 64)
    )
    found, lost_frames = check_pairing(
        scan, Settings.of({"positions.shift": -1, "num_frames": 387})
    )
    assert found or re.search("frames [0-9] to [1-4][0-9] fit", lost_frames.summary)
