"""Frames that lag behind their positions and rows listed backwards, found from the data."""

from dataclasses import replace

import numpy as np
import pytest
from folders import REAL_DATA, ROOT
from scipy.stats import mannwhitneyu

from ptypy_beamline.diagnosis.neighbour_likelihood import Similarity, rank_test
from ptypy_beamline.diagnosis.pairing import check_pairing, findings
from ptypy_beamline.diagnosis.pairings import Pairing
from ptypy_beamline.options import Positions
from ptypy_beamline.positions import to_stage_axes
from ptypy_beamline.scan import ArrayFrames, Scan
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.simulate import simulate

SIDE = 8


@pytest.fixture(scope="module")
def truth():
    return simulate(64, (SIDE, SIDE), 6, "snake", photons=5e5, seed=2)


def scan_of(truth, **changes):
    scan = Scan(
        ArrayFrames(truth.frames),
        truth.positions_m,
        truth.energy_eV,
        truth.distance_m,
        truth.pixel_m,
        center_px=(32, 32),
    )
    return replace(scan, **changes)


def lagging(truth, k):
    """Frame n was taken at position n - k."""
    return scan_of(truth, frames=ArrayFrames(np.roll(truth.frames, k, axis=0)))


def as_raster(truth):
    """Positions listed as if every row ran forwards."""
    rows = truth.positions_m.reshape(SIDE, SIDE, 2).copy()
    rows[1::2] = rows[1::2, ::-1].copy()
    return scan_of(truth, positions_m=rows.reshape(-1, 2))


@pytest.mark.long
def test_a_correct_scan_has_no_findings(truth):
    verdict = findings(scan_of(truth), Settings())
    assert verdict.found == ()
    assert verdict.ranking.decided
    assert verdict.lost_frames.summary == "no frame was lost"


@pytest.mark.parametrize(
    "lag", [1, pytest.param(-2, marks=pytest.mark.long), pytest.param(5, marks=pytest.mark.long)]
)
def test_a_lag_is_found_and_named(truth, lag):
    ((found,), _) = check_pairing(lagging(truth, lag), Settings())
    assert found.level == "error"
    assert dict(found.settings) == {"positions.shift": lag}
    assert f"--position-shift {lag}" in found.remedy
    assert f"frames are {abs(lag)} {'behind' if lag > 0 else 'ahead of'}" in found.what


@pytest.mark.long
def test_a_lag_of_a_fermat_spiral_needs_a_reconstruction(truth):
    """Its neighbours stay neighbours: the whole pattern is rotated by the golden angle."""
    spiral = simulate(64, (SIDE, SIDE), 6, "fermat", photons=5e5, seed=2)
    ((found,), _) = check_pairing(lagging(spiral, 1), Settings())
    assert dict(found.settings) == {"positions.shift": 1}


@pytest.mark.long
def test_a_lag_that_is_set_already_is_not_found_again(truth):
    settings = Settings(positions=Positions(shift=1))
    assert check_pairing(lagging(truth, 1), settings)[0] == []


@pytest.mark.long
def test_a_snake_scan_recorded_as_a_raster_is_found(truth):
    ((found,), _) = check_pairing(as_raster(truth), Settings())
    assert dict(found.settings) == {"positions.snake": True}
    assert "--snake" in found.remedy


@pytest.mark.long
@pytest.mark.parametrize(("steps", "axes"), [(0.5, "yx"), (-1, "x-y")])
def test_backlash_is_measured_whatever_the_axes(truth, steps, axes):
    """A trigger that is late in every other row is a backlash of one step."""
    recorded = truth.positions_m.copy()
    step_m = recorded[1, 1] - recorded[0, 1]
    recorded.reshape(SIDE, SIDE, 2)[1::2, :, 1] -= steps * step_m
    stage = to_stage_axes(recorded, axes)
    ((found,), _) = check_pairing(
        scan_of(truth, positions_m=stage), Settings.of({"positions.axes": axes})
    )
    assert list(found.settings) == ["positions.backlash"]
    backlash_m = found.settings["positions.backlash"]
    # The lag is the same for a mirrored axis.
    assert backlash_m == pytest.approx(steps * step_m, abs=0.05 * step_m)
    assert "--backlash-m" in found.remedy


