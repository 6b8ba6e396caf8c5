"""Frames and positions that were lost, repeated or renumbered: paired rightly or refused.

Every frame carries its number in its first pixel, and position i lies at (i // 5, i % 5).
"""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
import sys
import warnings

import h5py
import numpy as np
import pytest
import tifffile
from folders import REAL_DATA, ROOT
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineError, BeamlineWarning, open_scan
from ptypy_beamline.diagnosis.findings import diagnose
from ptypy_beamline.settings import Settings

N = 24
ALL = np.arange(N)
LOST = {
    "nothing": [],
    "the first": [0],
    "two at the start": [0, 1],
    "in the middle": [7],
    "several in the middle": [7, 8, 9, 10],
    "in two places": [4, 5, 15],
    "the last": [23],
    "both ends": [0, 23],
}
PLAN = {"energy": 8.8, "distance": 1.0, "psize": 75e-6, "center": (4, 4)}


def frames(numbers):
    stack = np.full((len(numbers), 8, 8), 5, np.uint16)
    stack[:, 0, 0] = np.asarray(numbers) + 100
    return stack


def positions(numbers=ALL):
    numbers = np.asarray(numbers)
    return np.column_stack([numbers // 5, numbers % 5]) * 1e-6


def opened(file, **settings):
    """The plan, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BeamlineWarning)
        scan = open_scan(file, **{"units": {"positions": "m"}, **PLAN, **settings})
        plan = scan.plan()
    return plan, " ".join(str(w.message) for w in caught)


def assert_true_pairs(plan, kept):
    """Each frame that is used has its own position; those of ``kept`` are used."""
    raw = plan.load(np.arange(len(plan)))[:, 0, 0, 0].astype(int) - 100
    assert_allclose(plan.positions_m, positions(raw), atol=1e-15)
    assert_array_equal(raw, kept)


def paired_or_refused(file, kept, lost, **settings):
    try:
        plan, said = opened(file, **settings)
    except BeamlineError as error:
        return str(error)
    assert_true_pairs(plan, kept)
    assert ("without a frame" in said) == bool(lost), said
    return said


# writers, each by hand -----------------------------------------------------------------------


def areadetector(folder, kept, first=1, inside=False):
    """Frames with NDArrayUniqueId; positions of all triggers in a file of their own."""
    with h5py.File(folder / "motors.h5", "w") as file:
        file["y"], file["x"] = positions().T
    with h5py.File(folder / "raw.h5", "w") as file:
        file["entry/data/data"] = frames(kept)
        attributes = file.create_group("entry/instrument/NDAttributes")
        attributes["NDArrayUniqueId"] = np.asarray(kept) + first
        if inside:
            attributes["posy_m"], attributes["posx_m"] = positions(kept).T
    return folder / "raw.h5"


MOTORS = {"paths": {"x": "motors.h5::/x", "y": "motors.h5::/y"}}


def eiger(folder, kept, first=1, numbered=True):
    """A master of data files of up to 6 images whose attributes say which."""
    areadetector(folder, kept)
    with h5py.File(folder / "raw.h5", "w") as master:
        master["entry/instrument/detector/detectorSpecific/nimages"] = N
        runs = np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1)
        parts = [run[i : i + 6] for run in runs for i in range(0, len(run), 6)]
        for number, part in enumerate(parts, 1):
            name = f"data_{number:06d}"
            with h5py.File(folder / f"raw_{name}.h5", "w") as file:
                file["entry/data/data"] = frames(part)
                if numbered:
                    low, high = part[0] + first, part[-1] + first
                    file["entry/data/data"].attrs.update(image_nr_low=low, image_nr_high=high)
            master[f"entry/data/{name}"] = h5py.ExternalLink(f"raw_{name}.h5", "/entry/data/data")
    return folder / "raw.h5"


def tiff(folder, kept, first=0, index=None, step=1):
    """Files with the number of the frame, and a sidecar of all positions."""
    for number, frame in zip(kept, frames(kept), strict=True):
        name = folder / f"scan7_{(number + first) * step:04d}.tif"
        tifffile.imwrite(name, frame, photometric="minisblack")
    with h5py.File(folder / "sidecar.h5", "w") as file:
        file["entry/posy_m"], file["entry/posx_m"] = positions().T
        if index is not None:
            file["entry/frame_index"] = index
    return str(folder / "scan7_*.tif")


def generic(folder, kept, frame_index, position_index, readings=None):
    with h5py.File(folder / "any.h5", "w") as file:
        file["frames"], file["n"] = frames(kept), frame_index
        file["y"], file["x"] = (positions() if readings is None else readings).T
        file["m"] = position_index
    return folder / "any.h5"


ANY = {
    "paths": {
        "frames": "/frames",
        "x": "/x",
        "y": "/y",
        "frame_index": "/n",
        "position_index": "/m",
    }
}

losses = pytest.mark.parametrize("lost", LOST.values(), ids=list(LOST))


# by number -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "lost"),
    [(first, lost) for first in (0, 1, 5001) for lost in LOST.values() if first or 0 not in lost],
)
def test_areadetector_with_positions_elsewhere(tmp_path, lost, first):
    """The counter starts at 1, unless a frame has number 0 or it was not reset."""
    kept = np.delete(ALL, lost)
    said = paired_or_refused(areadetector(tmp_path, kept, first), kept, lost, **MOTORS)
    assert "fit in two ways" not in said or first == 5001 or {0, 23} <= {*lost}


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(("first", "lost"), [(1, []), (1, [7]), (0, [7, 8])])
def test_areadetector_frames_in_another_order(tmp_path, inside, first, lost):
    """As a plugin that gathers from threads writes them: each number is there once."""
    kept = np.random.default_rng(0).permutation(np.delete(ALL, lost))
    if kept[-1] + first == 0:
        kept = kept[::-1]
    file = areadetector(tmp_path, kept, first, inside)
    plan, said = opened(file, **({} if inside else MOTORS))
    assert_true_pairs(plan, np.sort(kept))
    assert ("without a frame" in said) == (bool(lost) and not inside)


def test_a_followed_scan_in_another_order_is_refused(tmp_path):
    file = areadetector(tmp_path, np.array([0, 2, 1, 3]))
    with pytest.raises(BeamlineError, match="goes back from 3 to 2 at frame 2, but a scan that is"):
        opened(file, **MOTORS, live={"timeout_s": 1})


@pytest.mark.parametrize("positions_there", [16, N])
def test_frames_that_the_counter_does_not_count_are_said(tmp_path, positions_there):
    file = areadetector(tmp_path, ALL, inside=True)
    with h5py.File(file, "a") as out:
        attributes = out["entry/instrument/NDAttributes"]
        lengths = {"NDArrayUniqueId": 16, "posx_m": positions_there, "posy_m": positions_there}
        for name, length in lengths.items():
            values = attributes[name][:length]
            del attributes[name]
            attributes[name] = values
    plan, said = opened(file)
    assert_true_pairs(plan, ALL[:16])
    assert (
        "24 frames are stored, but only 16 numbers: frames from 16 on are left out; --path" in said
    )
    plan, said = opened(file, paths={"frame_index": 0})
    assert_true_pairs(plan, ALL[:positions_there])
    assert ("only frames with positions" in said) == (positions_there == 16)


@pytest.mark.parametrize("lost", [[0, 1, 2], [0, 1, 2, 9]])
def test_a_counter_whose_first_frames_were_lost_is_asked_for(tmp_path, lost):
    """Ids 3 to 23: of a counter from 0, or of one from 1 that lost the last frame, too."""
    kept = np.delete(ALL, lost)
    file = areadetector(tmp_path, kept, first=0)
    with pytest.raises(
        BeamlineError,
        match=r"frames numbered 3 to 23 \(NDArrayUniqueId\) and 24 positions without numbers fit "
        r"in two ways: the first position may belong to frame 0 or 1; .*position_index=0 or --path",
    ):
        opened(file, **MOTORS)
    plan, said = opened(file, paths={**MOTORS["paths"], "position_index": 0})
    assert_true_pairs(plan, kept)
    assert f"{len(lost)} positions (number 0, 1, 2" in said
    del plan
    plan, _ = opened(areadetector(tmp_path, kept, first=1), **MOTORS)
    assert_true_pairs(plan, kept)


def test_a_counter_that_begins_with_1_is_said_to_count_from_1(tmp_path):
    """A stopped scan, unless the counter begins with 0 and the first frame was lost."""
    stopped = areadetector(tmp_path, ALL[:-1], first=1)
    plan, said = opened(stopped, **MOTORS)
    assert_true_pairs(plan, ALL[:-1])
    assert (
        "(NDArrayUniqueId, taken to count from 1; if it counts from 0 and the first frame was "
        "lost, set --path position_index=0): 1 position (number 24) without a frame" in said
    )
    del plan
    lost = areadetector(tmp_path, ALL[1:], first=0)
    plan, said = opened(lost, paths={**MOTORS["paths"], "position_index": 0})
    assert_true_pairs(plan, ALL[1:])
    assert "taken to count" not in said
    del plan
    with h5py.File(tmp_path / "motors.h5", "a") as file:
        file["n"] = ALL
    plan, said = opened(lost, paths={**MOTORS["paths"], "position_index": "motors.h5::/n"})
    assert_true_pairs(plan, ALL[1:])
    assert "whose numbers are taken as they are" in said


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
    plan, said = opened(eiger(tmp_path, kept), **MOTORS)
    assert_true_pairs(plan, kept)
    assert "image_nr" in said or not lost


# data files that are gone ---------------------------------------------------------------------


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
    plan, said = opened(file, **MOTORS, reject=reject)
    assert f"{name}, which does not exist: 6 frames, {first}, are lacking" in said
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
    with h5py.File(tmp_path / "motors.h5", "a") as out:
        del out["x"], out["y"]
        out["y"], out["x"] = positions(np.arange(6)).T
    lost = without(file, 2)
    plan, _ = opened(file, **MOTORS, frames_per_position=4, reject=lost)
    there = np.where(np.isin(ALL, lost), -1, ALL).reshape(6, 4)
    assert_array_equal(plan.selection.exposures, there[(there >= 0).any(1)])
    assert_allclose(plan.positions_m, positions(np.flatnonzero((there >= 0).any(1))))


@pytest.mark.parametrize(("number", "told"), [(1, 1), (2, 1), (4, 1), (1, 0), (2, 0), (3, 0)])
def test_a_data_file_that_lacks_a_frame_inside_shifts_no_other(tmp_path, number, told):
    """Its own frames are left out: which one of its images was lost, nobody knows."""
    file = eiger(tmp_path, ALL)
    own = ALL[6 * number - 6 : 6 * number]
    with h5py.File(tmp_path / f"raw_data_{number:06d}.h5", "a") as part:
        said_of_it = dict(part["entry/data/data"].attrs) if told else {}
        del part["entry/data/data"]
        part["entry/data/data"] = frames(np.delete(own, 2))
        part["entry/data/data"].attrs.update(said_of_it)
    plan, said = opened(file, **MOTORS)
    assert_true_pairs(plan, np.delete(ALL, own))
    images = f" for images {own[0] + 1} to {own[-1] + 1}" if told else ", which are not as"
    assert f"raw_data_{number:06d}.h5: 5 frames{images}" in said
    assert "which were lost is not known, so its 5 frames are left out" in said
    assert "6 positions (number" in said
    assert "23 of 24 images (nimages x ntrigger) are there" in said
    assert_array_equal(plan.selection.exposures[-1, 0], 22 if number < 4 else 17)
    with h5py.File(tmp_path / "numbers.h5", "w") as out:
        out["n"] = np.delete(ALL, own[2])
    paths = {**MOTORS["paths"], "frame_index": "numbers.h5::/n"}
    plan, said = opened(file, paths=paths)
    assert_true_pairs(plan, np.delete(ALL, own[2]))


def test_a_data_file_that_says_nothing_has_the_images_between(tmp_path):
    file = eiger(tmp_path, ALL)
    for number in (2, 3):
        with h5py.File(tmp_path / f"raw_data_{number:06d}.h5", "a") as part:
            del part["entry/data/data"].attrs["image_nr_high"]
    plan, said = opened(file, **MOTORS)
    assert_true_pairs(plan, ALL)
    assert not said


def test_data_files_none_of_which_tells_its_images(tmp_path):
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
    """The first of two is gone: only the numbers in the other tell how many images it had."""
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
def test_without_numbers_a_loss_is_said(tmp_path, lost):
    kept = np.delete(ALL, lost)
    _, said = opened(eiger(tmp_path, kept, numbered=False), **MOTORS)
    assert (
        "the scan was stopped, or frames were lost in the middle: ptypy-beamline check tells"
        in said
    ) == bool(lost)


@losses
@pytest.mark.parametrize("first", [0, 1, 101])
@pytest.mark.parametrize("step", [1, 10])
def test_tiff_with_a_list_of_positions(tmp_path, lost, first, step):
    kept = np.delete(ALL, lost)
    said = paired_or_refused(tiff(tmp_path, kept, first, step=step), kept, lost)
    certain = first == 0 and 0 not in lost
    assert ("fit in two ways" in said) <= (not certain)


@losses
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("from_", [0, 1])
def test_tiff_with_a_frame_index(tmp_path, lost, first, from_):
    """Names and index may each count from 0 or 1."""
    kept = np.delete(ALL, lost)
    said = paired_or_refused(tiff(tmp_path, kept, first, ALL + from_), kept, lost)
    ends = {0, 23} & set(lost)
    assert "fit in two ways" not in said or ends
    assert "fit in two ways" not in said or not (first == from_ == 0 and 0 not in lost)


def test_the_number_of_the_first_position_settles_it(tmp_path):
    kept = ALL[1:]
    file = tiff(tmp_path, kept, first=0)
    with pytest.raises(
        BeamlineError, match=r"fit in two ways: .* frame 0 or 1; .*position_index=0 or --path"
    ):
        opened(file)
    plan, said = opened(file, paths={"position_index": 0})
    assert_true_pairs(plan, kept)
    assert "1 position (number 0) without a frame" in said


@losses
@pytest.mark.parametrize(("first", "from_"), [(1, 1), (0, 1), (1, 0), (17, 17)])
def test_numbers_on_both_sides(tmp_path, lost, first, from_):
    kept = np.delete(ALL, lost)
    file = generic(tmp_path, kept, kept + first, ALL + from_)
    if first == from_:
        plan, said = opened(file, **ANY)
        assert_true_pairs(plan, kept)
        assert ("without a frame" in said) == bool(lost)
    elif not {0, 23} & set(lost):
        paired_or_refused(file, kept, lost, **ANY)


@losses
def test_positions_that_were_lost(tmp_path, lost):
    logged = np.delete(ALL, lost)
    file = generic(tmp_path, ALL, ALL + 1, logged + 1, positions(logged))
    plan, said = opened(file, **ANY)
    assert_true_pairs(plan, logged)
    assert ("without a position" in said) == bool(lost)


def test_readings_of_one_number_are_averaged(tmp_path):
    """An interferometer that is read many times a trigger."""
    rng = np.random.default_rng(1)
    number = np.sort(rng.integers(0, N, 2000))
    readings = positions(number) + rng.normal(0, 1e-8, (2000, 2))
    kept = np.delete(ALL, [3, 20])
    plan, said = opened(generic(tmp_path, kept, kept, number, readings), **ANY)
    mean = np.stack([readings[number == i].mean(0) for i in kept])
    assert_allclose(plan.positions_m, mean, atol=1e-15)
    assert "2 positions (number 3, 20) without a frame" in said


def test_readings_of_one_number_that_are_far_apart_are_said(tmp_path):
    number = np.sort([*ALL, 7])
    readings = positions(number)
    readings[8] += 2e-5
    _, said = opened(generic(tmp_path, ALL, ALL, number, readings), **ANY)
    assert "readings of number 7 lie up to 1.41e-05 m from their mean" in said


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
    with h5py.File(tmp_path / "motors.h5", "a") as out:
        for name in "xy":
            del out[name]
        out["y"], out["x"] = positions(np.arange(12)).T
        out["i0"] = i0
    paths = {**MOTORS["paths"], "monitor": "motors.h5::/i0"}
    plan, said = opened(file, paths=paths, frames_per_position=2)
    assert "without some of their 2 exposures: 1, the first one is position 3" in said
    scale = np.where(plan.selection.exposures >= 0, plan.selection.scale, np.nan)
    mean = np.repeat(i0, 2)[kept].mean()
    assert_allclose(np.nanmean(scale, axis=1), mean / i0)


def test_a_monitor_that_is_too_short_is_said(tmp_path):
    file = areadetector(tmp_path, ALL, inside=True)
    with h5py.File(file, "a") as out:
        out["entry/instrument/NDAttributes/monitor"] = np.ones(21)
    plan, said = opened(file, monitor="file")
    assert len(plan) == 21
    assert "3" in said
    assert "monitor" in said
    with h5py.File(tmp_path / "motors.h5", "a") as out:
        out["i0"] = np.ones(21)
    with pytest.raises(
        BeamlineError, match="Expected a monitor value for each of 24 frames, or for e"
    ):
        opened(file, paths={"monitor": "motors.h5::/i0"})


# what numbers cannot tell ----------------------------------------------------------------------


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
    plan, said = opened(file, paths={"frame_index": 0})
    assert_true_pairs(plan, ALL)
    assert not said


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
        (ALL + 0.5, "whole acquisition numbers in n. Got 0.5 at entry 0"),
        (np.where(ALL == 5, np.nan, ALL), "whole acquisition numbers in n. Got nan at entry 5"),
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


def test_a_gap_where_nothing_is_lacking_is_asked_for(tmp_path):
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


def test_renumbered_files_are_a_stopped_scan_unless_check_tells(tmp_path):
    for number, frame in enumerate(frames(np.delete(ALL, 7))):
        tifffile.imwrite(tmp_path / f"s_{number}.tif", frame, photometric="minisblack")
    with h5py.File(tmp_path / "sidecar.h5", "w") as file:
        file["entry/posy_m"], file["entry/posx_m"] = positions().T
    _, said = opened(str(tmp_path / "s_*.tif"))
    assert "1 position (number 23) without a frame" in said


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
        plan, said = opened(file, **MOTORS)
        assert_true_pairs(plan, ALL[:-1])
        assert "23 frames for 24 positions" in said
    else:
        with pytest.raises(BeamlineError, match=r"starts again at frame [56] and has gaps"):
            opened(file, **MOTORS)


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
            tifffile.imwrite(folder / f"{stem.format(*words)}.tif", frame, photometric="minisblack")
        with h5py.File(folder / "sidecar.h5", "w") as file:
            file["entry/posy_m"], file["entry/posx_m"] = positions().T
        plan, said = opened(str(folder / "f_*.tif"))
        assert_true_pairs(plan, ALL)
        assert not said


@pytest.mark.parametrize("kept", [ALL[::2], np.array([0, 2, 3, 5, 6, 8]), np.array([0, 3, 4, 9])])
def test_names_of_which_most_were_lost_go_by_number(tmp_path, kept):
    plan, said = opened(tiff(tmp_path, kept, index=ALL))
    assert_true_pairs(plan, kept)
    assert f"{N - len(kept)} positions (number 1" in said


def test_every_other_file_of_a_list_is_asked_for(tmp_path):
    with pytest.raises(BeamlineError, match="in steps of 2 and 24 positions fit in two ways"):
        opened(tiff(tmp_path, ALL[::2]))


def test_a_file_of_several_pages_that_was_lost(tmp_path):
    kept = np.delete(ALL, np.arange(6, 12))
    for part in np.split(kept, 3):
        name = tmp_path / f"s_{part[0] // 6:02d}.tif"
        tifffile.imwrite(name, frames(part), photometric="minisblack")
    with h5py.File(tmp_path / "sidecar.h5", "w") as file:
        file["entry/posy_m"], file["entry/posx_m"] = positions().T
    plan, said = opened(str(tmp_path / "s_*.tif"))
    assert_true_pairs(plan, kept)
    assert "6 positions (number 6, 7, 8, 9, 10, 11) without a frame" in said


def by_row_and_column(folder, kept, columns=5, first=(0, 0), axes=False, pages=1):
    """``s_01_02.tif`` and so on, rows of so many files, and a sidecar of all positions."""
    for number in kept:
        row, column = np.divmod(number, columns) + np.array(first)
        pair = frames(number * pages + np.arange(pages))
        tifffile.imwrite(folder / f"s_{row:02d}_{column:02d}.tif", pair, photometric="minisblack")
    with h5py.File(folder / "sidecar.h5", "w") as file:
        if axes:
            file["entry/posy_m"], file["entry/posx_m"] = np.arange(4) * 1e-6, np.arange(5) * 1e-6
        else:
            file["entry/posy_m"], file["entry/posx_m"] = positions().T
    return str(folder / "s_*.tif")


@losses
@pytest.mark.parametrize("first", [(0, 0), (1, 1), (0, 1)])
def test_names_by_row_and_column(tmp_path, lost, first):
    kept = np.delete(ALL, lost)
    plan, said = opened(by_row_and_column(tmp_path, kept, first=first))
    assert_true_pairs(plan, kept)
    numbers = ", ".join(str(number + 5 * first[0]) for number in lost)
    assert f"(number {numbers}) without a frame" in said if lost else not said
    column = "column - 1" if first[1] else "column"
    assert (f"the numbers in the file names (row x 5 + {column})" in said) == bool(lost)


def test_names_by_row_and_column_with_pages_or_exposures(tmp_path):
    kept = np.delete(np.arange(12), 7)
    for name, how in {"pages": {"columns": 3, "pages": 2}, "exposures": {"columns": 2}}.items():
        folder = tmp_path / name
        folder.mkdir()
        taken = kept if name == "pages" else np.delete(ALL, [14, 15])
        plan, said = opened(by_row_and_column(folder, taken, **how), frames_per_position=2)
        raw = plan.load(np.arange(11))[..., 0, 0].astype(int) - 100
        assert_array_equal(raw, np.arange(24).reshape(12, 2)[kept])
        assert_allclose(plan.positions_m, positions(kept))
        assert "without a frame" in said


@pytest.mark.parametrize("axes", [False, True])
def test_a_column_that_was_lost_is_asked_for(tmp_path, axes):
    """Four columns of 20 positions: of four rows of which each lacks one, or of five."""
    kept = [number for number in range(20) if number % 5 < 4]
    file = by_row_and_column(tmp_path, kept, axes=axes)
    if not axes:
        with h5py.File(tmp_path / "sidecar.h5", "w") as out:
            out["entry/posy_m"], out["entry/posx_m"] = positions(np.arange(20)).T
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
    plan, said = opened(file, **ANY)
    assert not said
    assert_true_pairs(plan, ALL)
    assert_array_equal(taken[plan.selection.exposures[:, 0]], ALL)


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


# groups --------------------------------------------------------------------------------------


def assert_own_exposures(plan, k):
    """No exposure is of another position."""
    raw = plan.load(np.arange(len(plan)))[..., 0, 0].astype(int) - 100
    own = np.where(plan.selection.exposures >= 0, raw // k, -1)
    for exposures, place in zip(own, plan.positions_m, strict=True):
        for number in exposures[exposures >= 0]:
            assert_allclose(place, positions([number])[0], atol=1e-15)


EXPOSURES = {
    **LOST,
    "the first position": [0, 1],
    "the last position": [22, 23],
    "the last two positions": [20, 21, 22, 23],
    "a position and the end": [10, 11, 22, 23],
}


def grouped(folder, writer, kept, first, k):
    """Positions listed once for ``k`` exposures each; numbers of frames begin with ``first``."""
    of_groups = positions(np.arange(N // k))
    if writer == "tiff":
        file = tiff(folder, kept, first)
        with h5py.File(folder / "sidecar.h5", "w") as out:
            out["entry/posy_m"], out["entry/posx_m"] = of_groups.T
        return file, {}
    file = (areadetector if writer == "areadetector" else eiger)(folder, kept, first)
    with h5py.File(folder / "motors.h5", "w") as out:
        out["y"], out["x"] = of_groups.T
    return file, MOTORS


@pytest.mark.parametrize(
    "k", [2, pytest.param(3, marks=pytest.mark.long), pytest.param(4, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("lost", EXPOSURES.values(), ids=list(EXPOSURES))
@pytest.mark.parametrize(
    ("writer", "first"), [("areadetector", 1), ("eiger", 1), ("tiff", 0), ("tiff", 1)]
)
def test_exposures_that_were_lost(tmp_path, writer, first, lost, k):
    """Several exposures a position: none is summed with another's."""
    file, given = grouped(tmp_path, writer, np.delete(ALL, lost), first, k)
    asked = ""
    try:
        plan, said = opened(file, **given, frames_per_position=k)
    except BeamlineError as error:
        asked = str(error)
        assert "fit in two ways" in asked
    if asked or f"set --path position_index={first}" in said:
        assert {0, 23} & {*lost}
        assert writer != "eiger", "its numbers begin with 1"
        paths = {**given.get("paths", {}), "position_index": first}
        plan, said = opened(file, paths=paths, frames_per_position=k)
    assert_own_exposures(plan, k)
    assert bool(said) == bool(lost)


def test_a_counter_of_exposures_says_how_it_is_read(tmp_path):
    """Frames 1 to 23: of a stopped scan, or of a counter from 0 that lost its first frame."""
    file, given = grouped(tmp_path, "areadetector", ALL[1:], 0, 2)
    _, said = opened(file, **given, frames_per_position=2)
    assert "taken to count from 1; if it counts from 0 and the first frame was lost" in said
    paths = {**given["paths"], "position_index": 0}
    assert_own_exposures(opened(file, paths=paths, frames_per_position=2)[0], 2)


@pytest.mark.parametrize(
    "k", [pytest.param(1, marks=pytest.mark.long), 2, pytest.param(3, marks=pytest.mark.long)]
)
@pytest.mark.parametrize(
    "first", [pytest.param(0, marks=pytest.mark.long), 1, pytest.param(100, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("lost", EXPOSURES.values(), ids=list(EXPOSURES))
def test_rows_numbered_by_file_names_are_taken_literally(tmp_path, lost, first, k):
    """As ``ptypy-beamline sidecar`` writes them; files and rows may be lost, not the same."""
    file = tiff(tmp_path, np.delete(ALL, lost), first)
    rows = np.delete(ALL, [4, 23])
    with h5py.File(tmp_path / "sidecar.h5", "w") as out:
        out["entry/posy_m"], out["entry/posx_m"] = positions(rows // k).T
        out["entry/frame_index"] = rows + first
        out["entry/frame_index"].attrs["counted"] = "file names"
    plan, said = opened(file, frames_per_position=k)
    assert_own_exposures(plan, k)
    assert said or (k > 1 and not lost), "another exposure of the position has its row"


@pytest.mark.parametrize("k", [pytest.param(2, marks=pytest.mark.long), 3])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("lost", EXPOSURES.values(), ids=list(EXPOSURES))
def test_rows_numbered_by_position(tmp_path, lost, first, k):
    """A sidecar that does not say what its numbers count."""
    file = tiff(tmp_path, np.delete(ALL, lost), first)
    with h5py.File(tmp_path / "sidecar.h5", "w") as out:
        out["entry/posy_m"], out["entry/posx_m"] = positions(np.arange(N // k)).T
        out["entry/frame_index"] = np.arange(N // k) + first
    try:
        plan, said = opened(file, frames_per_position=k)
    except BeamlineError as error:
        asked = str(error)
    else:
        asked = ""
    if asked:
        assert "fit in two ways" in asked
        assert {0, 23} & {*lost}
        return
    assert_own_exposures(plan, k)
    assert bool(said) == bool(lost)


@pytest.mark.parametrize("lost", [[0, 5, 20], [0, 4, 22], [1, 5, 23]])
def test_equal_numbers_go_together_whatever_was_lost(tmp_path, lost):
    """Another way would leave more positions complete."""
    kept, places = np.delete(ALL, lost), positions(ALL // 3)
    file = generic(tmp_path, kept, kept + 1, ALL + 1, places)
    plan, _ = opened(file, **ANY, frames_per_position=3)
    assert_own_exposures(plan, 3)


def test_a_counter_that_begins_with_1_counts_from_1_whatever_was_lost(tmp_path):
    file, given = grouped(tmp_path, "areadetector", np.delete(ALL, [1, 5, 23]), 1, 3)
    assert_own_exposures(opened(file, **given, frames_per_position=3)[0], 3)


def test_rows_of_as_many_positions_as_exposures_are_no_groups(tmp_path):
    """15 positions in rows of three; 15 of 45 exposures came."""
    numbers = np.arange(15)
    places = np.column_stack([numbers // 3, numbers % 3]) * 1e-6
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["frames"], file["n"] = frames(numbers), numbers + 1
        file["y"], file["x"] = places.T
    paths = {"frames": "/frames", "x": "/x", "y": "/y", "frame_index": "/n"}
    plan, said = opened(tmp_path / "any.h5", paths=paths, frames_per_position=3)
    assert_allclose(plan.positions_m, places[:5])
    assert_array_equal(plan.selection.exposures, numbers.reshape(5, 3))
    assert "10 positions" in said


def test_a_list_for_frames_or_for_positions_is_asked_about(tmp_path):
    """16 values for 16 frames, half of those of 16 positions."""
    numbers = np.arange(16)
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["frames"], file["n"] = frames(numbers), numbers
        file["y"], file["x"] = positions(numbers).T
    settings = {
        "paths": {"frames": "/frames", "x": "/x", "y": "/y", "frame_index": "/n"},
        "frames_per_position": 2,
    }
    of_all = np.repeat(100.0 + numbers, 2)
    with pytest.raises(BeamlineError, match="16 values may be one for each frame, or one for each"):
        opened(tmp_path / "any.h5", **settings, monitor=of_all[::2])
    plan, _ = opened(tmp_path / "any.h5", **settings, monitor=of_all)
    used = plan.selection.scale[plan.selection.exposures >= 0]
    assert_allclose(used * of_all[:16], (used * of_all[:16])[0])


def test_unequal_numbers_that_go_together_are_said(tmp_path):
    """Rows 1 to 23 and files 2 to 24: a lost file and a stopped log, or counts that differ."""
    kept = ALL[1:]
    file = tiff(tmp_path, kept, 1)
    with h5py.File(tmp_path / "sidecar.h5", "w") as out:
        out["entry/posy_m"], out["entry/posx_m"] = positions(kept).T
        out["entry/frame_index"] = ALL[:-1] + 1
    _, said = opened(file)
    assert "positions numbered 1 to 23 (frame_index) are taken for those of frames numbered" in said
    assert "number 1 for frame 2" in said


def test_as_many_frames_as_different_positions_of_several_exposures(tmp_path):
    file = eiger(tmp_path, ALL, numbered=False)
    with pytest.raises(BeamlineError, match="24 frames for 24 different positions, of 2 exposures"):
        opened(file, **MOTORS, frames_per_position=2)
    paths = {**MOTORS["paths"], "position_index": 0}
    plan, said = opened(file, paths=paths, frames_per_position=2)
    assert_array_equal(plan.selection.exposures, ALL.reshape(12, 2))
    assert_allclose(plan.positions_m, positions(np.arange(12)))
    assert "12 positions (number 12, 13, 14, 15, 16, 17, …) without a frame" in said


def test_repeats_on_the_slow_axis_are_said(tmp_path):
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["frames"] = frames(ALL).reshape(2, 12, 8, 8)
        file["y"], file["x"] = positions(np.arange(12)).T
    paths = {"frames": "/frames", "x": "/x", "y": "/y"}
    plan, said = opened(tmp_path / "any.h5", paths=paths, frames_per_position=2)
    assert_array_equal(plan.selection.exposures, ALL.reshape(2, 12).T)
    assert_allclose(plan.positions_m, positions(np.arange(12)))
    assert "the first axis is taken for the exposures of each position" in said


def test_positions_of_the_projection_that_is_asked_for(tmp_path):
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["frames"] = np.tile(frames(ALL), (3, 1, 1, 1))
        file["positions"] = np.stack(
            [positions(np.arange(12))[:, ::-1] + i * 1e-3 for i in range(3)]
        )
    paths = {"frames": "/frames", "positions": "/positions"}
    plan, _ = opened(tmp_path / "any.h5", paths=paths, frames_per_position=2, outer_index=1)
    assert_allclose(plan.positions_m, positions(np.arange(12)) + 1e-3)


def test_exposure_times_of_a_position_on_areadetector(tmp_path):
    file = areadetector(tmp_path, ALL, inside=True)
    with h5py.File(file, "a") as out:
        attributes = out["entry/instrument/NDAttributes"]
        attributes["posy_m"][:], attributes["posx_m"][:] = positions(ALL // 3).T
        out["times"] = [0.01, 0.1, 1.0]
    plan, said = opened(file, paths={"exposure": "/times"}, frames_per_position=3, grouping="hdr")
    assert not said
    assert_allclose(plan.selection.seconds, np.tile([0.01, 0.1, 1.0], (8, 1)))


# measured frames -----------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [[5], [4], [0], [0, 9]])
@pytest.mark.parametrize("first", [1, 2, 3])
@pytest.mark.parametrize("inside", [False, True])
def test_positions_of_each_exposure_group_a_counter_that_was_not_reset(
    tmp_path, inside, first, lost
):
    """Listed for each exposure, elsewhere or with the frames; a list begins with a position."""
    kept = np.delete(ALL, lost)
    file = areadetector(tmp_path, kept, first, inside=inside)
    with h5py.File(tmp_path / "motors.h5", "a") as out:
        out["y"][:], out["x"][:] = positions(ALL // 2).T
    if inside:
        with h5py.File(file, "a") as out:
            attributes = out["entry/instrument/NDAttributes"]
            attributes["posy_m"][:], attributes["posx_m"][:] = positions(kept // 2).T
    given = {"frames_per_position": 2} | ({} if inside else MOTORS)
    try:
        plan, said = opened(file, **given)
    except BeamlineError as error:
        asked = str(error)
    else:
        asked = ""
    if asked:
        assert f"--path position_index={first} or" in asked
        paths = {**MOTORS["paths"], "position_index": first}
        plan, said = opened(file, **given | {"paths": paths})
    assert_own_exposures(plan, 2)
    assert ("taken to count from 2" in said) == (inside and first == 2)


def test_an_exposure_that_was_lost_without_numbers_is_said(tmp_path):
    """Positions have numbers, frames have none: the count is all that tells."""
    for frame, letter in zip(frames(np.delete(ALL, 5)), "abcdefghijklmnopqrstuvw", strict=True):
        tifffile.imwrite(tmp_path / f"s_{letter}.tif", frame, photometric="minisblack")
    with h5py.File(tmp_path / "sidecar.h5", "w") as file:
        file["entry/posy_m"], file["entry/posx_m"] = positions(np.arange(12)).T
        file["entry/frame_index"] = np.arange(12)
    told = "the scan was stopped, or frames were lost in the middle"
    files = str(tmp_path / "s_*.tif")
    _, said = opened(files, frames_per_position=2)
    assert f"23 frames for 12 positions x 2 exposures: {told}: ptypy-beamline check tells" in said
    settings = Settings(file=files, units={"positions": "m"}, frames_per_position=2, **PLAN)
    found = [str(finding) for finding in diagnose(settings, with_reconstructions=False).findings]
    assert [finding.rpartition(": ")[2] for finding in found if told in finding] == [told]


def mixed(folder, kept, *odd):
    """Numbered files among which some are named otherwise, and a sidecar of all positions."""
    file = tiff(folder, kept)
    for name in odd:
        tifffile.imwrite(folder / name, frames([0])[0], photometric="minisblack")
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
    tifffile.imwrite(tmp_path / "scan7_0009.tif", frames([9, 9]), photometric="minisblack")
    with pytest.raises(BeamlineError, match=r"of as many pages as scan7_0000.tif. Got 1 of others"):
        opened(file)


def test_many_files_that_are_named_otherwise_are_not_all_told(tmp_path):
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


@pytest.mark.long
@pytest.mark.real
@pytest.mark.ptypy
def test_measured_frames_of_which_30_were_lost_reconstruct_as_the_rest(tmp_path):
    """PtyPy's error is that of the frames that are left with their own positions beside them."""
    kept = np.delete(np.arange(516), np.arange(200, 230))
    with np.load(REAL_DATA) as star:
        measured, listed = star["frames"][kept], star["positions_px"] * 1e-8
    errors = []
    for name, ids, places in (("lost", kept, listed), ("rest", np.arange(486), listed[kept])):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["entry/data/data"] = measured
            file["entry/instrument/NDAttributes/NDArrayUniqueId"] = ids + 1
            file["motors/y_m"], file["motors/x_m"] = places.T
        errors.append(reconstruction_error(tmp_path / f"{name}.h5"))
    assert errors[0] == pytest.approx(errors[1], rel=0.02)


def reconstruction_error(file):
    """Of 20 iterations of DM and 10 of ML, by the benchmark's script in a process of its own."""
    pixel_m, energy_keV = 75e-6, 8.8
    distance_m = 1e-8 * 128 * pixel_m * energy_keV * 1e3 / 1.239841984e-6
    data = {
        "name": "BeamlineScan",
        "file": str(file),
        "paths": {"x": "/motors/x_m", "y": "/motors/y_m"},
        "units": {"positions": "m"},
        "center": [64, 64],
        "psize": pixel_m,
        "energy": energy_keV,
        "distance": distance_m,
    }
    script = ROOT / "benchmarks" / "reconstruct.py"
    out = file.with_suffix(".json")
    words = [sys.executable, script, REAL_DATA, json.dumps(data), out, "--dm", 20, "--ml", 10]
    subprocess.run(list(map(str, words)), check=True, capture_output=True)
    return json.loads(out.read_text())["error"]
