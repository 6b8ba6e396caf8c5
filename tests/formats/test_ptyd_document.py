"""``.ptyd`` files as PtyPy's page on data management lays them out, old versions' included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineWarning
from ptypy_beamline.scan import Window

N, SIDE = 92, 16
WHOLE = Window.full((SIDE, SIDE))
RANDOM = np.random.default_rng(5)
FRAMES = RANDOM.integers(0, 50, (N, SIDE, SIDE)).astype(np.int32)
PLACES = RANDOM.random((N, 2)) * 1e-5
WEIGHT = (RANDOM.random((SIDE, SIDE)) > 0.1).astype(float)
EMPTY = [np.zeros(0), np.zeros((0, SIDE, SIDE)), h5py.Empty("f8"), "None", None]


def tree(weights: Any, **more: Any) -> dict[str, Any]:
    """The tree of the page's last section; None writes no dataset."""
    chunks = {}
    for number, start in enumerate(range(0, N, 10)):
        part = slice(start, start + 10)
        chunks[f"chunks/{number}/data"] = FRAMES[part]
        chunks[f"chunks/{number}/indices"] = np.arange(N, dtype=float)[part]
        chunks[f"chunks/{number}/positions"] = PLACES[part]
        chunks[f"chunks/{number}/weights"] = weights
    return {
        "meta/center": np.array([8.0, 8.0]),
        "meta/distance": 7.0,
        "meta/energy": 6.2,
        "meta/experimentID": "None",
        "meta/label": "None",
        "meta/psize": np.array([0.000172, 0.000172]),
        "meta/shape": np.array([SIDE, SIDE]),
        "meta/version": "0.1",
        "common/positions_scan": PLACES,
        "info/num_frames": 100,
        "info/origin": "fftshift",
        "info/positions_scan": PLACES,
        "info/positions_theory": "None",
        **chunks,
        **more,
    }


def write(path: Path, content: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            if value is not None:
                file[name] = value
    return path


@pytest.mark.parametrize("weights", EMPTY, ids=["(0,)", "(0,y,x)", "Empty", "word", "absent"])
def test_empty_weights_are_none(tmp_path, weights):
    scan = open_scan(write(tmp_path / "sample.ptyd", tree(weights)))
    assert (scan.bad, scan.frames.dtype) == (None, np.int32)
    assert_array_equal(scan.frames.read(range(N), WHOLE), FRAMES)
    assert_array_equal(scan.positions_m, PLACES)
    assert (scan.energy_eV, scan.distance_m) == (6200.0, 7.0)
    assert (scan.pixel_m, scan.center_px) == ((0.000172, 0.000172), (8.0, 8.0))
    assert scan.plan().good.all()


@pytest.mark.parametrize("place", ["meta/weight2d", "common/weight2d"])
def test_one_weight_for_all_frames(tmp_path, place):
    content = tree(np.zeros(0), **{place: WEIGHT})
    scan = open_scan(write(tmp_path / "sample.ptyd", content))
    assert_array_equal(scan.bad, WEIGHT == 0)
    assert_array_equal(next(scan.plan().blocks(4)).frames, FRAMES[:4] * WEIGHT)


@pytest.mark.parametrize("empty", EMPTY, ids=["(0,)", "(0,y,x)", "Empty", "word", "absent"])
def test_indices_and_positions_of_chunks_may_lack(tmp_path, empty):
    for place in ("common/positions_scan", "info/positions_scan"):
        content = tree(None)
        content |= {f"chunks/{n}/{k}": empty for n in range(10) for k in ("indices", "positions")}
        content |= {"common/positions_scan": None, "info/positions_scan": None, place: PLACES}
        scan = open_scan(write(tmp_path / f"{place[:4]}.ptyd", content))
        assert_array_equal(scan.positions_m, PLACES)
        assert_array_equal(scan.frames.read([91, 0], WHOLE), FRAMES[[91, 0]])


@pytest.mark.parametrize("empty", [np.zeros(0), h5py.Empty("f8"), "None", b"None", None])
def test_omitted_or_the_word_none_is_the_same(tmp_path, empty):
    names = ("center", "distance", "energy", "psize", "shape", "num_frames", "propagation")
    content = tree(None) | {f"meta/{name}": empty for name in names}
    scan = open_scan(write(tmp_path / "sample.ptyd", content))
    known = (scan.center_px, scan.distance_m, scan.energy_eV, scan.pixel_m, scan.expected)
    assert known == (None,) * 5
    geometry = scan.plan(energy=6.2, distance=7.0, psize=0.000172, center="fftshift").geometry
    assert geometry.energy_eV == 6200


def test_scalars_count_for_both_axes(tmp_path):
    content = tree(None) | {"meta/psize": 0.000172, "meta/shape": SIDE, "meta/num_frames": N}
    scan = open_scan(write(tmp_path / "sample.ptyd", content))
    assert (scan.pixel_m, scan.expected) == ((0.000172, 0.000172), N)


def test_near_field_is_reported(tmp_path):
    file = write(tmp_path / "sample.ptyd", tree(None) | {"meta/propagation": "nearfield"})
    with pytest.warns(BeamlineWarning, match="set propagation='nearfield' of the scan"):
        open_scan(file)


@pytest.mark.ptypy
@pytest.mark.parametrize("empty", [False, True])
def test_ptypys_own_loader_gives_the_same(tmp_path, empty):
    import ptypy.utils as u
    from ptypy.core.data import PtydScan

    weights = np.zeros(0) if empty else np.broadcast_to(WEIGHT, (10, SIDE, SIDE))
    content = tree(weights) | {"chunks/9/weights": weights[:2], "meta/num_frames": N}
    for name in ("experimentID", "label"):
        content[f"meta/{name}"] = None
    file = write(tmp_path / "sample.ptyd", content)
    with h5py.File(file, "a") as opened:  # as h5rw reads it
        for name in ("meta", "info", "common", "chunks"):
            opened[name].attrs["type"] = "dict"
        for item in opened["meta"].values():
            scalar = "scalar" if item.dtype.kind in "iuf" else "string"
            item.attrs["type"] = "array" if item.ndim else scalar
    theirs = PtydScan(u.Param(dfile=str(file), source=None))
    theirs.initialize()
    package = theirs.auto(N)
    got = package["iterable"]
    plan = open_scan(file).plan()
    block = next(plan.blocks(N))
    assert_array_equal([one["data"] for one in got], FRAMES)
    assert_allclose([one["position"] for one in got], plan.positions_m)
    good = np.array([one["mask"] for one in got])
    assert_array_equal(good, np.broadcast_to(plan.good, good.shape))
    assert good.all() == empty
    assert_array_equal(np.where(good, FRAMES, 0), block.frames)
    common = package["common"]
    assert common["energy"] * 1e3 == plan.geometry.energy_eV
    assert common["distance"] == plan.geometry.distance_m
    assert_allclose(common["psize"], plan.geometry.pixel_m)
