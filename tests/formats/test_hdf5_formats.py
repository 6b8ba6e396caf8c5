"""What is read from each HDF5 format, in small files."""

from __future__ import annotations

import numpy as np
import pytest
from format_files import (
    ND,
    X,
    Y,
    areadetector,
    close,
    cxi,
    diamond,
    exchange,
    mask_of,
    nxcxi,
    padded,
    spots,
    stack,
    standard,
    write,
)

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineError, BeamlineWarning, MissingDataError, ScanError
from ptypy_beamline.formats import recognise


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
            **{DET + "basis_vectors": DEFAULT_BASIS, DET + "corner_position": corner},
        )
    )
    np.testing.assert_allclose(scan.pixel_m, (50e-6, 75e-6))
    assert scan.distance_m == 3
    np.testing.assert_allclose(scan.center_px, (1.5, 2.0))


@pytest.mark.parametrize("corner", [[0, 0, 2.0], [1.0, 1.0, 2.0]])
def test_cxi_corners_that_do_not_determine_the_centre(tmp_path, corner):
    scan = open_scan(
        cxi(
            tmp_path / "a.h5",
            **{DET + "basis_vectors": DEFAULT_BASIS, DET + "corner_position": corner},
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
        **{ND + "posx_m": None, ND + "posy_m": None, ND + x: X * 1e6, ND + y: Y * 1e6},
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


def test_areadetector_without_positions_lists_the_ndattributes(tmp_path):
    path = areadetector(tmp_path / "a.h5", **{ND + "posx_m": None, ND + "SM3": Y})
    with pytest.raises(
        MissingDataError, match=r"NDAttributes\. Got .*SM3.*posy_m.*--path x=\.\.\. --path y=\.\.\."
    ):
        open_scan(path)
    place = "/" + ND.replace("__", "/")
    paths = {"x": place + "SM3", "y": place + "posy_m"}
    close(open_scan(path, paths=paths, units={"positions": "m"}), Y, Y)


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
