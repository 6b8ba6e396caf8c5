"""Frames and positions that were lost or repeated: paired by their numbers, or refused.

Scans are those of ``numbered_scans``.
"""

from __future__ import annotations

import pickle
import shutil
import warnings

import h5py
import numpy as np
import pytest
import scans
from numbered_scans import (
    ALL,
    ANY,
    LOST,
    MOTORS,
    PLAN,
    N,
    areadetector,
    assert_true_pairs,
    eiger,
    frames,
    generic,
    losses,
    opened,
    opened_unless_ambiguous,
    positions,
    tiff,
    write_motors,
)
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineError, BeamlineWarning, open_scan


def paired_or_refused(file, kept, lost, **settings):
    plan, message, ambiguity = opened_unless_ambiguous(file, **settings)
    if ambiguity:
        return ambiguity
    assert_true_pairs(plan, kept)
    assert ("without a frame" in message) == bool(lost), message
    return message


@pytest.mark.parametrize(
    ("first", "lost"),
    [(first, lost) for first in (0, 1, 5001) for lost in LOST.values() if first or 0 not in lost],
)
def test_areadetector_with_positions_elsewhere(tmp_path, lost, first):
    """The counter starts at 1, unless a frame has number 0 or it was not reset."""
    kept = np.delete(ALL, lost)
    message = paired_or_refused(areadetector(tmp_path, kept, first), kept, lost, **MOTORS)
    assert "fit in two ways" not in message or first == 5001 or {0, 23} <= {*lost}


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(("first", "lost"), [(1, []), (1, [7]), (0, [7, 8])])
def test_areadetector_frames_in_another_order(tmp_path, inside, first, lost):
    """As a plugin that gathers from threads writes them: each number is there once."""
    kept = np.random.default_rng(0).permutation(np.delete(ALL, lost))
    if kept[-1] + first == 0:
        kept = kept[::-1]
    file = areadetector(tmp_path, kept, first, inside)
    plan, message = opened(file, **({} if inside else MOTORS))
    assert_true_pairs(plan, np.sort(kept))
    assert ("without a frame" in message) == (bool(lost) and not inside)


def test_a_followed_scan_in_another_order_is_refused(tmp_path):
    file = areadetector(tmp_path, np.array([0, 2, 1, 3]))
    with pytest.raises(BeamlineError, match="goes back from 3 to 2 at frame 2, but a scan that is"):
        opened(file, **MOTORS, live={"timeout_s": 1})


@pytest.mark.parametrize("positions_there", [16, N])
def test_frames_beyond_the_counter_are_reported(tmp_path, positions_there):
    file = areadetector(tmp_path, ALL, inside=True)
    with h5py.File(file, "a") as out:
        attributes = out["entry/instrument/NDAttributes"]
        lengths = {"NDArrayUniqueId": 16, "posx_m": positions_there, "posy_m": positions_there}
        for name, length in lengths.items():
            values = attributes[name][:length]
            del attributes[name]
            attributes[name] = values
    plan, message = opened(file)
    assert_true_pairs(plan, ALL[:16])
    assert (
        "24 frames are stored, but only 16 numbers: frames from 16 on are left out; --path"
        in message
    )
    plan, message = opened(file, paths={"frame_index": 0})
    assert_true_pairs(plan, ALL[:positions_there])
    assert ("only frames with positions" in message) == (positions_there == 16)


@pytest.mark.parametrize("lost", [[0, 1, 2], [0, 1, 2, 9]])
def test_a_counter_whose_first_frames_were_lost_is_ambiguous(tmp_path, lost):
    """Ids 3 to 23: of a counter from 0, or of one from 1 that lost the last frame, too."""
    kept = np.delete(ALL, lost)
    file = areadetector(tmp_path, kept, first=0)
    with pytest.raises(
        BeamlineError,
        match=r"frames numbered 3 to 23 \(NDArrayUniqueId\) and 24 positions without numbers fit "
        r"in two ways: the first position may belong to frame 0 or 1; .*position_index=0 or --path",
    ):
        opened(file, **MOTORS)
    plan, message = opened(file, paths={**MOTORS["paths"], "position_index": 0})
    assert_true_pairs(plan, kept)
    assert f"{len(lost)} positions (number 0, 1, 2" in message
    del plan
    plan, _ = opened(areadetector(tmp_path, kept, first=1), **MOTORS)
    assert_true_pairs(plan, kept)


