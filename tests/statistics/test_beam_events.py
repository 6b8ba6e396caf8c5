"""Faults of many frames in a row: named with their frames, drawn, and gone with their remedy."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from quality_scans import evaluated, scan_of

from ptypy_beamline.cli import main
from ptypy_beamline.diagnosis import beam as beam_check
from ptypy_beamline.diagnosis.proposed_settings import changed, planned
from ptypy_beamline.diagnosis.scan_sample import ScanSample
from ptypy_beamline.options import Qc
from ptypy_beamline.quality.workflow import evaluate_scan
from ptypy_beamline.settings import Settings
from ptypy_beamline.statistics.events import Event, intensity
from ptypy_beamline.testing.simulate import diffract, simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

SIDE = 20
COUNT = SIDE**2


@cache
def truth():
    return simulate(64, (SIDE, SIDE), 5, "snake", photons=2e5, seed=4)


def dimmed(factor):
    """Frames whose intensity is ``factor`` (n,) of what it was."""
    frames = truth().frames.astype(np.int64)
    return np.random.default_rng(1).binomial(frames, factor[:, None, None]).astype(np.uint32)


def stretch(first, last, value):
    factor = np.ones(COUNT)
    factor[first : last + 1] = value
    return factor


def still(first, last):
    """The stage stays where it was at ``first``."""
    light = diffract(truth().object, truth().probe, truth().corners_px)
    frames = truth().frames.copy()
    count = last - first
    frames[first + 1 : last + 1] = np.random.default_rng(2).poisson(
        np.broadcast_to(light[first], (count, 64, 64))
    )
    return frames


def drifting(pixels):
    """Along columns; a photon goes to the next pixel with the chance of the fraction."""
    rng, out = np.random.default_rng(6), []
    for frame, way in zip(truth().frames, np.linspace(0, pixels, COUNT), strict=True):
        on = rng.binomial(frame, way % 1)
        out.append(np.roll(frame - on, int(way), 1) + np.roll(on, int(way) + 1, 1))
    return np.stack(out).astype(np.uint32)


CASES = {
    "half": (dimmed(stretch(300, 399, 0.5)), Event("step", 300, 399, 0.5)),
    "row": (dimmed(stretch(200, 219, 0.5)), Event("step", 200, 219, 0.5)),
    "dump": (dimmed(stretch(120, 159, 0.0)), Event("dump", 120, 159, 0.0)),
    "decay": (dimmed(0.5 ** np.linspace(0, 1, COUNT)), Event("decay", 0, 399, 0.5)),
    "flicker": (
        dimmed(np.random.default_rng(3).uniform(0.83, 1, COUNT)),
        Event("flicker", 0, 399, 0.054),
    ),
    "drift": (drifting(3), Event("drift", 0, 399, 3.0)),
    "motor": (still(150, 209), Event("motor", 150, 209, 60)),
}


def found(frames):
    return evaluated(scan_of(frames, truth().positions_m)).events


def file_of(folder, frames, **more):
    made = replace(Raw.of(truth()), frames=frames, **more)
    return str(WRITERS["standard"](folder / "scan.h5", made))


def warned(settings):
    scan, plan = planned(settings)
    return list(beam_check.event_findings(ScanSample.at(scan, settings, plan)))


def test_a_clean_scan_has_no_events():
    assert found(truth().frames) == ()


@pytest.mark.parametrize("case", CASES)
def test_an_event_is_named_with_its_frames(case):
    frames, event = CASES[case]
    (got,) = found(frames)
    assert got.kind == event.kind
    assert abs(got.first - event.first) <= 3
    assert abs(got.last - event.last) <= 3
    assert_allclose(got.amount, event.amount, rtol=0.2, atol=0.01)


def test_single_dark_frames_are_no_beam_loss():
    strength = np.ones(COUNT)
    strength[[64, 67, 100, 102]] = 0.008
    quality = evaluated(scan_of(dimmed(strength), truth().positions_m))
    assert quality.events == ()
    assert quality.reject_indices.tolist() == [64, 67, 100, 102]


def test_an_edge_along_the_rows_is_no_event():
    """An absorber that transmits a quarter, from one row to the next."""
    edged = truth().object.copy()
    edged[edged.shape[0] // 2 :] *= 0.5 * np.exp(1j)
    light = diffract(edged, truth().probe, truth().corners_px)
    assert found(np.random.default_rng(5).poisson(light).astype(np.uint32)) == ()


@pytest.mark.parametrize("masked", [False, True])
def test_an_absorbing_sample_does_not_flicker(masked):
    """Its counts differ by 5 % from those predicted by their neighbours, also behind a mask."""
    thick = np.abs(np.angle(truth().object))
    light = diffract(np.exp((-2 - 1j) * thick), truth().probe, truth().corners_px)
    bad = light.mean(0) > np.quantile(light.mean(0), 0.9) if masked else None
    frames = np.random.default_rng(7).poisson(light).astype(np.uint32)
    events = evaluated(scan_of(frames, truth().positions_m, bad=bad)).events
    assert "flicker" not in [one.kind for one in events]


def test_several_events_and_the_intensity_from_them():
    frames = dimmed(stretch(40, 79, 0.7) * stretch(200, 239, 0.0))
    events = found(frames)
    assert [(one.kind, one.first, one.last) for one in events] == [
        ("step", 40, 79),
        ("dump", 200, 239),
    ]
    beam = intensity(events, COUNT)
    assert np.isnan(beam[200:240]).all()
    assert_allclose(beam[40:80], 0.7, rtol=0.03)
    assert (beam[:40] == 1).all()


@pytest.mark.parametrize(
    ("case", "remedy"),
    [
        ("half", {"reject": "300-399"}),
        ("dump", {"reject": "120-159"}),
        ("motor", {"reject": "150-209"}),
        ("drift", {"align": "com"}),
    ],
)
def test_check_names_a_remedy_that_works(tmp_path, case, remedy):
    settings = Settings.of({"file": file_of(tmp_path, CASES[case][0])})
    (finding,) = warned(settings)
    assert finding.level == "warning"
    for name, value in remedy.items():
        assert f"--{name} {value}" in finding.remedy
    assert warned(changed(settings, remedy)) == []


@pytest.mark.parametrize("case", CASES)
def test_an_event_rejects_no_frame(case):
    frames, event = CASES[case]
    got = evaluated(scan_of(frames, truth().positions_m))
    if event.kind == "dump":
        assert got.reject_indices.tolist() == list(range(120, 160))
    else:
        assert got.reject_indices.tolist() == []


def test_a_change_of_the_monitor_alone_is_named_as_such(tmp_path):
    i0 = 1e4 * stretch(300, 399, 0.5)
    file = file_of(tmp_path, truth().frames, monitor=i0)
    scan, plan = planned(Settings.of({"file": file, "monitor": True}))
    got = evaluate_scan(scan, plan, Settings.of({"file": file, "monitor": True}), Qc())
    (event,) = got.events
    assert (event.kind, event.first, event.of_monitor) == ("step", 300, True)
    assert "the counts do not; leave the monitor off" in got.remedies("qc")[0]
    assert got.reject_indices.tolist() == []
    assert (got.beam == 1).all()
    (warning,) = warned(Settings.of({"file": file, "monitor": True}))
    assert dict(warning.settings) == {"monitor": False}
    assert warned(Settings.of({"file": file})) == []


def test_the_estimate_includes_what_an_applied_monitor_corrected(tmp_path):
    i0 = 1e4 * (1 + 0.2 * np.sin(np.arange(COUNT) / 25))
    frames = dimmed(stretch(300, 399, 0.5) * i0 / i0.max())
    settings = Settings.of({"file": file_of(tmp_path, frames, monitor=i0), "monitor": True})
    scan, plan = planned(settings)
    got = evaluate_scan(scan, plan, settings, Qc())
    np.save(tmp_path / "beam.npy", got.beam)
    assert [one.first for one in got.events] == [300]
    assert warned(changed(settings, {"monitor": str(tmp_path / "beam.npy")})) == []


def test_a_step_within_a_step():
    factor = stretch(100, 299, 0.6) * stretch(160, 219, 0.7)
    events = found(dimmed(factor))
    assert [(one.first, one.last) for one in events] == [(100, 159), (160, 219), (220, 299)]
    assert_allclose([one.amount for one in events], [0.6, 0.42, 0.6], rtol=0.03)


def test_check_proposes_a_monitor_that_follows_the_beam(tmp_path):
    frames, _ = CASES["half"]
    i0 = 1e4 * stretch(300, 399, 0.5)
    settings = Settings.of({"file": file_of(tmp_path, frames, monitor=i0)})
    if planned(settings)[0].monitor is None:
        settings = changed(settings, {"monitor": i0})
        assert warned(settings) == []
        return
    (finding,) = warned(settings)
    assert dict(finding.settings) == {"monitor": "file"}
    assert warned(changed(settings, {"monitor": "file"})) == []


def test_qc_prints_writes_and_draws_events(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames, _ = CASES["half"]
    file = file_of(tmp_path, frames)
    assert main(["qc", file, "--out", "qc"]) == 0
    assert "frames 300 to 399: beam intensity 0.50 of the usual" in capsys.readouterr().out
    meta = json.loads((tmp_path / "qc/qc_meta.json").read_text())
    assert [(one["kind"], one["first"], one["last"]) for one in meta["events"]] == [
        ("step", 300, 399)
    ]
    page = (tmp_path / "qc/qc_report.html").read_text()
    assert "frames 300 to 399" in page
    assert 'id="strip"' in page
    scaled = Settings.of({"file": file, "monitor": "qc/beam_intensity.npy"})
    assert warned(scaled) == []
