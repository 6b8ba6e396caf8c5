"""Events of many frames: seeded ones that are to be named, and clean scans that have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality_detection import judged
from quality_hard import SAMPLES, SHAPE, Hard, scans
from star import STAR, Star

from ptypy_beamline import Scan
from ptypy_beamline.options import Qc
from ptypy_beamline.quality import Exposures, evaluate
from ptypy_beamline.scan import ArrayFrames

Frames = NDArray[np.unsignedinteger[Any]]
Counts = NDArray[np.integer[Any]]
COUNT = SHAPE[0] * SHAPE[1]
WITHIN = 3
"""Frames by which the first and the last may be off."""
WORDS = {
    "step": "I0 at half from frame 300 on",
    "dump": "no beam for 40 frames",
    "row": "a row at half intensity",
    "decay": "slow decay by 50 %",
    "drift": "drift of the beam by 3 px",
    "flicker": "flicker of 5 %",
    "motor": "stage still for 60 frames",
}
DARK_COUNTS = 1e-4
"""Stray counts of a pixel while there is no beam."""


@dataclass(frozen=True)
class Seeded:
    """What is done to a scan: raw frames ``first`` to ``last`` have this event."""

    kind: str
    first: int
    last: int


def _thinned(frames: Frames, factor: NDArray[np.float64], rng: np.random.Generator) -> Counts:
    """Photons of which a share ``factor`` (n,) arrives; with more than 1, at random again."""
    share = factor / factor.max()
    return rng.binomial(frames.astype(np.int64), share[:, None, None])


def _half(frames: Frames, rng: np.random.Generator) -> tuple[Counts, int, int]:
    """I0 falls to half from frame 300 on."""
    factor = np.ones(len(frames))
    factor[300:] = 0.5
    return _thinned(frames, factor, rng), 300, len(frames) - 1


def _dump(frames: Frames, rng: np.random.Generator) -> tuple[Counts, int, int]:
    """No beam for 40 frames."""
    first = int(rng.integers(30, len(frames) - 70))
    out = frames.astype(np.int64)
    out[first : first + 40] = rng.poisson(DARK_COUNTS, out[first : first + 40].shape)
    return out, first, first + 39


def _row(frames: Frames, rng: np.random.Generator) -> tuple[Counts, int, int]:
    """A row at half intensity."""
    first = SHAPE[1] * int(rng.integers(2, SHAPE[0] - 2))
    factor = np.ones(len(frames))
    factor[first : first + SHAPE[1]] = 0.5
    return _thinned(frames, factor, rng), first, first + SHAPE[1] - 1


def _decay(frames: Frames, rng: np.random.Generator) -> tuple[Counts, int, int]:
    """The beam decays by 50 %."""
    factor = 0.5 ** (np.arange(len(frames)) / (len(frames) - 1))
    return _thinned(frames, factor, rng), 0, len(frames) - 1


def _drift(frames: Frames, rng: np.random.Generator) -> tuple[Counts, int, int]:
    """The beam moves by 3 pixels."""
    angle, way = rng.uniform(0, 2 * np.pi), np.linspace(0, 3, len(frames))
    out = frames.astype(np.int64)
    for number, far in enumerate(way):
        shift = far * np.array([np.sin(angle), np.cos(angle)])
        out[number] = _moved(out[number], shift, rng)
    return out, 0, len(frames) - 1


def _moved(frame: Counts, shift: NDArray[np.float64], rng: np.random.Generator) -> Counts:
    """Each photon moved by ``shift`` pixels, a fraction of one as a chance."""
    for axis in (0, 1):
        whole = int(np.floor(shift[axis]))
        on = rng.binomial(frame, shift[axis] - whole)
        frame = np.roll(frame - on, whole, axis) + np.roll(on, whole + 1, axis)
    return frame


def _flicker(frames: Frames, rng: np.random.Generator) -> tuple[Counts, int, int]:
    """Each frame has another intensity, by 5 %."""
    factor = np.exp(0.05 * rng.standard_normal(len(frames)))
    return _thinned(frames, factor, rng), 0, len(frames) - 1


def _motor(
    frames: Frames, rng: np.random.Generator, light: NDArray[np.float64]
) -> tuple[Counts, int, int]:
    """The stage stands still for 60 frames; the positions go on."""
    first = int(rng.integers(30, len(frames) - 90))
    out = frames.astype(np.int64)
    out[first + 1 : first + 60] = rng.poisson(np.broadcast_to(light[first], (59, *light.shape[1:])))
    return out, first, first + 59


PLAIN: dict[str, Callable[[Frames, np.random.Generator], tuple[Counts, int, int]]] = {
    "step": _half,
    "dump": _dump,
    "row": _row,
    "decay": _decay,
    "drift": _drift,
    "flicker": _flicker,
}
KINDS = (*PLAIN, "motor")


def seeded(hard: Hard, kind: str) -> tuple[Any, Frames, Seeded]:
    """The scan, its frames with the event, and the event."""
    truth, rng = hard.truth, np.random.default_rng([hard.seed, 13, KINDS.index(kind)])
    if kind == "motor":
        frames, first, last = _motor(truth.frames, rng, hard.light)
    else:
        frames, first, last = PLAIN[kind](truth.frames, rng)
    return truth, frames.astype(np.uint32), Seeded(kind, first, last)


BAR, EDGES = "structured, a bar", ("an edge", "structured, a bar")
SHOWN: dict[str, tuple[str, ...]] = {
    **{
        kind: tuple(name for name in SAMPLES if name not in EDGES)
        for kind in ("step", "row", "decay")
    },
    "motor": ("structured",),
}
"""Samples on which an event leaves a trace: an intensity that changes where an edge is crossed is
hardly told from the edge, and where frames beside each other are alike nothing tells that the stage
stood still. A bar hides all that happens behind it."""
BRIGHT = {"flicker": 1e4, "motor": 1e4}
"""Photons a frame that an event takes."""
Rows = list[dict[str, Any]]


def shown(hard: Hard, kind: str) -> bool:
    """Whether the event can be seen on this scan."""
    samples = SHOWN.get(kind, tuple(name for name in SAMPLES if name != BAR))
    return hard.sample in samples and hard.photons >= BRIGHT.get(kind, 0)


def named(hard: Hard, kind: str) -> tuple[bool, int]:
    """Whether the event is named with its frames, and how many others are."""
    truth, frames, event = seeded(hard, kind)
    found = judged(truth, frames).events
    wanted = "step" if kind == "row" else kind
    hit = [
        one
        for one in found
        if one.kind == wanted
        and abs(one.first - event.first) <= WITHIN
        and abs(one.last - event.last) <= WITHIN
    ]
    return bool(hit), len(found) - len(hit[:1])


def count(clean: int, each: int, every: int, seed: int) -> tuple[Rows, Rows, Rows]:
    """Events on scans that show them, on all scans, and on clean ones."""
    pools = {kind: [hard for hard in scans(40 * each, seed) if shown(hard, kind)] for kind in KINDS}
    some = [_row_of(kind, pool[:: len(pool) // each][:each]) for kind, pool in pools.items()]
    others = [*scans(every, seed + 1)]
    spoiled = [_row_of(kind, others) for kind in KINDS]
    none: list[dict[str, Any]] = []
    groups: dict[str, list[int]] = {}
    for hard in scans(clean, seed + 2):
        truth = hard.truth
        groups.setdefault(hard.sample, []).append(len(judged(truth, truth.frames).events))
    if STAR.is_file():
        star = Star.read(STAR)
        scan = Scan(
            ArrayFrames(star.frames),
            star.positions_m,
            star.energy_eV,
            star.distance_m,
            (star.pixel_m, star.pixel_m),
        )
        found = evaluate(Exposures.of(scan.plan()), Qc())
        groups["measured Siemens star"] = [len(found.events) if found else 0]
    for sample, events in groups.items():
        none.append({"clean scans": sample, "number": len(events), "events named": sum(events)})
    none.append(
        {
            "clean scans": "all",
            "number": sum(map(len, groups.values())),
            "events named": sum(map(sum, groups.values())),
        }
    )
    return some, spoiled, none


def _row_of(kind: str, hard: list[Hard]) -> dict[str, Any]:
    found = [named(one, kind) for one in hard]
    return {
        "event": WORDS[kind],
        "named with its frames": f"{sum(hit for hit, _ in found)} of {len(found)}",
        "others named": sum(more for _, more in found),
    }
