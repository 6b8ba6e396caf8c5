"""Quality control with nothing but frames and positions: no energy, distance, pixel or unit."""

from __future__ import annotations

import csv
import json

import h5py
import numpy as np
import pytest
import scans
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline.errors import BeamlineWarning, SettingsError
from ptypy_beamline.options import Qc
from ptypy_beamline.quality.evaluate import region
from ptypy_beamline.quality.workflow import NominalSettings
from ptypy_beamline.settings import Settings

FLAGS = ("--thumbs-topk", "0", "--data-path", "/a/frames", "--pos-x-path", "/a/x")
FLAGS += ("--pos-y-path", "/a/y")


@pytest.fixture
def bare(tmp_path):
    """A file of frames and positions in µm; `write(unit)` stores the unit."""

    def write(unit=None, **more):
        truth = scans.truth()
        with h5py.File(tmp_path / "bare.h5", "w") as file:
            file["a/frames"] = truth.frames
            for name, values in zip("yx", truth.positions_m.T * 1e6, strict=True):
                file[f"a/{name}"] = values
                if unit:
                    file[f"a/{name}"].attrs["units"] = unit
            for name, value in more.items():
                file[f"a/{name}"] = value
        return tmp_path / "bare.h5"

    return write


def columns(folder):
    with (folder / "qc_summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def meta(folder):
    return json.loads((folder / "qc_meta.json").read_text())


def test_positions_without_a_unit_are_taken_as_they_are(bare, tmp_path, type_in):
    words = (*FLAGS, "--rect", "0", "0", "0.2", "0.2", "--out", tmp_path / "qc")
    code, _, err = type_in("qc", bare(), *words)
    assert code == 0, err
    assert err.count("no unit: they are taken as they are stored") == 1
    x_um, y_um = scans.truth().positions_m.T[::-1] * 1e6
    table = columns(tmp_path / "qc")
    assert_allclose(table["pos_x"], x_um)
    assert_allclose(table["pos_y"], y_um)
    inside = (np.abs(x_um) <= 0.1) & (np.abs(y_um) <= 0.1)
    assert 3 < inside.sum() < 40
    assert_array_equal(np.load(tmp_path / "qc/mask_indices.npy"), np.flatnonzero(inside))
    assert meta(tmp_path / "qc")["positions_unit"] is None


def test_positions_with_a_unit_are_metres(bare, tmp_path, type_in):
    words = (*FLAGS, "--rect", "0", "0", "0.2e-6", "0.2e-6", "--out", tmp_path / "qc")
    code, _, err = type_in("qc", bare("um"), *words)
    assert (code, err) == (0, "")
    assert_allclose(columns(tmp_path / "qc")["pos_x"], scans.truth().positions_m[:, 1])
    assert meta(tmp_path / "qc")["positions_unit"] == "m"
    assert 3 < len(np.load(tmp_path / "qc/mask_indices.npy")) < 40


def test_positions_in_pixels_remain_in_pixels(bare, tmp_path, type_in):
    code, _, err = type_in("qc", bare("px"), *FLAGS, "--out", tmp_path / "qc")
    assert (code, err) == (0, "")
    assert_allclose(columns(tmp_path / "qc")["pos_y"], scans.truth().positions_m[:, 0] * 1e6)
    assert meta(tmp_path / "qc")["positions_unit"] == "px"


@pytest.mark.parametrize("more", [{}, {"energy": 1e9}, {"energy": np.linspace(7e3, 9e3, 49)}])
def test_no_geometry_is_needed_and_a_wrong_one_is_ignored(bare, more):
    """The energy may be absent, absurd, or vary along the scan."""
    file = bare("um", **more)
    paths = {"frames": "/a/frames", "x": "/a/x", "y": "/a/y"}
    paths |= {"energy": "/a/energy"} if more else {}
    nominal = NominalSettings.of(
        Settings.of({"file": str(file), "paths": paths, "units.energy": "eV"})
    )
    assert nominal.unit == "m"
    assert nominal.settings.energy == 10


def test_settings_of_the_user_are_kept(bare):
    words = {"file": str(bare()), "energy": 8.8, "paths.frames": "/a/frames"}
    words |= {"paths.x": "/a/x", "paths.y": "/a/y", "units.positions": "um"}
    nominal = NominalSettings.of(Settings.of(words))
    assert (nominal.settings.energy, nominal.unit) == (8.8, "m")


@pytest.mark.long
def test_the_scores_are_those_of_the_whole_file(bare, tmp_path, type_in):
    """Physics changes no score."""
    whole = scans.write(tmp_path)
    assert type_in("qc", whole, "--out", tmp_path / "one")[0] == 0
    assert type_in("qc", bare(), *FLAGS, "--roi-center", "32,32", "--out", tmp_path / "two")[0] == 0
    for name in ("outlier_score.npy", "features.npy", "stxm.npy"):
        one, two = np.load(tmp_path / "one" / name), np.load(tmp_path / "two" / name)
        assert_allclose(one, two, rtol=1e-6, err_msg=name)


def test_a_missing_dataset_is_still_named(bare, type_in):
    code, _, err = type_in("qc", bare(), *FLAGS[:-1], "/a/z")
    assert code == 1
    assert "Expected y at /a/z" in err


@pytest.mark.long
def test_a_growing_file_is_waited_for(bare, tmp_path, type_in):
    words = ("--live", "0.5", "--out", tmp_path / "qc")
    code, _, err = type_in("qc", bare(), *FLAGS, *words)
    assert code == 0, err
    assert len(columns(tmp_path / "qc")["pos_x"]) == 49


class TestRegion:
    POSITIONS = np.array([(0.0, 0.0), (1.0, 2.0), (2.0, 4.0)])  # y, x

    def test_a_region_in_the_scan(self, recwarn):
        got = region(self.POSITIONS, Qc(rect=(3, 1.5, 2.5, 1.5)), "m")
        assert got.tolist() == [False, True, True]
        assert not recwarn.list

    @pytest.mark.parametrize("qc", [Qc(rect=(0, 0, 50, 50)), Qc(circ=(0, 0, 5))])
    def test_a_region_with_the_whole_scan_warns(self, qc):
        message = r"contains the whole scan.* x 0 to 4, y 0 to 2 mm; rect and circ .* in that unit"
        with pytest.warns(BeamlineWarning, match=message):
            assert region(self.POSITIONS, qc, "mm").all()

    def test_a_region_outside_the_scan_is_an_error(self):
        with pytest.raises(SettingsError, match=r"no frame lies in the region: .* x 0 to 4"):
            region(self.POSITIONS, Qc(rect=(50, 50, 1, 1)), "m")

    def test_no_region_does_not_warn(self, recwarn):
        assert region(self.POSITIONS, Qc(), "m").all()
        assert not recwarn.list
