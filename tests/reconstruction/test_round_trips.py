"""What is written is read back as the same scan, whatever was asked for: five writers."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scans import all_frames

from ptypy_beamline import BeamlineWarning, open_scan
from ptypy_beamline.reconstruction import Reconstruction
from ptypy_beamline.reconstruction.io.amplitudes import of_npz, of_plan
from ptypy_beamline.reconstruction.io.cxi import write_cxi
from ptypy_beamline.reconstruction.io.npz import write_npz
from ptypy_beamline.reconstruction.io.product import export_product
from ptypy_beamline.writers.ptyd import write_ptyd
from ptypy_beamline.writers.standard import write_standard

N = 16
FRAMES = 6


def raw_file(path, rng):
    """A small scan with a beam, bad pixels, pixels of single frames and square or other pixels."""
    y, x = np.indices((N, N)) - 7.5
    beam = 300 * np.exp(-(y**2 + x**2) / 18)
    frames = rng.poisson(beam, (FRAMES, N, N))
    kind = rng.choice(["u2", "i4", "f4"])
    frames = frames.astype(kind)
    if kind == "f4":
        frames[rng.random(frames.shape) < 0.01] = np.nan
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry["data"] = frames
        entry["pos"] = rng.normal(0, 1e-6, (FRAMES, 2))
        entry["pos"].attrs["columns"] = "x,y"
        entry["energy_eV"], entry["det_dist_m"] = 6200.0, 1.5
        entry["pixel_m"] = 75e-6 if rng.random() < 0.7 else np.array([75e-6, 50e-6])
        entry["center_px"] = rng.uniform(6, 9, 2)
        mask = (rng.random((N, N)) < rng.choice([0, 0.03])).astype(np.uint8)
        if rng.random() < 0.3:  # a mask for each frame
            mask = mask | (rng.random((FRAMES, N, N)) < 0.02)
        entry["mask"] = mask
    return path


def random_settings(rng):
    """Any of what changes frames, masks, positions or geometry."""
    side = int(rng.choice([8, 12, 16, 20]))
    either = {
        "shape": side,
        "rotate": int(rng.choice([0, 90, 180, 270])),
        "flip": str(rng.choice(["none", "h", "v", "hv"])),
        "rebin": int(rng.choice([1, 2])),
        "pad": int(rng.choice([0, 2])),
        "align": "com",
        "saturation": float(rng.integers(150, 320)),
        "threshold": 2.0,
        "reject": [int(rng.integers(FRAMES))],
        "positions.axes": str(rng.choice(["yx", "-xy", "x-y"])),
        "frames_per_position": 2,
    }
    chosen = {name: value for name, value in either.items() if rng.random() < 0.4}
    if "frames_per_position" in chosen:
        chosen.pop("reject", None)
        chosen["grouping"] = str(rng.choice(["sum", "mean"]))
    return chosen


def reconstruction(plan) -> Reconstruction:
    """One that could have come of the plan."""
    size = plan.geometry.shape[0]
    pixel = plan.geometry.object_pixel_m
    middle = plan.positions_m.mean(axis=0)
    reach = int(np.ceil(np.abs(plan.positions_m - middle).max() / min(pixel)))
    shape = (size + 2 * reach + 3, size + 2 * reach + 4)
    return Reconstruction(
        object=np.ones((1, *shape), np.complex64),
        probe=np.ones((1, size, size), np.complex64),
        pixel_m=pixel,
        center_m=(float(middle[0]), float(middle[1])),
        positions_m=plan.positions_m,
        indices=np.arange(len(plan)),
        energy_eV=plan.geometry.energy_eV,
        distance_m=plan.geometry.distance_m,
        errors=np.array([0.5]),
        algorithm="none",
        scan="s",
    )


WRITERS = {
    "ptyd": lambda plan, path: write_ptyd(plan, path.with_suffix(".ptyd"), block=2),
    "ptyd linked": lambda plan, path: write_ptyd(
        plan, path.with_suffix(".ptyd"), block=2, save="link"
    ),
    "standardize": lambda plan, path: write_standard(plan, path.with_suffix(".h5")),
    "product": lambda plan, path: export_product(
        reconstruction(plan), path.with_suffix(".h5"), frames=of_plan(plan)
    ),
    "cxi": lambda plan, path: write_cxi(reconstruction(plan), path.with_suffix(".cxi"), plan=plan),
    "npz": lambda plan, path: write_npz(
        reconstruction(plan), path.with_suffix(".npz"), frames=of_plan(plan)
    ),
}


def assert_same_scan(back, plan, exact=True):
    frames, good = all_frames(plan, 3)
    frames_back, good_back = all_frames(back, 3)
    assert_array_equal(good_back, good)
    if exact:
        assert_array_equal(frames_back, frames)
    else:  # float32 amplitudes, squared
        assert_allclose(frames_back, frames, rtol=3e-7)
    assert_allclose(back.positions_m, plan.positions_m, rtol=1e-12, atol=1e-18)
    one, other = back.geometry, plan.geometry
    assert one.shape == other.shape
    for name in ("energy_eV", "distance_m", "pixel_m", "center_px"):
        assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.filterwarnings("ignore::ptypy_beamline.BeamlineWarning")
def test_random_settings(tmp_path, writer, seed):
    rng = np.random.default_rng(seed)
    settings = random_settings(rng)
    raw = raw_file(tmp_path / "raw.h5", rng)
    if "frames_per_position" in settings:
        with h5py.File(raw, "r+") as file:
            kept = file["entry/pos"][::2]
            del file["entry/pos"]
            file["entry/pos"] = kept
            file["entry/pos"].attrs["columns"] = "x,y"
    plan = open_scan(raw, **settings).plan()
    written = WRITERS[writer](plan, tmp_path / "back")
    back = open_scan(written).plan()
    assert_same_scan(back, plan, exact=writer not in ("product", "npz"))


@pytest.mark.filterwarnings("ignore::ptypy_beamline.BeamlineWarning")
def test_our_npz_as_a_product_keeps_its_mask(tmp_path):
    plan = open_scan(raw_file(tmp_path / "raw.h5", np.random.default_rng(3))).plan(saturation=200)
    npz = write_npz(reconstruction(plan), tmp_path / "a.npz", frames=of_plan(plan))
    frames = of_npz(npz, len(plan))
    product = export_product(reconstruction(plan), tmp_path / "a.h5", frames=frames)
    assert_same_scan(open_scan(product).plan(), plan, exact=False)


def test_a_shared_mask_is_one_image_and_others_one_a_frame(tmp_path):
    path = raw_file(tmp_path / "raw.h5", np.random.default_rng(5))
    with h5py.File(path, "r+") as file:
        del file["entry/mask"], file["entry/data"]
        file["entry/data"] = np.arange(FRAMES * N * N, dtype=np.uint16).reshape(FRAMES, N, N)
        file["entry/mask"] = np.eye(N, dtype=np.uint8)
    scan = open_scan(path)
    with h5py.File(write_standard(scan.plan(), tmp_path / "a.h5")) as file:
        assert_array_equal(file["entry/mask"], np.eye(N))
    last = FRAMES * N * N - 2
    with h5py.File(write_standard(scan.plan(saturation=last), tmp_path / "b.h5")) as file:
        mask = file["entry/mask"][()]
        assert mask.shape == (FRAMES, N, N)
        assert_array_equal(mask[:-1], np.broadcast_to(np.eye(N), (FRAMES - 1, N, N)))
        assert mask[-1, -1, -2] == 1
        assert np.isfinite(file["entry/data"]).all()


def test_other_readers_of_cxi_get_no_bad_pixel(tmp_path):
    """CDTools takes one mask for all frames, and no NaN."""
    plan = open_scan(raw_file(tmp_path / "raw.h5", np.random.default_rng(2))).plan(saturation=200)
    good = all_frames(plan, 3)[1]
    assert (~good).any()
    with pytest.warns(BeamlineWarning, match="bad in single frames only"):
        write_cxi(reconstruction(plan), tmp_path / "a.cxi", plan=plan)
    with h5py.File(tmp_path / "a.cxi") as file:
        assert_array_equal(file["entry_1/data_1/mask"][()] == 0, good.all(axis=0))
        assert np.isfinite(file["entry_1/data_1/data"]).all()
