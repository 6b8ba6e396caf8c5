"""The same parameters to PtyPy's ``Hdf5Loader`` and to ours: the same ``.ptyd``, or why not.

Each row of the table runs both loaders on one small file. ``EQUAL`` is equal in frames, weights,
positions and geometry; other rows say exactly what differs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from folders import HELPERS
from hdf5loader_adapter import of_hdf5loader
from numpy.testing import assert_allclose, assert_array_equal
from processes import mpirun, python

from ptypy_beamline.geometry import wavelength_m

pytestmark = [
    pytest.mark.ptypy,
    pytest.mark.filterwarnings("ignore::ptypy_beamline.errors.BeamlineWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

ROWS, COLUMNS, SIDE = 4, 5, 24
N = ROWS * COLUMNS


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("equality") / "scan.h5")


def write(path: Path) -> Path:
    """Everything that a row names."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(60, (N, SIDE, SIDE))
    counts[:, 8:16, 9:15] += rng.poisson(500, (N, 8, 6))
    y, x = (np.linspace(0, 5, ROWS), np.linspace(1, 9, COLUMNS) ** 1.1)
    map_y, map_x = np.meshgrid(y, x, indexing="ij")
    flat = rng.uniform(0.8, 1.25, (N, SIDE, SIDE))
    good = rng.random((N, SIDE, SIDE)) > 0.05
    monitor = rng.uniform(90, 110, N)
    rare = monitor.copy()
    rare[7] = 400
    table = rng.uniform(size=(N, 6))
    table[:, 4], table[:, 2] = map_y.ravel(), map_x.ravel()
    values = {
        "list": counts.astype("u2"),
        "float": counts.astype(float),
        "map": counts.reshape(ROWS, COLUMNS, SIDE, SIDE).astype(float),
        "spectra": np.stack([counts, counts[::-1]]).astype(float),
        "y": y,
        "x": x,
        "map_y": map_y,
        "map_x": map_x,
        "table": table,
        "map_y4": map_y[..., None, None],
        "map_x4": map_x[..., None, None],
        "list_y": map_y.ravel(),
        "list_x": map_x.ravel(),
        "spectra_y": np.stack([map_y.ravel()] * 2),
        "spectra_x": np.stack([map_x.ravel()] * 2),
        "filter": rng.random(N) > 0.4,
        "map_filter": rng.random((ROWS, COLUMNS)) > 0.4,
        "dark": rng.integers(0, 50, (SIDE, SIDE)).astype(float),
        "bright": np.full((SIDE, SIDE), 70.0),
        "dark_u2": np.full((SIDE, SIDE), 3, "u2"),
        "dark_each": rng.integers(0, 50, (N, SIDE, SIDE)).astype(float),
        "dark_map": rng.integers(0, 50, (ROWS, COLUMNS, SIDE, SIDE)).astype(float),
        "dark_stack": rng.integers(0, 50, (1, SIDE, SIDE)).astype(float),
        "flat": flat[0],
        "flat_each": flat,
        "good": good[0].astype(int),
        "good_each": good.astype(int),
        "bits": np.where(good[1], 0, 1),
        "bits_each": (~good).astype(int),
        "monitor": monitor,
        "monitor_rare": rare,
        "monitor_map": monitor.reshape(ROWS, COLUMNS),
        "keV": 9.1,
        "eV": 9100.0,
        "electrons": 300.0,
        "energies": np.array([8.0, 8.5]),
        "m": 1.75,
        "mm": 1750.0,
        "um": 55.0,
    }
    with h5py.File(path, "w") as opened:
        for name, value in values.items():
            opened[f"entry/{name}"] = value
    return path


LAYOUTS = {
    "map of frames, map of positions": ("map", "map_y", "map_x"),
    "map of frames, positions with two axes more": ("map", "map_y4", "map_x4"),
    "list of frames, list of positions": ("float", "list_y", "list_x"),
    "list of frames, map of positions": ("float", "map_y", "map_x"),
    "map of frames, axes": ("map", "y", "x"),
    "list of frames, axes": ("float", "y", "x"),
    "whole numbers": ("list", "list_y", "list_x"),
}
LIST = LAYOUTS["list of frames, list of positions"]
MAP = LAYOUTS["map of frames, map of positions"]
WHOLE = LAYOUTS["whole numbers"]


@dataclass(frozen=True)
class Row:
    """A parameter set, and the rule of the difference."""

    name: str
    layout: tuple[str, str, str]
    pars: Mapping[str, Any]
    rule: Callable[[Any, Any], None]


# rules --------------------------------------------------------------------------------------


def equal(theirs, ours):
    same_frames(theirs, ours)
    same_rest(theirs, ours)


def same_frames(theirs, ours):
    assert_allclose(ours.frames, theirs.frames, rtol=1e-6, atol=1e-6)


