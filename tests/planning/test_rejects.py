"""Reject lists: maps, files of other scans, files that list other frames."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ptypy_beamline import open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.errors import BeamlineError, BeamlineWarning
from ptypy_beamline.scan import ArrayFrames, Scan
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

N, GRID = 20, (4, 5)
OUT = [3, 7, 8]


def scan_of(n=N, **more):
    places = np.stack(np.meshgrid(np.arange(n // 5), np.arange(5.0), indexing="ij"), -1)
    frames = np.ones((n, 8, 8), np.uint16)
    positions_m = places.reshape(-1, 2) * 1e-6
    return Scan(ArrayFrames(frames), positions_m, 8000.0, 2.0, (75e-6, 75e-6), **more)


def left(reject, scan=None, **settings):
    plan = (scan or scan_of()).plan(reject=reject, center=(4, 4), **settings)
    return plan.selection.exposures[:, 0].tolist()


ACCEPTED = [k for k in range(N) if k not in OUT]
MAP = np.isin(np.arange(N), OUT)


@pytest.mark.parametrize(
    "given",
    [
        OUT,
        tuple(OUT),
        set(OUT),
        np.array(OUT),
        MAP,
        MAP.astype(int),
        MAP.astype(int).tolist(),
        MAP.tolist(),
        MAP.reshape(GRID),
        MAP.reshape(GRID).astype("u1"),
    ],
)
def test_lists_and_maps(given):
    assert left(given) == ACCEPTED
    assert left(given, scan_of(grid=GRID)) == ACCEPTED


def test_a_map_of_positions_with_several_exposures():
    scan = scan_of(grid=None)
    scan = replace(scan, positions_m=np.repeat(scan.positions_m[:10], 2, axis=0))
    plan = scan.plan(reject=MAP[:10], center=(4, 4), frames_per_position=2)
    assert_array_equal(plan.selection.exposures[:, 0], [0, 2, 4, 8, 10, 12, 18])


def test_zero_and_one_may_be_frames():
    assert left([0, 1]) == list(range(2, N))
    assert left([1]) == [0, *range(2, N)]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (MAP[:-1], "is a map of 19 for a scan of 20 frames"),
        (np.append(MAP, False).astype(int), "is a map of 21 for a scan of 20 frames"),
        (MAP.reshape(GRID).T, "is a map of 5 x 4 for a scan of 4 x 5 positions"),
        (np.arange(20).reshape(4, 5), r"or a map of 0 and 1.*Got \(4, 5\) whole numbers"),
        ([3, 20], "names frame 20, the scan has frames 0 to 19"),
        ([3, 25, 30], r"names frame 30.*\(2 such frames\)"),
        ([-1], "names frame -1"),
        ([0.5], "Expected whole frame indices in reject. Got float64"),
        ("list.txt", "list.txt: no such file"),
    ],
)
def test_images_that_fit_no_frame_are_refused(given, match):
    with pytest.raises(BeamlineError, match=match) as caught:
        left(given, scan_of(grid=GRID))
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A raw file, and what quality control writes of it."""
    folder = tmp_path_factory.mktemp("judged")
    raw = Raw.of(simulate(64, (7, 7), 5, photons=1e5, seed=1))
    WRITERS["standard"](folder / "scan1.h5", raw)
    WRITERS["standard"](folder / "scan2.h5", raw)
    moved = replace(raw, positions_m=raw.positions_m + 1e-4)
    WRITERS["standard"](folder / "moved.h5", moved)
    shorter = replace(raw, positions_m=raw.positions_m[:42], frames=raw.frames[:42])
    WRITERS["standard"](folder / "shorter.h5", shorter)
    again = replace(
        raw,
        positions_m=np.concatenate([raw.positions_m] * 2),
        frames=np.concatenate([raw.frames] * 2),
    )
    WRITERS["standard"](folder / "longer.h5", again)
    where = ["--out", str(folder / "qc"), "--emit-ptypy-json", str(folder / "qc/list.json")]
    fewest = ["--reject-topk", "5", "--thumbs-topk", "1"]
    code = main(["qc", str(folder / "scan1.h5"), *where, *fewest])
    assert code == 0
    return folder