def test_counting_from_1_is_reported_as_an_assumption(tmp_path):
    """A stopped scan, unless the counter begins with 0 and the first frame was lost."""
    stopped = areadetector(tmp_path, ALL[:-1], first=1)
    plan, message = opened(stopped, **MOTORS)
    assert_true_pairs(plan, ALL[:-1])
    assert (
        "(NDArrayUniqueId, taken to count from 1; if it counts from 0 and the first frame was "
        "lost, set --path position_index=0): 1 position (number 24) without a frame" in message
    )
    del plan
    lost = areadetector(tmp_path, ALL[1:], first=0)
    plan, message = opened(lost, paths={**MOTORS["paths"], "position_index": 0})
    assert_true_pairs(plan, ALL[1:])
    assert "taken to count" not in message
    del plan
    with h5py.File(tmp_path / "motors.h5", "a") as file:
        file["n"] = ALL
    plan, message = opened(lost, paths={**MOTORS["paths"], "position_index": "motors.h5::/n"})
    assert_true_pairs(plan, ALL[1:])
    assert "whose numbers are taken as they are" in message


@losses
@pytest.mark.parametrize("first", [0, 1, 5001])
def test_areadetector_with_positions_inside(tmp_path, lost, first):
    kept = np.delete(ALL, lost)
    plan, _ = opened(areadetector(tmp_path, kept, first, inside=True))
    assert_true_pairs(plan, kept)


@losses
def test_eiger_data_files_say_which_images_they_have(tmp_path, lost):
    kept = np.delete(ALL, lost)
    paired_or_refused(eiger(tmp_path, kept), kept, lost, **MOTORS)
    plan, message = opened(eiger(tmp_path, kept), **MOTORS)
    assert_true_pairs(plan, kept)
    assert "image_nr" in message or not lost


def without(master, *numbers):
    """A series of four files of 6 images, some of which are gone; and the frames in these."""
    for number in numbers:
        (master.parent / f"raw_data_{number:06d}.h5").unlink()
    return np.concatenate([np.arange(6 * number - 6, 6 * number) for number in numbers])


@pytest.mark.parametrize("gone", [(1,), (2,), (4,), (2, 3)])
@pytest.mark.parametrize("numbered", [True, False])
def test_frames_of_a_data_file_that_is_gone_are_left_out_by_number(tmp_path, gone, numbered):
    file = eiger(tmp_path, ALL, numbered=numbered)
    lost = without(file, *gone)
    first = f"{lost[0]}-{lost[5]}"
    name = f"raw_data_{gone[0]:06d}.h5"
    with pytest.raises(BeamlineError, match=rf"{name}, .*reject='{first}' \(--reject {first}\)"):
        opened(file, **MOTORS)
    reject = f"{lost[0]}-{lost[-1]}"
    plan, message = opened(file, **MOTORS, reject=reject)
    assert f"{name}, which does not exist: 6 frames, {first}, are missing" in message
    assert_true_pairs(plan, np.delete(ALL, lost))
    assert_array_equal(pickle.loads(pickle.dumps(plan)).load([0]), plan.load([0]))
    assert_array_equal(plan.selection.exposures[:, 0], np.delete(ALL, lost))


FIRST_ROW = {"select.shape": "rect", "select.size": (5e-7, 9e-6), "select.center": (0, 0)}


