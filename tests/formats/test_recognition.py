"""Recognition: each format's smallest file, what is recognised, and what is refused."""

from __future__ import annotations

import os
import warnings

import h5py
import numpy as np
import pytest
from format_files import (
    FULL,
    ND,
    X,
    Y,
    areadetector,
    close,
    cxi,
    diamond,
    exchange,
    nxcxi,
    stack,
    standard,
    write,
)

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineError, FileError, MissingDataError, UnknownFormatError
from ptypy_beamline.formats import TABLE, get, names, recognise
from ptypy_beamline.formats.hdf5 import Hdf5Format, Location
from ptypy_beamline.formats.hdf5_source import has
from ptypy_beamline.settings import Settings

WRITERS = {
    "standard": standard,
    "cxi": cxi,
    "nxcxi": nxcxi,
    "diamond": diamond,
    "areadetector": areadetector,
    "exchange": exchange,
}


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


def test_suggestions_for_a_file_of_no_known_layout(tmp_path):
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
def test_files_that_are_no_scan_are_refused(tmp_path, make, match):
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


def test_a_cxi_file_with_a_second_copy_of_frames_and_motors(tmp_path):
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
    note = "/pos is taken as x, y: --axes xy (positions.axes) exchanges them"
    assert note in open_scan(path, **how).notes
    with h5py.File(path, "a") as file:
        file["pos"].attrs["columns"] = "x,y"
    assert note not in open_scan(path, **how).notes


def test_an_eiger_file_with_ndattributes_and_no_stack_is_of_eiger(tmp_path):
    """``/entry/data/data_000001``: areaDetector's own files keep ``/entry/data/data``."""
    eiger = {"entry__data__data_000001": stack(6), f"{ND}posx_um": X * 1e6, f"{ND}posy_um": Y * 1e6}
    path = write(tmp_path / "x.h5", **eiger)
    assert recognise(path).name == "eiger"
    with pytest.raises(MissingDataError, match="an Eiger master file records no positions"):
        open_scan(path)
    paths = {axis: f"/entry/instrument/NDAttributes/pos{axis}_um" for axis in "xy"}
    close(open_scan(path, paths=paths), Y, X)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"entry__instrument__detector__detectorSpecific__nimages": 6}, "eiger"),
        ({f"{ND}posx_um": X * 1e6}, "areadetector"),
        (
            {"entry__instrument__detector__detectorSpecific__nimages": 6, f"{ND}posx_um": X * 1e6},
            "areadetector",
        ),
    ],
)
def test_a_stack_is_eiger_or_areadetector_by_the_datasets_beside_it(tmp_path, more, name):
    path = write(tmp_path / "x.h5", entry__data__data=stack(6), **more)
    assert recognise(path).name == name


@pytest.mark.parametrize("place", ["data_1", "instrument_1__detector_1"])
@pytest.mark.parametrize("placed", [True, False])
def test_cxi_without_a_version_is_known_by_its_frames(tmp_path, place, placed):
    moved = {} if placed else {"entry_1__sample_1__geometry_1__translation": None}
    frames = {"entry_1__data_1__data": None} | {f"entry_1__{place}__data": stack(6)}
    path = cxi(tmp_path / "x.cxi", cxi_version=None, **frames, **moved)
    assert recognise(path).name == "cxi"


@pytest.mark.parametrize(("left_out", "name"), [((), "diamond"), (("x", "y"), "cxi")])
def test_without_a_version_positions_tell_cxi_from_diamond(tmp_path, left_out, name):
    """Frames and translations of CXI, and frames where Diamond has them."""
    moved = {"entry_1__sample_1__geometry_1__translation": np.stack([X, Y, 0 * X], 1)}
    without = {f"entry_1__data__{axis}": None for axis in left_out}
    path = diamond(tmp_path / "x.h5", entry_1__data_1__data=stack(6), **moved, **without)
    assert recognise(path).name == name


def test_exchange_data_that_is_a_group_is_named_with_what_is_in_it(tmp_path):
    path = write(tmp_path / "x.h5", exchange__data__0=stack(6), exchange__x=X, exchange__y=Y)
    message = r"Expected frames at /exchange/data\. .*there are /exchange/data/0, .*--path frames="
    with pytest.raises(MissingDataError, match=message):
        open_scan(path)
