"""Frames a second from HDF5 files: chunks decoded by this package against plain HDF5.

    python benchmarks/reading.py

Both ways must give identical frames; then they take turns, and medians are compared. Frames are
read in blocks as a plan reads them. The files are in the system's cache, so that decoding is
compared, not disks. The limit is that of the decoders alone, on all threads: bytes and result are
in memory, no file is read and no memory is asked for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from star import ROOT
from table import write_table

from ptypy_beamline.frames import Hdf5Frames, hdf5
from ptypy_beamline.frames.chunks import direct
from ptypy_beamline.frames.chunks.stored import Stored
from ptypy_beamline.parallel import available_threads
from ptypy_beamline.planning.plan import BLOCK_BYTES
from ptypy_beamline.scan import Window

SMALL, EIGER = (512, 512), (2167, 2070)
WINDOWS = {SMALL: Window(128, 128, 256, 256), EIGER: Window(820, 770, 512, 512)}
BITSHUFFLE = dict(hdf5plugin.Bitshuffle(cname="lz4"))
GZIP = {"compression": "gzip"}

LAYOUTS: dict[str, tuple[tuple[int, int], str, tuple[int, ...] | None, dict[str, Any]]] = {
    "Eiger 4M, bitshuffle-LZ4": (EIGER, "u2", (1, *EIGER), BITSHUFFLE),
    "Eiger 4M, uint32": (EIGER, "u4", (1, *EIGER), BITSHUFFLE),
    "bitshuffle-LZ4": (SMALL, "u2", (1, *SMALL), BITSHUFFLE),
    "bitshuffle-LZ4, whole frames": (SMALL, "u2", (1, *SMALL), BITSHUFFLE),
    "bitshuffle-LZ4, 8 frames a chunk": (SMALL, "u2", (8, *SMALL), BITSHUFFLE),
    "bitshuffle-LZ4, tiles of 128²": (SMALL, "u2", (1, 128, 128), BITSHUFFLE),
    "bitshuffle-zstd": (SMALL, "u2", (1, *SMALL), dict(hdf5plugin.Bitshuffle(cname="zstd"))),
    "gzip": (SMALL, "u2", (1, *SMALL), GZIP),
    "gzip, shuffle": (SMALL, "u2", (1, *SMALL), {**GZIP, "shuffle": True}),
    "gzip, 8 frames a chunk": (SMALL, "u2", (8, *SMALL), GZIP),
    "LZF, shuffle": (SMALL, "u2", (1, *SMALL), {"compression": "lzf", "shuffle": True}),
    "LZF": (SMALL, "u2", (1, *SMALL), {"compression": "lzf"}),
    "LZ4": (SMALL, "u2", (1, *SMALL), dict(hdf5plugin.LZ4())),
    "zstd": (SMALL, "u2", (1, *SMALL), dict(hdf5plugin.Zstd())),
    "Blosc, LZ4, bits": (SMALL, "u2", (1, *SMALL), dict(hdf5plugin.Blosc(cname="lz4", shuffle=2))),
    "Blosc, LZ4, bytes": (SMALL, "u2", (1, *SMALL), dict(hdf5plugin.Blosc(cname="lz4"))),
    "Blosc, zstd, bytes": (SMALL, "u2", (1, *SMALL), dict(hdf5plugin.Blosc(cname="zstd"))),
    "Blosc2, LZ4": (SMALL, "u2", (1, *SMALL), dict(hdf5plugin.Blosc2(cname="lz4"))),
    "none, chunks": (SMALL, "u2", (1, *SMALL), {}),
    "none, in one go": (SMALL, "u2", None, {}),
}
"""Shape of a frame, pixel type, chunk and filters of each case."""

DISTINCT = 16
"""Different frames in a file; the others repeat them."""


def photons(shape: tuple[int, int], total: float) -> np.ndarray:
    """Speckle with a falling envelope and Poisson noise; most pixels count 0 to 3."""
    random = np.random.default_rng(0)
    y, x = np.indices(shape) - np.array(shape)[:, None, None] // 2
    envelope = 1 / (1 + (np.hypot(y, x) / 12) ** 2.5)
    grains = random.exponential(1.0, (DISTINCT, shape[0] // 3 + 1, shape[1] // 3 + 1))
    mean = envelope * np.kron(grains, np.ones((3, 3)))[:, : shape[0], : shape[1]]
    return random.poisson(mean * (total / mean.sum(axis=(1, 2), keepdims=True)))


def frames_of(shape: tuple[int, int]) -> np.ndarray:
    """Those of a detector; the gaps between an Eiger's modules hold the largest number."""
    if shape == SMALL:
        return photons(shape, 1e6)
    frames = photons(shape, 5e6)
    frames[:, :, 1030:1040] = 65535
    for edge in (551, 1102, 1653):
        frames[:, edge - 37 : edge] = 65535
    return frames


def write(path: Path, name: str, n: int) -> None:
    shape, dtype, chunks, filters = LAYOUTS[name]
    data = frames_of(shape).astype(dtype)
    with h5py.File(path, "w") as file:
        made = file.create_dataset("d", (n, *shape), dtype, chunks=chunks, **filters)
        for start in range(0, n, DISTINCT):
            made[start : start + DISTINCT] = data[: n - start]