@pytest.mark.parametrize("chosen", [{"num_frames": 6}, FIRST_ROW])
def test_frames_that_are_not_wanted_need_no_file(tmp_path, chosen):
    file = eiger(tmp_path, ALL)
    without(file, 2, 4)
    plan, _ = opened(file, **MOTORS, **chosen)
    assert_true_pairs(plan, ALL[: len(plan)])
    assert len(plan) == chosen.get("num_frames", 5)


def test_exposures_in_a_data_file_that_is_gone_leave_no_group_shifted(tmp_path):
    file = eiger(tmp_path, ALL)
    write_motors(tmp_path, positions(np.arange(6)))
    lost = without(file, 2)
    plan, _ = opened(file, **MOTORS, frames_per_position=4, reject=lost)
    there = np.where(np.isin(ALL, lost), -1, ALL).reshape(6, 4)
    assert_array_equal(plan.selection.exposures, there[(there >= 0).any(1)])
    assert_allclose(plan.positions_m, positions(np.flatnonzero((there >= 0).any(1))))


@pytest.mark.parametrize(("number", "numbered"), [(1, 1), (2, 1), (4, 1), (1, 0), (2, 0), (3, 0)])
def test_a_data_file_that_lacks_a_frame_inside_shifts_no_other(tmp_path, number, numbered):
    """Its own frames are left out: which one of its images was lost is unknown."""
    file = eiger(tmp_path, ALL)
    own = ALL[6 * number - 6 : 6 * number]
    with h5py.File(tmp_path / f"raw_data_{number:06d}.h5", "a") as part:
        attributes = dict(part["entry/data/data"].attrs) if numbered else {}
        del part["entry/data/data"]
        part["entry/data/data"] = frames(np.delete(own, 2))
        part["entry/data/data"].attrs.update(attributes)
    plan, message = opened(file, **MOTORS)
    assert_true_pairs(plan, np.delete(ALL, own))
    images = f" for images {own[0] + 1} to {own[-1] + 1}" if numbered else ", which are not as"
    assert f"raw_data_{number:06d}.h5: 5 frames{images}" in message
    assert "it is unknown which images were lost, so its 5 frames are left out" in message
    assert "6 positions (number" in message
    assert "23 of 24 images (nimages x ntrigger) are there" in message
    assert_array_equal(plan.selection.exposures[-1, 0], 22 if number < 4 else 17)
    with h5py.File(tmp_path / "numbers.h5", "w") as out:
        out["n"] = np.delete(ALL, own[2])
    paths = {**MOTORS["paths"], "frame_index": "numbers.h5::/n"}
    plan, message = opened(file, paths=paths)
    assert_true_pairs(plan, np.delete(ALL, own[2]))


def test_a_data_file_without_image_numbers_gets_those_between_its_neighbours(tmp_path):
    file = eiger(tmp_path, ALL)
    for number in (2, 3):
        with h5py.File(tmp_path / f"raw_data_{number:06d}.h5", "a") as part:
            del part["entry/data/data"].attrs["image_nr_high"]
    plan, message = opened(file, **MOTORS)
    assert_true_pairs(plan, ALL)
    assert not message


def test_data_files_without_image_numbers_are_refused(tmp_path):
    file = eiger(tmp_path, ALL)
    for number in range(1, 5):
        with h5py.File(tmp_path / f"raw_data_{number:06d}.h5", "a") as part:
            part["entry/data/data"].attrs["image_nr_high"] = 0
    with (
        pytest.raises(BeamlineError, match=r"has the image num.*by --path frame_index=0"),
        pytest.warns(BeamlineWarning),
    ):
        open_scan(file, **PLAN, **MOTORS)
    plan, _ = opened(file, paths={**MOTORS["paths"], "frame_index": 0})
    assert_true_pairs(plan, ALL)


