"""From a raw file of any layout to a PtyPy reconstruction, and again from the saved tree."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import yaml
from numpy.testing import assert_allclose
from processes import environment, python

from ptypy_beamline.engines.trees import Chain, label, with_absolute_paths
from ptypy_beamline.errors import SettingsError
from ptypy_beamline.output.temporary import removing_leftovers
from ptypy_beamline.reconstruction import read
from ptypy_beamline.reconstruction.comparison.registration import correlation
from ptypy_beamline.testing.simulate import Truth, simulate

UM = 1e6


@pytest.fixture(scope="module")
def truth() -> Truth:
    return simulate(64, (12, 12), 6, "jitter", photons=1e5, seed=5)


def constants(truth: Truth) -> list[object]:
    return [
        "--energy-kev",
        truth.energy_eV / 1e3,
        "--distance-m",
        truth.distance_m,
        "--pixel-m",
        truth.pixel_m[0],
    ]


def own_hdf5(folder: Path, truth: Truth) -> list[object]:
    """A layout that no format knows, and the flags that name it."""
    file = folder / "mine.h5"
    with h5py.File(file, "w") as f:
        f["run/camera/images"] = truth.frames.astype(np.uint16)
        f["run/motors/samx"] = truth.positions_m[:, 1] * UM
        f["run/motors/samy"] = truth.positions_m[:, 0] * UM
    return [
        file,
        *"""
            --path frames=/run/camera/images --path x=/run/motors/samx --path y=/run/motors/samy
            --unit positions=um
        """.split(),
        *constants(truth),
    ]


def own_npz(folder: Path, truth: Truth) -> list[object]:
    file = folder / "mine.npz"
    np.savez(
        file,
        patterns=truth.frames.astype(np.float32),
        px=truth.positions_m[:, 1] * UM,
        py=truth.positions_m[:, 0] * UM,
    )
    return [
        file,
        *"""
            --format ptychopinn --path frames=patterns --path x=px --path y=py
            --unit positions=um --stored-as intensity
        """.split(),
        *constants(truth),
    ]


def own_tiffs(folder: Path, truth: Truth, type_in) -> list[object]:
    """TIFFs with a log that names the files, in another order."""
    order = np.random.default_rng(1).permutation(len(truth.frames))
    with open(folder / "log.csv", "w", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(["image", "x_um", "y_um"])
        for k in order:
            y, x = truth.positions_m[k] * UM
            rows.writerow([rf"D:\data\img_{k:04d}.tif", x, y])
    for k, frame in enumerate(truth.frames):
        tifffile.imwrite(folder / f"img_{k:04d}.tif", frame.astype(np.uint16))
    code, output, _ = type_in(
        "sidecar",
        "--frames",
        folder / "*.tif",
        "--csv",
        folder / "log.csv",
        "-o",
        folder / "sidecar.h5",
        *constants(truth),
    )
    assert code == 0
    assert "144 of 144" in output
    return [folder / "*.tif"]


def children(process: int) -> list[int]:
    """Numbers of the processes that one has started."""
    return [int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.ptypy
class TestPtyPy:
    def test_the_folder_has_all(self, tmp_path, truth, type_in):
        words = [*own_hdf5(tmp_path, truth), "-o", tmp_path / "out", "--iterations", "3+2", "--qc"]
        code, output, progress = type_in("reconstruct", *words, "--no-check")
        assert code == 0
        assert "DM 3 + ML 2" in output
        assert "DM 3 of 3, error" in progress
        names = [path.name for path in sorted((tmp_path / "out").iterdir())]
        assert names == [
            "reconstruction.h5",
            "reconstruction.png",
            "reconstruction.ptyr",
            "summary.json",
            "tree.yaml",
        ]
        assert type_in("reconstruct", *words, "--no-check")[0] == 0, (
            "its own folder may be replaced"
        )

    @pytest.mark.long
    def test_a_file_of_no_known_format_is_reconstructed_and_its_tree_repeats_it(
        self, tmp_path, truth, type_in
    ):
        out = tmp_path / "100 %"  # which PtyPy would fill in
        code, output, progress = type_in(
            "reconstruct",
            *own_hdf5(tmp_path, truth),
            "-o",
            out,
            *"--iterations 40+40 --save-tree".split(),
            tmp_path / "again.py",
        )
        assert code == 0
        assert "DM 40 + ML 40" in output
        assert "DM 40 of 40, error" in progress
        found = read(out / "reconstruction.h5")
        assert correlation(read(out / "reconstruction.ptyr").object[0], truth.object) > 0.95
        summary = json.loads((out / "summary.json").read_text())
        assert summary["error"] == found.errors[-1]
        assert all(Path(name).is_file() for name in summary["files"])
        self.repeats(out / "tree.yaml", tmp_path / "elsewhere", found)

    def repeats(self, tree, folder, found):
        """As ``run`` and as a script of plain PtyPy, in another folder."""
        folder.mkdir()
        for words in (("-m", "ptypy_beamline", "run", tree), (folder.parent / "again.py",)):
            python(*words, folder=folder, timeout_s=300)
            (ended,) = folder.rglob("*_ML_*.ptyr")
            assert_allclose(read(ended).errors[-1], found.errors[-1], rtol=1e-6)
            ended.unlink()

    @pytest.mark.long
    @pytest.mark.parametrize("write", [own_npz, own_tiffs])
    def test_other_files_as_well(self, tmp_path, truth, type_in, write):
        more = (type_in,) if write is own_tiffs else ()
        words = write(tmp_path, truth, *more)
        code, _, messages = type_in(
            "reconstruct", *words, "-o", tmp_path / "out", "--iterations", "40+40"
        )
        assert code == 0, messages
        assert correlation(read(tmp_path / "out/reconstruction.h5").object[0], truth.object) > 0.95

    @pytest.mark.long
    @pytest.mark.mpi
    def test_cores_are_ranks_with_the_same_result(self, tmp_path, truth, type_in):
        words = ["reconstruct", *own_hdf5(tmp_path, truth), "--iterations", "20+10"]
        assert type_in(*words, "-o", tmp_path / "one")[0] == 0
        more = ("--cores", 2, "-o", tmp_path / "two")
        python("-m", "ptypy_beamline", *words, *more, timeout_s=400)
        one, two = (read(tmp_path / name / "reconstruction.ptyr") for name in ("one", "two"))
        assert_allclose(two.errors[-1], one.errors[-1], rtol=1e-3)

    @pytest.mark.long
    @pytest.mark.mpi
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_cores_that_are_stopped_leave_nothing(self, tmp_path, truth, number, code):
        words = [*map(str, own_hdf5(tmp_path, truth)), "--iterations", "2000", "--engine", "DM"]
        words += ["--no-check", "--num-frames", "36", "--cores", "2", "-o", str(tmp_path / "out")]
        process = subprocess.Popen(
            [sys.executable, "-m", "ptypy_beamline", "reconstruct", *words],
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
            # A shell that runs the tests in the background lets its children ignore SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        assert process.stderr is not None
        assert any("DM 200 of 2000" in line for line in process.stderr)
        started = [ranks for mpi in children(process.pid) for ranks in (mpi, *children(mpi))]
        assert len(started) >= 3
        process.send_signal(number)
        try:
            _, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise
        assert process.returncode == code
        lines = err.splitlines()
        assert [line for line in lines if " of 2000, error" not in line] == [
            "error: terminated" if number == signal.SIGTERM else "error: interrupted"
        ]
        until = time.monotonic() + 20
        while any(Path(f"/proc/{one}").exists() for one in started) and time.monotonic() < until:
            time.sleep(0.1)
        assert not any(Path(f"/proc/{one}").exists() for one in started)
        assert [path.name for path in tmp_path.iterdir()] == ["mine.h5"]

    def test_what_killed_ranks_leave_is_removed(self, tmp_path):
        file = tmp_path / "new" / "out" / "reconstruction.h5"
        killed = (
            "import os; from ptypy_beamline.output.files import complete_file\n"
            f"with complete_file({str(file)!r}): os.kill(os.getpid(), 9)"
        )
        with removing_leftovers(file.parent):
            subprocess.run([sys.executable, "-c", killed], env=environment(), check=False)
            assert len(list(file.parent.iterdir())) == 1
        assert list(tmp_path.iterdir()) == []

    def test_modes_and_another_engine(self, tmp_path, truth, type_in):
        code, *_ = type_in(
            "reconstruct",
            *own_hdf5(tmp_path, truth),
            "-o",
            tmp_path / "out",
            *"--engine raar --iterations 3 --modes 2".split(),
        )
        assert code == 0
        found = read(tmp_path / "out/reconstruction.h5")
        assert found.algorithm == "PtyPy RAAR 3"
        assert len(found.probe) == 2

    @pytest.mark.long
    @pytest.mark.parametrize("model", ["Full", "BlockFull"])
    def test_the_probe_from_the_data_is_one_line_in_any_tree(self, tmp_path, truth, model):
        from ptypy_beamline.reconstruction import from_ptycho
        from ptypy_beamline.run import run

        file = own_hdf5(tmp_path, truth)[0]
        data = {
            "name": "BeamlineScan",
            "file": str(file),
            "units": {"positions": "um"},
            "energy": truth.energy_eV / 1e3,
            "distance": truth.distance_m,
            "psize": truth.pixel_m[0],
            "paths": {
                "frames": "/run/camera/images",
                "x": "/run/motors/samx",
                "y": "/run/motors/samy",
            },
        }
        tree = {
            "verbose_level": "ERROR",
            "io": {"rfile": None, "autosave": {"active": False}},
            "scans": {"s": {"name": model, "data": data, "illumination": "from_data"}},
            "engines": Chain.of("DM+ML", "40+40").tree(gpu=False),
        }
        assert correlation(from_ptycho(run(tree)).object[0], truth.object) > 0.95

    def test_other_loaders_have_no_probe_from_the_data(self):
        from ptypy.utils import parallel

        from ptypy_beamline.ptypy_probe import ProbesFromData

        with pytest.raises(SettingsError, match="needs a loader of this package"):
            ProbesFromData(parallel).named()["from_data"]((1, 64, 64))


def test_without_ptypy_the_preview_engine_is_used_with_a_message(
    tmp_path, truth, type_in, monkeypatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, output, warned = type_in(
        "reconstruct", *own_hdf5(tmp_path, truth), "-o", tmp_path / "out"
    )
    assert code == 0
    assert "PtyPy is not installed" in warned
    assert "validation error" in output
    assert correlation(read(tmp_path / "out/reconstruction.h5").object[0], truth.object) > 0.95


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engine", "dmm"], "engine 'dmm' is unknown; use preview, or one or several of DM"),
        (["--engine", "DM+ML", "--iterations", "60"], "--iterations 60+40"),
        (["--engine", "DM", "--iterations", "0"], "--iterations 60"),
        (["--engine", "preview", "--iterations", "1+1"], "give one number"),
        (["--engine", "preview", "--gpu"], "--gpu needs PtyPy"),
        (["--engine", "preview", "--save-tree", "t.py"], "--save-tree needs PtyPy"),
    ],
)
def test_impossible_requests_are_one_line_errors(tmp_path, truth, type_in, words, message):
    code, _, err = type_in(
        "reconstruct", *own_hdf5(tmp_path, truth), "-o", tmp_path / "out", *words
    )
    assert code == 1
    assert re.fullmatch(rf"error: .*{re.escape(message)}.*\n", err)
    assert not (tmp_path / "out").exists()


@pytest.mark.ptypy
def test_a_tree_of_another_kind_is_refused_before_anything_runs(tmp_path, truth, type_in):
    code, _, err = type_in(
        "reconstruct",
        *own_hdf5(tmp_path, truth),
        "-o",
        tmp_path / "out",
        "--save-tree",
        tmp_path / "tree.json",
    )
    assert code == 1
    assert "end its name in .yaml or .py" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "named"), [("ünï cødé 扫描 #1.h5", "n_c_d_1"), ("扫描.h5", "scan"), ("a b.h5", "a_b")]
)
def test_scans_are_named_in_ascii_as_ptypy_needs_it(file, named):
    assert label(file) == named


@pytest.mark.ptypy
def test_a_scan_whose_checks_fail_is_refused(tmp_path, truth, type_in):
    words = own_hdf5(tmp_path, truth)
    with h5py.File(words[0], "a") as f:
        f["run/camera/images"][...] = np.rot90(f["run/camera/images"][()], axes=(1, 2))
    out = tmp_path / "out"
    code, _, err = type_in("reconstruct", *words, "-o", out, "--iterations", "2+1")
    assert code == 1
    assert "the reconstruction would be meaningless" in err
    assert "--no-check" in err
    assert not out.exists()


@pytest.mark.ptypy
def test_dim_frames_are_warned_of(tmp_path, type_in):
    dim = simulate(64, (6, 6), 6, "jitter", photons=500, seed=5)
    words = [*own_hdf5(tmp_path, dim), "-o", tmp_path / "out", "--iterations", "2+1"]
    code, _, err = type_in("reconstruct", *words)
    assert code == 0
    assert "DM and ML may fit their noise" in err


def test_engines_follow_each_other():
    assert Chain.of() == Chain(("DM", "ML"), (60, 40))
    assert Chain.of("epie+ML", "5+6") == Chain(("EPIE", "ML"), (5, 6))
    engines = Chain.of("DM+ML+DM").tree(gpu=True)
    assert [engine["name"] for engine in engines.values()] == ["DM_cupy", "ML_cupy", "DM_cupy"]


def test_names_of_files_hold_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mask.npy").touch()
    Path("other.h5").touch()
    data = {
        "file": "raw/*.tif",
        "mask": "mask.npy",
        "saturation": "file",
        "monitor": True,
        "paths": {"x": "other.h5::/x", "y": "/entry/y"},
    }
    absolute = with_absolute_paths(data)
    assert absolute["file"] == str(tmp_path / "raw/*.tif")
    assert absolute["mask"] == str(tmp_path / "mask.npy")
    assert absolute["paths"] == {"x": f"{tmp_path / 'other.h5'}::/x", "y": "/entry/y"}
    assert absolute["monitor"] is True
    assert yaml.safe_load(yaml.safe_dump(absolute)) == absolute
    assert label("raw/scan-001.h5") == "scan_001"
    assert label("raw/*.tif") == "scan"