@pytest.mark.long
@pytest.mark.parametrize("repeated", [1, 2])
def test_backlash_of_several_exposures_of_a_position(truth, repeated):
    recorded = truth.positions_m.copy()
    recorded.reshape(SIDE, SIDE, 2)[1::2, :, 1] -= 3e-8
    scan = scan_of(
        truth,
        frames=ArrayFrames(np.repeat(truth.frames, 2, axis=0)),
        positions_m=np.repeat(recorded, repeated, axis=0),
    )
    ((found,), _) = check_pairing(scan, Settings(frames_per_position=2))
    assert found.settings["positions.backlash"] == pytest.approx(3e-8, abs=3e-9)


@pytest.mark.long
def test_all_frames_of_a_thinned_scan_are_examined(truth):
    ((found,), _) = check_pairing(lagging(truth, 1), Settings(step=2))
    assert dict(found.settings) == {"positions.shift": 1}


@pytest.mark.long
def test_backlash_that_is_not_there_is_removed(truth):
    ((found,), _) = check_pairing(scan_of(truth), Settings.of({"positions.backlash": 6e-8}))
    assert dict(found.settings) == {"positions.backlash": 0.0}


@pytest.mark.long
def test_swapped_axes_are_found_and_both_fixes_given(truth):
    (found,) = findings(scan_of(truth, positions_m=truth.positions_m[:, ::-1]), Settings()).found
    assert found.level == "error"
    assert "positions.axes='xy'" in found.remedy


def test_only_neighbours_that_differ_are_compared(truth):
    scan, exposures = as_raster(truth), np.arange(SIDE**2)
    given = Pairing.of(scan, Settings(), exposures)
    right = Pairing.of(scan, Settings(positions=Positions(snake=True)), exposures)
    patterns = np.sqrt(truth.frames.reshape(SIDE**2, -1).astype(np.float32))
    similarity = Similarity.of(right, given, patterns)
    assert similarity.chance < 1e-4
    assert Similarity.of(given, right, patterns).chance > 0.99
    same = Similarity.of(given, given, patterns)
    assert (same.chance, same.share) == (1.0, 0.5)


@pytest.mark.long
def test_exposures_of_a_position_are_distinguished(truth):
    """Two exposures each: a lag of one mixes neighbours."""
    frames = np.roll(np.repeat(truth.frames, 2, axis=0), 1, axis=0)
    scan = scan_of(
        truth, frames=ArrayFrames(frames), positions_m=np.repeat(truth.positions_m, 2, axis=0)
    )
    ((found,), _) = check_pairing(scan, Settings(frames_per_position=2))
    assert dict(found.settings) == {"positions.shift": 1}


@pytest.mark.long
@pytest.mark.parametrize("lag", [0, -2])
def test_a_lag_of_long_rows_shows_at_their_ends(lag):
    """Only there, where frames may also be similar by chance."""
    raster = simulate(64, (9, 45), 5, "raster", photons=3e5, seed=9)
    found, _ = check_pairing(lagging(raster, lag), Settings())
    assert [dict(one.settings) for one in found] == [{"positions.shift": lag}] * bool(lag)


@pytest.mark.long
@pytest.mark.real
def test_a_lag_of_measured_frames_is_found():
    """The geometry was not recorded: one is chosen that makes an object pixel 10 nm."""
    with np.load(REAL_DATA) as data:
        frames, positions_m = data["frames"], data["positions_px"] * 10e-9
    scan = Scan(
        ArrayFrames(np.roll(frames, 1, axis=0)),
        positions_m,
        8800.0,
        0.681,
        (75e-6, 75e-6),
        center_px=(64, 64),
    )
    ((found,), _) = check_pairing(scan, Settings())
    assert dict(found.settings) == {"positions.shift": 1}


@pytest.mark.long
def test_frames_between_particles_fit_both_ways_round(monkeypatch):
    """Only the positions read backwards got the probe that suits these frames."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from quality_hard import Hard

    truth = Hard("particles", "jitter", 0.4, 1e8, 0.2, 32).truth
    assert check_pairing(scan_of(truth), Settings())[0] == []


@pytest.mark.parametrize("levels", [5, 10**6])
def test_the_rank_test_is_that_of_scipy(levels):
    rng = np.random.default_rng(levels)
    for n, m in ((8, 8), (8, 60), (300, 40)):
        these, others = rng.integers(0, levels, n), rng.integers(1, levels + 2, m)
        known = mannwhitneyu(these, others, alternative="less", method="asymptotic")
        found = rank_test(these, others)
        assert found.chance == pytest.approx(known.pvalue, rel=1e-9)
        assert found.share == pytest.approx(1 - known.statistic / (n * m), rel=1e-12)
    assert rank_test(np.ones(9), np.ones(9)).chance == 0.5
