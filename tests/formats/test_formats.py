"""Each format's smallest file beside what must come out of it."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptypy_beamline import open_scan
from ptypy_beamline.errors import (
    BeamlineError,
    BeamlineWarning,
    FileError,
    GeometryError,
    MissingDataError,
    ScanError,
    SettingsError,
    UnknownFormatError,
)
from ptypy_beamline.formats import TABLE, get, names, recognise
from ptypy_beamline.formats.hdf5 import Hdf5Format, Location
from ptypy_beamline.formats.hdf5_source import has
from ptypy_beamline.formats.positions import arrange, pair, split
from ptypy_beamline.scan import Window
from ptypy_beamline.settings import Settings
from ptypy_beamline.units import EV_J

FULL = Window(0, 0, 4, 5)


def stack(*axes: int) -> np.ndarray:
    shape = (*axes, 4, 5)
    return np.arange(np.prod(shape), dtype="u2").reshape(shape)


def write(path: Path, **content) -> Path:
    """Write path → array, (array, unit) or (array, attributes); ``/`` in names as ``__``."""
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            data, attributes = value if isinstance(value, tuple) else (value, {})
            file[name.replace("__", "/")] = data
            if isinstance(attributes, str):
                attributes = {"units": attributes}
            file[name.replace("__", "/")].attrs.update(attributes)
    return path


def standard(path: Path, **changes) -> Path:
    """A standardized file of 6 frames, with some datasets changed, added, or (None) left out."""
    content = {
        "entry__data": stack(6).astype("f4"),
        "entry__pos": (np.arange(12.0).reshape(6, 2) * 1e-6, {"columns": "x,y"}),
        "entry__energy_eV": 8000.0,
        "entry__det_dist_m": 2.0,
        "entry__pixel_m": 75e-6,
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


X, Y = np.arange(6) * 1e-6, np.array([0, 1, 2, 3, 5, 4]) * 1e-7  # no diagonal: that is a raster


def cxi(path: Path, **changes) -> Path:
    content = {
        "cxi_version": 160,
        "entry_1__data_1__data": stack(6),
        "entry_1__instrument_1__source_1__energy": 8000 * EV_J,
        "entry_1__instrument_1__detector_1__distance": 2.0,
        "entry_1__instrument_1__detector_1__x_pixel_size": 75e-6,
        "entry_1__instrument_1__detector_1__y_pixel_size": 50e-6,
        "entry_1__sample_1__geometry_1__translation": np.stack([X, Y, 0 * X], 1),
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


def nxcxi(path: Path, **changes) -> Path:
    content = {
        "cxi_version": 160,
        "entry_1__definition": "NXcxi_ptycho",
        "entry_1__data_1__data": stack(6),
        "entry_1__data_1__x": (X * 1e3, "mm"),
        "entry_1__data_1__y": (Y * 1e6, "um"),
        "entry_1__instrument_1__source_1__energy": (6.0, "GeV"),
        "entry_1__instrument_1__beam_1__energy": (8.0, "keV"),
        "entry_1__instrument_1__detector_1__distance": (2000.0, "mm"),
        "entry_1__instrument_1__detector_1__x_pixel_size": (75.0, "um"),
        "entry_1__instrument_1__detector_1__y_pixel_size": (50e-6, "m"),
        "entry_1__instrument_1__detector_1__beam_center_x": 2.5,
        "entry_1__instrument_1__detector_1__beam_center_y": 1.5,
        "entry_1__instrument_1__detector_1__pixel_mask": np.eye(4, 5, dtype="u4") * 2,
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


def diamond(path: Path, **changes) -> Path:
    content = {
        "entry_1__data__data": stack(2, 3),
        "entry_1__data__x": X[:3],
        "entry_1__data__y": Y[:2],
        "entry_1__instrument_1__beam_1__energy": (8000.0, "eV"),
        "entry_1__instrument_1__detector_1__distance": 2.0,
        "entry_1__instrument_1__detector_1__x_pixel_size": 75e-6,
        "entry_1__instrument_1__detector_1__y_pixel_size": 50e-6,
        "entry_1__instrument_1__detector_1__darkfield": stack(),
        "entry_1__instrument_1__detector_1__flatfield": stack(3),
        "entry_1__instrument_1__monitor__data": np.arange(6.0),
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


ND = "entry__instrument__NDAttributes__"


def areadetector(path: Path, **changes) -> Path:
    content = {
        "entry__data__data": stack(6),
        ND + "posx_m": X,
        ND + "posy_m": Y,
        ND + "energy_eV": np.full(6, 8000.0),
        ND + "det_dist_m": np.full(6, 2.0),
        ND + "pixel_m": np.full(6, 75e-6),
        ND + "exposure_s": np.full(6, 0.1),
        ND + "I0": np.arange(6.0),
        ND + "NDArrayUniqueId": np.arange(1, 7),
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


def exchange(path: Path, **changes) -> Path:
    content = {
        "exchange__data": stack(6),
        "exchange__positions_x": X * 1e6,
        "exchange__positions_y": Y * 1e6,
        "exchange__data_white": stack(2),
        "exchange__data_dark": stack(3),
        "instrument__detector__distance": (2000.0, "mm"),
        "instrument__detector__pixel_size": (75.0, "um"),
        "instrument__source__energy": 8.0,
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


WRITERS = {
    "standard": standard,
    "cxi": cxi,
    "nxcxi": nxcxi,
    "diamond": diamond,
    "areadetector": areadetector,
    "exchange": exchange,
}


def close(scan, y, x) -> None:
    """Positions are these, relative to a nanometre's thousandth."""
    np.testing.assert_allclose(scan.positions_m, np.stack([y, x], 1), atol=1e-12)


