"""Datasets and units that the user names, and energies."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from format_files import (
    FULL,
    X,
    Y,
    areadetector,
    close,
    cxi,
    diamond,
    exchange,
    stack,
    standard,
    write,
)

from ptypy_beamline import open_scan
from ptypy_beamline.errors import (
    BeamlineWarning,
    FileError,
    GeometryError,
    MissingDataError,
    ScanError,
    SettingsError,
)
from ptypy_beamline.units import EV_J


def test_any_file_by_paths_alone(tmp_path):
    path = write(
        tmp_path / "a.h5",
        pictures=stack(6),
        sx_um=X * 1e6,
        sy=(Y * 1e3, "mm"),
        E=8.0,
        z=2.0,
        p=np.array([50e-6, 75e-6]),
        t=0.5,
        i=np.arange(6.0),
        c=[1.5, 2.0],
    )
    scan = open_scan(
        path,
        paths={
            "frames": "/pictures",
            "x": "sx_um",
            "y": "/sy",
            "energy": "/E",
            "distance": "/z",
            "pixel": "/p",
            "exposure": "/t",
            "monitor": "/i",
            "center": "/c",
        },
        units={"energy": "keV", "distance": "m", "pixel": "m"},
    )
    assert scan.format == "hdf5"
    close(scan, Y, X)
    assert (scan.energy_eV, scan.distance_m, scan.pixel_m) == (8000, 2, (50e-6, 75e-6))
    assert scan.exposure_s.shape == ()
    assert scan.exposure_s == 0.5
    assert scan.center_px == (1.5, 2)
    np.testing.assert_array_equal(scan.monitor, np.arange(6))


def test_no_unit_is_an_error_that_names_the_dataset(tmp_path):
    path = write(tmp_path / "a.h5", pictures=stack(6), sx=X, sy=Y)
    paths = {"frames": "/pictures", "x": "/sx", "y": "/sy"}
    with pytest.raises(
        MissingDataError,
        match=r"a\.h5: Expected a unit of positions with /sy\. Got none; set units\.positions "
        r"\(--unit positions=UNIT\)",
    ):
        open_scan(path, paths=paths)
    close(open_scan(path, paths=paths, units={"positions": "m"}), Y, X)


@pytest.mark.parametrize("name", ["px", "Pixel"])
def test_positions_in_pixels_of_the_reconstruction(tmp_path, name):
    """As the file's own unit, and as the user's."""
    own = write(tmp_path / "a.h5", pictures=stack(6), sx=(X, name), sy=(Y, name))
    paths = {"frames": "/pictures", "x": "/sx", "y": "/sy"}
    scan = open_scan(own, paths=paths)
    np.testing.assert_array_equal(scan.positions_px, np.stack([Y, X], axis=1))
    assert np.isnan(scan.positions_m).all()
    metres = open_scan(own, paths=paths, units={"positions": "m"})
    assert metres.positions_px is None
    asked = open_scan(standard(tmp_path / "b.h5"), units={"positions": name})
    assert asked.positions_px.shape == (6, 2)
    half = write(tmp_path / "c.h5", pictures=stack(6), sx=(X, name), sy=(Y, "um"))
    with pytest.raises(ScanError, match=r"/sy and /sx are partly in pixels; set units\.positions"):
        open_scan(half, paths=paths)


def test_a_focus_that_is_stored_makes_a_cone_beam(tmp_path):
    path = standard(tmp_path / "a.h5", entry__s=(500.0, "mm"), entry__none_m=0.0, entry__f_m=-0.5)
    plain = open_scan(path).plan(center=(2, 2)).geometry
    scan = open_scan(path, paths={"focus": "/entry/s"})
    assert scan.focus_m == 0.5
    cone = scan.plan(center=(2, 2)).geometry
    assert cone == open_scan(path).plan(focus_to_sample=0.5, center=(2, 2)).geometry
    assert cone != plain
    assert scan.plan(center=(2, 2), focus_to_sample=0.1).geometry.distance_m == pytest.approx(
        2 / (2.1 / 0.1)
    )
    assert scan.plan(center=(2, 2), focus_to_sample=0).geometry == plain
    parallel = open_scan(path, paths={"focus": "/entry/none_m"})
    assert parallel.plan(center=(2, 2)).geometry == plain
    behind = open_scan(path, paths={"focus": "/entry/f_m"})
    with pytest.raises(GeometryError, match=r"of -0.5 m is negative; set focus_to_sample"):
        behind.plan(center=(2, 2))


def test_a_path_in_another_file(tmp_path, monkeypatch):
    (tmp_path / "scan").mkdir()
    (tmp_path / "cwd").mkdir()
    path = standard(tmp_path / "scan" / "a.h5")
    write(tmp_path / "scan" / "dark.h5", dark=stack(2))
    write(tmp_path / "cwd" / "dark.h5", dark=stack(9))  # the folder of the scan comes first
    write(tmp_path / "cwd" / "flat.h5", flat=stack(3))
    monkeypatch.chdir(tmp_path / "cwd")
    scan = open_scan(path, paths={"dark": "dark.h5::/dark", "flat": "flat.h5::/flat"})
    assert (scan.dark.shape, scan.flat.shape) == ((2, 4, 5), (3, 4, 5))
    np.testing.assert_array_equal(scan.flat.read([2], FULL), stack(3)[[2]])


def test_positions_in_another_file_replace_those_of_the_format(tmp_path):
    path = areadetector(tmp_path / "a.h5")
    write(tmp_path / "p.h5", p=(np.stack([Y, X], 1), {"columns": "y,x", "units": "mm"}))
    scan = open_scan(path, paths={"positions": "p.h5::/p"})
    close(scan, Y * 1e-3, X * 1e-3)


def test_a_missing_override_path(tmp_path):
    path = standard(tmp_path / "a.h5")
    with pytest.raises(
        MissingDataError,
        match=r"a\.h5: Expected energy at /entry/enrgy_eV\. Got no such dataset \(there are "
        r"/entry/energy_eV.*set paths\.energy \(--path energy=PATH\)",
    ):
        open_scan(path, paths={"energy": "/entry/enrgy_eV"})
    with pytest.raises(FileError, match=r"gone\.h5: no such file"):
        open_scan(path, paths={"energy": "gone.h5::/e"})


def test_x_without_y(tmp_path):
    path = write(tmp_path / "a.h5", pictures=stack(6), sx_um=X * 1e6)
    with pytest.raises(MissingDataError, match=r"Expected y\. .*paths\.y \(--path y=PATH\)"):
        open_scan(path, paths={"frames": "/pictures", "x": "/sx_um"})
    with pytest.raises(MissingDataError, match=r"Expected positions\. .*--path x=PATH"):
        open_scan(path, paths={"frames": "/pictures"})


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"paths": {"frame": "/x"}}, "unknown parameter 'paths.frame'; did you mean"),
        ({"units": {"exposure": "s"}}, r"unknown parameter 'units.exposure'"),
        ({"mask_values": "ugly"}, "mask_values='ugly'.* 'bad' or 'good'"),
        ({"links": "some"}, "links='some'.* 'inside' or 'any'"),
        ({"frames_per_position": 0}, "frames_per_position=0"),
    ],
)
def test_reading_settings_are_validated(tmp_path, settings, match):
    with pytest.raises(SettingsError, match=match):
        open_scan(standard(tmp_path / "a.h5"), **settings)


def test_quantities_given_by_the_user_are_not_read(tmp_path):
    path = standard(tmp_path / "a.h5", entry__energy_eV=np.linspace(7000, 8000, 6))
    assert open_scan(path, energy=8.0).energy_eV is None


def test_links_of_a_scan(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "out.h5", d=stack(6))
    path = standard(tmp_path / "in" / "a.h5", entry__data=h5py.ExternalLink("../out.h5", "/d"))
    with pytest.raises(
        FileError, match=r"/entry/data links to \.\./out\.h5, outside .*links='any'"
    ):
        open_scan(path)
    scan = open_scan(path, links="any")
    np.testing.assert_array_equal(scan.frames.read([4], FULL), stack(6)[[4]])
    (tmp_path / "out.h5").unlink()
    with pytest.raises(FileError, match=r"\.\./out\.h5, which does not exist"):
        open_scan(path)


def test_links_of_calibration_images_and_monitor(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "out.h5", d=np.full(FULL.shape, 2.0), m=np.ones(6))
    with h5py.File(tmp_path / "in" / "c.h5", "w") as file:
        for name in "dm":
            file[name] = h5py.ExternalLink("../out.h5", f"/{name}")
    scan = open_scan(standard(tmp_path / "a.h5"))
    for given in ({"dark": f"{tmp_path}/in/c.h5::/d"}, {"monitor": f"{tmp_path}/in/c.h5::/m"}):
        with pytest.raises(FileError, match=r"c\.h5: /. links to \.\./out\.h5, outside"):
            scan.plan(**given)
        scan.plan(**given, links="any")


def test_the_order_of_units(tmp_path):
    """The user's > @units > the name's ending > the format's."""
    path = standard(tmp_path / "a.h5", entry__det_dist_m=(2.0, "mm"))
    assert open_scan(path).distance_m == pytest.approx(2e-3)
    assert open_scan(path, units={"distance": "cm"}).distance_m == pytest.approx(2e-2)
    path = exchange(tmp_path / "b.h5", instrument__detector__distance_m=2.0)
    by_name = {"distance": "/instrument/detector/distance_m"}
    assert open_scan(path, paths=by_name).distance_m == 2
    assert open_scan(path).distance_m == 2  # @units: 2000 mm


