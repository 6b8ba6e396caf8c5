"""Frames numbered by the names of their files, by row and column, or not at all.

Scans are those of ``numbered_scans``.
"""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest
from numbered_scans import (
    ALL,
    ANY,
    N,
    assert_true_pairs,
    frames,
    generic,
    losses,
    opened,
    positions,
    tiff,
    write_sidecar,
    write_tiff,
)
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineError


def test_a_gap_in_the_numbers_of_a_complete_scan_is_ambiguous(tmp_path):
    """Either the positions have the same gap, or one frame too many was taken."""
    kept = np.delete(np.arange(N + 1), 7)
    file = tiff(tmp_path, kept)
    with pytest.raises(
        BeamlineError, match=r"24 frames for 24 positions, but .* skip 1; set --path"
    ):
        opened(file)
    plan, _ = opened(file, paths={"frame_index": 0})
    raw = plan.load(np.arange(N))[:, 0, 0, 0] - 100
    assert_array_equal(raw, kept)
    assert_allclose(plan.positions_m, positions())


def test_renumbered_files_look_like_a_stopped_scan_except_to_check(tmp_path):
    for number, frame in enumerate(frames(np.delete(ALL, 7))):
        write_tiff(tmp_path / f"s_{number}.tif", frame)
    write_sidecar(tmp_path, positions())
    _, message = opened(str(tmp_path / "s_*.tif"))
    assert "1 position (number 23) without a frame" in message