# every format --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_a_minimal_file_is_recognised_and_read(tmp_path, name):
    path = WRITERS[name](tmp_path / "a.h5")
    scan = open_scan(path)
    assert recognise(path).name == scan.format == name
    assert scan.source == path.absolute()
    assert scan.energy_eV == pytest.approx(8000)
    assert scan.distance_m == pytest.approx(2)
    assert scan.pixel_m[1] == pytest.approx(75e-6)
    assert len(scan) == len(scan.positions_m) == 6
    assert scan.positions_m.dtype == np.float64
    np.testing.assert_array_equal(scan.frames.read([1, 5], FULL), stack(6)[[1, 5]])


@pytest.mark.parametrize("name", WRITERS)
def test_no_frames(tmp_path, name):
    path = WRITERS[name](
        tmp_path / "a.h5",
        **{
            "entry__data": None,
            "entry_1__data_1__data": None,
            "entry_1__data__data": None,
            "entry__data__data": None,
            "exchange__data": None,
        },
    )
    with pytest.raises(MissingDataError, match=r"a\.h5: Expected frames at .*--path frames=PATH"):
        open_scan(path, format=name)


def test_the_table():
    assert set(WRITERS) | {"hdf5"} <= set(names()) == set(TABLE)
    for name in WRITERS:
        assert get(name).name == name
        assert get(name).title
    with pytest.raises(UnknownFormatError, match="Got 'tape'; see ptypy-beamline formats"):
        get("tape")


def test_a_new_format_is_one_table(tmp_path):
    own = Hdf5Format(
        name="own",
        title="mine",
        recognise=lambda file: has(file, "/mine*/images"),
        frames=Location(("/mine*/images",)),
        x=Location(("/mine*/sx",), "nm"),
        y=Location(("/mine*/sy",), "nm"),
        saturation=Location(("/limit",)),
    )
    path = write(
        tmp_path / "a.h5",
        mine_7__images=stack(6),
        mine_7__sx=X * 1e9,
        mine_7__sy=Y * 1e9,
        limit=100,
    )
    with h5py.File(path) as file:
        assert own.understands(path, file)
    scan = own.open(path, Settings())
    close(scan, Y, X)
    assert scan.saturation == 100
    with h5py.File(standard(tmp_path / "b.h5")) as file:
        assert not own.understands(tmp_path / "b.h5", file)


# recognition ---------------------------------------------------------------------------------


def test_two_formats_are_never_chosen_between(tmp_path):
    path = standard(tmp_path / "a.h5", exchange__data=stack(6))
    with pytest.raises(
        UnknownFormatError, match=r"understood by \['standard', 'exchange'\]; name one with --form"
    ):
        open_scan(path)
    assert open_scan(path, format="standard").format == "standard"


def test_no_format_understands(tmp_path):
    path = write(tmp_path / "a.h5", pictures=stack(6))
    with pytest.raises(
        UnknownFormatError, match=r"a\.h5: .*cxi, nxcxi.*--format.*--path frames=PATH"
    ):
        open_scan(path)


def test_what_may_be_meant_in_a_file_of_no_known_layout(tmp_path):
    content = {
        "scan__camera__images": stack(6),
        "scan__camera__background": stack(2).astype("f4"),
        "scan__clock": np.arange(6.0),
        "scan__title": "gold",
        "scan__samx_um": X * 1e6,
        "scan__samy_um": Y * 1e6,
        "scan__spectrum": np.zeros(2048),
    }
    with pytest.raises(UnknownFormatError) as caught:
        open_scan(write(tmp_path / "a.h5", **content))
    assert (
        ": /scan/camera/images (6, 4, 5), /scan/camera/background (2, 4, 5) may be frames, "
        "/scan/samx_um (6,), /scan/samy_um (6,), /scan/clock (6,), /scan/spectrum (2048,) positions"
        in str(caught.value)
    )
    with pytest.raises(UnknownFormatError, match="no dataset in it has three axes"):
        open_scan(write(tmp_path / "b.h5", spectrum=np.zeros(2048)))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda p: None, r"a\.h5: no such file; check the path"),
        (lambda p: p.mkdir(), r"a\.h5: Expected a file\. Got a directory"),
        (lambda p: p.touch(), r"a\.h5: an empty file; copy it again"),
        (lambda p: p.write_text("hello"), r"a\.h5: not an HDF5 file.*known formats are standard"),
        (lambda p: os.truncate(standard(p), 3000), r"a\.h5: truncated HDF5 file; copy it again"),
    ],
    ids=["missing", "directory", "empty", "text", "truncated"],
)
def test_what_is_no_file_for_us(tmp_path, make, match):
    make(tmp_path / "a.h5")
    with pytest.raises(FileError, match=match) as caught:
        open_scan(tmp_path / "a.h5")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
def test_a_named_format_gives_the_same_file_errors(tmp_path, name):
    with pytest.raises(FileError, match="no such file"):
        open_scan(tmp_path / "a.h5", format=name)


def test_simulated_waves_are_no_exchange_file(tmp_path):
    path = write(tmp_path / "a.h5", exchange__data=stack(6).astype("c8"))
    assert recognise(path).name == "adorym"


# the generic format and overrides ------------------------------------------------------------


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


def test_an_override_that_is_not_there(tmp_path):
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
def test_what_is_said_of_reading_is_checked(tmp_path, settings, match):
    with pytest.raises(SettingsError, match=match):
        open_scan(standard(tmp_path / "a.h5"), **settings)


def test_what_the_user_gives_is_not_read(tmp_path):
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


# units ---------------------------------------------------------------------------------------


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


# energies along a scan -----------------------------------------------------------------------


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


# arrangement of frames and positions ---------------------------------------------------------

GRID_Y, GRID_X = (g.ravel() for g in np.meshgrid([0, 1e-6], [0, 2e-6, 4e-6], indexing="ij"))


def generic(path: Path, frames, x, y, **settings):
    write(path, d=frames, x_m=x, y_m=y)
    return open_scan(path, paths={"frames": "/d", "x": "/x_m", "y": "/y_m"}, **settings)


