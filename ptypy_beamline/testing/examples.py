"""Small files for each command of the documentation."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import tifffile

from .balls import Series, Turned, write_series
from .phantom_writer import write_simulation
from .simulate import Truth, simulate

UM_PER_M = 1e6
ANGLES_DEG = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0)


def write_examples(folder: Path) -> None:
    """One scan as three files that no format knows, a phantom, and a series of angles.

    The scan is in ``mine.h5``, in ``tiffs`` with ``log.csv``, and in ``mine.npz``; positions are in
    µm, and there is nothing but them and the frames.
    """
    scan = simulate(64, (12, 12), 6, "jitter", photons=1e5, seed=5)
    _write_hdf5(folder / "mine.h5", scan)
    _write_tiffs(folder, scan)
    y_um, x_um = scan.positions_m.T * UM_PER_M
    np.savez(folder / "mine.npz", patterns=scan.frames.astype(np.float32), px=x_um, py=y_um)
    np.save(folder / "truth.npy", scan.object)
    write_simulation(folder / "phantom", scan=(12, 12))
    series = Series(Turned(voxel_m=80e-9), window=48, scan=(8, 8), step_px=9.0)
    still = [(0.0, 0.0)] * len(ANGLES_DEG)
    write_series(folder / "series.h5", series, ANGLES_DEG, still)


def _write_hdf5(path: Path, scan: Truth) -> None:
    with h5py.File(path, "w") as file:
        file["run/camera/images"] = scan.frames.astype(np.uint16)
        file["run/motors/samx"] = scan.positions_m[:, 1] * UM_PER_M
        file["run/motors/samy"] = scan.positions_m[:, 0] * UM_PER_M


def _write_tiffs(folder: Path, scan: Truth) -> None:
    (folder / "tiffs").mkdir()
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "x_um", "y_um"])
        for number, (frame, place_m) in enumerate(zip(scan.frames, scan.positions_m, strict=True)):
            name, (y_um, x_um) = f"img_{number:04d}.tif", place_m * UM_PER_M
            tifffile.imwrite(folder / "tiffs" / name, frame.astype(np.uint16))
            rows.writerow([name, f"{x_um:.4f}", f"{y_um:.4f}"])
