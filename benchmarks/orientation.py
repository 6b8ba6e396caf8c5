"""The doctor's orientation, pairing and scale: right answers, answers given, and time.

    python benchmarks/orientation.py
    python benchmarks/orientation.py --only pairing --scans 5

``scans``: simulated samples, patterns and photon levels, each mounted in all 8 ways. ``star``: the
measured frames in 8 orientations and 4 axis signs. ``pairing``: frames that lag, rows written down
backwards, backlash. ``scale``: a wrong distance. ``time``: 1,024 frames of 256x256. What is not
asked for is kept of the last run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from star import ROOT, STAR, Star
from table import table

from ptypy_beamline.diagnosis import pairing, scale
from ptypy_beamline.diagnosis.orientation import rank
from ptypy_beamline.diagnosis.orientation_ambiguities import (
    equivalents,
    orientation_flags,
    relation,
)
from ptypy_beamline.diagnosis.scan_sample import ScanSample
from ptypy_beamline.positions import directions, fast_axis, to_stage_axes
from ptypy_beamline.scan import ArrayFrames, Scan
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.simulate import PATTERNS, Truth, simulate

RESULTS = ROOT / "benchmarks/results/orientation.md"
Rows = Sequence[dict[str, Any]]


def simulated(seed: int, photons: tuple[float, float] = (1e4, 1e7)) -> tuple[str, float, Truth]:
    """A scan with a sample, window, step, number of positions and photon level of its own."""
    rng, pattern = np.random.default_rng(seed), list(PATTERNS)[seed % len(PATTERNS)]
    n, side = int(rng.choice([64, 96, 128])), int(rng.integers(10, 16))
    level = float(10 ** rng.uniform(*np.log10(photons)))
    step_px = float(rng.uniform(4, 12)) * n / 96
    return pattern, level, simulate(n, (side, side), step_px, pattern, photons=level, seed=seed)


def mounted(scan: Scan, frames: NDArray[Any], code: int) -> Scan:
    """``scan`` as a detector records it whose frames ``code`` turns back."""
    transpose, ud, lr = orientation_flags(code)
    ud, lr = (lr, ud) if transpose else (ud, lr)  # undoing a transposition, flips change places
    frames = frames.swapaxes(1, 2) if transpose else frames
    n = frames.shape[1]
    return Scan(
        ArrayFrames(np.ascontiguousarray(frames[:, :: -1 if ud else 1, :: -1 if lr else 1])),
        scan.positions_m,
        scan.energy_eV,
        scan.distance_m,
        scan.pixel_m,
        center_px=(n // 2 - ud, n // 2 - lr),
    )


def plain(truth: Truth | Star, frames: NDArray[Any] | None = None) -> Scan:
    """What was recorded, in memory."""
    pixel = truth.pixel_m if isinstance(truth, Truth) else (truth.pixel_m, truth.pixel_m)
    frames = truth.frames if frames is None else frames
    return Scan(
        ArrayFrames(frames),
        truth.positions_m,
        truth.energy_eV,
        truth.distance_m,
        pixel,
        center_px=(frames.shape[1] // 2, frames.shape[2] // 2),
    )


def orientations(count: int) -> Iterator[dict[str, Any]]:
    """A row a pattern, and one for all."""
    answers: list[tuple[str, bool, bool, bool]] = []
    for seed in range(count):
        pattern, level, truth = simulated(seed)
        for code in range(8):
            found = rank(mounted(plain(truth), truth.frames, code), Settings())
            answers.append(
                (
                    pattern,
                    found.decided,
                    found.agrees(orientation_flags(code)),
                    found.orientation == code,
                )
            )
            print(
                seed,
                pattern,
                f"{level:.2g}",
                code,
                answers[-1][1:],
                f"{found.confidence:.3f}",
                flush=True,
            )
    for pattern in (*PATTERNS, "all"):
        yield check_pairing(pattern, [a[1:] for a in answers if pattern in (a[0], "all")])


def check_pairing(name: str, answers: Sequence[tuple[bool, bool, bool]]) -> dict[str, Any]:
    given = [answer for answer in answers if answer[0]]
    right = [answer for answer in given if answer[1]]
    return {
        "pattern": name,
        "scans": len(answers),
        "answer given": share(len(given), len(answers)),
        "right up to the twin": share(len(right), len(given)),
        "twin right too": share(sum(answer[2] for answer in right), len(right)),
    }


def share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / max(whole, 1):.0%})"


def star() -> Iterator[dict[str, Any]]:
    """A row for each sign of the stage's axes, which are not known to ``orient``."""
    data = Star.read(STAR)
    for axes in ("yx", "-yx", "y-x", "-y-x"):
        stage_m, answers = to_stage_axes(data.positions_m, axes), []
        for code in range(8):
            scan = replace(mounted(plain(data), data.frames, code), positions_m=stage_m)
            found = rank(scan, Settings())
            fits = (found.orientation, found.axes) in equivalents(code, axes)
            same = np.array_equal(relation(found.orientation, found.axes), relation(code, axes))
            answers.append((found.decided, fits, same))
            print(axes, code, answers[-1], f"{found.confidence:.3f}", flush=True)
        yield {"stage": axes, **check_pairing("measured star", answers)}