@pytest.mark.parametrize(
    ("frames", "x", "y"),
    [
        ((6,), GRID_X, GRID_Y),
        ((6,), [0, 2e-6, 4e-6], [0, 1e-6]),
        ((2, 3), [0, 2e-6, 4e-6], [0, 1e-6]),
        ((2, 3), GRID_X, GRID_Y),
        ((2, 3), GRID_X.reshape(2, 3), GRID_Y.reshape(2, 3)),
        ((6,), GRID_X.reshape(2, 3, 1, 1), GRID_Y.reshape(2, 3, 1, 1)),
    ],
    ids=["lists", "axes", "axes, map", "lists, map", "maps", "maps with trailing axes"],
)
def test_ways_to_store_a_raster(tmp_path, frames, x, y):
    scan = generic(tmp_path / "a.h5", stack(*frames), x, y)
    close(scan, GRID_Y, GRID_X)
    assert scan.grid == (None if np.shape(x) == (6,) and frames == (6,) else (2, 3))
    np.testing.assert_array_equal(scan.frames.read([4], FULL), stack(6)[[4]])


def test_x_may_be_the_slow_axis(tmp_path):
    scan = generic(tmp_path / "a.h5", stack(3, 2), [0, 2e-6, 4e-6], [0, 1e-6])
    close(scan, [0, 1e-6] * 3, np.repeat([0, 2e-6, 4e-6], 2))
    assert scan.grid == (3, 2)


def test_a_square_raster(tmp_path):
    scan = generic(tmp_path / "a.h5", stack(9), [0, 1e-6, 2e-6], [0, 5e-6, 6e-6])
    close(scan, np.repeat([0, 5e-6, 6e-6], 3), [0, 1e-6, 2e-6] * 3)
    assert scan.grid == (3, 3)


XY = np.array([[0.0, 5], [1, 6], [2, 7], [3, 8]])  # four rows of x, y
XYZ = np.column_stack([XY, np.full(4, 9.0)])


@pytest.mark.parametrize(
    ("array", "columns"),
    [
        (XY, ""),
        (XY, "x,y"),
        (XY[:, ::-1], "y,x"),
        (XY.T, ""),
        (XYZ, ""),
        (XYZ.T, ""),
        (XYZ, "x, y, z"),
        (XYZ[:, ::-1], "z,y,x"),
    ],
)
def test_positions_in_one_array(array, columns):
    y, x = split(array, columns, (4,))
    np.testing.assert_array_equal(x, [0, 1, 2, 3])
    np.testing.assert_array_equal(y, [5, 6, 7, 8])


def test_few_positions_in_one_array():
    """Where both axes have two or three entries, the number of frames decides."""
    np.testing.assert_array_equal(split(XY[:3].T, "", (3,))[1], [0, 1, 2])
    np.testing.assert_array_equal(split(XYZ[:2], "", (2,))[1], [0, 1])
    np.testing.assert_array_equal(split(XYZ[:3], "x,y,z", (3,))[1], [0, 1, 2])
    np.testing.assert_array_equal(split(XY[:2], "x,y", (2,))[1], [0, 1])


@pytest.mark.parametrize(("array", "count"), [(XY[:2], 2), (XYZ[:3], 3)])
def test_few_positions_that_may_be_rows_or_columns(tmp_path, array, count):
    with pytest.raises(ScanError, match=r"may be . rows or . columns; .*columns='x,y'.*--path x="):
        split(array, "", (count,))
    own = standard(tmp_path / "a.h5", entry__data=stack(count), entry__pos=array)
    np.testing.assert_array_equal(open_scan(own).positions_m, array[:, 1::-1])
    given = standard(
        tmp_path / "b.h5", entry__data=stack(count), entry__pos=XY[:count], other=array
    )
    with pytest.raises(ScanError, match=r"b\.h5: positions .* may be"):
        open_scan(given, paths={"positions": "/other"}, units={"positions": "m"})


def test_maps_in_one_array():
    y, x = split(XY.reshape(2, 2, 2), "", (4,))
    placed = arrange(y, x, (4,))
    np.testing.assert_array_equal(placed.positions_m, XY[:, ::-1])
    assert placed.grid == (2, 2)


def test_two_positions_in_one_array_are_no_raster(tmp_path):
    path = standard(tmp_path / "a.h5", entry__data=stack(4), entry__pos=XY[:2])
    scan = open_scan(path, frames_per_position=2)
    np.testing.assert_array_equal(scan.positions_m, XY[:2, ::-1])


@pytest.mark.parametrize(
    ("array", "columns", "match"),
    [
        (np.zeros((5, 4)), "", r"Expected positions \(N,2\).* Got \(5, 4\)"),
        (np.zeros(6), "", r"Got \(6,\)"),
        (XY, "a,b", r"Expected columns 'x,y' or 'y,x' of positions\. Got 'a,b'"),
        (XY, "z,x,y", "Got 'z,x,y'"),
    ],
)
def test_positions_that_are_none(array, columns, match):
    with pytest.raises(ScanError, match=match):
        split(array, columns, (4,))


def test_x_and_y_of_different_length(tmp_path):
    with pytest.raises(
        ScanError,
        match=r"a\.h5: Expected y and x of equal length.* Got y \(5,\) and x \(6,\); .*pa",
    ):
        generic(tmp_path / "a.h5", stack(6), X, Y[:5])
    with pytest.raises(ScanError, match=r"Got y \(6,\) and x \(2, 3\)"):
        generic(tmp_path / "b.h5", stack(6), GRID_X.reshape(2, 3), Y)


def test_positions_that_are_not_finite(tmp_path):
    broken = X.copy()
    broken[[2, 4]] = np.nan
    with pytest.warns(BeamlineWarning, match="2 positions are not finite: their frames are not"):
        scan = generic(tmp_path / "a.h5", stack(6), broken, Y)
    assert np.isnan(scan.positions_m[[2, 4], 1]).all()
    with pytest.raises(ScanError, match="Got no finite one"):
        generic(tmp_path / "b.h5", stack(6), X * np.nan, Y * np.nan)


