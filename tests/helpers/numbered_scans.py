"""Scans whose frames carry their numbers, so that pairing with positions can be checked.

Every frame has its number, plus 100, in its first pixel, and position i lies at (i // 5, i % 5).
"""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineError, BeamlineWarning, open_scan

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


def write_sidecar(folder, places, index=None, counted=None):
    """``sidecar.h5`` with these positions; ``index`` and what it counts where they are given."""
    with h5py.File(folder / "sidecar.h5", "w") as file:
        file["entry/posy_m"], file["entry/posx_m"] = places.T
        if index is not None:
            file["entry/frame_index"] = index
        if counted is not None:
            file["entry/frame_index"].attrs["counted"] = counted


def write_motors(folder, places):
    """``motors.h5`` with these positions, see ``MOTORS``."""
    with h5py.File(folder / "motors.h5", "w") as file:
        file["y"], file["x"] = places.T


def write_tiff(path, image):
    """One image, or the pages of several."""
    tifffile.imwrite(path, image, photometric="minisblack")


def opened(file, **settings):
    """The plan, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BeamlineWarning)
        scan = open_scan(file, **{"units": {"positions": "m"}, **PLAN, **settings})
        plan = scan.plan()
    return plan, " ".join(str(w.message) for w in caught)


def opened_unless_ambiguous(file, **settings):
    """The plan, what was warned of, and the error where numbers fit in two ways."""
    try:
        return *opened(file, **settings), ""
    except BeamlineError as error:
        return None, "", str(error)


def assert_true_pairs(plan, kept):
    """Each frame that is used has its own position; those of ``kept`` are used."""
    raw = plan.load(np.arange(len(plan)))[:, 0, 0, 0].astype(int) - 100
    assert_allclose(plan.positions_m, positions(raw), atol=1e-15)
    assert_array_equal(raw, kept)


def areadetector(folder, kept, first=1, inside=False):
    """Frames with NDArrayUniqueId; positions of all triggers in a file of their own."""
    write_motors(folder, positions())
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
        write_tiff(folder / f"scan7_{(number + first) * step:04d}.tif", frame)
    write_sidecar(folder, positions(), index)
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
