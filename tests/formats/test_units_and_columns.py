"""A number as a unit, and a column of a wider array."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scans
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from ptypy_beamline import BeamlineError, open_scan
from ptypy_beamline.cli import app
from ptypy_beamline.errors import ScanError, SettingsError


@pytest.fixture
def wide(tmp_path):
    """A file whose positions are columns 3 (x) and 1 (y) of an array, in encoder counts."""
    file, true = scans.write(tmp_path), scans.truth().positions_m
    table = np.random.default_rng(0).uniform(size=(49, 5))
    table[:, 1], table[:, 3] = true[:, 0] / 1.5e-6, -true[:, 1] / 2e-6
    with h5py.File(file, "a") as opened:
        for name in ("pos", "posx_m", "posy_m"):
            opened["entry"].pop(name, None)
        opened["entry/counts"] = table
        opened["entry/across"] = table.T
        opened["entry/odd[:,1]"] = true[:, 0] / 1.5e-6
        for name, value, unit in (("energy_eV", 8.8, "keV"), ("det_dist_m", 1234.5, "m")):
            del opened[f"entry/{name}"]
            opened[f"entry/{name}"] = value
            opened[f"entry/{name}"].attrs["units"] = unit
    return file


PATHS = {"paths.y": "/entry/counts[:,1]", "paths.x": "/entry/counts[:,3]"}


@pytest.mark.parametrize("units", ["1.5e-6,-2e-6", (1.5e-6, -2e-6), [1.5e-6, "-2e-6"]])
def test_numbers_are_units_and_columns_are_named(wide, units):
    scan = open_scan(
        wide, **PATHS, **{"units.positions": units, "units.energy": 1000, "units.distance": "1e-3"}
    )
    assert_allclose(scan.positions_m, scans.truth().positions_m, rtol=1e-12, atol=1e-18)
    assert scan.energy_eV == pytest.approx(8800)
    assert scan.distance_m == pytest.approx(1.2345)


@pytest.mark.parametrize(
    "y",
    [
        "/entry/across[1]",
        "/entry/across[1,:]",
        "/entry/counts[...,1]",
        "/entry/counts[:,-4]",
        "/entry/odd[:,1]",
    ],
)
def test_other_ways_to_name_a_column(wide, y):
    scan = open_scan(wide, **PATHS | {"paths.y": y}, **{"units.positions": "1.5e-6,-2e-6"})
    assert_allclose(scan.positions_m, scans.truth().positions_m, rtol=1e-12, atol=1e-18)


def test_a_column_of_another_file_and_two_columns_at_once(wide, tmp_path):
    true = scans.truth().positions_m
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["log"] = np.column_stack([np.zeros(49), true[:, ::-1] * -1e6])
    for paths in (
        {"paths.x": "other.h5::/log[:,1]", "paths.y": "other.h5::/log[:,2]"},
        {"paths.positions": "other.h5::/log[:,1:3]"},
    ):
        scan = open_scan(wide, **paths, **{"units.positions": -1e-6})
        assert_allclose(scan.positions_m, true, rtol=1e-12, atol=1e-18)


def test_on_the_command_line(wide):
    done = CliRunner().invoke(
        app,
        [
            "info",
            str(wide),
            *"""
                --json --path x=/entry/counts[:,3] --path y=/entry/counts[:,1]
                --unit positions=-1e-6 --unit energy=1e3 --unit distance=1e-3
            """.split(),
        ],
    )
    assert done.exit_code == 0, done.output
    assert '"energy_eV": 8800.0' in done.output


@pytest.mark.parametrize("unit", [0, "0", "nan", "inf", "1e-6m", "parsec"])
def test_invalid_units_are_refused(wide, unit):
    with pytest.raises(SettingsError, match=r"a unit of positions .*or a number"):
        open_scan(wide, **PATHS, **{"units.positions": unit})


@pytest.mark.parametrize("column", ["/entry/counts[:,9]", "/entry/counts[0,0,0]"])
def test_a_missing_column(wide, column):
    with pytest.raises(ScanError, match=r"counts has shape \(49, 5\)"):
        open_scan(wide, **PATHS | {"paths.x": column}, **{"units.positions": "um"})


@pytest.mark.parametrize("path", ["/entry/counts[0:6:2]", "/entry/counts[x]", "/entry/counts[]"])
def test_invalid_column_indices_are_refused(wide, path):
    with pytest.raises(SettingsError, match="cannot be read in part"):
        open_scan(wide, **PATHS | {"paths.x": path}, **{"units.positions": "um"})


def test_images_are_not_named_in_part(wide):
    with pytest.raises(SettingsError, match=r"paths\.dark='/entry/data"):
        open_scan(wide, **PATHS, **{"paths.dark": "/entry/data[0]", "units.positions": "um"})


def test_a_number_stored_as_a_unit_is_refused(wide):
    with h5py.File(wide, "a") as file:
        file["entry/counts"].attrs["units"] = "1e-6"
    with pytest.raises(BeamlineError, match="a unit of positions"):
        open_scan(wide, **PATHS)


def test_units_of_y_and_x_need_y_and_x(wide):
    with pytest.raises(SettingsError, match="give one, or y and x"):
        open_scan(wide, **{"paths.positions": "/entry/counts[:,1:3]", "units.positions": "um,mm"})