def same_rest(theirs, ours, weights=True):
    if weights:
        assert_array_equal(ours.good, theirs.good)
    assert_allclose(ours.positions, theirs.positions, rtol=1e-12)
    for name in ("energy", "distance", "psize", "shape", "center"):
        assert_allclose(ours.meta[name], theirs.meta[name], rtol=1e-9, err_msg=name)


def masked_is_zero(theirs, ours):
    """PtyPy hands over the counts of bad pixels, too."""
    assert not theirs.good.all()
    assert_allclose(ours.frames, np.where(theirs.good, theirs.frames, 0), rtol=1e-6)
    same_rest(theirs, ours)


def summed(theirs, ours):
    """PtyPy's bins are means; and it halves the centre, which in a bin is at (c + ½)/2 − ½."""
    assert_allclose(ours.frames, 4 * theirs.frames, rtol=1e-6)
    assert_allclose(ours.meta["center"], np.array(theirs.meta["center"]) - 0.25)
    for name in ("energy", "distance", "psize", "shape"):
        assert_allclose(ours.meta[name], theirs.meta[name])


def truncated(theirs, ours):
    """PtyPy stores quotients in the frames' own whole numbers."""
    assert_array_equal(np.trunc(ours.frames + 1e-4), theirs.frames)
    assert (ours.frames != theirs.frames).any()
    same_rest(theirs, ours)


def one_factor(theirs, ours):
    """PtyPy's mean has the outliers in it; one factor common to all usable frames."""
    factor = ours.frames.sum((1, 2)) / theirs.frames.sum((1, 2))
    assert_allclose(factor, factor[0], rtol=1e-6)
    assert 0.8 < factor[0] < 1
    same_rest(theirs, ours)


def rounded_constants(energy_keV):
    """What PtyPy's propagators make of it is 0.06 % off the wavelength with its own loader.

    That has hc = 12.398 keV·Å, mc² = 511 keV, and another hc on the way back to an energy.
    """
    root = np.sqrt(energy_keV * (2 * 511 + energy_keV))
    exact = wavelength_m(energy_keV * 1e3, "electron")

    def rule(theirs, ours):
        same_frames(theirs, ours)
        assert_allclose(theirs.meta["energy"], 4.1356e-10 * 2.9998 * root / 12.398e-10, rtol=1e-9)
        assert_allclose(1.23984193e-9 / ours.meta["energy"], exact, rtol=1e-9)
        assert_allclose(ours.meta["energy"], theirs.meta["energy"], rtol=1e-3)

    return rule


def centre_moved(theirs, ours):
    """Turning moves the beam from pixel N/2 to N/2 − 1, a border by its width; not PtyPy's."""
    assert_array_equal(ours.good, theirs.good)
    same_frames(theirs, ours)
    assert_allclose(ours.positions, theirs.positions)
    for name in ("energy", "distance", "psize", "shape"):
        assert_allclose(ours.meta[name], theirs.meta[name])


# rows ---------------------------------------------------------------------------------------

rng = np.random.default_rng(1)
PERMUTED = rng.permutation(N).tolist()
BOX = {"slow_axis_bounds": (1, 4), "fast_axis_bounds": (1, 5)}
SELECTIONS = {
    "everything": {},
    "every second": {"positions": {"skip": 2}},
    "a box": {"positions": {"bounding_box": BOX}},
    "a lower bound": {"positions": {"bounding_box": {"fast_axis_bounds": 2}}},
    "permuted": {"frameorder": {"indices": PERMUTED}},
    "chosen and repeated": {"frameorder": {"indices": [3, 3, 0, 19, 7]}},
    "a box, every second, in another order": {
        "positions": {"bounding_box": BOX, "skip": 2},
        "frameorder": {"indices": [1, 0, 1]},
    },
}
TABLE = [
    Row(f"{layout}: {name}", keys, pars, equal)
    for layout, keys in LAYOUTS.items()
    for name, pars in SELECTIONS.items()
    if keys != WHOLE or not pars
]


def at(**keys):
    """``group='name'`` → ``{group: {"key": "entry/name"}}``; the test adds the file."""
    return {group: {"key": f"entry/{name}"} for group, name in keys.items()}