def test_a_file_for_each_of_few_images(tmp_path):
    """The first of two is gone: only the numbers in the other show how many images it had."""
    file = eiger(tmp_path, ALL[:10])
    (tmp_path / "raw_data_000001.h5").unlink()
    plan, _ = opened(file, **MOTORS, reject="0-5")
    assert_true_pairs(plan, ALL[6:10])
    other = tmp_path / "other"
    other.mkdir()
    file = eiger(other, ALL[:10], numbered=False)
    (other / "raw_data_000001.h5").unlink()
    with pytest.raises(BeamlineError, match=r"raw_data_000001\.h5, which does not exist; copy"):
        opened(file, **MOTORS, reject="0-5")


def test_the_remedy_for_a_data_file_that_is_gone_is_typed_as_printed(tmp_path, type_in):
    file = eiger(tmp_path, ALL)
    without(file, 2)
    words = ["--unit", "positions=m", "--energy-kev", 8.8, "--distance-m", 1, "--pixel-m", 75e-6]
    words += ["--roi-center", "4,4", "--path", "x=motors.h5::/x", "--path", "y=motors.h5::/y"]
    code, _, err = type_in("info", file, "--plan", *words)
    assert code == 1
    flag = err.split("(--reject ")[1].split(")")[0]
    code, out, _ = type_in("info", file, "--plan", *words, "--reject", flag)
    assert code == 0
    assert "18 positions from 18 of 24" in out
    code, out, _ = type_in("qc", file, *words, "--reject", flag, "--out", tmp_path / "qc")
    assert code == 0
    assert "of 18 frames rejected" in out


@losses
def test_without_numbers_a_loss_is_reported(tmp_path, lost):
    kept = np.delete(ALL, lost)
    _, message = opened(eiger(tmp_path, kept, numbered=False), **MOTORS)
    assert (
        "the scan was stopped, or frames were lost in the middle: see ptypy-beamline check"
        in message
    ) == bool(lost)


@losses
@pytest.mark.parametrize("first", [0, 1, 101])
@pytest.mark.parametrize("step", [1, 10])
def test_tiff_with_a_list_of_positions(tmp_path, lost, first, step):
    kept = np.delete(ALL, lost)
    message = paired_or_refused(tiff(tmp_path, kept, first, step=step), kept, lost)
    certain = first == 0 and 0 not in lost
    assert ("fit in two ways" in message) <= (not certain)


@losses
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("from_", [0, 1])
def test_tiff_with_a_frame_index(tmp_path, lost, first, from_):
    """Names and index may each count from 0 or 1."""
    kept = np.delete(ALL, lost)
    message = paired_or_refused(tiff(tmp_path, kept, first, ALL + from_), kept, lost)
    ends = {0, 23} & set(lost)
    assert "fit in two ways" not in message or ends
    assert "fit in two ways" not in message or not (first == from_ == 0 and 0 not in lost)


def test_the_number_of_the_first_position_settles_it(tmp_path):
    kept = ALL[1:]
    file = tiff(tmp_path, kept, first=0)
    with pytest.raises(
        BeamlineError, match=r"fit in two ways: .* frame 0 or 1; .*position_index=0 or --path"
    ):
        opened(file)
    plan, message = opened(file, paths={"position_index": 0})
    assert_true_pairs(plan, kept)
    assert "1 position (number 0) without a frame" in message


@losses
@pytest.mark.parametrize(("first", "from_"), [(1, 1), (0, 1), (1, 0), (17, 17)])
def test_numbers_on_both_sides(tmp_path, lost, first, from_):
    kept = np.delete(ALL, lost)
    file = generic(tmp_path, kept, kept + first, ALL + from_)
    if first == from_:
        plan, message = opened(file, **ANY)
        assert_true_pairs(plan, kept)
        assert ("without a frame" in message) == bool(lost)
    elif not {0, 23} & set(lost):
        paired_or_refused(file, kept, lost, **ANY)


@losses
def test_positions_that_were_lost(tmp_path, lost):
    logged = np.delete(ALL, lost)
    file = generic(tmp_path, ALL, ALL + 1, logged + 1, positions(logged))
    plan, message = opened(file, **ANY)
    assert_true_pairs(plan, logged)
    assert ("without a position" in message) == bool(lost)