# leading axes --------------------------------------------------------------------------------


def test_a_leading_axis_needs_an_index(tmp_path):
    with pytest.raises(
        ScanError,
        match=r"frames \(3, 6, 4, 5\) hold 3 projections.*outer_index \(--outer-index\) 0 to 2",
    ):
        generic(tmp_path / "a.h5", stack(3, 6), X, Y)
    scan = generic(tmp_path / "b.h5", stack(3, 6), X, Y, outer_index=2)
    assert len(scan) == 6
    np.testing.assert_array_equal(scan.frames.read([1], FULL), stack(3, 6)[2, [1]])


def test_a_leading_axis_of_one_needs_none(tmp_path):
    scan = generic(tmp_path / "a.h5", stack(1, 2, 3), [0, 2e-6, 4e-6], [0, 1e-6])
    close(scan, GRID_Y, GRID_X)
    assert len(generic(tmp_path / "b.h5", stack(1, 6), X, Y)) == 6


def test_rasters_with_a_leading_axis(tmp_path):
    scan = generic(tmp_path / "a.h5", stack(2, 2, 3), [0, 2e-6, 4e-6], [0, 1e-6], outer_index=1)
    close(scan, GRID_Y, GRID_X)
    np.testing.assert_array_equal(scan.frames.read([4], FULL), stack(2, 6)[1, [4]])
    with pytest.raises(ScanError, match=r"\(2, 2, 3, 4, 5\) hold 2 projections"):
        generic(tmp_path / "b.h5", stack(2, 2, 3), [0, 2e-6, 4e-6], [0, 1e-6])


def test_positions_follow_the_leading_axis(tmp_path):
    both = np.stack([X, X + 1e-3])
    close(generic(tmp_path / "a.h5", stack(2, 6), both, [Y, Y], outer_index=1), Y, X + 1e-3)
    maps = np.stack([GRID_X, GRID_X + 1e-3]).reshape(2, 2, 3)
    scan = generic(tmp_path / "b.h5", stack(2, 2, 3), maps, maps * 0, outer_index=1)
    close(scan, 0 * GRID_X, GRID_X + 1e-3)
    path = standard(
        tmp_path / "c.h5",
        entry__data=stack(2, 6),
        entry__pos=np.stack([np.stack([x, Y], 1) for x in both]),
    )
    close(open_scan(path, outer_index=1), Y, X + 1e-3)


def test_an_outer_index_out_of_range(tmp_path):
    with pytest.raises(ScanError, match=r"Expected outer_index 0 to 2 .* Got 3"):
        generic(tmp_path / "a.h5", stack(3, 6), X, Y, outer_index=3)


def test_an_outer_index_of_nothing(tmp_path):
    with pytest.raises(ScanError, match=r"Expected a leading axis .* Got frames \(6, 4, 5\)"):
        generic(tmp_path / "a.h5", stack(6), X, Y, outer_index=0)


def test_one_frame_is_no_scan(tmp_path):
    with pytest.raises(ScanError, match=r"Expected a stack of frames .* Got shape \(4, 5\)"):
        generic(tmp_path / "a.h5", stack(), X, Y)


# numbers of frames and positions -------------------------------------------------------------


def test_several_exposures_a_position(tmp_path):
    scan = generic(tmp_path / "a.h5", stack(18), X, Y, frames_per_position=3)
    assert (len(scan), len(scan.positions_m)) == (18, 6)
    repeated = generic(
        tmp_path / "b.h5", stack(18), np.repeat(X, 3), np.repeat(Y, 3), frames_per_position=3
    )
    assert len(repeated.positions_m) == 18
    two = generic(tmp_path / "d.h5", stack(4), X[:2], Y[:2], frames_per_position=2)
    close(two, Y[:2], X[:2])  # not the axes of a raster of 2 x 2
    raster = generic(
        tmp_path / "c.h5", stack(12), [0, 2e-6, 4e-6], [0, 1e-6], frames_per_position=2
    )
    close(raster, GRID_Y, GRID_X)


def test_more_frames_than_positions(tmp_path):
    with pytest.raises(
        ScanError,
        match=r"Got 18 frames for 6 positions; .*frames_per_position=3 \(--frames-per-pos 3",
    ):
        generic(tmp_path / "a.h5", stack(18), X, Y)
    with pytest.raises(ScanError, match=r"Got 7 frames for 6 positions; check paths"):
        generic(tmp_path / "b.h5", stack(7), X, Y)
    with pytest.raises(ScanError, match=r"Got 13 frames for 6 positions x 2 exposures"):
        generic(tmp_path / "c.h5", stack(13), X, Y, frames_per_position=2)


@pytest.mark.parametrize(
    ("frames", "k", "match"),
    [
        (4, None, "4 frames for 6 positions: the scan was stopped, or frames were"),
        (10, 2, "10 frames for 6 positions x 2 exposures"),
    ],
)
def test_a_stopped_scan_keeps_its_positions(tmp_path, frames, k, match):
    with pytest.warns(BeamlineWarning, match=rf"a\.h5: {match}"):
        scan = generic(tmp_path / "a.h5", stack(frames), X, Y, frames_per_position=k)
    assert (len(scan), len(scan.positions_m)) == (frames, 6)
    assert match in scan.notes[0]


def test_a_stopped_raster(tmp_path):
    x, y = np.arange(5) * 1e-6, np.arange(4) * 1e-6
    with pytest.warns(BeamlineWarning, match="13 frames for 20 positions"):
        scan = generic(tmp_path / "a.h5", stack(13), x, y)
    np.testing.assert_allclose(scan.positions_m[12], [2e-6, 2e-6])
    assert scan.grid == (4, 5)