NO_NUMBERS = {
    "times": ("f_{}", lambda i: (101500 + i**2 * 7,)),
    "number and time": ("f_{}_{}", lambda i: (i, 101500 + i**2 * 7)),
    "three numbers": ("f_{}_{}_{}", lambda i: (i // 8, i // 2 % 4, i % 2)),
}


def test_names_that_are_no_numbers_of_frames(tmp_path):
    """Frames and positions go by their order."""
    for name, (stem, of) in NO_NUMBERS.items():
        folder = tmp_path / name
        folder.mkdir()
        for number, frame in enumerate(frames(ALL)):
            words = of(number)
            write_tiff(folder / f"{stem.format(*words)}.tif", frame)
        write_sidecar(folder, positions())
        plan, message = opened(str(folder / "f_*.tif"))
        assert_true_pairs(plan, ALL)
        assert not message


@pytest.mark.parametrize("kept", [ALL[::2], np.array([0, 2, 3, 5, 6, 8]), np.array([0, 3, 4, 9])])
def test_most_files_lost_still_pair_by_number(tmp_path, kept):
    plan, message = opened(tiff(tmp_path, kept, index=ALL))
    assert_true_pairs(plan, kept)
    assert f"{N - len(kept)} positions (number 1" in message


def test_every_other_file_of_a_list_is_asked_for(tmp_path):
    with pytest.raises(BeamlineError, match="in steps of 2 and 24 positions fit in two ways"):
        opened(tiff(tmp_path, ALL[::2]))


def test_a_file_of_several_pages_that_was_lost(tmp_path):
    kept = np.delete(ALL, np.arange(6, 12))
    for part in np.split(kept, 3):
        name = tmp_path / f"s_{part[0] // 6:02d}.tif"
        write_tiff(name, frames(part))
    write_sidecar(tmp_path, positions())
    plan, message = opened(str(tmp_path / "s_*.tif"))
    assert_true_pairs(plan, kept)
    assert "6 positions (number 6, 7, 8, 9, 10, 11) without a frame" in message


def by_row_and_column(folder, kept, columns=5, first=(0, 0), pages=1):
    """``s_01_02.tif`` and so on, rows of so many files, and a sidecar of all positions."""
    for number in kept:
        row, column = np.divmod(number, columns) + np.array(first)
        pair = frames(number * pages + np.arange(pages))
        write_tiff(folder / f"s_{row:02d}_{column:02d}.tif", pair)
    write_sidecar(folder, positions())
    return str(folder / "s_*.tif")


@losses
@pytest.mark.parametrize("first", [(0, 0), (1, 1), (0, 1)])
def test_names_by_row_and_column(tmp_path, lost, first):
    kept = np.delete(ALL, lost)
    plan, message = opened(by_row_and_column(tmp_path, kept, first=first))
    assert_true_pairs(plan, kept)
    numbers = ", ".join(str(number + 5 * first[0]) for number in lost)
    assert f"(number {numbers}) without a frame" in message if lost else not message
    column = "column - 1" if first[1] else "column"
    assert (f"the numbers in the file names (row x 5 + {column})" in message) == bool(lost)


def test_names_by_row_and_column_with_pages_or_exposures(tmp_path):
    kept = np.delete(np.arange(12), 7)
    for name, how in {"pages": {"columns": 3, "pages": 2}, "exposures": {"columns": 2}}.items():
        folder = tmp_path / name
        folder.mkdir()
        taken = kept if name == "pages" else np.delete(ALL, [14, 15])
        plan, message = opened(by_row_and_column(folder, taken, **how), frames_per_position=2)
        raw = plan.load(np.arange(11))[..., 0, 0].astype(int) - 100
        assert_array_equal(raw, np.arange(24).reshape(12, 2)[kept])
        assert_allclose(plan.positions_m, positions(kept))
        assert "without a frame" in message


@pytest.mark.parametrize("axes", [False, True])
def test_a_column_that_was_lost_is_asked_for(tmp_path, axes):
    """Four columns of 20 positions: of four rows of which each lacks one, or of five."""
    kept = [number for number in range(20) if number % 5 < 4]
    file = by_row_and_column(tmp_path, kept)
    write_sidecar(tmp_path, positions(np.arange(20)))
    if axes:
        with h5py.File(tmp_path / "sidecar.h5", "w") as out:
            out["entry/posy_m"], out["entry/posx_m"] = np.arange(4) * 1e-6, np.arange(5) * 1e-6
    there = "4 x 5" if axes else "20"
    words = f"4 rows x 4 columns by the file names, for {there} positions: which column each"
    with pytest.raises(BeamlineError, match=words):
        opened(file)
    with h5py.File(tmp_path / "numbers.h5", "w") as out:
        out["frame"] = kept
    plan, _ = opened(file, paths={"frame_index": f"{tmp_path}/numbers.h5::/frame"})
    assert_true_pairs(plan, kept)


@pytest.mark.parametrize("of", ["positions", "frames", "both"])
@pytest.mark.parametrize("from_", [0, 1])
def test_numbers_in_any_order(tmp_path, of, from_):
    """Nothing was lost, but either side is stored in another order."""
    mixed = np.random.default_rng(3).permutation(N)
    taken = mixed if of != "positions" else ALL
    logged = mixed[::-1] if of != "frames" else ALL
    file = generic(tmp_path, taken, taken + from_, logged + from_, positions(logged))
    plan, message = opened(file, **ANY)
    assert not message
    assert_true_pairs(plan, ALL)
    assert_array_equal(taken[plan.selection.exposures[:, 0]], ALL)


def mixed(folder, kept, *odd):
    """Numbered files among which some are named otherwise, and a sidecar of all positions."""
    file = tiff(folder, kept)
    for name in odd:
        write_tiff(folder / name, frames([0])[0])
    return file.replace("scan7_", "")


@pytest.mark.parametrize(
    "odd",
    [
        "dark_0000.tif",
        "dark.tif",
        "scan7_0003 (1).tif",
        "scan7_0003_copy.tif",
        "scan7_20240531.tif",
    ],
)
def test_a_file_that_is_named_otherwise_is_refused(tmp_path, odd):
    """It would leave all others without their numbers."""
    kept = np.delete(ALL, 7)
    file = mixed(tmp_path, kept, odd)
    words = rf"{re.escape(odd)}: Expected 24 files numbered as scan7_0000.tif. Got 1 named otherw"
    with pytest.raises(BeamlineError, match=words):
        opened(file)
    plan, _ = opened(file, paths={"frame_index": 0})
    assert len(plan) == N
    (tmp_path / "files.txt").write_text("scan7_????.tif\n")
    assert_true_pairs(opened(tmp_path / "files.txt")[0], kept)


def test_a_file_in_the_middle_with_other_pages_is_refused(tmp_path):
    file = tiff(tmp_path, np.delete(ALL, 7))
    write_tiff(tmp_path / "scan7_0009.tif", frames([9, 9]))
    with pytest.raises(BeamlineError, match=r"of as many pages as scan7_0000.tif. Got 1 of others"):
        opened(file)


def test_not_all_of_many_unnumbered_files_are_listed(tmp_path):
    file = mixed(tmp_path, ALL, *(f"dark_{number}.tif" for number in range(6)))
    with pytest.raises(BeamlineError, match=r"Got 6 named otherwise: dark_0.*dark_3.tif, …; leave"):
        opened(file)


def test_the_number_of_the_first_position_without_a_sidecar(tmp_path):
    """As an error of pairing prints it."""
    file = tiff(tmp_path, ALL[1:])
    (tmp_path / "sidecar.h5").rename(tmp_path / "e_pos.h5")
    paths = {name: f"e_pos.h5::/entry/pos{name}_m" for name in "xy"}
    with pytest.raises(BeamlineError, match=r"fit in two ways.*--path position_index=0"):
        opened(file, paths=paths)
    plan, _ = opened(file, paths={**paths, "position_index": "0"})
    assert_true_pairs(plan, ALL[1:])
    with pytest.raises(BeamlineError, match="position_index=/n names a dataset, but there is no"):
        opened(file, paths={**paths, "position_index": "/n"})