TABLE += [
    Row("a filter of a list", LIST, at(framefilter="filter"), equal),
    Row("a filter of a map", MAP, at(framefilter="map_filter"), equal),
    Row(
        "a filter, every second", LIST, at(framefilter="filter") | {"positions": {"skip": 2}}, equal
    ),
    Row(
        "a filter in another order",
        MAP,
        at(framefilter="map_filter") | {"frameorder": {"indices": [2, 0, 1]}},
        equal,
    ),
    Row(
        "micrometres",
        LIST,
        {"positions": {"slow_multiplier": 1e-6, "fast_multiplier": 1e-6}},
        equal,
    ),
    Row(
        "two multipliers and signs",
        MAP,
        {"positions": {"slow_multiplier": -1.5e-6, "fast_multiplier": 2e-6}},
        equal,
    ),
    Row(
        "columns of a table",
        ("float", "table", "table"),
        {"positions": {"slow_index": 4, "fast_index": 2}},
        equal,
    ),
    Row(
        "energy, distance and pixel given",
        LIST,
        {"energy": 6.2, "distance": 2.5, "psize": 75e-6},
        equal,
    ),
    Row("recorded energy", LIST, at(recorded_energy="keV"), equal),
    Row(
        "recorded energy in eV",
        LIST,
        {"recorded_energy": {"key": "entry/eV", "multiplier": 1e-3}},
        equal,
    ),
    Row(
        "recorded energy with an offset",
        LIST,
        {"recorded_energy": {"key": "entry/eV", "multiplier": 1e-3, "offset": 0.25}},
        equal,
    ),
    Row("recorded distance", LIST, at(recorded_distance="m"), equal),
    Row(
        "recorded distance in mm",
        LIST,
        {"recorded_distance": {"key": "entry/mm", "multiplier": 1e-3}},
        equal,
    ),
    Row(
        "recorded pixel in µm",
        LIST,
        {"recorded_psize": {"key": "entry/um", "multiplier": 1e-6}},
        equal,
    ),
    Row("electrons", LIST, {"energy": 80.0, "electron_data": True}, rounded_constants(80.0)),
    Row(
        "recorded electrons",
        LIST,
        at(recorded_energy="electrons") | {"electron_data": True},
        rounded_constants(300.0),
    ),
    Row(
        "several energies, the first",
        ("spectra", "spectra_y", "spectra_x"),
        at(recorded_energy="energies"),
        equal,
    ),
    Row(
        "several energies, one of them",
        ("spectra", "spectra_y", "spectra_x"),
        at(recorded_energy="energies") | {"outer_index": 1},
        equal,
    ),
    Row("a window", LIST, {"shape": 16}, equal),
    Row("a window of both sides", LIST, {"shape": (16, 16)}, equal),
    Row("an odd window", LIST, {"shape": 15}, equal),
    Row("a window elsewhere", MAP, {"shape": 12, "center": (10, 13)}, equal),
    Row("fftshift", LIST, {"shape": 16, "center": "fftshift"}, equal),
    *(Row(f"orientation {code}", LIST, {"orientation": code}, equal) for code in (0, 4)),
    *(
        Row(f"orientation {code}", LIST, {"orientation": code}, centre_moved)
        for code in (1, 2, 3, 5, 6, 7)
    ),
    Row("transposed and flipped", LIST, {"orientation": (True, False, True)}, centre_moved),
    Row("a border", LIST, {"padding": (3, 3, 3, 3)}, centre_moved),
    Row("mask", LIST, at(mask="good"), masked_is_zero),
    Row(
        "mask of bad pixels", LIST, {"mask": {"key": "entry/bits", "invert": True}}, masked_is_zero
    ),
    Row("mask of each frame", LIST, at(mask="good_each"), masked_is_zero),
    Row(
        "bad pixels of each frame",
        LIST,
        {"mask": {"key": "entry/bits_each", "invert": True}},
        masked_is_zero,
    ),
    Row(
        "mask of each frame in a window, permuted",
        LIST,
        at(mask="good_each") | {"shape": 12, "frameorder": {"indices": PERMUTED}},
        masked_is_zero,
    ),
    Row("dark", LIST, at(darkfield="dark"), equal),
    Row("one dark in a stack", LIST, at(darkfield="dark_stack"), equal),
    Row("dark above the counts", LIST, at(darkfield="bright"), equal),
    Row("dark on whole numbers", WHOLE, at(darkfield="dark_u2"), equal),
    Row("dark of each frame", LIST, at(darkfield="dark_each"), equal),
    Row("dark of each frame of a map", MAP, at(darkfield="dark_map"), equal),
    Row("flat", LIST, at(flatfield="flat"), equal),
    Row("flat of each frame", LIST, at(flatfield="flat_each"), equal),
    Row("flat on whole numbers", WHOLE, at(flatfield="flat"), truncated),
    Row(
        "dark and flat of each frame, in a window",
        LIST,
        at(darkfield="dark_each", flatfield="flat_each") | {"shape": 14},
        equal,
    ),
    Row("monitor", LIST, at(normalisation="monitor"), equal),
    Row("monitor of a map", MAP, at(normalisation="monitor_map"), equal),
    Row("monitor with an outlier", LIST, at(normalisation="monitor_rare"), one_factor),
    Row(
        "all of it",
        LIST,
        at(darkfield="dark_each", flatfield="flat", mask="good_each", normalisation="monitor"),
        masked_is_zero,
    ),
    Row("bins", LIST, {"rebin": 2}, summed),
]


