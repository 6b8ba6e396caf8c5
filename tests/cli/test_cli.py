"""The command line as a user types it."""

from __future__ import annotations

import json
import re
import sys
import threading
from dataclasses import replace

import h5py
import numpy as np
import pytest
import scans
from numpy.testing import assert_allclose, assert_array_equal
from processes import live_writer, python

from ptypy_beamline import BeamlineWarning, Settings, open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.diagnosis.pairing import check_pairing
from ptypy_beamline.reconstruction import read
from ptypy_beamline.testing.writers import WRITERS, Raw

COMMANDS = (
    "demo",
    "formats",
    "info",
    "check",
    "preview",
    "ptyd",
    "standardize",
    "sidecar",
    "run",
    "orient",
    "plot",
    "export",
    "product",
    "tomo",
    "warm",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(type_in, command):
    code, out, _ = type_in(command, "--help")
    assert code == 0
    assert f"Example: ptypy-beamline {command}" in out or f"ptypy-beamline {command}" in out


def test_loading_flags_are_on_every_command_that_loads(type_in):
    for command in ("info", "check", "preview", "ptyd", "standardize"):
        out = type_in(command, "--help")[1]
        for flag in ("--roi ", "--energy-kev", "--path", "--unit", "--axes", "--snake"):
            assert flag in out, (command, flag)


def test_formats(type_in):
    code, out, _ = type_in("formats", "--json")
    assert code == 0
    assert {"standard", "cxi", "nxcxi", "diamond", "areadetector", "exchange"} <= set(
        json.loads(out)
    )


def test_info_in_words_and_as_json(type_in, tmp_path):
    file = scans.write(tmp_path, "cxi")
    code, out, _ = type_in("info", file, "--plan", "--roi", 48, "--bin", 2)
    assert code == 0
    for words in ("cxi", "49, 64, 64", "8800", "49 positions from 49 of 49", "2 x 2"):
        assert words in out
    code, out, _ = type_in("info", file, "--json")
    result = json.loads(out)
    assert result["scan"]["format"] == "cxi"
    assert_allclose(result["plan"]["resolution_m"], scans.truth().object_pixel_m, rtol=1e-6)


def test_info_shows_which_pixels_are_excluded(type_in, tmp_path):
    frames = scans.truth().frames.astype(np.uint16)
    frames[:, 30:32] = 65535  # a gap between modules
    file = scans.write(tmp_path, frames=frames)
    code, out, _ = type_in("info", file, "--plan")
    assert code == 0
    assert re.search(r"^  bad_pixels +0 of 4096, and any that read 65535 and above$", out, re.M)
    assert re.search(r"^  dark +none$", out, re.M)
    assert "good_pixels" not in out
    np.save(tmp_path / "dark.npy", np.full((64, 64), 0.5))
    words = ["--sat", 60000, "--dark", tmp_path / "dark.npy", "--roi", 48]
    out = type_in("info", file, "--plan", *words)[1]
    assert "0 of 2304, and any that read 60000 and above" in out
    assert re.search(r"^  dark +0.5 counts on average", out, re.M)
    mask = np.zeros((64, 64))
    mask[30:32] = 1
    np.save(tmp_path / "mask.npy", mask)
    file = scans.write(tmp_path)
    out = type_in("info", file, "--mask", tmp_path / "mask.npy")[1]
    assert re.search(
        r"^  bad_pixels +128 of 4096, and any that read 4294967295 and above$", out, re.M
    )


def test_info_names_what_a_scan_lacks(type_in, tmp_path):
    file = scans.write(tmp_path)
    with h5py.File(file, "a") as opened:
        del opened["entry/energy_eV"]
    code, out, _ = type_in("info", file)
    assert code == 1
    assert f"cannot be loaded yet: {file}: no photon energy" in out
    assert "--energy-kev" in out
    assert type_in("info", file, "--json")[0] == 1


def test_info_of_a_scan_with_an_error_ends_with_1(type_in, tmp_path):
    file = scans.write(tmp_path, positions_m=1e3 * scans.truth().positions_m)
    code, out, _ = type_in("info", file)
    assert "error: the step of" in out
    assert code == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--energy-kev", 0.001),
        ("--distance-m", 1e5),
        ("--pixel-m", 1),
        ("--bin", 3, "--roi", 64),
        ("--dark", "nan.npy"),
        ("--mask", "nan.npy"),
        ("--sat", 1),
        ("--outer-index", 3),
        ("--format", "cxi"),
    ],
)
@pytest.mark.parametrize("command", ["ptyd", "standardize"])
@pytest.mark.filterwarnings("ignore::ptypy_beamline.BeamlineWarning")
def test_an_error_begins_with_the_file(type_in, tmp_path, command, words):
    """Once, whatever stops opening or planning a scan; and nothing is written."""
    file = scans.write(tmp_path, center_px=None)
    np.save(tmp_path / "nan.npy", np.full((64, 64), np.nan))
    words = [str(tmp_path / "nan.npy") if word == "nan.npy" else word for word in words]
    code, _, err = type_in(command, file, *words, "-o", tmp_path / "out")
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"error: {file}: ")
    assert last.count(str(file)) == 1
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("period_s", [0, 0.2])
def test_info_waits_for_a_live_scan(type_in, tmp_path, period_s):
    """For the file, for its first frames, and for the rest."""
    with live_writer(tmp_path / "a.h5", 6, period_s, "swmr", "hdf5", tmp_path / "begin"):
        begin = threading.Timer(0.5, (tmp_path / "begin").touch)
        begin.start()
        code, out, _ = type_in("info", tmp_path / "a.h5", "--live", 5, "--roi-center", "16,16")
        begin.join()
    assert code == 0
    assert "6, 32, 32" in out
    assert re.search(r"positions +6$", out, re.MULTILINE)


