"""Scans in many files, and of many positions: time and memory must grow in proportion.

    python benchmarks/many_files.py            # about 5 minutes, writes results/many_files.md
    python benchmarks/many_files.py --only tiff

Each load (open, plan, every block) runs in a process of its own that may open 256 files, after it
has loaded a small scan of the same kind, so that imports and compiled kernels do not count. The
exponent is that of CPU time against the number of files, or of positions, in the two larger scans.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from memory import MIB, resident
from star import ROOT
from table import write_table

SIDE, PIXEL_M = 32, 75e-6
MOST_OPEN = 256
FEW = 50
"""Files, or positions, of the scan that is loaded first."""


def frame(number: int) -> np.ndarray[Any, Any]:
    """A frame that is known by its first pixel."""
    image = np.full((SIDE, SIDE), 3, np.uint16)
    image[0, 0] = number % 50_000
    return image


def stage(n: int) -> np.ndarray[Any, Any]:
    """(n, 2) positions of a raster in metres."""
    return np.stack(np.divmod(np.arange(n), int(np.ceil(np.sqrt(n)))), axis=1) * 1e-7


def write_geometry(file: h5py.File, n: int) -> None:
    """What the standardized format has beside frames."""
    file["entry/pos"] = stage(n)[:, ::-1]
    file["entry/pos"].attrs["columns"] = "x,y"
    file["entry/energy_eV"], file["entry/det_dist_m"], file["entry/pixel_m"] = 6200.0, 1.0, PIXEL_M


def ptyd_parts(folder: Path, n: int) -> dict[str, Any]:
    """A ``.ptyd`` whose chunks, of one frame, are in linked files."""
    path = folder / "s.ptyd"
    with h5py.File(path, "w") as file:
        file["meta/energy"], file["meta/distance"], file["meta/psize"] = 6.2, 1.0, PIXEL_M
        for number, position in enumerate(stage(n)):
            with h5py.File(folder / f"s.ptyd.part{number:05d}", "w") as part:
                part["data"], part["indices"] = frame(number)[None], [number]
                part["positions"] = position[None]
                part["weights"] = np.ones((1, SIDE, SIDE), np.bool_)
            file[f"chunks/{number}"] = h5py.ExternalLink(f"s.ptyd.part{number:05d}", "/")
    return {"file": str(path)}


def tiff_files(folder: Path, n: int) -> dict[str, Any]:
    """A file for each frame, and a sidecar."""
    for number in range(n):
        tifffile.imwrite(folder / f"s_{number:06d}.tif", frame(number))
    with h5py.File(folder / "sidecar.h5", "w") as file:
        write_geometry(file, n)
    return {"file": str(folder / "s_*.tif"), "sidecar": str(folder / "sidecar.h5")}


def eiger_files(folder: Path, n: int) -> dict[str, Any]:
    """A master that links to a data file for each two frames."""
    detector = "entry/instrument/detector"
    with h5py.File(folder / "s_master.h5", "w") as file:
        for number in range(n):
            name = f"data_{number + 1:06d}"
            with h5py.File(folder / f"s_{name}.h5", "w") as part:
                images = np.stack([frame(2 * number), frame(2 * number + 1)])
                part.create_dataset("entry/data/data", data=images, chunks=(1, SIDE, SIDE))
            file[f"entry/data/{name}"] = h5py.ExternalLink(f"s_{name}.h5", "/entry/data/data")
        for name, value, unit in (
            ("detector_distance", 1.0, "m"),
            ("x_pixel_size", PIXEL_M, "m"),
            ("y_pixel_size", PIXEL_M, "m"),
            ("detectorSpecific/photon_energy", 6200.0, "eV"),
        ):
            file[f"{detector}/{name}"] = value
            file[f"{detector}/{name}"].attrs["units"] = unit
        file["pos"] = stage(2 * n)
        file["pos"].attrs.update(units="m", columns="y,x")
    return {"file": str(folder / "s_master.h5"), "paths": {"positions": "/pos"}}


def virtual_files(folder: Path, n: int) -> dict[str, Any]:
    """The same data files through a virtual dataset."""
    eiger_files(folder, n)
    layout = h5py.VirtualLayout((2 * n, SIDE, SIDE), np.uint16)
    for number in range(n):
        part = h5py.VirtualSource(f"s_data_{number + 1:06d}.h5", "entry/data/data", (2, SIDE, SIDE))
        layout[2 * number : 2 * number + 2] = part
    with h5py.File(folder / "virtual.h5", "w") as file:
        file.create_virtual_dataset("entry/data", layout)
        write_geometry(file, 2 * n)
    return {"file": str(folder / "virtual.h5")}


def positions(folder: Path, n: int) -> dict[str, Any]:
    """One file with many frames of 16²."""
    with h5py.File(folder / "s.h5", "w") as file:
        data = file.create_dataset("entry/data", (n, 16, 16), np.uint16)
        for start in range(0, n, 100_000):
            count = min(100_000, n - start)
            block = np.full((count, 16, 16), 3, np.uint16)
            block[:, 0, 0] = np.arange(start, start + count) % 50_000
            data[start : start + count] = block
        write_geometry(file, n)
    return {"file": str(folder / "s.h5")}


@dataclass(frozen=True)
class Case:
    """``most`` files, or positions, at most."""

    name: str
    write: Callable[[Path, int], dict[str, Any]]
    most: int


CASES = {
    "ptyd": Case("`.ptyd` in linked parts", ptyd_parts, 2000),
    "tiff": Case("TIFF files", tiff_files, 10_000),
    "eiger": Case("Eiger data files", eiger_files, 1000),
    "virtual": Case("data files of a virtual dataset", virtual_files, 1000),
    "positions": Case("positions in one file", positions, 1_000_000),
}


def load(given: dict[str, Any]) -> int:
    """Open, plan, and go through every block; how many frames there are."""
    from ptypy_beamline import open_scan

    plan = open_scan(**given, center="fftshift").plan()
    done = 0
    for block in plan.blocks():
        numbers = np.arange(done, done + len(block.frames)) % 50_000
        np.testing.assert_array_equal(block.frames[:, 0, 0], numbers)
        done += len(block.frames)
    return done


def worker(small: str, given: str, out: str) -> None:
    """Put down what a load takes in this process."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_OPEN, MOST_OPEN))
    load(json.loads(small))
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    before, start, cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
    frames = load(json.loads(given))
    found = {
        "frames": frames,
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak": resident("VmHWM") - before,
    }
    Path(out).write_text(json.dumps(found))