@pytest.mark.parametrize(("frames", "k"), [(13, 1), (20, 1), (7, None), (15, 2)])
def test_a_stopped_square_raster_is_no_diagonal(tmp_path, frames, k):
    x, y = np.arange(5) * 1e-6, np.arange(5)[::-1] * 1e-6
    with pytest.warns(BeamlineWarning, match=f"{frames} frames for 25 positions"):
        scan = generic(tmp_path / "a.h5", stack(frames), x, y, frames_per_position=k)
    np.testing.assert_allclose(scan.positions_m[5], [3e-6, 0], atol=1e-12)
    assert scan.grid == (5, 5)


def test_a_first_row_of_a_square_raster_may_be_a_list(tmp_path):
    x = np.arange(5) * 1e-6
    with pytest.raises(ScanError, match=r"3 frames may be the first of 5 .* a raster of 5 x 5"):
        generic(tmp_path / "a.h5", stack(3), x, x)
    line = generic(tmp_path / "b.h5", stack(5), x, x)
    np.testing.assert_allclose(line.positions_m, np.stack([x, x], 1))


@pytest.mark.parametrize(("frames", "count"), [(6, 6), (9, 6), (4, 6)])
def test_trailing_zeros_away_from_the_scan_are_padding(tmp_path, frames, count):
    x, y = (np.append(a + 5e-5, np.zeros(3)) for a in (X, Y))
    with pytest.warns(BeamlineWarning) as caught:
        scan = generic(tmp_path / "a.h5", stack(frames), x, y)
    said = [str(one.message) for one in caught]
    assert "the last 3 positions are (0, 0), away from the scan" in said[0]
    assert len(said) == (1 if frames == count else 2)
    assert (len(scan), len(scan.positions_m)) == (min(frames, count), count)


def test_a_scan_may_end_at_the_origin(tmp_path):
    x, y = X[::-1] - X.min(), Y[::-1] - Y.min()
    assert (x[-1], y[-1]) == (0, 0)
    close(generic(tmp_path / "a.h5", stack(6), x, y), y, x)


def test_maps_that_were_not_filled(tmp_path):
    x = np.where(np.arange(6) < 4, GRID_X, np.nan)
    y = np.where(np.arange(6) < 4, GRID_Y, np.nan)
    with pytest.warns(BeamlineWarning, match="6 frames for 4 positions.*frames with positions"):
        scan = generic(tmp_path / "a.h5", stack(2, 3), x.reshape(2, 3), y.reshape(2, 3))
    assert (len(scan), len(scan.positions_m), scan.grid) == (4, 4, None)


def test_trailing_nan_is_padding():
    padded = np.vstack([np.zeros((4, 2)), np.full((3, 2), np.nan)])
    placed, frames, warning = pair(4, arrange(*padded.T, (4,)))
    assert (len(placed.positions_m), frames, warning) == (4, 4, "")


# masks ---------------------------------------------------------------------------------------


def mask_of(scan) -> list[tuple[int, int]]:
    return [tuple(map(int, p)) for p in np.argwhere(scan.bad)]


def spots(**values) -> np.ndarray:
    """A mask with a few pixels set: p12=4 puts 4 at row 1, column 2."""
    mask = np.zeros((4, 5), "u4")
    for name, value in values.items():
        mask[int(name[1]), int(name[2])] = value
    return mask


@pytest.mark.parametrize("kind", ["u1", "bool", "f4"])
@pytest.mark.parametrize("lead", [(), (1,)])
def test_a_standard_mask_is_1_where_bad(tmp_path, kind, lead):
    mask = spots(p12=1, p33=1).astype(kind).reshape(*lead, 4, 5)
    scan = open_scan(standard(tmp_path / "a.h5", entry__mask=mask))
    assert scan.bad.dtype == bool
    assert mask_of(scan) == [(1, 2), (3, 3)]
    other = open_scan(tmp_path / "a.h5", mask_values="good")
    np.testing.assert_array_equal(other.bad, ~scan.bad)


MASK = "entry_1__instrument_1__detector_1__mask"


def test_cxi_mask_bits(tmp_path):
    mask = spots(p00=0x1000, p01=1, p02=0x1001, p03=0x400, p10=0x80)
    scan = open_scan(cxi(tmp_path / "a.h5", **{MASK: mask}))
    assert mask_of(scan) == [(0, 1), (0, 2), (0, 3), (1, 0)]
    by_user = open_scan(tmp_path / "a.h5", mask_values="bad")
    assert (0, 0) in mask_of(by_user)


def test_an_inverted_cxi_mask(tmp_path):
    path = cxi(tmp_path / "a.h5", **{MASK: 1 - spots(p12=1)})
    with pytest.warns(BeamlineWarning, match=r"taken as inverted .*--mask-values"):
        scan = open_scan(path)
    assert mask_of(scan) == [(1, 2)]
    assert "inverted" in scan.notes[0]
    settled = open_scan(path, mask_values="bad")
    assert settled.bad.sum() == 19


def test_a_mask_of_most_of_a_dark_detector_is_meant(tmp_path):
    frames = np.zeros((6, 4, 5), "u2")
    frames[:, 1, 2] = 100
    frames[:, 0, 0] = 65535  # what detectors write where there is no pixel
    path = cxi(tmp_path / "a.h5", entry_1__data_1__data=frames, **{MASK: 1 - spots(p12=1)})
    assert open_scan(path).bad.sum() == 19


def test_a_mask_of_another_shape(tmp_path):
    path = standard(tmp_path / "a.h5", entry__mask=np.zeros((5, 4), "u1"))
    with pytest.raises(
        ScanError,
        match=r"a\.h5: Expected a mask \(4, 5\), .* Got /entry/mask of shape \(5, 4\); .*ask",
    ):
        open_scan(path)
    standard(path, entry__mask=np.zeros((2, 5, 4), "u1"))
    with pytest.raises(ScanError, match=r"shape \(2, 5, 4\)"):
        open_scan(path)


# dark, flat, monitor, exposure, centre -------------------------------------------------------