def test_info_of_a_live_scan_that_never_comes_is_an_error(type_in, tmp_path):
    code, _, err = type_in("info", tmp_path / "a.h5", "--live", 0.3)
    assert code == 1
    assert "a.h5: no such file" in err


def test_info_draws_the_plan(type_in, tmp_path):
    import matplotlib.image

    file = scans.write(tmp_path)
    code, _, _ = type_in("info", file, "--plot", tmp_path / "plan.png", "--roi", 48)
    assert code == 0
    picture = matplotlib.image.imread(tmp_path / "plan.png")
    assert picture.shape[1] > 1000
    assert np.ptp(picture[..., :3]) > 0.5


def test_flags_do_what_their_parameters_do(type_in, tmp_path):
    file = scans.write(tmp_path, monitor=np.linspace(1, 2, 49))
    np.save(tmp_path / "r.npy", np.array([3, 4]))
    flags = (
        *"""
            --orientation 5 --axes -yx --position-shift -1 --monitor file --bin 2 --pad 1,1,1,1
            --threshold 2 --num-frames 30 --threads 1 --step 1 --select-shape rect
            --select-size 1e-6,1e-6 --reject
        """.split(),
        tmp_path / "r.npy",
        *"--background 0.5 --energy-kev 8.7".split(),
    )
    assert type_in("standardize", file, "-o", tmp_path / "s.h5", *flags)[0] == 0
    wanted = open_scan(file).plan(
        **{
            "orientation": 5,
            "positions.axes": "-yx",
            "positions.shift": -1,
            "monitor": True,
            "rebin": 2,
            "pad": 1,
            "threshold": 2,
            "num_frames": 30,
            "background": 0.5,
            "energy": 8.7,
            "select.shape": "rect",
            "select.size": (1e-6, 1e-6),
            "reject": [3, 4],
        }
    )
    plan = open_scan(tmp_path / "s.h5").plan()
    assert plan.geometry == wanted.geometry
    assert_allclose(plan.positions_m, wanted.positions_m, atol=1e-20)
    for one, other in zip(plan.blocks(50), wanted.blocks(50), strict=True):
        assert_array_equal(one.frames, other.frames)


@pytest.mark.long
def test_check_finds_no_problem_in_a_good_scan(type_in, tmp_path):
    code, out, _ = type_in("check", scans.write(tmp_path))
    assert code == 0
    assert "no problem found" in out