@pytest.mark.parametrize("stored", [b"mm", np.array(["mm"], dtype="S2"), np.array("mm", dtype="O")])
def test_units_however_they_are_stored(tmp_path, stored):
    path = standard(tmp_path / "a.h5", entry__det_dist_m=(2.0, {"units": stored}))
    assert open_scan(path).distance_m == pytest.approx(2e-3)


def test_an_unknown_unit(tmp_path):
    path = standard(tmp_path / "a.h5", entry__pos=(np.zeros((6, 2)), "furlong"))
    with pytest.raises(
        SettingsError,
        match=r"a\.h5: /entry/pos: Expected a unit of positions .*Got 'furlong'; set units\.pos",
    ):
        open_scan(path)
    assert len(open_scan(path, units={"positions": "m"})) == 6


def test_numbers_are_needed(tmp_path):
    path = standard(tmp_path / "a.h5", entry__energy_eV="8 keV")
    with pytest.raises(ScanError, match=r"a\.h5: Expected numbers in /entry/energy_eV"):
        open_scan(path)


ENERGY = "entry_1__instrument_1__source_1__energy"


@pytest.mark.parametrize(
    ("stored", "taken"),
    [(8000.0, "eV"), (8.0, "keV"), ((8000 * EV_J, "eV"), "J"), ((8000.0, "keV"), "eV")],
)
def test_an_energy_that_cannot_have_its_unit(tmp_path, stored, taken):
    path = cxi(tmp_path / "a.h5", **{ENERGY: stored})
    with pytest.warns(BeamlineWarning, match=rf"a\.h5: /entry_1.* taken as {taken}; .*--unit ene"):
        scan = open_scan(path)
    assert scan.energy_eV == pytest.approx(8000)
    assert f"taken as {taken}" in scan.notes[0]


