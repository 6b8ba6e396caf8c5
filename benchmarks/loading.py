"""Frames a second of BeamlineScan against PtyPy's own Hdf5Loader, in the same run.

    python benchmarks/loading.py

uint16 frames of 512² are cut to 256² and corrected by dark, flat and mask. Both loaders must
first give identical frames; then they take turns, and the medians are compared. The files are
in the system's cache, so that decoding and arithmetic are compared, not disks.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from large_scan import DETECTOR, FILTERS, WINDOW, load, write_scan
from ptypy import utils as u
from star import ROOT
from table import write_table

LOADERS = ("BeamlineScan", "Hdf5Loader")


def seconds(name: str, path: Path) -> float:
    """Time of one loading."""
    start = time.perf_counter()
    load(name, path)
    return time.perf_counter() - start


def check_identical(path: Path) -> None:
    """Both loaders give the same good pixels, and the same counts in them."""
    pairs = zip(*(load(name, path) for name in LOADERS), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours["mask"], theirs["mask"])
        np.testing.assert_array_equal(ours["data"], theirs["data"] * theirs["mask"])
        np.testing.assert_allclose(ours["position"], theirs["position"])


def measure(n: int, repeats: int) -> Iterator[dict[str, Any]]:
    """A row for each compression."""
    for filters in FILTERS:
        with tempfile.TemporaryDirectory() as folder:
            path = write_scan(Path(folder) / "scan.h5", n, filters)
            check_identical(path)  # and compiles the kernels
            times = [[seconds(name, path) for name in LOADERS] for _ in range(repeats)]
        ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
        yield {"compression": filters, "BeamlineScan, frames/s": f"{n / ours:.0f}",
               "Hdf5Loader, frames/s": f"{n / theirs:.0f}",
               "ratio": f"{theirs / ours:.2f}",
               "ratio of each turn": ", ".join(f"{b / a:.2f}" for a, b in times)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    u.verbose.set_level("ERROR")
    rows = list(measure(args.frames, args.repeats))
    title = f"{args.frames} uint16 frames of {DETECTOR}², window {WINDOW}², dark + flat + mask"
    write_table(ROOT / "benchmarks/results/loading.md", title, rows)


if __name__ == "__main__":
    main()
