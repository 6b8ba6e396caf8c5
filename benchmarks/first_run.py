"""CPU seconds of whole processes: imports, commands, and the first load with and without a cache.

    python benchmarks/first_run.py

User and system time of each process from start to end, median of --repeats. Cold: no function of
this package has been compiled before; warm: a process before has compiled and kept them. Python's
own bytecode (.pyc) is there in both cases, and files are in the system's cache.
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from star import ROOT
from table import write_table

LOAD = """
import sys
from ptypy_beamline import open_scan
for block in open_scan(sys.argv[1]).plan().blocks(): pass
"""
THROUGH_PTYPY = """
import sys
import ptypy_beamline.ptyscan as loaders
scan = loaders.BeamlineHdf5Scan(file=sys.argv[1])
scan.initialize()
while not isinstance(scan.auto(1000), str): pass
"""
SCANS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "100 of 128²": (100, 128, {}),
    "1000 of 256²": (1000, 256, {}),
    "1000 of 256², bitshuffle-LZ4": (1000, 256, dict(hdf5plugin.Bitshuffle(cname="lz4"))),
}
"""Number and size of frames, and how they are stored."""


def write(path: Path, name: str) -> Path:
    """A standardized scan without a beam centre, so that it must be found."""
    n, side, filters = SCANS[name]
    random, (y, x) = np.random.default_rng(0), np.indices((side, side)) - side // 2
    mean = 400 * np.exp(-(y**2 + x**2) / (2 * (side / 7) ** 2))
    frames = random.poisson(mean, (16, side, side)).astype(np.uint16)
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "entry/data", (n, side, side), np.uint16, chunks=(1, side, side), **filters
        )
        for k in range(n):
            data[k] = frames[k % 16]
        file["entry/pos"] = np.stack(np.divmod(np.arange(n), 40), axis=1) * 3e-7
        file["entry/pos"].attrs["columns"] = "x,y"
        file["entry/energy_eV"], file["entry/det_dist_m"] = 8000.0, 1.0
        file["entry/pixel_m"] = 75e-6
    return path


def cpu_s(cache: Path, *words: object) -> float:
    """User and system time of a Python process that keeps compiled functions in ``cache``."""
    environment = {**os.environ, "PTYPY_BEAMLINE_CACHE": str(cache), "XDG_CACHE_HOME": str(cache)}
    environment |= {"TMPDIR": str(cache), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{words}: exit code {process.returncode}")
    return used.ru_utime + used.ru_stime


def median_cold(repeats: int, *words: object) -> str:
    times = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as empty:
            times.append(cpu_s(Path(empty), *words))
    return f"{statistics.median(times):.2f}"


def median_warm(repeats: int, *words: object) -> str:
    with tempfile.TemporaryDirectory() as cache:
        cpu_s(Path(cache), *words)
        times = [cpu_s(Path(cache), *words) for _ in range(repeats)]
    return f"{statistics.median(times):.2f}"


def rows(folder: Path, repeats: int) -> list[dict[str, str]]:
    files = {name: write(folder / f"{k}.h5", name) for k, name in enumerate(SCANS)}
    first = files["100 of 128²"]
    once = {
        "Python itself": ("-c", "pass"),
        "import numpy": ("-c", "import numpy"),
        "import h5py": ("-c", "import h5py"),
        "import numba": ("-c", "import numba"),
        "import ptypy": ("-c", "import ptypy"),
        "import ptypy_beamline": ("-c", "import ptypy_beamline"),
        "ptypy-beamline --help": ("-m", "ptypy_beamline", "--help"),
        "ptypy-beamline info (100 of 128²)": ("-m", "ptypy_beamline", "info", first),
    }
    found = []
    for name, words in once.items():
        found.append({"process": name, "cold": "", "warm": median_warm(repeats, *words)})
        print(found[-1], flush=True)
    for how, code in (("load", LOAD), ("PtyScan: initialize, auto", THROUGH_PTYPY)):
        for name, file in files.items():
            cold, warm = (m(repeats, "-c", code, file) for m in (median_cold, median_warm))
            found.append({"process": f"{how}, {name}", "cold": cold, "warm": warm})
            print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(ROOT / "ptypy_beamline", quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        found = rows(Path(folder), args.repeats)
    title = f"CPU seconds of whole processes, median of {args.repeats}"
    write_table(ROOT / "benchmarks/results/first_run.md", title, found)


if __name__ == "__main__":
    main()
