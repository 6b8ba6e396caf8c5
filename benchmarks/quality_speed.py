"""Frames a second, memory and size of quality control, on large files of 256x256 frames."""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import quality_plain as plain
from memory import MIB, resident
from numpy.typing import NDArray

from ptypy_beamline import Settings, open_scan
from ptypy_beamline.options import Qc
from ptypy_beamline.planning.make_plan import make_plan
from ptypy_beamline.quality import Exposures, evaluate
from ptypy_beamline.quality.folder import Folder
from ptypy_beamline.quality.workflow import Output, evaluate_scan
from ptypy_beamline.statistics.measure import Reference, measure_frames
from ptypy_beamline.testing.simulate import Truth, simulate

SIZE, DISTINCT = 256, 32
"""Pixels of a frame, and rows and columns of the frames that are simulated."""
READY = "document.documentElement.dataset.ready === 'yes'"
"""Of the report, when all is drawn."""


def simulated() -> Truth:
    """The frames that larger scans are made of."""
    return simulate(SIZE, (DISTINCT, DISTINCT), 12, photons=2e6, dtype=np.uint16)


def to_and_fro(n: int) -> NDArray[np.int64]:
    """0, 1, … 31, 30, … 1, 0, 1, …: neighbours stay neighbours, and none comes twice in a row."""
    period = 2 * DISTINCT - 2
    k = np.arange(n) % period
    return np.minimum(k, period - k)