LISTS = ["reject_indices.npy", "qc_summary.csv", "list.json"]


@pytest.mark.parametrize("name", LISTS)
def test_the_scans_own_list_is_taken_without_a_warning(judged, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_scan(judged / "scan1.h5").plan(reject=str(judged / "qc" / name))) == 44


@pytest.mark.parametrize("name", LISTS)
def test_a_reject_list_of_another_file_is_reported(judged, name):
    with pytest.warns(
        BeamlineWarning, match=r"was made from .*scan1\.h5, not from .*scan2\.h5: its 5"
    ):
        assert len(open_scan(judged / "scan2.h5").plan(reject=str(judged / "qc" / name))) == 44


def test_a_beam_intensity_of_another_file_is_reported(judged):
    estimate = judged / "qc/beam_intensity.npy"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_scan(judged / "scan1.h5").plan(monitor=str(estimate))
    message = (
        r"intensity\.npy: was made from .*scan1\.h5, not from .*scan2\.h5: frames are scaled by it"
    )
    with pytest.warns(BeamlineWarning, match=message):
        open_scan(judged / "scan2.h5").plan(monitor=str(estimate))


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("other", ["shorter", "longer"])
def test_a_list_of_a_scan_of_another_length_is_refused(judged, name, other):
    with pytest.raises(BeamlineError, match=r"for a scan of 49 frames|names frame 48"):
        open_scan(judged / f"{other}.h5").plan(reject=str(judged / "qc" / name))


def test_a_renamed_reject_list_is_checked_by_positions_and_length(judged, tmp_path):
    """Outside its folder it does not name the file that it was made from."""
    table = tmp_path / "list.csv"
    table.write_text((judged / "qc/qc_summary.csv").read_text())
    with pytest.warns(BeamlineWarning, match="has other positions for 49 of 49 frames: its 5"):
        open_scan(judged / "moved.h5").plan(reject=str(table))
    with pytest.warns(BeamlineWarning, match="covers frames 0 to 48 only, the scan has 98"):
        open_scan(judged / "longer.h5").plan(reject=str(table))
    with pytest.raises(BeamlineError, match="names frame 48, the scan has frames 0 to 41"):
        open_scan(judged / "shorter.h5").plan(reject=str(table))


def test_a_file_that_was_moved_keeps_its_list(judged, tmp_path):
    listed = json.loads((judged / "qc/list.json").read_text())
    listed["file"] = "/somewhere/else/scan1.h5"
    (tmp_path / "list.json").write_text(json.dumps(listed))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_scan(judged / "scan1.h5").plan(reject=str(tmp_path / "list.json"))


@pytest.mark.parametrize(
    ("name", "which"), [("accept", "that are kept"), ("mask", "inside the region")]
)
def test_frames_to_keep_are_not_rejected(judged, tmp_path, name, which):
    file = judged / "qc" / f"{name}_indices.npy"
    with pytest.raises(BeamlineError, match=f"lists the frames {which}.*give reject_indices.npy"):
        open_scan(judged / "scan1.h5").plan(reject=str(file))
    renamed = judged / "qc" / f"good_{name}.npy"
    renamed.write_bytes(file.read_bytes())
    with pytest.raises(BeamlineError, match="not those to leave out"):
        open_scan(judged / "scan1.h5").plan(reject=str(renamed))


@pytest.mark.parametrize("text", ["", "index,pos_x,pos_y,score,rejected\n"])
def test_an_empty_table(tmp_path, text):
    (tmp_path / "qc_summary.csv").write_text(text)
    with pytest.raises(BeamlineError, match="lists no frame"):
        left(str(tmp_path / "qc_summary.csv"))


def test_quality_control_notices_too(judged, capsys):
    code = main(
        [
            "qc",
            str(judged / "shorter.h5"),
            "--out",
            str(judged / "qc2"),
            "--reject",
            str(judged / "qc/list.json"),
            "--thumbs-topk",
            "1",
        ]
    )
    assert code == 1
    assert "frame" in capsys.readouterr().err
