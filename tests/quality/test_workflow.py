"""Quality control as it is run: the command, its folder, the loaders, MPI, a growing file."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import scans
from numpy.testing import assert_allclose, assert_array_equal
from processes import live_writer, load, mpirun, result
from quality_scans import COUNT, scan_of, truth

from ptypy_beamline import BeamlineError, open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.options import Qc
from ptypy_beamline.parameter_values import as_listed
from ptypy_beamline.quality import Exposures, evaluate
from ptypy_beamline.testing.bad_frames import spoil

INTEGERS = {"accept_indices.npy", "reject_indices.npy", "mask_indices.npy"}
NUMBERS = {"outlier_score.npy", "stxm.npy", "dpcx.npy", "dpcy.npy"}
FILES = {
    *INTEGERS,
    *NUMBERS,
    "features.npy",
    "beam_intensity.npy",
    "qc_summary.csv",
    "qc_meta.json",
    "qc_maps.png",
    "qc_report.html",
    "thumbs",
}
COLUMNS = [
    "index",
    "pos_x",
    "pos_y",
    "score",
    "stxm",
    "dpcx",
    "dpcy",
    "label",
    "masked",
    "rejected",
]

REFRESH = 'http-equiv="refresh"'


def frames_and_spoiled(kind="half intensity"):
    return spoil(truth().frames, kind, seed=1)


def write(folder, frames=None, format="standard", **more):
    """A file of the 196 frames, some of them spoiled."""
    frames = frames_and_spoiled()[0] if frames is None else frames
    return scans.write(folder, format, frames=frames, positions_m=truth().positions_m, **more)


def rows_of(folder):
    with (folder / "qc_summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def everything_in(folder):
    """Every file of a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def spoiled_file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def run(spoiled_file, tmp_path_factory):
    """The folder of one run with a region, a step, classes and a list of its own."""
    folder = tmp_path_factory.mktemp("run") / "deep" / "qc"
    before = spoiled_file.read_bytes(), spoiled_file.stat().st_mtime_ns
    words = (
        "qc",
        spoiled_file,
        "--out",
        folder,
        *"--step 2 --labels 3 --circ 0 0 3.5e-7 --reject-topk 5 --emit-ptypy-json".split(),
        folder / "ptypy_indices.json",
        *"--thumbs-topk 7 --thumbs-size 40".split(),
    )
    assert main([str(word) for word in words]) == 0
    assert (spoiled_file.read_bytes(), spoiled_file.stat().st_mtime_ns) == before
    return folder