def test_readings_of_one_number_are_averaged(tmp_path):
    """An interferometer that is read many times a trigger."""
    rng = np.random.default_rng(1)
    number = np.sort(rng.integers(0, N, 2000))
    readings = positions(number) + rng.normal(0, 1e-8, (2000, 2))
    kept = np.delete(ALL, [3, 20])
    plan, message = opened(generic(tmp_path, kept, kept, number, readings), **ANY)
    mean = np.stack([readings[number == i].mean(0) for i in kept])
    assert_allclose(plan.positions_m, mean, atol=1e-15)
    assert "2 positions (number 3, 20) without a frame" in message


def test_readings_of_one_number_that_are_far_apart_are_reported(tmp_path):
    number = np.sort([*ALL, 7])
    readings = positions(number)
    readings[8] += 2e-5
    _, message = opened(generic(tmp_path, ALL, ALL, number, readings), **ANY)
    assert "readings of number 7 lie up to 1.41e-05 m from their mean" in message


def test_the_monitor_follows_the_numbers(tmp_path):
    """One value a reading, and one a frame."""
    kept = np.delete(ALL, [3, 20])
    file = generic(tmp_path, kept, kept, np.repeat(ALL, 2), positions(np.repeat(ALL, 2)))
    i0 = 1 + 0.1 * (ALL % 7)
    with h5py.File(file, "a") as out:
        out["i0"] = np.repeat(i0, 2) + np.tile([-0.01, 0.01], N)
        out["i0_frame"] = i0[kept]
    for name in ("i0", "i0_frame"):
        paths = {**ANY["paths"], "monitor": f"/{name}"}
        plan, _ = opened(file, paths=paths)
        assert_allclose(plan.selection.scale[:, 0], i0[kept].mean() / i0[kept])


def test_a_monitor_a_position_is_not_shifted_by_a_lost_exposure(tmp_path):
    kept = np.delete(ALL, 7)
    file = areadetector(tmp_path, kept)
    i0 = 1 + 0.1 * np.arange(12)
    write_motors(tmp_path, positions(np.arange(12)))
    with h5py.File(tmp_path / "motors.h5", "a") as out:
        out["i0"] = i0
    paths = {**MOTORS["paths"], "monitor": "motors.h5::/i0"}
    plan, message = opened(file, paths=paths, frames_per_position=2)
    assert "without some of their 2 exposures: 1, the first one is position 3" in message
    scale = np.where(plan.selection.exposures >= 0, plan.selection.scale, np.nan)
    mean = np.repeat(i0, 2)[kept].mean()
    assert_allclose(np.nanmean(scale, axis=1), mean / i0)


def test_a_monitor_that_is_too_short_is_reported(tmp_path):
    file = areadetector(tmp_path, ALL, inside=True)
    with h5py.File(file, "a") as out:
        out["entry/instrument/NDAttributes/monitor"] = np.ones(21)
    plan, message = opened(file, monitor="file")
    assert len(plan) == 21
    assert "3" in message
    assert "monitor" in message
    with h5py.File(tmp_path / "motors.h5", "a") as out:
        out["i0"] = np.ones(21)
    with pytest.raises(
        BeamlineError, match="Expected a monitor value for each of 24 frames, or for e"
    ):
        opened(file, paths={"monitor": "motors.h5::/i0"})


def test_frames_of_one_number_are_refused(tmp_path):
    kept = np.sort([*ALL, 5, 9])
    with pytest.raises(BeamlineError, match="Expected one frame of each acquisition number in n"):
        opened(generic(tmp_path, kept, kept, ALL), **ANY)
    with pytest.raises(BeamlineError, match="one frame of each acquisition number in NDArrayUni"):
        opened(areadetector(tmp_path, np.delete(kept, [0, 1])), **MOTORS)