# both loaders -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ptyd:
    """What a ``.ptyd`` holds."""

    frames: np.ndarray
    good: np.ndarray
    positions: np.ndarray
    meta: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Ptyd:
        with h5py.File(path, "r") as file:
            chunks = [file["chunks"][k] for k in sorted(file["chunks"], key=int)]
            frames, positions = (
                np.concatenate([c[name][()] for c in chunks]) for name in ("data", "positions")
            )
            order = np.argsort(np.concatenate([np.ravel(c["indices"][()]) for c in chunks]))
            weights = [c["weights"][()] for c in chunks if c["weights"].size]
            meta = {name: value[()] for name, value in file["meta"].items()}
        shared = meta.get("weight2d", np.ones(frames.shape[1:]))
        good = np.concatenate(weights) > 0 if weights else np.broadcast_to(shared > 0, frames.shape)
        return cls(frames[order], good[order], positions[order], meta)


def full(row: Row, file: Path) -> dict[str, Any]:
    """The parameters of PtyPy's loader, with the file named everywhere."""
    frames, slow, fast = row.layout
    pars = {
        group: {"file": str(file), **value}
        if isinstance(value, Mapping) and "key" in value
        else value
        for group, value in row.pars.items()
    }
    pars["intensities"] = {"file": str(file), "key": f"entry/{frames}"}
    keys = {"file": str(file), "slow_key": f"entry/{slow}", "fast_key": f"entry/{fast}"}
    pars["positions"] = keys | dict(row.pars.get("positions", {}))
    return {"auto_center": False, **pars}


def load(loader: Any, pars: Mapping[str, Any], path: Path) -> Ptyd:
    """Run a loader to its end, saving."""
    from ptypy import utils as u
    from ptypy.utils import parallel

    u.verbose.set_level("ERROR")
    scan = loader(u.Param({**pars, "dfile": str(path), "save": "append"}))
    scan.initialize()
    while scan.auto(11) != scan.EOS:
        pass
    parallel.barrier()  # the master writes
    return Ptyd.read(path)


def both(row: Row, file: Path, folder: Path) -> tuple[Ptyd, Ptyd]:
    from ptypy import utils as u
    from ptypy.experiment.hdf5_loader import Hdf5Loader

    from ptypy_beamline.ptyscan import BeamlineScan

    pars = u.Param()
    pars.update(full(row, file), in_place_depth=9, Convert=True)
    theirs = load(Hdf5Loader, pars.copy(9), folder / "theirs.ptyd")
    return theirs, load(BeamlineScan, of_hdf5loader(full(row, file)), folder / "ours.ptyd")


def test_there_are_enough_rows():
    assert len(TABLE) >= 60
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_row(row, file, tmp_path):
    pytest.importorskip("ptypy")
    theirs, ours = both(row, file, tmp_path)
    assert len(theirs.frames)
    row.rule(theirs, ours)


ON_TWO_RANKS = [
    "map of frames, map of positions: everything",
    "list of frames, map of positions: a box",
    "map of frames, axes: chosen and repeated",
    "a filter in another order",
    "two multipliers and signs",
    "a window elsewhere",
    "mask of each frame in a window, permuted",
    "dark and flat of each frame, in a window",
    "all of it",
    "bins",
]


@pytest.mark.long
@pytest.mark.mpi
def test_ten_rows_on_two_ranks(file, tmp_path):
    program = Path(__file__).parent / "mpi_equality.py"
    done = mpirun(2, program, file, tmp_path, *ON_TWO_RANKS, code=0, timeout_s=280)
    lines = [line for line in done.stdout.splitlines() if line.startswith("DONE")]
    assert lines == [f"DONE 2 {name}" for name in ON_TWO_RANKS]


def sources() -> list[Path]:
    """Where PtyPy's repository may be: PTYPY_SOURCE, or what its package was installed from."""
    import ptypy

    places = [os.environ.get("PTYPY_SOURCE", ""), str(Path(ptypy.__file__).parents[1])]
    module = "test/ptyscan_tests/hdf5_loader_test.py"
    return [Path(place) for place in places if place and (Path(place) / module).is_file()]


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "count"), [("hdf5_loader_test", 34), ("diamond_nexus_test", 21)]
)
def test_the_tests_of_ptypy_itself(module, count):
    """On our loaders, its parameters translated; where its repository is at hand."""
    pytest.importorskip("ptypy")
    if not sources():
        pytest.skip(f"{count} tests of PtyPy's {module} need its repository (PTYPY_SOURCE)")
    done = python(HELPERS / "ptypy_own_tests.py", sources()[0], module, timeout_s=280)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failed"] == [], done.stderr
    assert found["run"] >= count