def pairings(count: int) -> Iterator[dict[str, Any]]:
    """A row a mistake."""
    found: dict[str, list[bool]] = {}
    for seed in range(count):
        pattern, level, truth = simulated(seed, (3e4, 1e7))
        for name, (scan, truth_is) in mistakes(pattern, truth).items():
            wrong, _ = pairing.check_pairing(scan, Settings())
            verdict = same(dict(wrong[0].settings) if wrong else {}, truth_is)
            found.setdefault(name, []).append(verdict)
            print(seed, pattern, f"{level:.2g}", name, verdict, flush=True)
    for name, verdicts in found.items():
        yield {"mistake": name, **counted(verdicts)}


def same(proposed: dict[str, Any], truth_is: dict[str, Any]) -> str:
    """``right``, ``silent`` or ``wrong``; numbers may be a tenth off."""
    if not proposed and truth_is:
        return "silent"
    close = proposed.keys() == truth_is.keys() and all(
        np.isclose(proposed[key], value, rtol=0.1) for key, value in truth_is.items()
    )
    return "right" if close else "wrong"


def counted(verdicts: Sequence[str]) -> dict[str, Any]:
    return {
        "named right": share(verdicts.count("right"), len(verdicts)),
        "not seen": verdicts.count("silent"),
        "named wrong": verdicts.count("wrong"),
    }


def scales(count: int) -> Iterator[dict[str, Any]]:
    """A row a wrong distance."""
    found: dict[float, list[str]] = {}
    for seed in range(count):
        pattern, level, truth = simulated(seed, (3e4, 1e7))
        for factor in (1.0, 0.5, 0.7, 0.8, 0.9, 1.1, 1.25, 1.4, 2.0):
            scan = replace(plain(truth), distance_m=truth.distance_m * factor)
            wrong = [*scale.findings(ScanSample.at(scan, Settings(), scan.plan()))]
            settings = dict(wrong[0].settings) if wrong else {}
            if "psize" in settings:  # the same in λz/p
                settings = {"distance": scan.distance_m * truth.pixel_m[0] / settings["psize"]}
            truth_is = {} if factor == 1 else {"distance": truth.distance_m}
            found.setdefault(factor, []).append(same(settings, truth_is))
            print(seed, pattern, f"{level:.2g}", factor, found[factor][-1], flush=True)
    for factor, verdicts in found.items():
        yield {"distance over the true one": factor, **counted(verdicts)}


def mistakes(pattern: str, truth: Truth) -> dict[str, tuple[Scan, dict[str, Any]]]:
    """Scans with a mistake, and the setting that fixes it."""
    made: dict[str, tuple[Scan, dict[str, Any]]] = {"none": (plain(truth), {})}
    for k in (1, 2, -1):
        made[f"frames lag by {k}"] = (
            plain(truth, np.roll(truth.frames, k, axis=0)),
            {"positions.shift": k},
        )
    if pattern == "snake":
        step_m = fast_axis(truth.positions_m)[1]
        for steps in (0.5, 1.0, -1.5):
            back = directions(truth.positions_m) < 0
            recorded = truth.positions_m.copy()
            recorded[back, 1] -= steps * step_m
            made[f"backlash of {steps} steps"] = (
                replace(plain(truth), positions_m=recorded),
                {"positions.backlash": steps * step_m},
            )
        rows = truth.positions_m.reshape(round(len(truth.frames) ** 0.5), -1, 2).copy()
        rows[1::2] = rows[1::2, ::-1].copy()
        scan = plain(truth)
        made["a snake written down as a raster"] = (
            Scan(
                scan.frames,
                rows.reshape(-1, 2),
                scan.energy_eV,
                scan.distance_m,
                scan.pixel_m,
                center_px=scan.center_px,
            ),
            {"positions.snake": True},
        )
    return made


def timed() -> Iterator[dict[str, Any]]:
    """Seconds for a scan of the size that beamlines take."""
    scan = plain(simulate(256, (32, 32), 12, "jitter", photons=1e6))
    for name, work in (("orient", rank), ("pairing", pairing.check_pairing)):
        start = time.perf_counter()
        work(scan, Settings())
        yield {"what": name, "seconds": f"{time.perf_counter() - start:.1f}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["scans", "star", "pairing", "scale", "time"])
    parser.add_argument("--scans", type=int, default=20)
    args = parser.parse_args()
    parts = {
        "scans": (
            f"{args.scans} simulated scans of 100 to 225 frames, 10⁴ to 10⁷ photons a frame, "
            "each mounted in 8 ways",
            lambda: orientations(args.scans),
        ),
        "star": (
            "516 measured frames of a Siemens star, each sign of the axes, mounted in 8 ways",
            star,
        ),
        "pairing": (
            f"Pairing of frames and positions, {args.scans} simulated scans",
            lambda: pairings(args.scans),
        ),
        "scale": (f"A wrong distance, {args.scans} simulated scans", lambda: scales(args.scans)),
        "time": ("1,024 frames of 256x256 in memory, 2 cores", timed),
    }
    sections = kept()
    for name, (title, rows) in parts.items():
        if args.only in (None, name):
            sections[name] = f"<!-- {name} -->\n## {title}\n\n{table(list(rows()))}"
    there = [sections[name] for name in parts if name in sections]
    RESULTS.write_text("\n".join(["# Orientation, pairing and scale from the data\n", *there]))
    print(RESULTS.read_text())


def kept() -> dict[str, str]:
    """The sections of the last run."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    parts = text.split("<!-- ")[1:]
    return {part.partition(" -->")[0]: f"<!-- {part.rstrip()}\n" for part in parts}


if __name__ == "__main__":
    main()
