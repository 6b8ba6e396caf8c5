"""Exposures, stopped scans and padding: frames and positions in different numbers."""

from __future__ import annotations

import numpy as np
import pytest
from format_files import GRID_X, GRID_Y, X, Y, close, generic, stack

from ptypy_beamline.errors import BeamlineWarning, ScanError
from ptypy_beamline.formats.positions import arrange, pair


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
    messages = [str(one.message) for one in caught]
    assert "the last 3 positions are (0, 0), away from the scan" in messages[0]
    assert len(messages) == (1 if frames == count else 2)
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