@pytest.mark.parametrize("number", [2, 24])
def test_frames_of_one_number_are_refused_with_positions_inside(tmp_path, number):
    file = areadetector(tmp_path, ALL, inside=True)
    with h5py.File(file, "a") as out:
        ids = out["entry/instrument/NDAttributes/NDArrayUniqueId"]
        ids[number - 2] = number
    words = rf"NDArrayUniqueId. Got 2 of number {number}, and 1 such number; .*frame_index=0"
    with pytest.raises(BeamlineError, match=words):
        opened(file)
    plan, message = opened(file, paths={"frame_index": 0})
    assert_true_pairs(plan, ALL)
    assert not message


def test_images_and_files_of_one_number_are_refused(tmp_path):
    with pytest.raises(BeamlineError, match=r"number in image_nr. Got 2 of number 7, and 6 such"):
        opened(eiger(tmp_path, np.append(ALL, ALL[6:12])), **MOTORS)
    file = tiff(tmp_path, ALL)
    shutil.copy(tmp_path / "scan7_0007.tif", tmp_path / "scan7_007.tif")
    with pytest.raises(BeamlineError, match=r"number in the numbers in the file names. Got 2 of"):
        opened(file)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (np.array(ALL, np.uint64) + np.uint64(2**63), "below 2.62 in n. Got 9223372036854775808"),
        (ALL * 1e19, "below 2.62 in n. Got 1e.19 at entry 1"),
        (ALL + 0.5, "numbers below 2.62 in n. Got 0.5 at entry 0"),
        (np.where(ALL == 5, np.nan, ALL), "numbers below 2.62 in n. Got nan at entry 5"),
    ],
)
def test_numbers_that_count_nothing(tmp_path, numbers, words):
    with pytest.raises(BeamlineError, match=words):
        opened(generic(tmp_path, ALL, numbers, ALL), **ANY)


def test_large_numbers_are_exact(tmp_path):
    """As time stamps in nanoseconds, which 64 bits of a float do not hold."""
    kept = np.delete(ALL, 7)
    plan, _ = opened(generic(tmp_path, kept, kept + 2**60, ALL + 2**60), **ANY)
    assert_true_pairs(plan, kept)


def test_a_counter_that_starts_again_with_each_row(tmp_path):
    file = areadetector(tmp_path, ALL)
    with h5py.File(file, "a") as out:
        out["entry/instrument/NDAttributes/NDArrayUniqueId"][:] = ALL % 6 + 1
    plan, _ = opened(file, **MOTORS)
    assert_true_pairs(plan, ALL)
    del plan
    with h5py.File(file, "a") as out:
        ids = out["entry/instrument/NDAttributes/NDArrayUniqueId"]
        ids[:] = np.where(ALL % 6 > 2, ALL % 6 + 2, ALL % 6 + 1)
    with pytest.raises(BeamlineError, match="starts again at frame 6 and has gaps"):
        opened(file, **MOTORS)


@pytest.mark.parametrize("lost", [0, 5, 6, 11, 18, 23])
def test_a_counter_that_starts_again_with_a_row_that_lost_a_frame(tmp_path, lost):
    """At the end of the last row it is a scan that was stopped; no other frame is shifted."""
    file = areadetector(tmp_path, np.delete(ALL, lost))
    with h5py.File(file, "a") as out:
        ids = out["entry/instrument/NDAttributes/NDArrayUniqueId"]
        ids[:] = np.delete(ALL, lost) % 6 + 1
    if lost == 23:
        plan, message = opened(file, **MOTORS)
        assert_true_pairs(plan, ALL[:-1])
        assert "23 frames for 24 positions" in message
    else:
        with pytest.raises(BeamlineError, match=r"starts again at frame [56] and has gaps"):
            opened(file, **MOTORS)


