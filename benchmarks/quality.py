"""Quality control: what it finds, what it is worth, how fast it is, and what memory it takes.

    python benchmarks/quality.py
    python benchmarks/quality.py --only detection --seeds 2

``detection`` judges simulated scans with known spoiled frames, ``hard`` scans with empty halves,
particles and edges, ``events`` scans with faults of many frames in a row, ``worth`` reconstructs
them with PtyPy, ``speed`` takes turns with plain NumPy, ``large`` judges files of many frames, each
in a fresh process. What is not asked for is kept of the last run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import quality_detection as detection
import quality_events as events
import quality_hard as hard
import quality_speed as fast
import quality_worth as worth
from star import ROOT
from table import table

RESULTS = ROOT / "benchmarks/results/quality.md"
Rows = Sequence[dict[str, Any]]


def detected(args: argparse.Namespace) -> Iterator[tuple[str, Rows]]:
    """What is found, and what is taken for bad, of 400 frames of 128x128 a scan."""
    counts = detection.count(args.seeds)
    scans = f"5 scan patterns, {args.seeds} seeds"
    yield f"False rejections on clean scans; {scans}", list(detection.clean(counts))
    for sample in detection.SAMPLES:
        yield f"2 % spoiled, sample: {sample}; {scans}", list(detection.kinds(counts, sample))


def hardly(args: argparse.Namespace) -> Iterator[tuple[str, Rows]]:
    """The same of scans with empty halves, particles and edges."""
    clean, found = hard.count(args.hard, args.hard_seed)
    scans = (
        f"{args.hard} scans of {hard.SHAPE[0] * hard.SHAPE[1]} frames of {hard.SIDE}x{hard.SIDE}"
    )
    yield f"Hard scans, clean; {scans}, seed {args.hard_seed}", clean
    yield "Hard scans, 2 % spoiled; steps up to 0.6 of the probe, then 0.9", found


def happened(args: argparse.Namespace) -> Iterator[tuple[str, Rows]]:
    """Events of many frames in a row."""
    some, spoiled, none = events.count(args.clean, args.each, args.every, args.events_seed)
    yield (
        f"Events, on scans that show them; seed {args.events_seed}, first and last frame to ±3",
        some,
    )
    yield f"Events, on all hard scans; seed {args.events_seed + 1}", spoiled
    yield f"Events on clean scans; seed {args.events_seed + 2}", none


def reconstructed(args: argparse.Namespace) -> Iterator[tuple[str, Rows]]:
    """The error of PtyPy's reconstruction."""
    title = f"PtyPy, DM {worth.DM} + ML {worth.ML}, 2 % spoiled by all kinds, seeds 0 to"
    yield f"{title} {args.seeds_worth - 1}", list(worth.rows(args.seeds_worth))


def timed(args: argparse.Namespace) -> Iterator[tuple[str, Rows]]:
    """Frames a second, reading included."""
    for n in args.frames_speed:
        title = f"{n} frames of 256x256 uint16, bitshuffle-LZ4, medians of {args.repeats} turns"
        yield title, list(fast.speed(n, args.repeats))


def weighed(args: argparse.Namespace) -> Iterator[tuple[str, Rows]]:
    """Memory, time and size with the number of frames."""
    yield "`ptypy-beamline qc` on large files of 256x256 uint16", list(fast.large(args.frames))


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[tuple[str, Rows]]]] = {
    "detection": detected,
    "hard": hardly,
    "events": happened,
    "worth": reconstructed,
    "speed": timed,
    "large": weighed,
}


def kept() -> dict[str, str]:
    """The last run's text of each part."""
    if not RESULTS.is_file():
        return {}
    _, *parts = RESULTS.read_text().split("<!-- ")
    return {name: text.strip("\n") for name, _, text in (part.partition(" -->") for part in parts)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5, help="of the detection")
    parser.add_argument("--hard", type=int, default=208, help="hard scans")
    parser.add_argument("--hard-seed", type=int, default=6, help="of these")
    parser.add_argument("--clean", type=int, default=96, help="clean scans for events")
    parser.add_argument("--each", type=int, default=5, help="events of each kind where they show")
    parser.add_argument("--every", type=int, default=32, help="the same on all samples")
    parser.add_argument("--events-seed", type=int, default=701)
    parser.add_argument("--seeds-worth", type=int, default=3, help="of the reconstructions")
    parser.add_argument("--frames-speed", type=int, nargs="+", default=[2000, 10000])
    parser.add_argument("--repeats", type=int, default=5, help="turns of the speed")
    parser.add_argument("--frames", type=int, nargs="+", default=[2000, 20000])
    args = parser.parse_args()
    texts = kept()
    for name in args.only:
        texts[name] = "\n".join(f"## {title}\n\n{table(rows)}" for title, rows in PARTS[name](args))
        print(texts[name])
    parts = [f"<!-- {name} -->\n\n{texts[name].strip()}\n" for name in PARTS if name in texts]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(["# Quality control\n", *parts]))


if __name__ == "__main__":
    main()
