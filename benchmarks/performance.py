"""Frames a second against PtyPy's own loaders, and everything else that is a matter of speed.

    python benchmarks/performance.py            # all, writes docs/performance.md; about 15 minutes
    python benchmarks/performance.py --quick    # a look, a few repeats, writes nothing

All in one run: the loaders take turns and medians are compared, after both have given identical
frames. Files are in the system's cache, so that decoding and arithmetic are compared, not disks.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import level2
import memory
import numpy as np
import reading
from large_scan import load, write_scan
from ptypy import utils as u
from ptypy.core.data import PtydScan
from real_data import MPIRUN
from star import ROOT
from table import table

from ptypy_beamline import open_scan
from ptypy_beamline.ptyscan import BeamlinePtydScan, BeamlineScan
from ptypy_beamline.writers.ptyd import write_ptyd

OURS, THEIRS, FAST = "BeamlineScan", "Hdf5Loader", "Hdf5LoaderFast"
SMALL, EIGER = (512, 512), (2167, 2070)


@dataclass(frozen=True)
class Case:
    """Frames of ``shape``, compressed by ``filters``, cut to ``window``."""

    shape: tuple[int, int]
    window: int
    filters: str
    frames: int

    @property
    def megabytes(self) -> float:
        """Raw data of a frame."""
        return self.shape[0] * self.shape[1] * 2e-6


CASES = (
    *(Case(EIGER, 512, filters, 400) for filters in ("bslz4", "gzip-1", "none")),
    *(Case(SMALL, 256, filters, 1000) for filters in ("bslz4", "gzip-1", "none")),
    *(Case(SMALL, 512, filters, 500) for filters in ("bslz4", "gzip-1", "none")),
)


def fresh(folder: Path) -> Path:
    """A new name, and the room of earlier files: loaders keep theirs open."""
    for old in folder.glob("scan*.h5"):
        old.unlink()
    return folder / f"scan{time.monotonic_ns()}.h5"


def medians(
    turns: Sequence[Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Median seconds of each, taking turns."""
    seconds: list[list[float]] = [[] for _ in turns]
    for _ in range(repeats):
        for turn, times in zip(turns, seconds, strict=True):
            start = clock()
            turn()
            times.append(clock() - start)
    return [statistics.median(times) for times in seconds]


def check_identical(path: Path, window: int, others: Sequence[str]) -> None:
    """All loaders give the same good pixels, and the same counts in them. Compiles, too."""
    ours = load(OURS, path, window)
    for name in others:
        for a, b in zip(ours, load(name, path, window), strict=True):
            np.testing.assert_array_equal(a["mask"], b["mask"])
            if name != FAST:  # it cannot apply a flat
                np.testing.assert_array_equal(a["data"], b["data"] * b["mask"])
            np.testing.assert_allclose(a["position"], b["position"])