def test_trials_of_check_warn_of_nothing(tmp_path):
    """With rows turned round, which is tried, the last row of this one would be cut short."""
    raw = Raw.of(scans.truth())
    some = replace(raw, frames=raw.frames[:39], positions_m=raw.positions_m[:39])
    file = WRITERS["standard"](tmp_path / "a.h5", some)
    scan = open_scan(file)
    with pytest.warns(BeamlineWarning, match="the last row was stopped"):
        scan.plan(**{"positions.snake": True})
    assert (
        check_pairing(scan, Settings.of({"file": str(file)}))[0] == []
    )  # a warning is an error here


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--unit", "positions=mm"), "exceeds the"),
        (("--unit", "positions=nm"), "less than a third of the"),
        (("--energy-kev", "8800"), "given in eV"),
        (("--roi", "48,32"), "not square"),
    ],
)
def test_check_names_the_mistake(type_in, tmp_path, flags, words):
    code, out, _ = type_in("check", scans.write(tmp_path, "exchange"), *flags, "--json")
    found = json.loads(out)["findings"]
    assert any(words in finding["what"] for finding in found)
    assert code == int(any(finding["level"] == "error" for finding in found))


def test_standardize_and_read_back(type_in, tmp_path):
    bad = np.zeros((64, 64), bool)
    bad[3, 4] = True
    file = scans.write(tmp_path, "exchange", bad=bad, dark=np.full((2, 64, 64), 1))
    before = file.read_bytes()
    flags = "--roi 48 --rotate 90 --sat 2000 --roi-center 31,33 --path mask=/exchange/mask".split()
    code, _, err = type_in("standardize", file, "-o", tmp_path / "out" / "s.h5", *flags)
    assert (code, err) == (0, "")
    scan = open_scan(tmp_path / "out" / "s.h5")
    plan = scan.plan()
    wanted = open_scan(file, paths={"mask": "/exchange/mask"}).plan(
        shape=48, rotate=90, saturation=2000, center=(31, 33)
    )
    for one, other in zip(plan.blocks(7), wanted.blocks(7), strict=True):
        assert_array_equal(one.frames, other.frames)
        assert_array_equal(one.good, other.good)
    assert_allclose(plan.positions_m, wanted.positions_m, atol=1e-20)
    assert plan.geometry == wanted.geometry
    with h5py.File(tmp_path / "out" / "s.h5") as opened:
        entry = opened["entry"]
        assert entry["data"].dtype == np.float32
        assert entry["mask"].dtype == np.uint8
        assert entry["pos"].attrs["columns"] == "x,y"
        assert_array_equal(entry["pos"][:, 1], entry["posy_m"])
        assert opened.attrs["default"] == "entry"
        assert entry[entry.attrs["default"]].attrs["NX_class"] == "NXdata"
    assert file.read_bytes() == before


@pytest.mark.parametrize("save", ["append", "link"])
def test_ptyd(type_in, tmp_path, save):
    out = tmp_path / "o.ptyd"
    code, message, _ = type_in(
        "ptyd", scans.write(tmp_path), "-o", out, "--save", save, "--block", 20
    )
    assert code == 0
    assert "49 frames of 64x64" in message
    with h5py.File(out) as file:
        chunks = [file[f"chunks/{number}"] for number in range(3)]
        assert [len(chunk["data"]) for chunk in chunks] == [20, 20, 9]
        assert_array_equal(chunks[1]["data"][0], scans.truth().frames[20])
        assert file["meta/energy"][()] == pytest.approx(8.8)


def test_preview(type_in, tmp_path):
    from ptypy_beamline.reconstruction.comparison.registration import correlation

    code, out, _ = type_in(
        "preview", scans.write(tmp_path), "-o", tmp_path / "p", "--iterations", 40
    )
    assert code == 0, out
    assert (tmp_path / "p" / "reconstruction.png").stat().st_size > 10_000
    with h5py.File(tmp_path / "p" / "reconstruction.h5") as file:
        found = file["object/complex"][()]
        assert file["metrics/n_iterations"][()] == 40
    assert correlation(found, scans.truth().object, 28) > 0.8