class TestFolder:
    """What a run leaves."""

    def test_files_have_their_names_shapes_and_types(self, run):
        assert {path.name for path in run.iterdir()} == {*FILES, "ptypy_indices.json"}
        for name in NUMBERS:
            array = np.load(run / name)
            assert (array.shape, array.dtype) == ((COUNT,), np.float64), name
            assert_array_equal(np.flatnonzero(np.isfinite(array)), np.arange(0, COUNT, 2))
        for name in INTEGERS:
            array = np.load(run / name)
            assert (array.ndim, array.dtype) == (1, np.int64), name
            assert (np.diff(array) > 0).all()
        score = np.load(run / "outlier_score.npy")[::2]
        assert score.min() >= 0
        assert score.max() <= 1
        assert (run / "qc_maps.png").read_bytes().startswith(b"\x89PNG")
        assert len(list((run / "thumbs").glob("*.png"))) == 7
        assert (run / "thumbs" / "index.html").is_file()
        assert REFRESH not in (run / "qc_report.html").read_text()

    def test_the_summary_table(self, run):
        rows = rows_of(run)
        assert list(rows[0]) == COLUMNS
        assert [int(row["index"]) for row in rows] == [*range(0, COUNT, 2)]
        positions = np.array([[float(row["pos_y"]), float(row["pos_x"])] for row in rows])
        assert_allclose(positions, truth().positions_m[::2], atol=1e-18)
        for column, name in (
            ("score", "outlier_score"),
            ("stxm", "stxm"),
            ("dpcx", "dpcx"),
            ("dpcy", "dpcy"),
        ):
            values = [float(row[column]) for row in rows]
            assert_array_equal(values, np.load(run / f"{name}.npy")[::2])
        for column, name in (("masked", "mask"), ("rejected", "reject")):
            assert {row[column] for row in rows} == {"0", "1"}
            marked = [int(row["index"]) for row in rows if row[column] == "1"]
            assert_array_equal(marked, np.load(run / f"{name}_indices.npy"))
        assert {row["label"] for row in rows} == {"0", "1", "2"}

    def test_all_lists_of_indices_agree(self, run):
        accepted, out, masked = (
            np.load(run / f"{name}_indices.npy") for name in ("accept", "reject", "mask")
        )
        assert_array_equal(np.sort([*accepted, *out]), np.arange(0, COUNT, 2))
        y, x = truth().positions_m[::2].T
        assert_array_equal(masked, np.flatnonzero(np.hypot(x, y) <= 3.5e-7) * 2)
        assert set(accepted) <= set(masked)
        assert len(set(out) & set(masked)) == 5
        listed = json.loads((run / "ptypy_indices.json").read_text())
        indices = {"accepted_indices", "rejected_indices"}
        assert set(listed) == {"file", "format", "paths", "frames"} | indices
        assert listed["accepted_indices"] == accepted.tolist()
        assert listed["rejected_indices"] == out.tolist()
        assert (Path(listed["file"]).name, listed["format"]) == ("standard.h5", "standard")

    def test_the_metadata(self, run):
        meta = json.loads((run / "qc_meta.json").read_text())
        assert (meta["frames"], meta["evaluated"]) == (COUNT, COUNT // 2)
        assert meta["accepted"] + meta["rejected"] == meta["evaluated"]
        assert meta["outside_region"] == COUNT // 2 - len(np.load(run / "mask_indices.npy"))
        assert meta["qc"]["circ"] == [0, 0, 3.5e-7]
        assert meta["qc"]["reject_topk"] == 5
        assert "5 frames" in meta["qc"]["rule"]
        assert meta["settings"]["step"] == 2
        features = np.load(run / "features.npy")
        assert features.shape == (COUNT, len(meta["features"]))
        assert np.isnan(features[1::2]).all()
        totals = features[::2, meta["features"].index("total")]
        assert_allclose(np.log1p(totals), np.load(run / "stxm.npy")[::2])
        assert meta["stxm"] == "log(1 + counts)"

    def test_every_list_makes_the_same_plan(self, run, spoiled_file):
        wanted = open_scan(spoiled_file).plan(step=2, reject=np.load(run / "reject_indices.npy"))
        assert_array_equal(wanted.selection.exposures[:, 0], np.load(run / "accept_indices.npy"))
        for name in ("reject_indices.npy", "qc_summary.csv", "ptypy_indices.json"):
            plan = open_scan(spoiled_file).plan(step=2, reject=str(run / name))
            assert_array_equal(plan.selection.exposures, wanted.selection.exposures)

    @pytest.mark.long
    def test_another_run_replaces_the_files(self, spoiled_file, tmp_path, type_in):
        for flags in (("--labels", 2, "--thumbs-topk", 9), ("--thumbs-topk", 2)):
            assert type_in("qc", spoiled_file, "--out", tmp_path / "qc", *flags)[0] == 0
        assert {path.name for path in (tmp_path / "qc").iterdir()} == FILES
        assert len(list((tmp_path / "qc" / "thumbs").glob("*.png"))) == 2
        assert {row["label"] for row in rows_of(tmp_path / "qc")} == {"-1"}
        assert_array_equal(np.load(tmp_path / "qc" / "reject_indices.npy"), frames_and_spoiled()[1])
        assert [path.name for path in tmp_path.iterdir()] == ["qc"], "nothing is left beside it"

    @pytest.mark.parametrize("name", ["stxm.npy", "qc_report.html", "qc_meta.json"])
    def test_a_foreign_folder_is_refused(self, spoiled_file, tmp_path, type_in, name):
        (tmp_path / name).write_text("{}")
        code, _, err = type_in("qc", spoiled_file, "--out", tmp_path)
        assert code == 1
        assert f"{name}: exists and was not written by ptypy-beamline qc; write to another" in err
        assert everything_in(tmp_path) == {name: b"{}"}

    @pytest.mark.long
    def test_two_runs_at_once(self, spoiled_file, tmp_path):
        command = [sys.executable, "-m", "ptypy_beamline"]
        command += ["qc", spoiled_file, "--out", tmp_path / "qc"]
        both = [
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for _ in range(2)
        ]
        assert [(one.communicate(timeout=60)[1], one.returncode) for one in both] == [(b"", 0)] * 2
        assert {path.name for path in (tmp_path / "qc").iterdir()} == FILES
        assert_array_equal(np.load(tmp_path / "qc" / "reject_indices.npy"), frames_and_spoiled()[1])


class TestCommand:
    """Flags and errors."""

    def test_help_and_output(self, spoiled_file, tmp_path, type_in):
        code, out, _ = type_in("qc", "--help")
        assert code == 0
        for flag in (
            *"""
                --data-path --pos-x-path --pos-y-path --roi --bin --rect --embed-side --pca-k
                --w-feat --reject-topk --reject-topp --reject-thresh --circ --emit-ptypy-json
                --thumbs-topk --thumbs-size --labels --embedding --out
            """.split(),
            "ptypy-beamline qc scan.h5",
        ):
            assert flag in out, flag
        code, out, err = type_in("qc", spoiled_file, "--out", tmp_path / "qc")
        assert (code, err) == (0, "")
        assert out.startswith(f"{len(frames_and_spoiled()[1])} of {COUNT} frames rejected (")
        assert out.count("\n") == 1

    def test_every_flag(self, tmp_path, type_in):
        frames, spoiled = frames_and_spoiled("noise burst")
        file = write(tmp_path, frames, "exchange")
        y, x = truth().positions_m.T
        flags = """
            --data-path /exchange/data --pos-x-path /exchange/positions_x
            --pos-y-path /exchange/positions_y --roi 48 --roi-center 32,32 --bin 2 --axes -xy
            --embed-side 16 --pca-k 6 --w-feat 0.7 --embedding autoencoder --reject-topk 1
            --reject-topp 0.03 --reject-thresh 0.999 --rect 1e-8 0 6e-7 8e-7 --circ 0 0 3.6e-7
            --labels 4 --thumbs-topk 0 --thumbs-size 64 --reject 40
        """.split()
        assert type_in("qc", file, "--out", tmp_path / "qc", *flags)[0] == 0
        inside = (np.abs(x - 1e-8) <= 3e-7) & (np.abs(y) <= 4e-7) & (np.hypot(x, y) <= 3.6e-7)
        assert_array_equal(np.load(tmp_path / "qc/mask_indices.npy"), np.flatnonzero(inside))
        out = np.load(tmp_path / "qc/reject_indices.npy")
        number = round(0.03 * inside.sum())
        assert number <= len(out) - (~inside).sum() <= number + 2
        assert set(spoiled[inside[spoiled]]) <= set(out)
        assert 40 in out
        qc = json.loads((tmp_path / "qc/qc_meta.json").read_text())["qc"]
        assert {
            "embed_side": 16,
            "pca_k": 6,
            "w_feat": 0.7,
            "embedding": "autoencoder",
            "labels": 4,
            "rect": [1e-8, 0, 6e-7, 8e-7],
        }.items() <= qc.items()
        window = frames[:, 8:56, 8:56]
        stxm = np.load(tmp_path / "qc/stxm.npy")
        assert_allclose(stxm, np.log1p(window.sum((1, 2))), rtol=1e-6)
        assert [path.name for path in (tmp_path / "qc/thumbs").iterdir()] == ["index.html"]

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (("--reject-topp", 2), "qc.reject_topp=2.0: input should be less than or equal to 1"),
            (("--embed-side", 1), "qc.embed_side=1: input should be greater"),
            (("--pca-k", 0), "qc.pca_k=0: input should be greater"),
            (
                ("--embedding", "umap"),
                "qc.embedding='umap': input should be 'pca' or 'autoencoder'",
            ),
            (("--w-feat", -1), "qc.w_feat=-1.0"),
            (("--data-path", "/entry/nothing"), "got no such dataset"),
            (("--reject", "nowhere.npy"), "nowhere.npy: no such file"),
            (("--mask", "all.npy"), "no frame has a good pixel"),
            (("--emit-ptypy-json", "notes.json"), "notes.json: exists and is not a list"),
            (("--emit-ptypy-json", "standard.h5"), "is read by this command"),
        ],
    )
    def test_mistakes_end_in_one_line(
        self, tmp_path, monkeypatch, spoiled_file, type_in, flags, words
    ):
        monkeypatch.chdir(tmp_path)
        Path("standard.h5").symlink_to(spoiled_file)
        Path("notes.json").write_text('["mine"]')
        np.save("all.npy", np.ones((64, 64)))
        code, out, err = type_in("qc", "standard.h5", *flags)
        assert (code, out) == (1, "")
        assert err.startswith("error: ")
        assert words.lower() in err.lower()
        assert err.count("\n") == 1
        assert Path("notes.json").read_text() == '["mine"]'

    def test_wrong_usage_exits_with_2(self, type_in, spoiled_file):
        assert type_in("qc", spoiled_file, "--rect", 1, 2)[0] == 2

    def test_the_file_may_be_read_only(self, tmp_path, type_in):
        file = write(tmp_path)
        file.chmod(0o444)
        assert type_in("qc", file, "--out", tmp_path / "qc")[0] == 0

    @pytest.mark.long
    def test_several_exposures_of_the_demo(self, tmp_path, type_in):
        """Dark, flat, saturation, hot pixels, a monitor with a hole, three exposures a position."""
        from ptypy_beamline.testing.demo import write_demo_scan

        made = write_demo_scan(tmp_path / "raw.h5", shape=(9, 9))
        flags = "--frames-per-pos 3 --roi 128 --sat file --hot-sigma 6 --monitor file".split()
        assert type_in("qc", tmp_path / "raw.h5", "--out", tmp_path / "qc", *flags)[0] == 0
        assert_array_equal(np.load(tmp_path / "qc/reject_indices.npy"), made.spoiled)
        score = np.load(tmp_path / "qc/outlier_score.npy")
        assert np.flatnonzero(np.isnan(score)).tolist() == [made.bad_monitor]