def test_dark_and_flat_are_stacks(tmp_path):
    scan = open_scan(diamond(tmp_path / "a.h5"))
    assert (scan.dark.shape, scan.flat.shape) == ((1, 4, 5), (3, 4, 5))
    np.testing.assert_array_equal(scan.flat.read([1], FULL), stack(3)[[1]])
    empty = open_scan(exchange(tmp_path / "b.h5", exchange__data_dark=np.empty((0, 4, 5))))
    assert empty.dark is None


def test_a_dark_of_another_shape(tmp_path):
    path = standard(tmp_path / "a.h5", entry__dark=np.zeros((2, 5, 5)))
    with pytest.raises(
        ScanError,
        match=r"Expected dark images \(4, 5\), .*Got /entry/dark of shape \(2, 5, 5\); .*dark",
    ):
        open_scan(path)


def test_the_monitor_has_a_value_for_each_frame(tmp_path):
    np.testing.assert_array_equal(open_scan(diamond(tmp_path / "a.h5")).monitor, np.arange(6))
    path = standard(tmp_path / "b.h5", entry__monitor=np.arange(5.0))
    with pytest.raises(ScanError, match=r"Expected a monitor value for each of 6 frames.*\(5,\)"):
        open_scan(path)
    standard(path, entry__data=stack(12), entry__monitor=np.arange(6.0))
    scan = open_scan(path, frames_per_position=2)
    np.testing.assert_array_equal(scan.monitor, np.repeat(np.arange(6.0), 2))


def test_exposures(tmp_path):
    assert open_scan(standard(tmp_path / "a.h5", entry__exposure_s=0.1)).exposure_s == 0.1
    path = standard(tmp_path / "b.h5", entry__exposure_s=(np.arange(6.0), "ms"))
    np.testing.assert_allclose(open_scan(path).exposure_s, np.arange(6) * 1e-3)


def test_a_centre_is_two_numbers(tmp_path):
    scan = open_scan(standard(tmp_path / "a.h5", entry__center_px=[1.5, 2.0]))
    assert scan.center_px == (1.5, 2.0)
    path = standard(tmp_path / "b.h5", entry__center_px=[1.5])
    with pytest.raises(
        ScanError, match=r"Expected a centre \(row, column\)\. Got /entry/center_px"
    ):
        open_scan(path)


# standard ------------------------------------------------------------------------------------


def test_standard_positions(tmp_path):
    close(
        open_scan(standard(tmp_path / "a.h5")),
        np.arange(1, 12, 2) * 1e-6,
        np.arange(0, 12, 2) * 1e-6,
    )
    swapped = (np.stack([Y, X], 1), {"columns": "y,x"})
    close(open_scan(standard(tmp_path / "b.h5", entry__pos=swapped)), Y, X)
    path = standard(tmp_path / "c.h5", entry__pos=None, entry__posx_m=X, entry__posy_m=Y)
    close(open_scan(path), Y, X)
    path = standard(tmp_path / "d.h5", entry__pos=None)
    with pytest.raises(
        MissingDataError, match=r"Expected positions at /entry/posx_m or .*/entry/pos"
    ):
        open_scan(path)


# CXI -----------------------------------------------------------------------------------------

DET = "entry_1__instrument_1__detector_1__"
DEFAULT_BASIS = np.array([[0, -50e-6, 0], [-75e-6, 0, 0]])


def test_cxi_default_axes_turn_the_sign_twice(tmp_path):
    scan = open_scan(cxi(tmp_path / "a.h5"))
    close(scan, Y, X)
    assert scan.pixel_m == (50e-6, 75e-6)


@pytest.mark.parametrize(
    ("basis", "y", "x"),
    [
        (DEFAULT_BASIS, Y, X),
        (DEFAULT_BASIS.T, Y, X),
        (-DEFAULT_BASIS, -Y, -X),
        (DEFAULT_BASIS[::-1], X, Y),
        (DEFAULT_BASIS * [[1], [-1]], Y, -X),
    ],
)
def test_cxi_positions_on_the_detectors_axes(tmp_path, basis, y, x):
    close(open_scan(cxi(tmp_path / "a.h5", **{DET + "basis_vectors": basis})), y, x)


def test_cxi_translation_as_columns(tmp_path):
    name = "entry_1__sample_1__geometry_1__translation"
    close(open_scan(cxi(tmp_path / "a.h5", **{name: np.stack([X, Y, 0 * X])})), Y, X)
    path = cxi(tmp_path / "b.h5", **{name: np.zeros((6, 2))})
    with pytest.raises(ScanError, match=r"Expected translation \(N,3\) or \(3,N\)\. Got \(6, 2\)"):
        open_scan(path)
    path = cxi(tmp_path / "c.h5", **{name: None, "entry_1__data_1__translation": np.zeros((6, 3))})
    assert len(open_scan(path).positions_m) == 6


def test_cxi_pixel_distance_and_centre_from_the_vectors(tmp_path):
    corner = [2.0 * 75e-6, 1.5 * 50e-6, 3.0]  # pixel (0, 0), above and to the left of the beam
    bare = {DET + "x_pixel_size": None, DET + "y_pixel_size": None, DET + "distance": None}
    scan = open_scan(
        cxi(
            tmp_path / "a.h5",
            **bare,
            **{
                DET + "basis_vectors": DEFAULT_BASIS,
                DET + "corner_position": corner,
            },
        )
    )
    np.testing.assert_allclose(scan.pixel_m, (50e-6, 75e-6))
    assert scan.distance_m == 3
    np.testing.assert_allclose(scan.center_px, (1.5, 2.0))


@pytest.mark.parametrize("corner", [[0, 0, 2.0], [1.0, 1.0, 2.0]])
def test_a_cxi_corner_that_says_nothing_of_the_centre(tmp_path, corner):
    scan = open_scan(
        cxi(
            tmp_path / "a.h5",
            **{
                DET + "basis_vectors": DEFAULT_BASIS,
                DET + "corner_position": corner,
            },
        )
    )
    assert scan.center_px is None
    assert ("outside" in "".join(scan.notes)) == (corner[0] == 1)