def test_outputs_do_not_replace_inputs(type_in, tmp_path):
    file = scans.write(tmp_path)
    before = file.read_bytes()
    for command in ("standardize", "ptyd"):
        code, _, err = type_in(command, file, "-o", file)
        assert code == 1
        assert "is read by this command" in err
    assert file.read_bytes() == before


def test_an_interrupted_command_leaves_nothing(type_in, tmp_path, monkeypatch):
    from ptypy_beamline.planning.plan import Plan

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Plan, "correct_part", interrupted)
    file = scans.write(tmp_path)
    for command in ("standardize", "ptyd"):
        assert type_in(command, file, "-o", tmp_path / "out.h5")[0] == 130
    assert sorted(p.name for p in tmp_path.iterdir()) == [file.name]


class TestBadInput:
    """One line on standard error, exit 1, and the remedy."""

    def one_line(self, type_in, *words):
        code, _, err = type_in("standardize", *words, "-o", "never.h5")
        assert code == 1
        lines = err.strip().splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1
        assert errors[0] == lines[-1]
        return errors[0]

    def test_no_such_file(self, type_in):
        assert "nowhere.h5: no such file; check" in self.one_line(type_in, "nowhere.h5")

    @pytest.mark.parametrize(
        ("flags", "problem"),
        [
            ("--path dark=/entry/drak", "/entry/drak.*--path dark=PATH"),
            ("--path fames=/entry/data", "unknown parameter 'paths.fames'; .* 'paths.frames'"),
            ("--energy-kev 8800", "given in eV where keV is expected"),
            ("--roi-center 700,3", r"\(700.0, 3.0\) lies outside the 64x64 detector"),
            (
                "--select-shape circle --select-radius 1e-9 --select-center-pos 1,1",
                "no position lies in",
            ),
        ],
    )
    def test_flags_that_do_not_fit_the_scan(self, type_in, tmp_path, flags, problem):
        error = self.one_line(type_in, scans.write(tmp_path), *flags.split())
        assert re.search(problem, error)

    def test_not_hdf5(self, type_in, tmp_path):
        (tmp_path / "a.h5").write_text("hello")
        assert "a.h5: not an HDF5 file" in self.one_line(type_in, tmp_path / "a.h5")

    def test_truncated(self, type_in, tmp_path):
        file = scans.write(tmp_path)
        file.write_bytes(file.read_bytes()[:-5000])
        assert "truncated" in self.one_line(type_in, file)

    @pytest.mark.parametrize(
        ("name", "flag"),
        [("energy_eV", "--energy-kev"), ("det_dist_m", "--distance-m"), ("pixel_m", "--pixel-m")],
    )
    def test_missing_quantity(self, type_in, tmp_path, name, flag):
        file = scans.write(tmp_path)
        with h5py.File(file, "a") as opened:
            del opened["entry"][name]
        assert flag in self.one_line(type_in, file)

    def test_positions_of_the_wrong_length(self, type_in, tmp_path):
        file = scans.write(tmp_path)
        with h5py.File(file, "a") as opened:
            for name in ("pos", "posx_m", "posy_m"):
                if name in opened["entry"]:
                    del opened["entry"][name]
            opened["entry/pos"] = np.zeros((17, 3))
        message = self.one_line(type_in, file)
        assert "49" in message
        assert "17" in message

    def test_all_frames_rejected(self, type_in, tmp_path):
        np.save(tmp_path / "r.npy", np.arange(49))
        message = self.one_line(type_in, scans.write(tmp_path), "--reject", tmp_path / "r.npy")
        assert "all 49 selected frames are rejected" in message

    def test_missing_filter(self, type_in, tmp_path):
        file = scans.write(tmp_path)
        with h5py.File(file, "a") as opened:
            del opened["entry/data"]
            made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            made.set_chunk((1, 64, 64))
            made.set_filter(32099, h5py.h5z.FLAG_OPTIONAL)
            space = h5py.h5s.create_simple((49, 64, 64))
            h5py.h5d.create(opened["entry"].id, b"data", h5py.h5t.NATIVE_UINT16, space, made)
        message = self.one_line(type_in, file)
        assert "32099" in message
        assert "HDF5_PLUGIN_PATH" in message

    def test_an_unwritable_output(self, type_in, tmp_path):
        (tmp_path / "file").write_text("")
        code, _, err = type_in(
            "standardize", scans.write(tmp_path), "-o", tmp_path / "file" / "x.h5"
        )
        assert code == 1
        assert err.startswith("error: ")