def open_frames(path: Path, ours: bool) -> Hdf5Frames:
    """Frames that are read in one of the two ways."""
    keep, hdf5.direct = hdf5.direct, hdf5.direct if ours else lambda *_, **__: None
    frames = Hdf5Frames(path, "d")
    frames.ready()
    hdf5.direct = keep
    return frames


def read(frames: Hdf5Frames, window: Window, threads: int) -> None:
    """All of them, in the blocks of a plan."""
    direct.available_threads = lambda: threads
    size = max(1, BLOCK_BYTES // (window.height * window.width * frames.dtype.itemsize))
    for start in range(0, frames.shape[0], size):
        frames.read(range(start, min(start + size, frames.shape[0])), window)


class InMemory:
    """The bytes of some chunks, found as in a file."""

    def __init__(self, chunks: direct.Direct, numbers: np.ndarray) -> None:
        stored = chunks._source[numbers]
        table = stored.table.copy()
        table[:, 0] = np.cumsum(table[:, 1]) - table[:, 1]
        self._data = np.empty(table[:, 1].sum(), np.uint8)
        for (place, size, _), begin in zip(
            stored.table.tolist(), table[:, 0].tolist(), strict=True
        ):
            stored.fetch(place, self._data[begin : begin + size])
        self._first, self._table = int(numbers[0]), table

    def __getitem__(self, numbers: np.ndarray) -> Stored:
        return Stored(self._table[numbers - self._first], self._fetch)

    def _fetch(self, place: int, into: np.ndarray) -> None:
        into[:] = self._data[place : place + len(into)]


def decoding(path: Path, window: Window) -> tuple[Callable[[], Any], int]:
    """What decodes some frames from memory to memory, and how many."""
    frames = open_frames(path, ours=True)
    dataset, chunks = frames._open()
    count = min(64, frames.shape[0])
    wanted, out = np.arange(count), np.empty((count, *window.shape), dataset.dtype)
    numbers = chunks._storage.pieces(wanted, Window.full(frames.shape[1:])).numbers
    chunks.__dict__["_source"] = InMemory(chunks, np.arange(numbers[-1] + 1))

    def decode() -> None:
        direct.available_threads = available_threads
        chunks.read(wanted, window, out)

    return decode, count


def seconds(run: Callable[[], Any], least: float = 0.1) -> float:
    """Of one run; short ones are repeated."""
    start, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - start) < least:
        run()
        count += 1
    return taken / count


def measure(name: str, path: Path, n: int, repeats: int) -> dict[str, Any]:
    """A row of the table."""
    write(path, name, n)
    shape = LAYOUTS[name][0]
    window = Window.full(shape) if "whole" in name else WINDOWS[shape]
    plain, ours = open_frames(path, ours=False), open_frames(path, ours=True)
    np.testing.assert_array_equal(ours.read(range(n), window), plain.read(range(n), window))
    decode, count = decoding(path, window)
    ways = [
        partial(read, plain, window, 1),
        partial(read, ours, window, 1),
        partial(read, ours, window, 2),
        decode,
    ]
    times = np.array([[seconds(way) for way in ways] for _ in range(repeats)])
    hdf, one, two, limit = np.median(times, axis=0) / [n, n, n, count]
    ratios = [statistics.median(times[:, 0] / times[:, k]) for k in (1, 2)]
    return {
        "layout": name,
        "HDF5, frames/s": f"{1 / hdf:.0f}",
        "1 thread": f"{1 / one:.0f}",
        "ratio 1": f"{ratios[0]:.2f}",
        "2 threads": f"{1 / two:.0f}",
        "ratio 2": f"{ratios[1]:.2f}",
        "limit": f"{1 / limit:.0f}",
    }


def parallel() -> float:
    """How much faster two threads decompress than one, here and now: others use this machine."""
    packed = zlib.compress(np.random.default_rng(0).bytes(2**20) * 4)

    def run(_: int) -> None:
        for _ in range(20):
            zlib.decompress(packed)

    with ThreadPoolExecutor(2) as pool:
        pairs = [
            (seconds(lambda: run(0)), seconds(lambda: list(pool.map(run, range(2)))))
            for _ in range(5)
        ]
    return statistics.median(2 * one / two for one, two in pairs)


def rows(names: list[str], repeats: int) -> Iterator[dict[str, Any]]:
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            n = 48 if LAYOUTS[name][0] == EIGER else 512
            row = measure(name, Path(folder) / "scan.h5", n, repeats)
        print(*row.values(), sep=" | ", flush=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="", help="layouts whose name contains this")
    args = parser.parse_args()
    names = [name for name in LAYOUTS if args.only in name]
    before, table, after = parallel(), list(rows(names, args.repeats)), parallel()
    title = (
        "uint16 frames of 512², window 256²; Eiger 4M: window 512². Two threads of zlib were "
        f"{before:.2f} (before) and {after:.2f} (after) times as fast as one"
    )
    write_table(ROOT / "benchmarks/results/reading.md", title, table)


if __name__ == "__main__":
    main()