def loaders(folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """A row for each case."""
    for case in CASES:
        path = write_scan(fresh(folder), case.frames, case.filters, case.shape)
        names = [OURS, THEIRS] + ([FAST] if case.shape == SMALL else [])
        check_identical(path, case.window, names[1:])
        times = medians([partial(load, n, path, case.window) for n in names], repeats)
        rate = case.frames / times[0]
        yield {
            "detector": f"{case.shape[0]}×{case.shape[1]}",
            "window": f"{case.window}²",
            "compression": case.filters,
            "frames/s": f"{rate:.0f}",
            "raw MB/s": f"{rate * case.megabytes:.0f}",
            "× Hdf5Loader": f"{times[1] / times[0]:.1f}",
            "× Hdf5LoaderFast": f"{times[2] / times[0]:.1f}" if len(times) > 2 else "",
        }


def centre(folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """The same where both loaders have to find the beam centre."""
    names = (f"{OURS}, finds the centre", f"{THEIRS}, finds the centre")
    for case in (c for c in CASES if c.shape == SMALL and c.window == 256):
        path = write_scan(fresh(folder), case.frames, case.filters, case.shape)
        turns = [partial(load, n, path, case.window) for n in names]
        for turn in turns:
            turn()
        ours, theirs = medians(turns, repeats)
        yield {
            "compression": case.filters,
            "frames/s": f"{case.frames / ours:.0f}",
            "× Hdf5Loader": f"{theirs / ours:.1f}",
        }


def short_scan(folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """CPU of a few frames of a large detector, where planning counts, and of finding the centre."""
    for filters in ("bslz4", "gzip-1", "none"):
        path = write_scan(fresh(folder), 80, filters, EIGER)
        check_identical(path, 512, [THEIRS])
        turns = [
            partial(load, OURS, path, 512),
            partial(load, THEIRS, path, 512),
            lambda path=path: open_scan(str(path)).plan(shape=512, auto_center=True),
            lambda path=path: open_scan(str(path)).plan(shape=512, center="fftshift"),
        ]
        ours, theirs, found, given = medians(turns, repeats, time.process_time)
        yield {
            "compression": filters,
            "BeamlineScan, s": f"{ours:.3f}",
            "Hdf5Loader, s": f"{theirs:.3f}",
            "× Hdf5Loader": f"{theirs / ours:.1f}",
            "finding the centre, s": f"{found - given:.3f}",
        }


def prepared(folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """``.ptyd`` of this package and of PtyPy, read by BeamlinePtydScan and by PtydScan."""
    for writer, save, n, block in (
        ("this package", "append", 1000, None),
        ("this package", "link", 1000, None),
        ("this package", "link", 1000, 20),
        ("PtyPy", "append", 200, 200),
        ("PtyPy", "append", 200, 20),
    ):
        raw = write_scan(fresh(folder), n)
        path = folder / f"{writer}{save}{block}.ptyd"
        start = time.perf_counter()
        if writer == "PtyPy":
            by_ptypy(raw, path, n, block or n)
        else:
            write_ptyd(
                open_scan(str(raw)).plan(shape=256, center="fftshift"), path, save=save, block=block
            )
        written = time.perf_counter() - start
        ours = partial(whole, BeamlinePtydScan, {"file": str(path)})
        theirs = partial(whole, PtydScan, u.Param(dfile=str(path), source=None))
        for a, b in zip(ours(), theirs(), strict=True):
            np.testing.assert_array_equal(a["data"], b["data"])
        times = medians([ours, theirs], repeats)
        yield {
            "written by": writer,
            "frames a chunk": f"{block or 'many'}, {save}",
            "written, frames/s": f"{n / written:.0f}",
            "read, frames/s": f"{n / times[0]:.0f}",
            "× PtydScan": f"{times[1] / times[0]:.1f}",
        }


def by_ptypy(raw: Path, path: Path, n: int, block: int) -> None:
    """A ``.ptyd`` that PtyPy writes of the frames it is given."""
    scan = BeamlineScan(file=str(raw), shape=256, center="fftshift", dfile=str(path), save="append")
    scan.initialize()
    for _ in range(n // block):
        scan.auto(block)


def whole(loader: Any, parameters: Any) -> Any:
    """All that PtyPy gets."""
    scan = loader(parameters)
    scan.initialize()
    return scan.auto(scan.num_frames or 10**9)["iterable"]


def inside_ptypy(folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """``Ptycho(level=2)`` with either loader."""
    return level2.rows(write_scan(fresh(folder), 1000), repeats)


def growth(folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """Seconds and memory for more and more frames, small ones, so that many fit."""
    counts, seconds = (1000, 4000, 16000, 64000), []
    for n in counts:
        path = write_scan(fresh(folder), n, "bslz4", (128, 128))
        load(OURS, path, 64)
        (found,) = medians([partial(load, OURS, path, 64)], repeats)
        seconds.append(found)
        yield {"frames": n, "seconds": f"{found:.2f}", "frames/s": f"{n / found:.0f}"}
    exponent = np.polyfit(np.log(counts), np.log(seconds), 1)[0]
    yield {"frames": "exponent", "seconds": f"{exponent:.2f}", "frames/s": ""}


def ranks(folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """Seconds of one and of two ranks, one thread each."""
    case = Case(SMALL, 256, "bslz4", 2000)
    for filters in ("bslz4", "gzip-1", "none"):
        path = write_scan(fresh(folder), case.frames, filters)
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(repeats):
            for size, times in seconds.items():
                out = folder / "seconds.json"
                command = [sys.executable, __file__, "--worker", str(path), str(out)]
                subprocess.run(
                    [*MPIRUN, "-n", str(size), *command], check=True, stdout=subprocess.DEVNULL
                )
                times.append(json.loads(out.read_text()))
        one, two = (statistics.median(times) for times in seconds.values())
        yield {
            "compression": filters,
            "1 rank, frames/s": f"{case.frames / one:.0f}",
            "2 ranks, frames/s": f"{case.frames / two:.0f}",
            "ratio": f"{one / two:.2f}",
        }


def worker(path: Path, out: Path) -> None:
    """Load with one thread, and record the seconds of the slowest rank."""
    from ptypy.utils import parallel

    def once() -> float:
        scan = BeamlineScan(file=str(path), shape=256, center="fftshift", threads=1)
        parallel.barrier()
        start = time.perf_counter()
        scan.initialize()
        scan.auto(scan.num_frames)
        parallel.barrier()
        return time.perf_counter() - start

    once()
    seconds = once()
    if parallel.master:
        out.write_text(json.dumps(seconds))


def decoding(folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """Reading alone, and the limit: the decoders from memory to memory."""
    for row in reading.rows(["Eiger 4M, bitshuffle-LZ4", "bitshuffle-LZ4", "gzip"], repeats):
        best = float(row["limit"])
        yield {**row, "fraction of the limit": f"{float(row['2 threads']) / best:.2f}"}


def peak(folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """Peak memory of a rank."""
    return memory.rows([500, 2000], [1, 2])


SECTIONS: dict[str, tuple[str, Callable[[Path, int], Iterator[dict[str, Any]]]]] = {
    "HDF5": (
        "`initialize()` and `auto(all)`, dark, flat and mask applied. PtyPy's loaders cut "
        "the window while reading and get the centre as a parameter, which is fastest for "
        "them; `Hdf5LoaderFast` cannot divide integers by a flat, and runs without one.",
        loaders,
    ),
    "Finding the beam centre": (
        "The same, 256² of 512², with PtyPy's default settings for its loader.",
        centre,
    ),
    "A short scan of a large detector": (
        "80 frames of 2167×2070, window 512², all included, in seconds of CPU. Of such a scan 64 "
        "frames are searched for the beam centre, if it is not given.",
        short_scan,
    ),
    "Prepared data": (
        "`.ptyd` of frames of 256². PtyPy compresses with gzip in chunks that hold "
        "pieces of many frames; this package writes one chunk per frame, which PtyPy "
        "also reads several times as fast.",
        prepared,
    ),
    "Inside PtyPy": (
        "1000 frames, 256² of 512², bitshuffle-LZ4. The rest after loading is frames and masks "
        "in PtyPy's storages, its views, pods and exit waves, statistics of the frames, probe "
        "and object. Larger scans, and memory: `benchmarks/level2.py`.",
        inside_ptypy,
    ),
    "More frames": (
        "uint16 frames of 128², window 64², bitshuffle-LZ4. The exponent is that of "
        "time against number of frames.",
        growth,
    ),
    "Decoding": (
        "Reading alone, in the blocks of a plan, by HDF5 and by our own decoders on "
        "one and two threads. The limit is the speed of the decoders alone, from memory "
        "to memory, without reading a file or correcting.",
        decoding,
    ),
    "Memory": (
        "Peak of a rank above its baseline, MiB; uint16 frames of 512², window 256². Blocks "
        "are 32 MiB of raw data.",
        peak,
    ),
    "Two ranks": ("256² of 512², one thread per rank.", ranks),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=SECTIONS, nargs="+")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    u.verbose.set_level("ERROR")
    if args.worker:
        worker(*map(Path, args.worker))
        return
    text = []
    for name in args.only or SECTIONS:
        about, rows = SECTIONS[name]
        with tempfile.TemporaryDirectory() as folder:
            found = list(rows(Path(folder), 2 if args.quick else args.repeats))
        text.append(f"## {name}\n\n{about}\n\n{table(found)}")
        print(text[-1], flush=True)
    if not (args.quick or args.only):
        page = HEAD.format(cores=os.cpu_count(), repeats=args.repeats) + "\n\n".join(text)
        (ROOT / "docs/performance.md").write_text(page)


HEAD = """# Speed

Written by `make bench` on {cores} shared cores; medians of {repeats} runs. The files
are in the system's cache. Loaders are compared in the same run, alternately, after checking that
they give identical frames; a ratio above 1 means that this package is faster.

"""

if __name__ == "__main__":
    main()