@pytest.mark.ptypy
@pytest.mark.filterwarnings("ignore:.*quality control leaves out")
class TestLoader:
    """``qc`` in a parameter tree."""

    def accepted(self, file, level=2, **data):
        """Raw frames of the positions in a real PtyPy tree."""
        from ptypy_beamline.run import run

        tree = {
            "verbose_level": "ERROR",
            "io": {"rfile": None, "autosave": {"active": False}},
            "engines": {},
            "scans": {
                "s": {
                    "name": "BlockFull",
                    "data": {"name": "BeamlineScan", "file": str(file), **data},
                }
            },
        }
        ptycho = run(tree, level=level)
        scan = ptycho.model.scans["s"].ptyscan
        assert len(ptycho.diff.views) == len(scan.frame_indices)
        return scan

    @pytest.mark.parametrize(
        ("qc", "count"),
        [
            ({"reject_topp": 0.02}, 4),
            ({"reject_topk": 7}, 7),
            (True, 4),
            ({"labels": 0}, 4),
            (None, 0),
            (False, 0),
        ],
    )
    def test_loading_rejects_bad_frames(self, spoiled_file, qc, count):
        from ptypy import utils as u

        given = {} if qc is None else {"qc": u.Param(qc) if isinstance(qc, dict) else qc}
        scan = self.accepted(spoiled_file, **given)
        out = np.setdiff1d(np.arange(COUNT), scan.frame_indices)
        assert len(out) == count
        if count:
            assert set(frames_and_spoiled()[1]) <= set(out)
            assert_array_equal(scan.assessment.reject_indices, out)
        else:
            assert scan.assessment is None

    @pytest.mark.mpi
    @pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.long)])
    def test_rejected_frames_are_reported_at_the_default_verbosity(self, spoiled_file, ranks):
        """Once, whatever the number of ranks."""
        program = (
            "import sys; from ptypy_beamline.ptyscan import BeamlineScan; "
            "BeamlineScan(file=sys.argv[1], shape=48, qc=True).initialize()"
        )
        done = mpirun(ranks, "-c", program, spoiled_file, code=0)
        count, frames = len(frames_and_spoiled()[1]), as_listed(frames_and_spoiled()[1])
        words = f"quality control leaves out {count} of {COUNT} exposures, frames {frames}; "
        assert done.stdout.count(f"warning: {spoiled_file}: {words}") == 1

    def test_empty_qc_parameters_reject_nothing(self, spoiled_file):
        """PtyPy makes one of a parameter that is not set."""
        from ptypy import utils as u

        assert len(self.accepted(spoiled_file, qc=u.Param()).frame_indices) == COUNT

    def test_ptypy_gets_the_frames_that_the_list_accepts(self, spoiled_file):
        scan = self.accepted(spoiled_file, qc=True, reject=[3], shape=48, rotate=90)
        out = [3, *frames_and_spoiled()[1]]
        other = self.accepted(spoiled_file, reject=out, shape=48, rotate=90)
        assert_array_equal(scan.frame_indices, other.frame_indices)
        assert_array_equal(scan.plan.positions_m, other.plan.positions_m)

    def test_a_position_keeps_its_other_exposures(self, tmp_path):
        rng = np.random.default_rng(0)
        frames = rng.poisson(np.repeat(truth().frames, 3, axis=0)).astype(np.uint32)
        frames[[100, 301, 302]] //= 3
        file = write(tmp_path, frames)
        scan = self.accepted(file, qc=True, frames_per_position=3)
        assert scan.frame_indices.shape == (COUNT, 3)
        assert scan.frame_indices[[33, 100]].tolist() == [[99, -1, 101], [300, -1, -1]]
        assert (scan.frame_indices == -1).sum() == 3

    def test_preannounced_positions_are_the_accepted_ones(self, spoiled_file):
        with pytest.raises(BeamlineError, match=r"positions_theory has 196 positions, 192 are"):
            self.accepted(spoiled_file, qc=True, positions_theory=truth().positions_m)

    def test_a_growing_scan_cannot_be_evaluated_while_loading(self, spoiled_file):
        with pytest.raises(BeamlineError, match=r"run ptypy-beamline qc --live alongside"):
            self.accepted(spoiled_file, qc=True, live={"timeout_s": 1.0})

    def test_rejecting_all_frames_is_an_error(self, spoiled_file):
        with pytest.raises(BeamlineError, match=r"all 196 selected frames are rejected"):
            self.accepted(spoiled_file, qc={"reject_topp": 1.0})