def test_the_first_exposure_that_was_lost_moves_no_group(tmp_path):
    """Positions are logged with each frame, and the counter begins with 2."""
    kept = ALL[1:]
    file = areadetector(tmp_path, kept, inside=True)
    with h5py.File(file, "a") as out:
        attributes = out["entry/instrument/NDAttributes"]
        attributes["posy_m"][:], attributes["posx_m"][:] = positions(kept // 2).T
    plan, _ = opened(file, frames_per_position=2)
    wanted = np.arange(-1, 23).reshape(12, 2)
    assert_array_equal(plan.selection.exposures, wanted)


def test_a_time_of_each_acquisition_is_not_shifted_by_a_lost_frame(tmp_path):
    kept = np.delete(ALL, 4)
    file = tiff(tmp_path, kept, index=ALL)
    with h5py.File(tmp_path / "sidecar.h5", "a") as out:
        for name, column in zip(("posy_m", "posx_m"), positions(ALL // 2).T, strict=True):
            out["entry"][name][:] = column
        out["entry/exposure_s"] = np.tile([0.1, 1.0], 12)
    plan, _ = opened(file, frames_per_position=2, grouping="hdr", saturation=3000)
    there = plan.selection.exposures >= 0
    assert_allclose(plan.selection.seconds[there], np.tile([0.1, 1.0], (12, 1))[there])


def test_maps_with_the_axes_of_the_frames_exchanged_are_refused(tmp_path):
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["frames"] = frames(ALL).reshape(4, 6, 8, 8)
        file["y"], file["x"] = (column.reshape(6, 4) for column in positions().T)
    paths = {"frames": "/frames", "x": "/x", "y": "/y"}
    with pytest.raises(
        BeamlineError, match=r"Expected maps of positions \(4, 6\), like the frames"
    ):
        opened(tmp_path / "any.h5", paths=paths)


class TestDroppedFrames:
    """NDArrayUniqueId shows which frames the detector dropped."""

    def file(self, tmp_path, dropped, listed):
        keep = np.delete(np.arange(49), dropped)
        file = scans.write(
            tmp_path,
            "areadetector",
            frames=scans.truth().frames[keep],
            positions_m=scans.truth().positions_m[keep],
        )
        with h5py.File(file, "a") as opened:
            ids = opened["entry/instrument/NDAttributes/NDArrayUniqueId"]
            ids[:] = keep + 1
            if listed:
                for axis, name in enumerate("yx"):
                    opened[f"planned/{name}_m"] = scans.truth().positions_m[:, axis]
        return file, keep

    @pytest.mark.parametrize("listed", [False, True])
    def test_their_positions_are_skipped(self, tmp_path, listed):
        file, keep = self.file(tmp_path, [3, 4, 30], listed)
        paths = {"x": "/planned/x_m", "y": "/planned/y_m"} if listed else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BeamlineWarning)
            plan = open_scan(file, paths=paths).plan()
        assert_allclose(plan.positions_m, scans.truth().positions_m[keep])
        assert_array_equal(plan.selection.exposures[:, 0], np.arange(46))

    def test_a_position_may_be_logged_before_the_number_of_its_frame(self, tmp_path):
        file, keep = self.file(tmp_path, [3, 30], listed=False)
        with h5py.File(file, "a") as opened:
            opened["entry/instrument/NDAttributes/NDArrayUniqueId"][-2:] = 0  # not written yet
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BeamlineWarning)
            plan = open_scan(file).plan()
        assert_allclose(plan.positions_m, scans.truth().positions_m[keep[:45]])

    def test_groups_stay_together(self, tmp_path):
        file, keep = self.file(tmp_path, [3, 4, 30], listed=False)
        with h5py.File(file, "a") as opened:
            for axis, name in enumerate(("posy_m", "posx_m")):
                logged = opened[f"entry/instrument/NDAttributes/{name}"]
                logged[:] = scans.truth().positions_m[keep // 7 * 7, axis]
        with pytest.warns(BeamlineWarning, match="without some of their 7 exposures: 2, the first"):
            plan = open_scan(file, frames_per_position=7).plan()
        of_group = [keep[row[row >= 0]] // 7 for row in plan.selection.exposures]
        assert [set(groups.tolist()) for groups in of_group] == [{g} for g in range(7)]
