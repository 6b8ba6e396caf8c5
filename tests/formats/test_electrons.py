"""Electrons: their wavelength and limits, and what PtyPy and files get."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scans
from numpy.testing import assert_allclose, assert_array_equal
from scans import make_scan
from typer.testing import CliRunner

from ptypy_beamline import open_scan
from ptypy_beamline.cli import app
from ptypy_beamline.errors import GeometryError, SettingsError
from ptypy_beamline.geometry import electron_energy_eV, wavelength_m
from ptypy_beamline.writers.ptyd import write_ptyd
from ptypy_beamline.writers.standard import write_standard

SHORT = {"energy": 300.0, "radiation": "electron", "distance": 1.0, "psize": 2e-3}


SMALL = 5e-7
"""Detector pixel in m with which views of so short a wavelength overlap."""


def de_broglie(energy_eV):
    """h/p with p²c² = E² + 2Emc², in SI."""
    h, c, m, e = 6.62607015e-34, 299792458.0, 9.1093837015e-31, 1.602176634e-19
    kinetic = energy_eV * e
    return h * c / np.sqrt(kinetic**2 + 2 * kinetic * m * c**2)


@pytest.mark.parametrize(
    ("energy_eV", "picometres"), [(60e3, 4.866), (80e3, 4.176), (200e3, 2.508), (300e3, 1.969)]
)
def test_the_wavelength_is_relativistic(energy_eV, picometres):
    assert wavelength_m(energy_eV, "electron") == pytest.approx(picometres * 1e-12, rel=3e-4)
    assert wavelength_m(energy_eV, "electron") == pytest.approx(de_broglie(energy_eV), rel=1e-8)
    assert electron_energy_eV(wavelength_m(energy_eV, "electron")) == pytest.approx(energy_eV)


def test_the_reconstructed_pixel_follows():
    geometry = make_scan().plan(**SHORT).geometry
    assert geometry.energy_eV == 300e3
    expected = de_broglie(300e3) * 1.0 / (np.array([20, 24]) * 2e-3)
    assert_allclose(geometry.object_pixel_m, expected, rtol=1e-8)


def test_limits_are_those_of_electrons_and_the_error_names_the_radiation():
    with pytest.raises(GeometryError, match=r"radiation='electron' \(--radiation electron\)"):
        make_scan().plan(**SHORT | {"radiation": None})
    with pytest.raises(GeometryError, match=r"expected 100 to 5e\+06 eV"):
        make_scan().plan(**SHORT | {"energy": 300e3})
    with pytest.raises(SettingsError, match="radiation='neutron'"):
        make_scan().plan(**SHORT | {"radiation": "neutron"})


def test_a_file_in_kilovolts_and_positions_in_pixels(tmp_path):
    file = scans.write(tmp_path)
    with h5py.File(file, "a") as opened:
        opened["entry/energy_eV"][()] = 200.0
        opened["entry/energy_eV"].attrs["units"] = "keV"
    plan = open_scan(file, radiation="electron").plan()
    assert plan.geometry.energy_eV == pytest.approx(200e3)
    pixels = open_scan(file, radiation="electron", **{"units.positions": "px"}).plan()
    true = scans.truth()
    step = de_broglie(200e3) * true.distance_m / (64 * true.pixel_m[0])
    assert_allclose(pixels.positions_m, true.positions_m * step, rtol=1e-7)


def test_a_file_that_may_hold_electrons_or_a_wrong_unit_is_asked_about(tmp_path):
    file = scans.write(tmp_path)
    with h5py.File(file, "a") as opened:
        opened["entry/energy_eV"][()] = 300.0
        opened["entry/energy_eV"].attrs["units"] = "keV"
    with pytest.raises(
        SettingsError, match="300 keV is not a photon energy: it is of electrons, or in eV"
    ):
        open_scan(file)
    assert open_scan(file, radiation="electron").energy_eV == pytest.approx(300e3)
    assert open_scan(file, **{"units.energy": "eV"}).energy_eV == pytest.approx(300)


@pytest.mark.ptypy
@pytest.mark.parametrize("energy", [20.0, 80.0, 300.0])
def test_the_wavelength_of_ptypy_agrees(tmp_path, energy):
    pytest.importorskip("ptypy")
    from ptypy_loading import tree

    from ptypy_beamline.run import run

    data = {"energy": energy, "radiation": "electron", "psize": SMALL}
    ptycho = run(tree(scans.write(tmp_path), **data), level=2)
    geometry = ptycho.model.scans["s"].geometries[0]
    ours = wavelength_m(energy * 1e3, "electron")
    assert geometry.lam == pytest.approx(ours, rel=1e-9)
    expected = ours * scans.truth().distance_m / (64 * SMALL)
    assert_allclose(geometry.resolution, expected, rtol=1e-9)


def test_written_files_read_back(tmp_path):
    plan = open_scan(scans.write(tmp_path)).plan(energy=300.0, radiation="electron")
    for path in (write_ptyd(plan, tmp_path / "a.ptyd"), write_standard(plan, tmp_path / "b.h5")):
        again = open_scan(path).plan().geometry
        assert again.radiation == "electron"
        assert again.energy_eV == pytest.approx(300e3, rel=1e-9)
        assert again.wavelength_m == pytest.approx(plan.geometry.wavelength_m, rel=1e-9)


@pytest.mark.ptypy
def test_ptypy_writes_and_reads_electrons(tmp_path):
    pytest.importorskip("ptypy")
    from ptypy import utils as u
    from ptypy.core.data import PtydScan

    from ptypy_beamline.ptyscan import BeamlineScan

    written = tmp_path / "ptypy.ptyd"
    scan = BeamlineScan(
        file=str(scans.write(tmp_path)),
        energy=300.0,
        radiation="electron",
        psize=SMALL,
        dfile=str(written),
        save="append",
    )
    scan.initialize()
    scan.auto(1000)
    assert open_scan(written).plan().geometry.energy_eV == pytest.approx(300e3, rel=1e-9)
    ours = write_ptyd(open_scan(written).plan(), tmp_path / "ours.ptyd")
    for file in (written, ours):
        read = PtydScan(u.Param(), source=str(file))
        read.initialize()
        package = read.auto(1000)
        assert 1.23984193e-9 / package["common"]["energy"] == pytest.approx(
            wavelength_m(300e3, "electron"), rel=1e-9
        )
        assert len(package["iterable"]) == 49


def test_an_unmarked_ptyd_is_asked_about(tmp_path):
    plan = open_scan(scans.write(tmp_path)).plan(energy=300.0, radiation="electron")
    path = write_ptyd(plan, tmp_path / "a.ptyd")
    with h5py.File(path, "a") as file:
        del file["meta/radiation"]
    with pytest.raises(
        SettingsError, match="keV is not a photon energy: it is of electrons of 300 keV"
    ):
        open_scan(path)
    assert open_scan(path, radiation="electron").energy_eV == pytest.approx(300e3, rel=1e-9)
    assert open_scan(path, **{"units.energy": "eV"}).energy_eV == pytest.approx(629.7, rel=1e-3)


def test_on_the_command_line(tmp_path):
    done = CliRunner().invoke(
        app,
        [
            "info",
            str(scans.write(tmp_path)),
            *"--json --energy-kev 300 --radiation electron".split(),
        ],
    )
    assert done.exit_code == 1, "steps wider than the field of view are an error"
    assert '"wavelength_m": 1.968' in done.output


CENTERS = {"fftshift": (10, 12), "geometric": (9.5, 11.5)}


@pytest.mark.parametrize("name", CENTERS)
def test_named_centres(name):
    plan = make_scan().plan(center=name)
    assert plan.geometry.center_px == CENTERS[name]


def test_whether_the_data_are_searched_for_a_centre():
    scan = make_scan(center_px=None)
    assert scan.plan(auto_center=False).geometry.center_px == (10, 12)
    assert scan.plan(auto_center=True).geometry.center_px == pytest.approx((9.5, 11.5), abs=0.3)
    scan = make_scan(center_px=(3.0, 4.0))
    assert scan.plan(auto_center=False).geometry.center_px == (3, 4)
    assert scan.plan(auto_center=True).geometry.center_px == pytest.approx((9.5, 11.5), abs=0.3)
    assert_array_equal(scan.plan().geometry.center_px, (3, 4))
    with pytest.raises(SettingsError, match="auto_center=True contradicts center"):
        scan.plan(auto_center=True, center=(3, 4))