FAULTY = """
import sys
from mpi4py import MPI
from ptypy_beamline.frames.hdf5 import Hdf5Frames
read = Hdf5Frames.read
def fail(self, *given):
    if MPI.COMM_WORLD.rank == 1:
        raise OSError("the file server is gone")
    return read(self, *given)
Hdf5Frames.read = fail
"""
COMMAND = "from ptypy_beamline.cli import main; sys.exit(main(sys.argv[1:]))"
LOADER = """
from ptypy_beamline.ptyscan import BeamlineScan
BeamlineScan(file=sys.argv[2], shape=48, qc=True, center=(32, 32)).initialize()
"""


@pytest.mark.mpi
@pytest.mark.long
class TestRanks:
    """The same on any number of ranks."""

    def errors(self, done):
        return [line for line in done.stderr.splitlines() if "error: " in line]

    @pytest.mark.parametrize(("ranks", "flags"), [(2, ("--labels", "2")), (3, ("--step", "5"))])
    def test_the_command_writes_the_same_files(self, spoiled_file, tmp_path, ranks, flags, type_in):
        words = ("qc", spoiled_file, "--out", tmp_path / "many", *flags)
        done = mpirun(ranks, "-m", "ptypy_beamline", *words, code=0)
        assert done.stdout.count("frames rejected") == 1
        assert type_in("qc", spoiled_file, "--out", tmp_path / "one", *flags)[0] == 0
        many, one = everything_in(tmp_path / "many"), everything_in(tmp_path / "one")
        assert set(many) == set(one)
        for name in one:
            if name.endswith((".npy", ".csv", ".png", ".json")):
                assert many[name] == one[name], name

    @pytest.fixture(scope="class")
    @staticmethod
    def listed(spoiled_file):
        """What one rank loads with the list of rejected frames."""
        return result(load(1, spoiled_file, {"reject": frames_and_spoiled()[1].tolist()}))

    @pytest.mark.ptypy
    @pytest.mark.parametrize(("ranks", "load_parallel"), [(2, "data"), (3, "all")])
    def test_the_loader_rejects_the_same_frames(self, spoiled_file, listed, ranks, load_parallel):
        done = load(ranks, spoiled_file, {"qc": True, "load_parallel": load_parallel})
        assert result(done) == listed

    @pytest.mark.ptypy
    @pytest.mark.parametrize("what", [COMMAND, LOADER], ids=["command", "loader"])
    def test_an_error_on_one_rank_ends_all_with_one_line(self, spoiled_file, tmp_path, what):
        start = time.monotonic()
        words = ("qc", spoiled_file, "--out", tmp_path / "qc")
        done = mpirun(2, "-c", FAULTY + what, *words)
        assert done.returncode != 0
        errors = self.errors(done)
        assert len(errors) == 1, done.stderr
        assert "the file server is gone" in errors[0]
        assert time.monotonic() - start < 40
        assert not (tmp_path / "qc").exists()

    def test_an_error_of_all_ranks_is_printed_once(self, tmp_path):
        done = mpirun(3, "-m", "ptypy_beamline", "qc", "nowhere.h5", "--out", tmp_path)
        assert done.returncode != 0
        assert len(self.errors(done)) == 1, done.stderr

    def test_more_ranks_than_frames(self, spoiled_file, tmp_path):
        words = ("qc", spoiled_file, "--num-frames", 2, "--out", tmp_path / "qc")
        mpirun(3, "-m", "ptypy_beamline", *words, code=0)
        assert len(np.load(tmp_path / "qc/accept_indices.npy")) == 2


