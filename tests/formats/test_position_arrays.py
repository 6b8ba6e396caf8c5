"""How positions are stored: rasters, lists, columns, and stacks with a leading axis."""

from __future__ import annotations

import numpy as np
import pytest
from format_files import FULL, GRID_X, GRID_Y, X, Y, close, generic, stack, standard

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineWarning, ScanError
from ptypy_beamline.formats.positions import arrange, split


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
def test_invalid_positions_are_refused(array, columns, match):
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