def write_scan(path: Path, n: int, truth: Truth) -> NDArray[np.int64]:
    """``n`` uint16 frames, bitshuffle-LZ4, one a chunk, on a raster; 2 % spoiled: which ones.

    The sample is mirrored again and again. Spoiled frames have half of their counts, or none.
    """
    columns = int(np.ceil(np.sqrt(n)))
    row, column = np.divmod(np.arange(n), columns)
    source = to_and_fro(columns)[row] * DISTINCT + to_and_fro(columns)[column]
    spoiled = np.sort(np.random.default_rng(1).choice(np.arange(1, n), n // 50, replace=False))
    options = {"chunks": (1, SIZE, SIZE), **hdf5plugin.Bitshuffle(cname="lz4")}
    with h5py.File(path, "w") as file:
        data = file.create_dataset("entry/data", (n, SIZE, SIZE), np.uint16, **options)
        store = file.create_dataset("store", data=truth.frames, **options)
        for k in range(n):
            mask, chunk = store.id.read_direct_chunk((int(source[k]), 0, 0))
            data.id.write_direct_chunk((k, 0, 0), chunk, mask)
        for number, k in enumerate(spoiled):
            data[k] = truth.frames[source[k]] // 2 * (number % 2)
        entry = file["entry"]
        entry["posy_m"], entry["posx_m"] = row * 12 * 10e-9, column * 12 * 10e-9
        entry["energy_eV"], entry["det_dist_m"] = truth.energy_eV, truth.distance_m
        entry["pixel_m"], entry["center_px"] = truth.pixel_m[0], (SIZE // 2, SIZE // 2)
    return spoiled


def whole_pass(path: str) -> None:
    """Open, measure, embed, score and decide."""
    evaluate(Exposures.of(open_scan(path).plan()), Qc())


def measuring(path: str) -> tuple[Any, Any, Any]:
    """Open and measure, as the plain implementations do."""
    plan = open_scan(path).plan()
    parts = list(measure_frames(plan, np.arange(len(plan)), Reference.of(plan), plain.SIDE))
    return tuple(
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("table", "binned", "coarse")
    )  # type: ignore[return-value]


WAYS: dict[str, Callable[[str], Any]] = {
    "qc, the whole pass": whole_pass,
    "qc, measuring alone": measuring,
    "NumPy, straightforward": lambda path: plain.measure(path, plain.straightforward),
    "NumPy, tuned": lambda path: plain.measure(path, plain.tuned),
}


def check_identical(path: str) -> None:
    """All ways measure the same."""
    ours = measuring(path)
    for name in list(WAYS)[2:]:
        for one, other in zip(ours, WAYS[name](path), strict=True):
            shared = other[..., : one.shape[-1]]  # what else there is, qc makes of the pictures
            known = np.isfinite(one) & np.isfinite(shared)
            assert known.mean() > 0.9
            np.testing.assert_allclose(one[known], shared[known], rtol=1e-3, atol=1e-4)


def seconds(way: Callable[[str], Any], path: str) -> float:
    """Time of one run."""
    start = time.perf_counter()
    way(path)
    return time.perf_counter() - start


def speed(n: int, repeats: int) -> Iterator[dict[str, Any]]:
    """A row for each way; they take turns."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "scan.h5")
        write_scan(Path(path), n, simulated())
        with np.errstate(divide="ignore", invalid="ignore"):
            check_identical(path)  # and compiles the kernels
            whole_pass(path)
            times = [[seconds(way, path) for way in WAYS.values()] for _ in range(repeats)]
    columns = dict(zip(WAYS, zip(*times, strict=True), strict=True))
    ours = columns["qc, the whole pass"]
    for name, column in columns.items():
        ratios = [slow / fast for slow, fast in zip(column, ours, strict=True)]
        yield {
            "way": name,
            "frames/s": f"{n / statistics.median(column):.0f}",
            "times slower than the whole pass": f"{statistics.median(ratios):.2f}",
            "in each turn": ", ".join(f"{ratio:.2f}" for ratio in ratios),
        }


def run_once(file: Path, folder: Path) -> dict[str, float]:
    """What ``ptypy-beamline qc FILE`` does: seconds to judge and to write, and the answer."""
    settings = Settings.of({"file": str(file)})
    start = time.perf_counter()
    scan = open_scan(file)
    plan = make_plan(scan, settings)
    found = evaluate_scan(scan, plan, settings, Qc())
    assert found is not None
    judged = time.perf_counter()
    Output(Folder(folder)).write(found, plan, scan, settings)
    return {
        "judge": judged - start,
        "write": time.perf_counter() - judged,
        "rejected": found.reject_indices.tolist(),
    }


def worker(file: Path, small: Path, folder: Path) -> None:
    """Run once in this fresh process, after a small run; print what it took."""
    run_once(small, folder / "small")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    baseline = resident("VmRSS")
    found: dict[str, Any] = run_once(file, folder / "qc")
    print(json.dumps(found | {"baseline": baseline, "peak": resident("VmHWM")}))


def opening(page: Path) -> str:
    """Seconds until a browser has drawn the report."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return "–"
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_function(READY, timeout=60_000)
        took = time.perf_counter() - start
        browser.close()
    return f"{took:.1f} s"


def _chromium() -> str | None:
    import shutil

    return shutil.which("chromium") or shutil.which("chromium-browser")


def large(counts: list[int]) -> Iterator[dict[str, Any]]:
    """A row for each number of frames."""
    truth = simulated()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scan(folder / "small.h5", 200, truth)
        for n in counts:
            file = folder / "scan.h5"
            spoiled = write_scan(file, n, truth)
            command = [sys.executable, __file__, str(file), str(folder / "small.h5"), name]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout)
            out, page = set(found["rejected"]), folder / "qc/qc_report.html"
            yield {
                "frames": n,
                "raw": f"{n * SIZE**2 * 2 // MIB} MiB",
                "file": f"{file.stat().st_size // MIB} MiB",
                "judge": f"{found['judge']:.1f} s",
                "frames/s": f"{n / found['judge']:.0f}",
                "write": f"{found['write']:.1f} s",
                "after imports": f"{found['baseline'] // MIB} MiB",
                "peak": f"{found['peak'] // MIB} MiB",
                "more": f"{(found['peak'] - found['baseline']) // MIB} MiB",
                "report": f"{page.stat().st_size / 1e6:.1f} MB",
                "opens in": opening(page),
                "missed": f"{len(set(spoiled.tolist()) - out)} of {len(spoiled)}",
                "false alarms": len(out - set(spoiled.tolist())),
            }


if __name__ == "__main__":
    worker(*map(Path, sys.argv[1:]))