def test_cxi_basis_of_another_shape(tmp_path):
    path = cxi(tmp_path / "a.h5", **{DET + "basis_vectors": np.zeros((2, 3))})
    with pytest.raises(ScanError, match=r"a\.h5: Expected basis_vectors \(2,3\)"):
        open_scan(path)


def test_cxi_without_a_version_and_with_frames_at_the_detector(tmp_path):
    path = cxi(
        tmp_path / "a.h5", cxi_version=None, entry_1__data_1__data=None, **{DET + "data": stack(6)}
    )
    assert open_scan(path).format == "cxi"


# NeXus ---------------------------------------------------------------------------------------


def test_nxcxi(tmp_path):
    scan = open_scan(nxcxi(tmp_path / "a.h5"))
    close(scan, Y, X)
    assert scan.energy_eV == 8000  # not that of the ring
    assert scan.center_px == (1.5, 2.5)
    assert mask_of(scan) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    np.testing.assert_allclose(scan.pixel_m, (50e-6, 75e-6))


@pytest.mark.parametrize("definition", [b"NXptycho", np.array(["NXcxi_ptycho"], dtype="S12")])
def test_nxcxi_definitions(tmp_path, definition):
    path = nxcxi(tmp_path / "a.h5", entry_1__definition=definition)
    assert recognise(path).name == "nxcxi"


def test_nxcxi_sample_transformations(tmp_path):
    moved = {"entry_1__sample_1__transformations__translation": np.stack([X, Y, 0 * X], 1)}
    path = nxcxi(tmp_path / "a.h5", entry_1__data_1__x=None, entry_1__data_1__y=None, **moved)
    close(open_scan(path), Y, X)


def test_nxcxi_in_another_entry_and_detector(tmp_path):
    path = write(
        tmp_path / "a.h5",
        **{
            "entry__definition": "NXptycho",
            "entry__instrument_1__detector__data": stack(2, 3),
            "entry__data_1__x": (X[:3], "m"),
            "entry__data_1__y": (Y[:2], "m"),
        },
    )
    scan = open_scan(path)
    assert scan.grid == (2, 3)
    assert scan.energy_eV is scan.distance_m is scan.pixel_m is None


def test_diamond(tmp_path):
    scan = open_scan(diamond(tmp_path / "a.h5"))
    close(scan, np.repeat(Y[:2], 3), np.tile(X[:3], 2))
    assert scan.grid == (2, 3)
    assert scan.pixel_m == (50e-6, 75e-6)


# areaDetector --------------------------------------------------------------------------------


def test_areadetector(tmp_path):
    scan = open_scan(areadetector(tmp_path / "a.h5"))
    close(scan, Y, X)
    np.testing.assert_array_equal(scan.monitor, np.arange(6))
    np.testing.assert_array_equal(scan.exposure_s, np.full(6, 0.1))
    assert "posx_m" in scan.notes[0]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("SampleX_um", "SampleY_um"),
        ("sample_x_um", "sample_y_um"),
        ("SX_um", "SY_um"),
        ("PosX_um", "PosY_um"),
        ("StageX_um", "STAGEY_um"),
    ],
)
def test_areadetector_names(tmp_path, x, y):
    path = areadetector(
        tmp_path / "a.h5",
        **{
            ND + "posx_m": None,
            ND + "posy_m": None,
            ND + x: X * 1e6,
            ND + y: Y * 1e6,
        },
    )
    close(open_scan(path), Y, X)


def test_areadetector_names_without_a_unit(tmp_path):
    path = areadetector(
        tmp_path / "a.h5",
        **{
            ND + "posx_m": None,
            ND + "posy_m": None,
            ND + "SampleX": X * 1e3,
            ND + "SampleY": Y * 1e3,
        },
    )
    with pytest.raises(MissingDataError, match=r"NDAttributes/SampleY\. Got none; set units\.posi"):
        open_scan(path)
    close(open_scan(path, units={"positions": "mm"}), Y, X)


def test_areadetector_without_positions_lists_what_there_is(tmp_path):
    path = areadetector(tmp_path / "a.h5", **{ND + "posx_m": None, ND + "SM3": Y})
    with pytest.raises(
        MissingDataError, match=r"NDAttributes\. Got .*SM3.*posy_m.*--path x=\.\.\. --path y=\.\.\."
    ):
        open_scan(path)
    place = "/" + ND.replace("__", "/")
    paths = {"x": place + "SM3", "y": place + "posy_m"}
    close(open_scan(path, paths=paths, units={"positions": "m"}), Y, Y)


def padded(values, fill) -> np.ndarray:
    return np.concatenate([values, np.full(4, fill)])


def test_areadetector_chunk_padding_is_cut(tmp_path):
    path = areadetector(
        tmp_path / "a.h5",
        **{
            ND + "posx_m": padded(X, np.nan),
            ND + "posy_m": padded(Y, np.nan),
            ND + "energy_eV": padded(np.full(6, 8000.0), 0),
            ND + "I0": padded(np.arange(6.0), 0),
            ND + "NDArrayUniqueId": padded(np.arange(1, 7), 0),
        },
    )
    scan = open_scan(path)
    close(scan, Y, X)
    assert scan.energy_eV == 8000
    np.testing.assert_array_equal(scan.monitor, np.arange(6))


def test_areadetector_surplus_positions(tmp_path):
    path = areadetector(
        tmp_path / "a.h5", **{ND + "posx_m": padded(X, 0), ND + "posy_m": padded(Y, 0)}
    )
    with pytest.warns(BeamlineWarning, match="6 frames for 10 positions"):
        assert len(open_scan(path)) == 6


