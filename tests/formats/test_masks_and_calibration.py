"""Masks, darks, flats, monitors and exposure times in files."""

from __future__ import annotations

import numpy as np
import pytest
from format_files import FULL, cxi, diamond, exchange, mask_of, spots, stack, standard

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineWarning, ScanError


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
        match=r"a\.h5: Expected mask images \(4, 5\), .* Got /entry/mask of shape \(5, 4\); .*ask",
    ):
        open_scan(path)
    standard(path, entry__mask=np.zeros((2, 5, 4), "u1"))
    with pytest.raises(ScanError, match=r"shape \(2, 5, 4\)"):
        open_scan(path)


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