def test_an_energy_that_may_be_either_is_not_guessed(tmp_path):
    path = cxi(tmp_path / "a.h5", **{ENERGY: 90.0})
    with pytest.raises(SettingsError, match=r"= 90 cannot be J; it may be eV or keV; set units\.e"):
        open_scan(path)


def test_the_users_unit_is_never_doubted(tmp_path):
    path = cxi(tmp_path / "a.h5", **{ENERGY: 8000.0})
    scan = open_scan(path, units={"energy": "keV"})
    assert scan.energy_eV == 8e6
    assert scan.notes == ()


def test_diamond_energy_without_a_unit(tmp_path):
    path = diamond(tmp_path / "a.h5", entry_1__instrument_1__beam_1__energy=8.0)
    with pytest.warns(BeamlineWarning, match="taken as keV"):
        assert open_scan(path).energy_eV == 8000


def test_a_constant_energy_per_frame(tmp_path):
    energy = np.array([8000, 8001, np.nan, 8000, 7999, 8000.0])
    assert open_scan(standard(tmp_path / "a.h5", entry__energy_eV=energy)).energy_eV == 8000


def test_an_energy_that_was_not_recorded(tmp_path):
    scan = open_scan(standard(tmp_path / "a.h5", entry__energy_eV=np.full(6, np.nan)))
    assert scan.energy_eV is None
    assert scan.notes == ("/entry/energy_eV holds no finite energy",)


def test_an_energy_that_varies(tmp_path):
    path = standard(tmp_path / "a.h5", entry__energy_eV=np.linspace(7000, 8000, 6))
    with pytest.raises(
        ScanError,
        match=r"a\.h5: Expected one energy in /entry/energy_eV\. Got 7000 to 8000 eV; "
        r"give energy= \(--energy-kev\), or outer_index",
    ):
        open_scan(path)


def test_one_of_several_energies(tmp_path):
    path = standard(
        tmp_path / "a.h5", entry__data=stack(3, 6), entry__energy_eV=np.array([7000, 7500, 8000.0])
    )
    scan = open_scan(path, outer_index=1)
    assert scan.energy_eV == 7500
    np.testing.assert_array_equal(scan.frames.read([5], FULL), stack(3, 6)[1, [5]])
