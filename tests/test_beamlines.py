"""Defaults of a beamline, and the order of precedence."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scans

from ptypy_beamline import Settings, open_scan
from ptypy_beamline.beamlines import defaults, names, with_defaults
from ptypy_beamline.cli import main
from ptypy_beamline.errors import BeamlineWarning, SettingsError


def yaml(folder, text):
    file = folder / "mine.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("beamline", names())
def test_packaged_defaults_are_parameters_without_physics(beamline):
    values = defaults(beamline)
    settings = Settings.of(values)
    assert settings.hot_sigma == 6
    assert not {"file", "energy", "distance", "psize", "units"} & set(values)


def test_there_are_the_two_beamlines():
    assert names() == ["hermes", "xrnf"]


def test_they_have_the_defaults_of_the_kits_wrappers():
    window = {"shape": [1024, 1024]}
    summed = {"center": [0.5, 0.5], "grouping": "sum", "frames_per_position": 3}
    turned = {"rotate": 180, "flip": "none", "grouping": "mean"}
    assert (window | summed).items() <= defaults("hermes").items()
    assert (window | turned).items() <= defaults("xrnf").items()


@pytest.mark.parametrize("beamline", names())
def test_a_file_of_the_beamline_loads(tmp_path, beamline):
    """A small detector and one exposure a position: the defaults of these are left out."""
    file = scans.write(tmp_path, "areadetector")
    with pytest.warns(BeamlineWarning) as caught:
        fitting = defaults(beamline, file)
    assert "shape 1024x1024 (--roi) is left out: the detector is 64x64" in str(caught[0].message)
    plan = open_scan(file, **fitting).plan(**fitting)
    assert (plan.frames.shape, len(plan), plan.geometry.shape) == ((49, 64, 64), 49, (64, 64))


@pytest.mark.parametrize("listed", [3, 1])
def test_exposures_are_grouped_if_the_scan_has_several(tmp_path, listed):
    """Three a position: with a position for each frame, and with one for the three."""
    frames, positions = scans.exposures(3), scans.truth().positions_m
    mine = yaml(tmp_path, "frames_per_position: 3\ngrouping: sum\n")
    file = scans.write(tmp_path, frames=frames, positions_m=np.repeat(positions, listed, axis=0))
    fitting = defaults(mine, file)
    plan = open_scan(file, **fitting).plan(**fitting)
    assert len(plan) == 49
    assert next(plan.blocks(1)).frames[0].sum() == frames[:3].sum()


def test_a_scan_that_is_followed_may_have_any_number_of_exposures(tmp_path):
    mine = yaml(tmp_path, "frames_per_position: 3\n")
    with pytest.warns(BeamlineWarning, match="set it by --frames-per-pos"):
        fitting = with_defaults(mine, {"file": "to_come.h5", "live.timeout_s": "60"})
    assert "frames_per_position" not in fitting


def test_a_window_that_fits_and_typed_values_are_kept(tmp_path):
    file = str(scans.write(tmp_path))
    assert defaults(yaml(tmp_path, "shape: 48\n"), file) == {"shape": 48}
    typed = with_defaults(yaml(tmp_path, "shape: 48\n"), {"file": file, "shape": "1024"})
    assert typed["shape"] == "1024"


def test_a_file_that_cannot_be_opened_leaves_all(tmp_path):
    mine = yaml(tmp_path, "shape: 1024\nframes_per_position: 3\n")
    assert defaults(mine, tmp_path / "absent.h5") == defaults(mine)


def test_flags_count_before_the_beamline(tmp_path):
    file = yaml(tmp_path, "hot_sigma: 6\nrebin: 2\npositions: {axes: -yx, shift: 1}\n")
    settings = Settings.of(with_defaults(file, {"hot_sigma": "4", "positions.axes": "xy"}))
    assert (settings.hot_sigma, settings.rebin) == (4, 2)
    assert (settings.positions.axes, settings.positions.shift) == ("xy", 1)


@pytest.mark.parametrize("name", ["positions.axes", "paths.x"])
def test_dotted_names_may_be_in_the_file(tmp_path, name):
    file = yaml(tmp_path, f"{name}: yx\n")
    assert with_defaults(file, {name: "xy"}) == {name: "xy"}


def test_rotation_and_flip_are_replaced_together(tmp_path):
    turned = yaml(tmp_path, "orientation: 3\n")
    assert Settings.of(with_defaults(turned, {"rotate": "90"})).rotate == 90
    flipped = yaml(tmp_path, "rotate: 90\nflip: h\n")
    assert Settings.of(with_defaults(flipped, {"orientation": "3"})).orientation_flags == (
        False,
        True,
        True,
    )


def test_a_beamline_needs_no_defaults():
    assert with_defaults(None, {"rebin": 2}) == {"rebin": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hot_sigmas: 6\n", "unknown parameter 'hot_sigmas'"),
        ("positions: {axis: yx}\n", "did you mean 'positions.axes'"),
        ("positions: 3\n", "unknown parameter 'positions'"),
        ("hot_sigma: -1\n", "hot_sigma=-1"),
        ("file: scan.h5\n", "a beamline has no file"),
        ("- hot_sigma\n", "Expected a tree"),
        ("", "Expected a tree"),
        ("a: [1\n", "not readable as YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "not readable as YAML"),
    ],
)
def test_mistakes_in_a_beamline_file_are_one_line_errors(tmp_path, text, words):
    file = yaml(tmp_path, text)
    with pytest.raises(SettingsError) as error:
        defaults(file)
    message = str(error.value)
    assert message.startswith(f"{file}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("beamline", ["hermess", "absent.yaml"])
def test_an_unknown_beamline(beamline):
    with pytest.raises(SettingsError, match=beamline):
        defaults(beamline)


@pytest.mark.parametrize("command", ["info", "check", "preview", "ptyd", "standardize"])
def test_on_every_command_that_loads(capsys, command):
    assert main([command, "--help"]) == 0
    assert "--beamline" in capsys.readouterr().out


def test_on_the_command_line(capsys, tmp_path):
    file = scans.write(tmp_path, "areadetector")
    mine = yaml(tmp_path, "shape: 48\nrebin: 2\nhot_sigma: 8\n")
    assert main(["info", str(file), "--json", "--beamline", str(mine), "--roi", "32"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan == described(capsys, file, "--roi", "32", "--bin", "2", "--hot-sigma", "8")
    assert plan != described(capsys, file, "--roi", "32")


def described(capsys, file, *flags):
    assert main(["info", str(file), "--json", *flags]) == 0
    return json.loads(capsys.readouterr().out)["plan"]


def test_on_the_command_line_an_error_is_one_line(capsys, tmp_path):
    file = scans.write(tmp_path, "areadetector")
    assert main(["info", str(file), "--beamline", "hermess"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        "error: Expected a beamline (hermes, xrnf) or a YAML file. Got 'hermess'"
    )
    assert error.count("\n") == 1
