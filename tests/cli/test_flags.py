"""Flags by their parameters' names, and help that says what to type."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import scans
from processes import RECIPES, python

from ptypy_beamline.cli import COMMANDS, load
from ptypy_beamline.settings import all_parameters, other_names


@pytest.fixture
def help_of(type_in, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: type_in(*words, "--help")[1]


@pytest.mark.parametrize("command", [(), *[(name,) for name in COMMANDS]])
def test_help_says_what_to_type(help_of, command):
    """No words of Python's, and no characters that a pipe to a file might lose."""
    shown = help_of(*command)
    assert not re.findall(r"<\w+( range)?>|\b(INTEGER|FLOAT|BOOLEAN)\b|[–—‘’“”…]", shown)


def test_the_list_of_commands_repeats_their_own_help():
    for name, line in COMMANDS.items():
        assert load(name).help.splitlines()[0] == line


def test_listing_the_commands_imports_none_of_them():
    code = (
        "import sys; from ptypy_beamline.cli import main; main(['--help'])\n"
        "sys.exit(sorted(m for m in sys.modules if m.startswith('ptypy_beamline.cli.'))"
        " or 'pydantic' in sys.modules)"
    )
    python("-c", code)


def test_help_shows_one_name_of_each_flag(help_of):
    shown = set(re.findall(r"--[\w.-]+", help_of("info")))
    assert {"--roi", "--bin", "--sat", "--path", "--unit"} <= shown
    assert not {"--shape", "--rebin", "--saturation", "--paths", "--units"} & shown


def test_help_says_the_order_of_two_numbers(help_of):
    shown = re.sub(r"[\s│]+", " ", help_of("qc"))
    for flag in ("--roi", "--roi-center", "--select-center-pos", "--select-size"):
        assert re.search(rf"{flag} N\[,N\][^-]*\((ny, nx|y, x)\)", shown), flag
    assert re.search(r"--rect CX CY W H [^-]*x,y: CX CY W H", shown)
    assert re.search(r"--circ CX CY R [^-]*x,y: CX CY R", shown)


def test_flags_by_the_names_of_their_parameters(type_in, tmp_path):
    file = scans.write(tmp_path)
    by_flag, by_name = (
        type_in("info", file, "--json", *words.split())[1]
        for words in (
            "--roi 32 --bin 2 --energy-kev 9 --select-shape circle --select-radius 4e-7 "
            "--path x=/entry/posx_m --snake",
            "--shape 32 --rebin=2 --energy 9 --select.shape circle --select.radius 4e-7 "
            "--paths x=/entry/posx_m --positions-snake",
        )
    )
    assert json.loads(by_name) == json.loads(by_flag)
    assert json.loads(by_name)["plan"]["shape"] == [16, 16]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--shape", "48", "--roi", "32"), "--roi and --shape are the same flag"),
        (("--select-radius=1e-6", "--select.radius=2e-6"), "are the same flag"),
        (("another.tif", "third.tif"), "in quotes"),
    ],
)
def test_flags_typed_twice_and_unquoted_globs_are_errors(type_in, tmp_path, words, answer):
    code, _, message = type_in("info", scans.write(tmp_path), *words)
    assert code == 2
    assert answer in message


@pytest.mark.parametrize(
    ("command", "flag", "written"),
    [
        *[
            (name, flag, "new")
            for name in ("standardize", "ptyd")
            for flag in ("--output", "--out")
        ],
        ("qc", "-o", "new/qc_meta.json"),
        pytest.param("qc", "--output", "new/qc_meta.json", marks=pytest.mark.long),
    ],
)
def test_every_command_takes_every_word_for_its_output(type_in, tmp_path, command, flag, written):
    """The others of a command, -o or --out, are typed in many tests."""
    file = scans.write(tmp_path)
    assert type_in(command, file, flag, tmp_path / "new")[0] == 0
    assert (tmp_path / written).exists()


def test_a_file_in_the_place_of_a_command(type_in, tmp_path):
    (tmp_path / "scan.h5").touch()
    code, _, err = type_in(tmp_path / "scan.h5")
    assert code == 2
    assert f"did you mean 'info {tmp_path / 'scan.h5'}'?" in err


def test_values_and_pairs_that_cannot_be_read(type_in, tmp_path):
    for words, answer in (
        (("--roi", "abc"), "shape='abc': expected numbers, separated by commas"),
        (("--frames-per-pos", "abc"), "frames_per_position='abc': expected a whole number"),
        (("--unit", "positions"), "write, for example, --unit positions=um"),
        (("--path", "frames"), "write, for example, --path frames=/entry/data/data"),
    ):
        code, _, err = type_in("info", scans.write(tmp_path), *words)
        assert code == 1
        assert answer in err


def test_no_parameter_takes_the_flag_of_another():
    flags = {parameter.flag: parameter.name for parameter in all_parameters() if parameter.flag}
    for flag, name in flags.items():
        for word in other_names(flag):
            assert flags.get(word, name) == name, word


SCRIPTS = sorted(RECIPES.glob("*.py"))
SOME = ("hdf5_dm_ml.py", "live.py", "make_ptyd.py", "tomo_series.py")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_recipe_has_no_other_names_for_flags_of_the_command_line(script):
    assert not re.findall(r"--(window|each|center|timeout|radius)\b", script.read_text())


@pytest.mark.ptypy
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(path, id=path.name, marks=() if path.name in SOME else pytest.mark.long)
        for path in SCRIPTS
    ],
)
def test_a_missing_file_is_a_one_line_error_in_a_recipe(tmp_path, script):
    done = python(script, *missing_file(script), folder=tmp_path, code=1)
    lines = [line for line in done.stderr.splitlines() if "ptypy - " not in line]
    assert lines[-1].startswith("error: ")
    assert "missing" in lines[-1], lines[-1]
    assert "Traceback" not in done.stderr


def missing_file(script: Path) -> list[str]:
    """Words for a file that is not there; of a live scan, not within a moment."""
    more = {
        "cupy_dm_ml.py": ["--arch=serial"],
        "cupy_epie.py": ["--arch=serial"],
        "live.py": ["--live=0.2"],
        "make_ptyd.py": ["out.ptyd"],
    }
    return ["missing.h5", *more.get(script.name, [])]


def test_the_remedy_for_a_stack_without_positions_works(type_in, tmp_path):
    """With what the error suggests, the scan loads."""
    frames = scans.truth().frames
    np.save(tmp_path / "frames.npy", frames)
    code, _, err = type_in("info", tmp_path / "frames.npy")
    assert code == 1
    flags = re.search(r"name them: (.*);", err)[1].split()
    y, x = scans.truth().positions_m.T
    np.savez(tmp_path / "scan.npz", frames=frames, y=y, x=x)
    geometry = ("--energy-kev", 8.8, "--distance-m", 2.0, "--pixel-m", 75e-6, "--json")
    code, out, _ = type_in("info", tmp_path / "scan.npz", *flags, *geometry)
    assert json.loads(out)["plan"]["positions"] == len(frames)
