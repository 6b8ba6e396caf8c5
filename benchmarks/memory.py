"""Peak memory of a rank while it loads: its own frames and two blocks, not the raw stack.

    python benchmarks/memory.py
    python benchmarks/memory.py --frames 500 2000 --ranks 1

uint16 frames of 512² (bitshuffle-LZ4) are cut to 256². Each loading runs in fresh processes that
first load a small scan, so that imports, compiled kernels and thread stacks are in the baseline.
The peak is the kernel's own count of resident memory (VmHWM, reset before loading; Linux only), in
``initialize()`` and loading, and then in all of ``auto()``, which is PtyPy's own code.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from large_scan import DETECTOR, WINDOW, load, loader, write_scan
from real_data import MPIRUN
from star import ROOT
from table import write_table

MIB = 2**20
MEASURED = ("BeamlineScan", "Hdf5Loader", "BeamlineScan, finds the centre")


def resident(field: str) -> int:
    """VmRSS or VmHWM of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def measure(name: str, file: Path, small: Path) -> dict[str, int]:
    """Bytes above the baseline at the peak of loading, and of ``auto()``; frames of this rank."""
    load(name, small)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    baseline = resident("VmRSS")
    scan = loader(name, file)
    scan.initialize()
    chunk = scan.get_data_chunk(scan.num_frames)
    loading = resident("VmHWM") - baseline
    package = scan._make_data_package(chunk)  # what auto() does next
    own = sum(frame["data"] is not None for frame in package["iterable"])
    return {"loading": loading, "auto": resident("VmHWM") - baseline, "own": own}


def worker(name: str, file: Path, small: Path, out: Path) -> None:
    """Measure on this rank; the first writes the largest of all."""
    from ptypy import utils as u
    from ptypy.utils import parallel

    u.verbose.set_level("ERROR")
    found = measure(name, file, small)
    everyone = parallel.comm.allgather(found) if parallel.MPIenabled else [found]
    if parallel.master:
        out.write_text(json.dumps({key: max(f[key] for f in everyone) for key in found}))


def rows(counts: list[int], ranks: list[int]) -> Iterator[dict[str, Any]]:
    """A row for each number of frames, number of ranks and loader."""
    from ptypy_beamline.planning.plan import BLOCK_BYTES

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = write_scan(folder / "small.h5", 8)
        for n in counts:
            file = write_scan(folder / "scan.h5", n)
            for size in ranks:
                for loader in MEASURED:
                    found = in_processes(size, loader, file, small, folder / "out.json")
                    own = found["own"] * WINDOW**2 * 4
                    bound = own + 2 * BLOCK_BYTES
                    yield {
                        "frames": n,
                        "ranks": size,
                        "loader": loader,
                        "raw stack, MiB": n * DETECTOR**2 * 2 // MIB,
                        "own frames": own // MIB,
                        "own + 2 blocks": bound // MIB,
                        "peak of loading": found["loading"] // MIB,
                        "over own + 2 blocks": (found["loading"] - bound) // MIB,
                        "peak of auto()": found["auto"] // MIB,
                    }


def in_processes(size: int, loader: str, file: Path, small: Path, out: Path) -> dict[str, int]:
    """What :func:`worker` finds in ``size`` fresh processes."""
    command = [sys.executable, __file__, "--worker", loader, str(file), str(small), str(out)]
    if size > 1:
        command = [*MPIRUN, "-n", str(size), *command]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, int] = json.loads(out.read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[500, 2000, 8000])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker[0], *map(Path, args.worker[1:]))
        return
    title = f"Peak memory of a rank, MiB: uint16 frames of {DETECTOR}², window {WINDOW}²"
    write_table(ROOT / "benchmarks/results/memory.md", title, list(rows(args.frames, args.ranks)))


if __name__ == "__main__":
    main()
