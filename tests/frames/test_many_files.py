"""Scans in more files than the system lets a process open."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tifffile
from processes import python

FILES, N, LIMIT = 150, 8, 64

READ = """
import os, resource, sys
from concurrent.futures import ThreadPoolExecutor

resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
import numpy as np
from ptypy_beamline import open_scan

scan = open_scan(sys.argv[2], center=(4, 4), **eval(sys.argv[3]))
plan = scan.plan(threads=4)
count = len(plan)
frames = np.concatenate([block.frames for block in plan.blocks(50)])
assert (frames == np.arange(count)[:, None, None]).all()
orders = [np.random.default_rng(seed).permutation(count)[:40] for seed in range(4)]
with ThreadPoolExecutor(4) as threads:
    for order, raw in zip(orders, threads.map(plan.load, orders)):
        assert (raw[:, 0] == order[:, None, None]).all()
print(count, len(os.listdir("/proc/self/fd")))
"""


def read_all(path, **settings):
    """Read a scan of frames 0, 1, … in a process that may open few files; how many stay open."""
    done = python("-c", READ, LIMIT, path, repr(settings))
    count, still_open = map(int, done.stdout.split())
    assert count == FILES
    return still_open


def frame(number):
    return np.full((1, N, N), number, "u2")


@pytest.fixture(scope="module")
def data_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    paths = [folder / f"s_data_{number:06d}.h5" for number in range(1, FILES + 1)]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            file.create_dataset("entry/data/data", data=frame(number), chunks=(1, N, N))
    return paths


def master(path):
    file = h5py.File(path, "w")
    detector = file.create_group("entry/instrument/detector")
    detector["detector_distance"], detector["x_pixel_size"] = 1.0, 75e-6
    detector["y_pixel_size"] = 75e-6
    detector["detectorSpecific/photon_energy"] = 6200.0
    for name in ("detector_distance", "x_pixel_size", "y_pixel_size"):
        detector[name].attrs["units"] = "m"
    detector["detectorSpecific/photon_energy"].attrs["units"] = "eV"
    file["pos"] = np.arange(2.0 * FILES).reshape(-1, 2) * 1e-7
    file["pos"].attrs.update(units="m", columns="y,x")
    return file


def test_an_eiger_series(data_files):
    folder = data_files[0].parent
    with master(folder / "s_master.h5") as file:
        for path in data_files:
            name = f"entry/data/{path.stem.removeprefix('s_')}"
            file[name] = h5py.ExternalLink(path.name, "/entry/data/data")
    assert read_all(folder / "s_master.h5", paths={"positions": "/pos"}) < LIMIT // 2


def test_a_virtual_dataset(data_files):
    folder = data_files[0].parent
    layout = h5py.VirtualLayout((FILES, N, N), "u2")
    for number, path in enumerate(data_files):
        layout[number] = h5py.VirtualSource(path.name, "entry/data/data", (1, N, N))[0]
    with master(folder / "virtual.h5") as file:
        file.create_virtual_dataset("entry/data/data", layout, fillvalue=9999)
    assert read_all(folder / "virtual.h5", paths={"positions": "/pos"}) < LIMIT // 2


def test_a_linked_ptyd(tmp_path):
    path = tmp_path / "s.ptyd"
    with h5py.File(path, "w") as file:
        file["meta/energy"], file["meta/distance"], file["meta/psize"] = 6.2, 1.0, 75e-6
        for number in range(FILES):
            with h5py.File(tmp_path / f"{path.name}.part{number:03d}", "w") as part:
                part["data"], part["indices"] = frame(number), [number]
                part["positions"], part["weights"] = [[number * 1e-7, 0]], frame(1) > 0
            file[f"chunks/{number}"] = h5py.ExternalLink(f"{path.name}.part{number:03d}", "/")
    assert read_all(path) < LIMIT // 2


def test_tiff_files(tmp_path):
    for number in range(FILES):
        tifffile.imwrite(tmp_path / f"s_{number:03d}.tif", frame(number)[0])
    with h5py.File(tmp_path / "sidecar.h5", "w") as file:
        entry = file.create_group("entry")
        entry["pos"] = np.arange(2.0 * FILES).reshape(-1, 2) * 1e-7
        entry["pos"].attrs["columns"] = "x,y"
        entry["energy_eV"], entry["det_dist_m"], entry["pixel_m"] = 6200.0, 1.0, 75e-6
    assert read_all(tmp_path / "s_*.tif", sidecar=str(tmp_path / "sidecar.h5")) < LIMIT // 2


def test_files_are_closed_with_their_scan(data_files):
    """Nothing outside keeps a file open that may be written again."""
    from ptypy_beamline.frames.hdf5 import Hdf5Frames
    from ptypy_beamline.scan import Window

    frames = Hdf5Frames(data_files[0], "entry/data/data")
    frames.read([0], Window(0, 0, N, N))
    del frames
    with h5py.File(data_files[0], "r+"):
        pass


def test_portions_of_frames_that_several_files_share():
    """Modules of a detector in files of their own: a frame needs all of them at once."""
    from ptypy_beamline.frames.virtual import portions

    wanted = np.arange(12)
    modules = np.array([[0, 5], [0, 5], [6, 11], [6, 11]])
    assert list(portions(wanted, modules, 2)) == [slice(0, 6), slice(6, 12)]
    assert list(portions(wanted, modules, 4)) == [slice(0, 12)]
    assert list(portions(wanted, np.repeat([[0, 11]], 9, axis=0), 4)) == [slice(0, 12)]