def test_areadetector_positions_that_lag(tmp_path):
    path = areadetector(tmp_path / "a.h5", **{ND + "posx_m": X[:5], ND + "posy_m": Y[:4]})
    with pytest.warns(
        BeamlineWarning, match="6 frames for 4 positions.*only frames with positions"
    ):
        scan = open_scan(path)
    close(scan, Y[:4], X[:4])
    assert len(scan) == len(scan.monitor) == 4


def test_areadetector_unique_ids_count_frames(tmp_path):
    path = areadetector(
        tmp_path / "a.h5",
        **{
            ND + "NDArrayUniqueId": np.array([1, 2, 5, 6, 0, 0]),
            ND + "posx_m": X[:4],
            ND + "posy_m": Y[:4],
        },
    )
    with pytest.warns(
        BeamlineWarning, match="6 frames are stored, but only 4 numbers: frames from 4 on"
    ):
        scan = open_scan(path)
    assert len(scan) == 4
    assert "2 frames were dropped" in " ".join(scan.notes)


def test_areadetector_other_places(tmp_path):
    place = "entry__instrument__detector__NDAttributes__"
    path = write(
        tmp_path / "a.h5",
        **{
            "entry__instrument__detector__data": stack(6),
            place + "posx_m": X,
            place + "posy_m": Y,
            "entry__instrument__detector__pixel_mask": spots(p11=4),
            "entry__instrument__detector__dark": stack(2),
        },
    )
    scan = open_scan(path)
    close(scan, Y, X)
    assert mask_of(scan) == [(1, 1)]
    assert scan.dark.shape == (2, 4, 5)


# exchange ------------------------------------------------------------------------------------


def test_exchange(tmp_path):
    scan = open_scan(exchange(tmp_path / "a.h5"))
    close(scan, Y, X)
    assert (scan.dark.shape[0], scan.flat.shape[0]) == (3, 2)


@pytest.mark.parametrize("turn", [False, True])
def test_exchange_motor_positions_in_mm(tmp_path, turn):
    motor = np.stack([X, Y], 1) * 1e3
    path = exchange(
        tmp_path / "a.h5",
        exchange__positions_x=None,
        exchange__positions_y=None,
        exchange__motor_pos=motor.T if turn else motor,
    )
    close(open_scan(path), Y, X)


def test_exchange_units_where_they_are_stored(tmp_path):
    path = exchange(
        tmp_path / "a.h5", instrument__detector__distance=(3.0, "m"), exchange__positions_x=(X, "m")
    )
    scan = open_scan(path)
    assert scan.distance_m == 3
    close(scan, Y, X)


def test_exchange_without_units(tmp_path):
    """The layout's own: µm, metres and keV."""
    path = exchange(
        tmp_path / "a.h5",
        instrument__detector__distance=2.0,
        instrument__detector__pixel_size=75e-6,
        exchange__data_white=None,
    )
    scan = open_scan(path)
    close(scan, Y, X)
    assert (scan.distance_m, scan.pixel_m, scan.energy_eV) == (2.0, (75e-6, 75e-6), 8000.0)
    scan.plan()


@pytest.mark.parametrize(
    ("name", "stored", "unit"),
    [
        ("distance", 2000.0, "distance=mm"),
        ("distance", 350.0, "distance=mm"),
        ("pixel_size", 75.0, "pixel=um"),
        ("pixel_size", 0.055, "pixel=mm"),
    ],
)
def test_exchange_with_other_units_and_without_saying_so(tmp_path, name, stored, unit):
    right = {
        "instrument__detector__distance": 2.0,
        "instrument__detector__pixel_size": 75e-6,
        "exchange__data_white": None,
    }
    changes = right | {f"instrument__detector__{name}": stored}
    path = exchange(tmp_path / "a.h5", **changes)
    with pytest.raises(BeamlineError, match=rf"impossible.*--unit {unit}\)"):
        open_scan(path).plan()
    quantity, meant = unit.split("=")
    assert open_scan(path, units={quantity: meant}).plan()


# every error is one line that can be printed --------------------------------------------------


def test_opening_a_scan_warns_of_nothing_by_itself(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, writer in WRITERS.items():
            open_scan(writer(tmp_path / f"{name}.h5"))


def test_errors_of_pure_functions_get_the_files_name(tmp_path):
    path = standard(tmp_path / "a.h5", entry__pos=np.zeros((6, 5)))
    with pytest.raises(BeamlineError) as caught:
        open_scan(path)
    assert str(caught.value).startswith(f"{path.absolute()}: Expected positions (N,2)")
    assert "\n" not in str(caught.value)


def test_a_cxi_file_that_keeps_frames_and_motors_elsewhere_as_well(tmp_path):
    others = {f"entry_1__instrument__positioners__{axis}": X for axis in "xy"}
    path = cxi(tmp_path / "a.h5", entry_1__data__data=stack(6), **others)
    assert recognise(path).name == open_scan(path).format == "cxi"


def test_named_arrays_of_an_npz_ask_for_the_format(tmp_path):
    np.savez(tmp_path / "my.npz", frames=stack(6), pos=np.stack([Y, X], 1))
    paths = {"frames": "frames", "positions": "pos"}
    with pytest.raises(UnknownFormatError, match="name its arrays by --format ptychopinn --path"):
        open_scan(tmp_path / "my.npz", paths=paths)
    scan = open_scan(tmp_path / "my.npz", format="ptychopinn", paths=paths)
    assert "pos is taken as row, column: --axes xy (positions.axes)" in " ".join(scan.notes)


def test_a_note_says_how_the_columns_of_named_positions_are_taken(tmp_path):
    path = write(tmp_path / "a.h5", frames=stack(6), pos=np.stack([X, Y], 1))
    how = {"paths": {"frames": "/frames", "positions": "/pos"}, "units": {"positions": "m"}}
    said = "/pos is taken as x, y: --axes xy (positions.axes) exchanges them"
    assert said in open_scan(path, **how).notes
    with h5py.File(path, "a") as file:
        file["pos"].attrs["columns"] = "x,y"
    assert said not in open_scan(path, **how).notes