def test_usage_errors_exit_2(type_in):
    code, _, err = type_in("info")
    assert code == 2
    assert "Missing argument" in err


def test_debug_shows_where(capsys):
    with pytest.raises(Exception, match="no such file"):
        main(["--debug", "info", "nowhere.h5"])


def test_as_a_module():
    done = python("-m", "ptypy_beamline", "info", "nowhere.h5", code=1)
    assert done.stderr.strip().splitlines() == ["error: nowhere.h5: no such file; check the path"]


def test_run_without_ptypy_is_an_error(type_in, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ptypy", None)
    tree = tmp_path / "t.yaml"
    tree.write_text("scans: {s: {name: Full, data: {name: BeamlineScan, file: x.h5}}}\n")
    code, _, err = type_in("run", tree)
    assert code == 1
    assert "PtyPy is not installed" in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scans: [", "not readable as YAML"),
        ("engines: {}", "no scans"),
        ("scans: {s: {data: {name: BeamlineScan, enrgy: 8}}}", "scans.s.data: unknown parameter"),
    ],
)
@pytest.mark.ptypy
def test_a_wrong_tree(type_in, tmp_path, text, words):
    tree = tmp_path / "t.yaml"
    tree.write_text(text)
    code, _, err = type_in("run", tree)
    assert code == 1
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_numbers_in_yaml(tmp_path):
    from ptypy_beamline.run import read_tree

    tree = tmp_path / "t.yaml"
    tree.write_text("parameter_tree: {scans: {s: {a: 1e-6, b: 2E3, c: 1.5, d: 7, e: 1e, f: e-3}}}")
    assert read_tree(tree)["scans"]["s"] == {
        "a": 1e-6,
        "b": 2e3,
        "c": 1.5,
        "d": 7,
        "e": "1e",
        "f": "e-3",
    }


@pytest.mark.parametrize("command", ["info", pytest.param("check", marks=pytest.mark.long)])
def test_assumptions_are_reported_once(type_in, tmp_path, command):
    file = scans.write(tmp_path, "hermes")
    file.with_name(f"{file.stem.rpartition('_')[0]}_dark_000001.nxs").unlink(missing_ok=True)
    known = ("--pixel-m", 75e-6, "--distance-m", 2, "--energy-kev", 8.8)
    _, out, err = type_in(command, file, *known)
    assert (out + err).count("no dark is subtracted") == 1
    _, out, _ = type_in("info", file, "--json")
    assert "no dark is subtracted" in str(json.loads(out)["scan"]["notes"])


class TestDemo:
    def result(self, tmp_path, capsys, *words):
        code = main(["demo", "-o", str(tmp_path / "demo"), *words])
        assert code == 0
        out, err = capsys.readouterr()
        assert (out + err).count("the monitor is") == 1
        return json.loads((tmp_path / "demo" / "summary.json").read_text()), out

    @pytest.mark.long
    def test_preview_engine(self, tmp_path, capsys):
        result, out = self.result(tmp_path, capsys, "--engine", "preview")
        assert result["correlation"] > 0.9
        assert "preview: rPIE" in out
        assert (tmp_path / "demo" / "reconstruction.png").stat().st_size > 100_000
        first, product = (
            read(tmp_path / f"demo/{name}.h5") for name in ("reconstruction", "product")
        )
        assert_array_equal(product.object, first.object)
        with h5py.File(tmp_path / "demo" / "reconstruction.cxi") as file:
            assert_array_equal(file["entry_1/image_1/data"][()], first.object[0])

    @pytest.mark.ptypy
    @pytest.mark.long
    def test_ptypy_engine(self, tmp_path, capsys):
        result, _ = self.result(tmp_path, capsys)
        assert result["engine"] == "PtyPy"
        assert result["correlation"] > 0.9
        with h5py.File(tmp_path / "demo" / "reconstruction.h5") as file:
            assert file["object/complex"].ndim == 2
            assert len(file["metrics/error_per_iteration"]) == 100
