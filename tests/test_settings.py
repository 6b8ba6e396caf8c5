"""Every parameter once: the same in Python, PtyPy, the command line and the documentation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scans

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineError, SettingsError
from ptypy_beamline.planning.rejects import RejectTarget, rejected_frames
from ptypy_beamline.settings import Settings, parameters

CONTRACT = """file sidecar format
paths.frames paths.x paths.y paths.positions paths.energy paths.distance
paths.pixel paths.focus paths.exposure paths.mask paths.dark paths.flat paths.monitor paths.center
paths.frame_index paths.position_index
stored_as zero_frequency units.positions units.energy units.distance units.pixel units.focus
energy radiation distance psize outer_index
frames_per_position grouping shape center auto_center rotate flip orientation rebin pad dark flat
mask mask_values background threshold saturation hot_sigma monitor align select.shape select.center
select.radius select.size reject frame_order qc positions.axes positions.shift positions.snake
positions.backlash focus_to_sample
threads links live.timeout_s live.poll_s num_frames step
simulate.probe simulate.shape simulate.photons simulate.seed simulate.scan simulate.step_px
simulate.positions simulate.pixel_m simulate.slice_m""".split()

FLAGS = """
--sidecar --format --energy-kev --distance-m --pixel-m --outer-index --frames-per-pos --grouping
--roi --roi-center --rotate --flip --bin --pad --dark --flat --mask --mask-values
--background --threshold --sat --hot-sigma --monitor --align --select-shape
--select-center-pos --select-radius --select-size --reject --frame-order --radiation --axes
--position-shift --snake --focus-to-sample-m --threads --links --num-frames --step
""".split()


def test_names_and_flags_are_those_of_the_contract():
    assert set(CONTRACT) == {parameter.name for parameter in parameters()}
    assert set(FLAGS) <= {parameter.flag for parameter in parameters()}


def test_no_parameter_is_named_like_a_method_of_dict():
    for parameter in parameters():
        assert not set(parameter.name.split(".")) & set(dir(dict)), parameter.name


def test_nothing_physical_has_a_default():
    for name in ("energy", "distance", "psize", "center", "saturation", "threshold", "background"):
        assert getattr(Settings(), name) is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ({"shape": "256"}, {"shape": (256, 256)}),
        ({"shape": "256,128"}, {"shape": (256, 128)}),
        ({"shape": np.array([64, 32])}, {"shape": (64, 32)}),
        ({"center": "0.5,0.5"}, {"center": (0.5, 0.5)}),
        ({"center": "120,130"}, {"center": (120, 130)}),
        ({"center": "fftshift"}, {"center": "fftshift"}),
        ({"energy": "8.8"}, {"energy": 8.8}),
        ({"distance": "1e-1"}, {"distance": 0.1}),
        ({"psize": "75e-6"}, {"psize": (75e-6, 75e-6)}),
        ({"rotate": "90"}, {"rotate": 90}),
        ({"pad": "1,2,3,4"}, {"pad": (1, 2, 3, 4)}),
        ({"pad": "square"}, {"pad": "square"}),
        ({"saturation": "65535"}, {"saturation": 65535}),
        ({"saturation": "file"}, {"saturation": "file"}),
        ({"monitor": "file"}, {"monitor": True}),
        ({"orientation": "5"}, {"orientation": 5}),
        ({"orientation": (True, False, True)}, {"orientation": (True, False, True)}),
        ({"reject": "3,4"}, {"reject": [3, 4]}),
        ({"rebin": None, "energy": None}, {"rebin": 1, "energy": None}),
        ({"select.radius": "2e-6"}, {"select.radius": 2e-6}),
    ],
)
def test_values_from_python_and_from_a_command_line(typed, meant):
    settings = Settings.of(typed)
    for name, value in meant.items():
        found = settings
        for part in name.split("."):
            found = getattr(found, part)
        assert found == value


def test_orientation_codes_are_ptypys():
    codes = {(transpose, ud, lr) for transpose in (0, 1) for ud in (0, 1) for lr in (0, 1)}
    assert {Settings.of({"orientation": code}).orientation_flags for code in range(8)} == codes
    assert Settings.of({"orientation": 6}).orientation_flags == (True, True, False)


def test_settings_are_frozen():
    with pytest.raises(Exception, match="frozen"):
        Settings().energy = 8  # type: ignore[misc]


def test_the_record_is_plain_and_only_what_was_set():
    record = Settings.of(
        {
            "file": "a.h5",
            "shape": 64,
            "dark": np.zeros((9, 3, 3)),
            "select.shape": "circle",
            "select.radius": 1e-6,
        }
    ).record()
    assert json.loads(json.dumps(record)) == {
        "file": "a.h5",
        "shape": [64, 64],
        "dark": "array(9, 3, 3)",
        "select": {"shape": "circle", "radius": 1e-6},
    }
    assert Settings.of({k: v for k, v in record.items() if k != "dark"}).shape == (64, 64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": "big"}, "shape='big'"),
        ({"shape": 0}, "shape must be positive"),
        ({"units.energy": True}, "units.energy=True"),
        ({"positions.axes": "yz"}, "positions.axes='yz'"),
        ({"copy": 3}, "unknown parameter 'copy'"),
        ({"paths": {"fames": "x"}}, "unknown parameter 'paths.fames'; did you mean 'paths.frames'"),
        ({"paths": "x"}, "paths"),
        ({"num_frames": 0}, "num_frames=0"),
        ({"energy": -3}, "energy=-3"),
        ({"threads": 1.5}, "threads=1.5"),
        ({"links": "some"}, "links='some'"),
        ({"reject": (frame for frame in [3])}, "reject=<generator .*: expected a list of raw fr"),
        ({"reject": "3,9-6"}, "reject='3,9-6': expected a range as 6-9, not 9-6"),
        ({"frame_order": "9-3"}, "frame_order='9-3': expected a range as 3-9, not 9-3"),
        ({"background": "nan"}, "background='nan': expected a finite number"),
        ({"background": float("inf")}, "background=inf: expected a finite number"),
        ({"reject": True}, "reject=True: expected a list of raw frames, or a file"),
        ({"pad": [True, 1, 1, 1]}, "pad=.*: expected a number, not True"),
        ({"recipe": {}}, "unknown parameter 'recipe'"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(values, message):
    with pytest.raises(SettingsError, match=message) as caught:
        Settings.of(values)
    assert "\n" not in str(caught.value)


class TestOpeningAndPlanning:
    """Parameters hold wherever they are given."""

    def test_settings_given_on_opening_hold_for_the_plan(self, tmp_path):
        scan = open_scan(scans.write(tmp_path), energy=9.0, shape=32)
        plan = scan.plan()
        assert plan.geometry.energy_eV == 9000
        assert plan.geometry.shape == (32, 32)
        assert scan.plan(shape=16).geometry.shape == (16, 16)

    def test_reading_settings_may_be_given_to_the_plan(self, tmp_path):
        scan = open_scan(scans.write(tmp_path, "exchange"))
        one, thousand = (scan.plan(units={"positions": unit}) for unit in ("um", "mm"))
        assert np.allclose(thousand.positions_m, one.positions_m * 1e3)

    def test_another_file_needs_a_new_open_scan(self, tmp_path):
        scan = open_scan(scans.write(tmp_path))
        with pytest.raises(SettingsError, match="file and format cannot change"):
            scan.plan(file="other.h5")


@pytest.mark.parametrize(
    ("text", "rejected"),
    [("1", [1]), ("1.0", [1]), ("True", [1]), ("0", []), ("0.0", []), ("False", []), ("", [])],
)
def test_reject_csv_as_others_write_it(tmp_path, text, rejected):
    (tmp_path / "qc.csv").write_text(f"index,rejected\n0,0\n1,{text}\n")
    assert rejected_frames(tmp_path / "qc.csv", RejectTarget(2)).tolist() == rejected


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", "{"), ("a.csv", "index,rejected\n1,maybe\n"), ("a.npy", "no"), ("a.txt", "1")],
)
def test_a_broken_reject_list_is_named(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(BeamlineError, match=name):
        rejected_frames(tmp_path / name, RejectTarget(2))


@pytest.mark.parametrize("qc", [True, {"reject_topk": 3}])
def test_recorded_settings_reproduce_the_settings(qc):
    settings = Settings.of({"file": "a.h5", "qc": qc, "shape": 64, "positions": {"shift": 1}})
    assert Settings.of(settings.record()) == settings


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("roi", "shape"),
        ("roi_center", "center"),
        ("bin", "rebin"),
        ("pixel_m", "psize"),
        ("sat", "saturation"),
        ("frames_per_pos", "frames_per_position"),
        ("sim_shape", "simulate.shape"),
        ("reject_topp", "qc.reject_topp"),
    ],
)
def test_a_flag_given_as_a_parameter_names_the_parameter(flag, name):
    with pytest.raises(SettingsError, match=rf"unknown parameter '{flag}'.* is called {name}$"):
        Settings.of({flag: 1})