class TestGrowing:
    """A file that a detector is still writing."""

    @pytest.fixture
    def writing(self, tmp_path):
        """An areaDetector file that gets 80 frames; its writer is gone when the test is."""
        file = tmp_path / "live.h5"
        process = live_writer(file, 80, 0.06, "swmr")
        yield file, process
        process.kill()
        process.wait()

    @pytest.fixture
    def seen(self, tmp_path):
        """What is found again and again in the folder: frames, and whether the page refreshes."""
        found, over = [], threading.Event()

        def watch():
            while not over.wait(0.1):
                if (tmp_path / "live/qc_report.html").exists():
                    page = (tmp_path / "live/qc_report.html").read_text()
                    found.append((len(rows_of(tmp_path / "live")), REFRESH in page))

        watcher = threading.Thread(target=watch)
        watcher.start()
        yield found
        over.set()
        watcher.join()

    @pytest.mark.long
    def test_reports_while_growing_and_ends_with_the_same_result(
        self, writing, seen, tmp_path, type_in
    ):
        file, writer = writing
        flags = ("--roi", 32, "--roi-center", "16,16")
        code, out, err = type_in("qc", file, "--live", 4, "--out", tmp_path / "live", *flags)
        assert (code, err) == (0, "")
        assert "of 80 frames" in out
        assert writer.wait(10) == 0, "the reader did not disturb it"
        assert any(32 <= count < 80 and refreshes for count, refreshes in seen)
        assert [count for count, _ in seen] == sorted(count for count, _ in seen)
        assert REFRESH not in (tmp_path / "live/qc_report.html").read_text(), "it is over"
        assert type_in("qc", file, "--out", tmp_path / "after", *flags)[0] == 0
        live, after = everything_in(tmp_path / "live"), everything_in(tmp_path / "after")
        assert set(live) == set(after)
        for name in after:
            if name.endswith((".npy", ".csv")):
                assert live[name] == after[name], name


def test_use_from_python(spoiled_file):
    """The same without a command line and without files."""
    found = evaluate(Exposures.of(open_scan(spoiled_file).plan()), Qc())
    assert_array_equal(found.reject_indices, frames_and_spoiled()[1])
    counted = []
    evaluate(Exposures.of(scan_of().plan()), Qc(), progress=counted.append)
    assert sum(counted) == COUNT