def rows(case: Case) -> Iterator[dict[str, Any]]:
    """A row for each number of files."""
    counts, cpu = (case.most // 4, case.most // 2, case.most), []
    for n in counts:
        with tempfile.TemporaryDirectory() as name:
            folder, out = Path(name), Path(name) / "found.json"
            (folder / "small").mkdir()
            (folder / "large").mkdir()
            small, large = case.write(folder / "small", FEW), case.write(folder / "large", n)
            words = [json.dumps(small), json.dumps(large), str(out)]
            subprocess.run([sys.executable, __file__, "--worker", *words], check=True)
            found = json.loads(out.read_text())
        cpu.append(found["cpu"])
        last = n == case.most
        exponent = np.log2(cpu[-1] / cpu[-2]) if last else None
        yield {
            "scan": case.name,
            "number": n,
            "frames": found["frames"],
            "seconds": f"{found['seconds']:.2f}",
            "CPU, s": f"{found['cpu']:.2f}",
            "CPU per number, µs": f"{found['cpu'] / n * 1e6:.0f}",
            "peak, MiB": f"{found['peak'] / MIB:.0f}",
            "exponent": "" if exponent is None else f"{exponent:.2f}",
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=CASES, nargs="+")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(*args.worker)
        return
    found = []
    for name in args.only or CASES:
        for row in rows(CASES[name]):
            found.append(row)
            print(*row.values(), sep="  ", flush=True)
    path = ROOT / "benchmarks/results/many_files.md"
    if args.only:
        path = Path(tempfile.gettempdir()) / path.name
    write_table(path, "Scans in many files", found)


if __name__ == "__main__":
    main()
