"""A scan of very many small frames: plan, loading, scan model and one iteration, on 1 and 2 ranks.

    python benchmarks/many_frames.py                      # 100,000 to 1,000,000 frames of 16²
    python benchmarks/many_frames.py --frames 20000 --ranks 1 2 --profile

Each row runs in fresh processes, which first reconstruct a small scan, so that imports and
compiled kernels are in the baseline. CPU seconds and memory are those of the rank that needed most;
memory is the kernel's count of resident memory above the baseline at its peak (VmHWM, reset before;
Linux only). ``--profile`` prints where the time goes, and writes no table.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from large_scan import write_many
from memory import MIB, resident
from real_data import MPIRUN
from star import ROOT
from table import write_table

SIZE = 16
STAGES = ("plan", "load", "model", "prepare", "iteration")


def tree(file: Path, block: int, model: str) -> Any:
    """A parameter tree with one engine."""
    from ptypy import utils as u

    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    probe = 1e3 * np.exp(-(y**2 + x**2) / (SIZE / 6) ** 2).astype(complex)[None]
    fixed = u.Param(model=probe, aperture=None, diversity=None, propagation=None)
    data = u.Param(name="BeamlineScan", file=str(file), center="fftshift")
    off = u.Param(active=False)
    return u.Param(
        verbose_level="ERROR",
        frames_per_block=block,
        io=u.Param(rfile=None, autosave=off, autoplot=off, interaction=off),
        scans=u.Param(scan=u.Param(name=model, data=data, illumination=fixed)),
        engines=u.Param(
            e=u.Param(
                name="DM_serial",
                numiter=1,
                overlap_max_iterations=1,
                probe_update_start=0,
                probe_support=None,
            )
        ),
    )


class Watch:
    """CPU seconds and peak memory of each stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.peak = dict.fromkeys(STAGES, 0)
        gc.collect()
        self.baseline = resident("VmRSS")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        start = time.process_time()
        yield
        self.seconds[name] += time.process_time() - start
        self.peak[name] = max(self.peak[name], resident("VmHWM") - self.baseline)

    def watch(self, cls: type, method: str, name: str) -> None:
        """Count a method as a stage."""
        plain = getattr(cls, method)

        def watched(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return plain(*args, **kwargs)

        setattr(cls, method, watched)


def measure(file: Path, small: Path, block: int, model: str) -> dict[str, Any]:
    """One iteration of ``file``, on this rank."""
    import ptypy
    from ptypy.core import Ptycho
    from ptypy.engines.base import BaseEngine

    from ptypy_beamline.ptyscan import BeamlineScan

    ptypy.load_gpu_engines("serial")
    Ptycho(tree(small, block, model), level=5)
    watch = Watch()
    watch.watch(BeamlineScan, "initialize", "plan")
    watch.watch(BeamlineScan, "auto", "load")
    start = time.process_time()
    ptycho = Ptycho(tree(file, block, model), level=4)
    whole = time.process_time() - start
    watch.seconds["model"] = whole - sum(watch.seconds.values())
    watch.peak["model"] = resident("VmHWM") - watch.baseline
    watch.watch(BaseEngine, "initialize", "prepare")
    watch.watch(BaseEngine, "prepare", "prepare")
    watch.watch(BaseEngine, "iterate", "iteration")
    ptycho.run()
    error = float(ptycho.runtime.iter_info[-1]["error"][1])
    own = sum(len(s.data) for s in ptycho.diff.storages.values())
    (obj,) = ptycho.obj.storages.values()
    return {
        "seconds": watch.seconds,
        "peak": watch.peak,
        "own": own,
        "object": obj.data.nbytes,
        "error": error,
    }


def worker(file: Path, small: Path, out: Path, block: str, model: str, profiled: str) -> None:
    """Measure on this rank; the first writes what all have."""
    from ptypy import utils as u
    from ptypy.utils import parallel

    u.verbose.set_level("ERROR")
    profile = cProfile.Profile() if profiled else nullcontext()
    with profile:
        found = measure(file, small, int(block), model)
    if profiled and parallel.master:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    everyone = parallel.comm.gather(found) if parallel.MPIenabled else [found]
    if parallel.master:
        out.write_text(json.dumps(everyone))


def in_processes(ranks: int, *words: object) -> None:
    """Run :func:`worker` on so many ranks."""
    command = [sys.executable, __file__, "--worker", *map(str, words)]
    if ranks > 1:
        command = [*MPIRUN, "-n", str(ranks), *command]
    subprocess.run(command, check=True, stdout=None if words[-1] else subprocess.DEVNULL)


def rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One for each number of frames, and of ranks."""
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        small = write_many(folder / "small.h5", 64, SIZE)
        for n in args.frames:
            file = write_many(folder / f"{n}.h5", n, SIZE)
            for ranks in args.ranks:
                out = folder / "out.json"
                profiled = "profiled" if args.profile else ""
                in_processes(ranks, file, small, out, args.block, args.model, profiled)
                found = json.loads(out.read_text())
                sys.stderr.write(f"{n} on {ranks}: {found}\n")
                yield row(n, ranks, args.model, found)


def row(n: int, ranks: int, model: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """What the ranks found, in a table."""
    seconds = {s: max(f["seconds"][s] for f in found) for s in STAGES}
    peaks = {s: max(f["peak"][s] for f in found) for s in STAGES}
    own = max(f["own"] for f in found)
    return {
        "frames": n,
        "ranks": ranks,
        "model": model,
        **{f"{stage}, s": f"{seconds[stage]:.1f}" for stage in STAGES},
        "a rank's frames, MiB": own * SIZE**2 * 4 // MIB,
        "object, MiB": found[0]["object"] // MIB,
        "peak to level 2, MiB": max(peaks[s] for s in STAGES[:3]) // MIB,
        "peak, MiB": max(peaks.values()) // MIB,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[100_000, 250_000, 1_000_000])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--block", type=int, default=100_000, help="frames_per_block")
    parser.add_argument("--model", default="BeamlineFull")
    parser.add_argument("--folder", type=Path, help="where the scans are written for a while")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--worker", nargs=6, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        file, small, out, *rest = args.worker
        worker(Path(file), Path(small), Path(out), *rest)
        return
    found = list(rows(args))
    if not args.profile:
        title = f"Very many frames of {SIZE}², DM_serial in blocks of {args.block}"
        write_table(ROOT / "benchmarks/results/large_scan.md", title, found)


if __name__ == "__main__":
    main()
