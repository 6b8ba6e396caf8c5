"""The findings of `check` in defective scans, and in sound ones.

    python benchmarks/verdicts.py
    python benchmarks/verdicts.py --only defects --base star

Each defect is put into simulated scans and into the measured star, some into scans of the near
field, written to a file and given to ``check``. The verdict is ``right`` where a finding says what
it is, proposes no setting but the one that fixes it, and is gone with that; ``wrong`` where another
setting is proposed; ``stays`` where the finding does; ``not told`` where a note says that the data
do not tell; ``silent`` where nothing is said. Sound scans of many kinds are ``right`` without an
error or a warning, and if ``orient`` finds no orientation but the true one, else ``alarm``. The
tables of parts that are run whole are kept in the results.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality_hard import Hard
from sound_scans import KINDS, NEAR, focus_m
from star import ROOT, STAR, Star
from table import table

from ptypy_beamline.diagnosis.findings import diagnose
from ptypy_beamline.diagnosis.orientation import Ranking, misorientation, rank
from ptypy_beamline.diagnosis.proposed_settings import changed
from ptypy_beamline.errors import BeamlineError
from ptypy_beamline.formats import open_with
from ptypy_beamline.settings import Settings
from ptypy_beamline.summary import Finding
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

RESULTS = ROOT / "benchmarks/results/verdicts.md"


@dataclass(frozen=True)
class Case:
    """A scan, how it is loaded, and what should be found.

    Attributes
    ----------
    raw, given
        What is in the file, and the settings.
    says
        One of these must be in an error or a warning; nothing: neither is allowed.
    mend
        Settings that may be proposed; numbers may be 15 % off.
    """

    raw: Raw
    says: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    mend: Mapping[str, Any] = field(default_factory=dict)


Defect = Callable[[Raw, np.random.Generator], Case]


def stretched(factor: float) -> Defect:
    def make(raw: Raw, rng: np.random.Generator) -> Case:
        mend = {"distance": raw.distance_m, "psize": raw.pixel_m[0] * factor}
        wrong = replace(raw, distance_m=raw.distance_m * factor)
        return Case(wrong, ("distance", "binning"), mend=mend)

    return make


def one_axis(raw: Raw, rng: np.random.Generator) -> Case:
    return Case(replace(raw, positions_m=raw.positions_m * (1, 1.3)), ("scale", "distance"))


def turned(turn: Callable[[NDArray[Any]], NDArray[Any]], *codes: int) -> Defect:
    def make(raw: Raw, rng: np.random.Generator) -> Case:
        return Case(
            replace(raw, frames=np.ascontiguousarray(turn(raw.frames)), center_px=None),
            ("rotated or mirrored",),
            mend={"orientation": codes},
        )

    return make


def gap(raw: Raw, rng: np.random.Generator) -> Case:
    frames, n = raw.frames.copy(), raw.frames.shape[1]
    frames[:, n // 2 + 5 : n // 2 + 9] = 0
    return Case(replace(raw, frames=frames), ("dead", "gap", "zero"), mend=ANY_MASK)


def stop(raw: Raw, rng: np.random.Generator) -> Case:
    return Case(
        replace(raw, frames=raw.frames * ~disc(raw)), ("beam stop", "dead", "zero"), mend=ANY_MASK
    )


ANY_MASK = {"hot_sigma": None}


def disc(raw: Raw, share: float = 0.05) -> NDArray[np.bool_]:
    y, x = np.indices(raw.frames.shape[1:]) - raw.frames.shape[1] // 2
    return np.asarray(np.hypot(y, x) < share * raw.frames.shape[1])


def pedestal(raw: Raw, rng: np.random.Generator) -> Case:
    level = 8
    return Case(
        replace(raw, frames=raw.frames + rng.poisson(level, raw.frames.shape)),
        ("not subtracted",),
        mend={"background": level},
    )


def hot(raw: Raw, rng: np.random.Generator) -> Case:
    frames = raw.frames.astype(np.uint32)
    rows, columns = rng.integers(0, frames.shape[1], (2, 20))
    frames[:, rows, columns] += np.uint32(20 * frames.max())
    return Case(replace(raw, frames=frames), ("hot",), mend={"hot_sigma": None})


def far(raw: Raw, rng: np.random.Generator) -> Case:
    places = raw.positions_m.copy()
    places[rng.integers(len(places))] += 1.0
    return Case(replace(raw, positions_m=places), ("outside the scan",))


def stuck(raw: Raw, rng: np.random.Generator) -> Case:
    places, first = raw.positions_m.copy(), int(rng.integers(10, len(raw.frames) - 40))
    places[first : first + 30] = places[first]
    return Case(replace(raw, positions_m=places), ("all the same",))


def shuffled(raw: Raw, rng: np.random.Generator) -> Case:
    return Case(
        replace(raw, positions_m=rng.permutation(raw.positions_m)),
        ("do not fit", "do not belong", "not determine"),
    )


def unit(name: str, wrong: str, right: str) -> Defect:
    return lambda raw, rng: Case(
        raw, (f"{name} ",), {f"units.{name}": wrong}, {f"units.{name}": right}
    )


def cut_off(raw: Raw, rng: np.random.Generator) -> Case:
    top = int(np.sort(raw.frames.ravel())[-len(raw.frames) * 4])
    return Case(
        replace(raw, frames=raw.frames.clip(0, max(top, 60))),
        ("saturated",),
        mend={"saturation": max(top, 60)},
    )


def lag(by: int) -> Defect:
    return lambda raw, rng: Case(
        replace(raw, frames=np.roll(raw.frames, by, axis=0)),
        ("behind", "ahead"),
        mend={"positions.shift": by},
    )


def lost(raw: Raw, rng: np.random.Generator) -> Case:
    at = len(raw.frames) // 2
    return Case(
        replace(raw, frames=np.delete(raw.frames, np.s_[at : at + 5], axis=0)),
        ("off by 5",),
        mend={"num_frames": at},
    )


def blank(raw: Raw, rng: np.random.Generator) -> Case:
    frames = raw.frames.copy()
    frames[rng.permutation(len(frames))[: len(frames) // 2]] = 0
    return Case(replace(raw, frames=frames), ("hold less than", "beam", "no counts"))


def inverted(raw: Raw, rng: np.random.Generator) -> Case:
    good = np.ones(raw.frames.shape[1:], np.bool_)
    good[3, 4] = False
    return Case(replace(raw, bad=good), ("inverted",), mend={"mask_values": "good"})


def off_centre(raw: Raw, rng: np.random.Generator) -> Case:
    n = raw.frames.shape[1] // 2
    side = 3 * n // 2
    return Case(
        replace(raw, center_px=(n + 9, n - 11)), ("centre",), {"shape": side}, {"center": (n, n)}
    )


DEFECTS: dict[str, Defect] = {
    "distance 30 % long": stretched(1.3),
    "distance 30 % short": stretched(1 / 1.3),
    "distance 2 times": stretched(2.0),
    "one axis 30 % long": one_axis,
    "detector flipped in x": turned(lambda f: f[:, :, ::-1], 1, 2),
    "detector transposed": turned(lambda f: f.swapaxes(1, 2), 4, 7),
    "detector turned by 90": turned(lambda f: np.rot90(f, axes=(1, 2)), 5, 6),
    "module gap as counts": gap,
    "beam stop as counts": stop,
    "pedestal of 8": pedestal,
    "hot pixels": hot,
    "a position a metre away": far,
    "30 positions the same": stuck,
    "positions shuffled": shuffled,
    "um as mm": unit("positions", "mm", "um"),
    "um as nm": unit("positions", "nm", "um"),
    "keV as eV": unit("energy", "eV", "keV"),
    "saturated": cut_off,
    "lag of 1": lag(1),
    "lag of -2": lag(-2),
    "5 frames lost": lost,
    "half of the frames blank": blank,
    "mask inverted": inverted,
    "centre off by 14 px": off_centre,
}


def middle(raw: Raw, count: int) -> Raw:
    """Neighbouring frames, in the order in which they were taken."""
    away_m = np.linalg.norm(raw.positions_m - np.median(raw.positions_m, axis=0), axis=1)
    some = np.sort(np.argsort(away_m)[:count])
    return replace(raw, frames=raw.frames[some], positions_m=raw.positions_m[some])


def few_photons(raw: Raw, rng: np.random.Generator, counts: float = 1000) -> Raw:
    share = counts / float(np.median(raw.frames.sum((1, 2))))
    return replace(raw, frames=rng.binomial(raw.frames.astype(np.int64), min(share, 1)))


SOUND: dict[str, Defect] = {
    "as it is": lambda raw, rng: Case(raw),
    "1,000 counts a frame": lambda raw, rng: Case(few_photons(raw, rng)),
    "every third position": lambda raw, rng: Case(
        replace(raw, frames=raw.frames[::3], positions_m=raw.positions_m[::3])
    ),
    "9 frames": lambda raw, rng: Case(middle(raw, 9)),
    "40 frames": lambda raw, rng: Case(
        replace(raw, frames=raw.frames[:40], positions_m=raw.positions_m[:40])
    ),
    "beam stop and its mask": lambda raw, rng: Case(
        replace(raw, frames=raw.frames * ~disc(raw), bad=disc(raw))
    ),
    "gap and its mask": lambda raw, rng: Case(replace(gap(raw, rng).raw, bad=rows_of_gap(raw))),
}


def rows_of_gap(raw: Raw) -> NDArray[np.bool_]:
    bad, n = np.zeros(raw.frames.shape[1:], np.bool_), raw.frames.shape[1]
    bad[n // 2 + 5 : n // 2 + 9] = True
    return bad


NEAR_DEFECTS: dict[str, Defect] = {
    "focus 30 % too far": lambda raw, rng: Case(
        raw,
        ("near field: frames move",),
        {"focus_to_sample": 1.3 * focus_m(raw)},
        {"focus_to_sample": focus_m(raw)},
    ),
    "um as mm": lambda raw, rng: unit("positions", "mm", "um")(replace(raw, center_px=None), rng),
    "um as nm": lambda raw, rng: unit("positions", "nm", "um")(replace(raw, center_px=None), rng),
    "detector transposed": turned(lambda f: f.swapaxes(1, 2), 4),
}


def bases() -> dict[str, Case]:
    """The measured star and simulated scans."""
    data = Star.read(STAR)
    star = Raw(
        data.frames.astype(np.uint32),
        data.positions_m,
        data.energy_eV,
        data.distance_m,
        (data.pixel_m, data.pixel_m),
    )
    made = {
        "jitter 1e6": simulate(96, (13, 13), 7, "jitter", photons=1e6, seed=31),
        "fermat 1e5": simulate(64, (14, 14), 6, "fermat", photons=1e5, seed=32),
        "chip, snake 1e6": Hard("a chip", "snake", 0.4, 1e6, 0.15, 33).truth,
        "cells, spiral 1e5": Hard("cells", "spiral", 0.4, 1e5, 0.15, 34).truth,
        "half, raster 1e6": Hard("structured, half", "raster", 0.4, 1e6, 0.15, 35).truth,
    }
    others = {name: Case(Raw.of(truth, center_px=None)) for name, truth in made.items()}
    return {"star": Case(star), **others}


def near_field() -> dict[str, Case]:
    """Scans of the near field of a cone beam, whose focus is known."""
    made = {name: make() for name, make in NEAR.items()}
    return {name: Case(raw, given=given) for name, (raw, given) in made.items() if focus_m(raw)}


def other_kinds() -> dict[str, Case]:
    """Sound scans of many kinds."""
    made = {name: make() for name, make in KINDS.items()}
    return {name: Case(raw, given=given) for name, (raw, given) in made.items()}


def judged(case: Case, folder: Path) -> tuple[str, list[Finding]]:
    """One of the verdicts above, and the findings of ``check``."""
    file = WRITERS["exchange" if case.raw.center_px is None else "standard"](
        folder / "scan.h5", case.raw
    )
    settings = Settings.of({"file": str(file), **case.given})
    found, notes, ranking = findings_of(settings)
    if any(not allowed(f, case.mend) for f in found):
        return "wrong", found
    if not case.says:
        found += [] if ranking else misoriented(settings)
        return "alarm" if found else "right", found
    named = [f for f in found if any(word in str(f) for word in case.says)]
    if not named:
        untold = any(words in str(note) for note in notes for words in UNTOLD)
        return "not told" if untold else "silent", [*found, *notes]
    if not named[0].settings:
        return "right", found
    after, *_ = findings_of(changed(settings, named[0].settings))
    stays = any(word in str(f) for f in after for word in case.says)
    return "stays" if stays else "right", found


def misoriented(settings: Settings) -> list[Finding]:
    """What ``orient`` finds other than what is set; nothing if it is undecided."""
    try:
        return [*misorientation(rank(open_with(settings), settings), settings)]
    except BeamlineError:
        return []


UNTOLD = ("do not tell", "do not determine", "not checked")


def findings_of(settings: Settings) -> tuple[list[Finding], list[Finding], Ranking | None]:
    """Errors and warnings, notes, and the orientations where ``check`` has ranked them."""
    made = diagnose(settings)
    notes = [f for f in made.findings if f.level == "note"]
    return [f for f in made.findings if f.level != "note"], notes, made.ranking


def allowed(finding: Finding, mend: Mapping[str, Any]) -> bool:
    """Whether all it proposes is what fixes the scan."""
    for name, value in finding.settings.items():
        if value is None:
            continue
        if name not in mend:
            return False
        right = mend[name]
        if name == "orientation":
            if value not in right:
                return False
        elif isinstance(right, str):
            if value != right:
                return False
        elif right is not None:
            near = np.atleast_1d(np.isclose(value, right, rtol=0.15, atol=1e-12))
            if not near.all():
                return False
    return True


Task = tuple[str, str, str]
"""A part, a case of it, and a scan."""


def judge(task: Task) -> str:
    """The verdict on one case; printed with all findings of ``check`` where it is not right."""
    part, name, scan = task
    base, number = SCANS[part][scan], list(SCANS[part]).index(scan)
    case = PARTS[part][0][name](base.raw, np.random.default_rng([number, 77]))
    case = replace(case, given={**base.given, **case.given})
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        verdict, found = judged(case, Path(folder))
    lines = [f"{name} | {scan} | {verdict} | {time.process_time() - start:.1f} s"]
    if verdict != "right":
        lines += [f"      {one.level} {one} {dict(one.settings)}" for one in found]
    print("\n".join(lines), flush=True)
    return verdict


def summed(verdicts: list[str]) -> str:
    count = Counter(verdicts)
    return f"{len(verdicts)}: " + ", ".join(f"{number} {name}" for name, number in count.items())


PARTS: dict[str, tuple[dict[str, Defect], Callable[[], dict[str, Case]]]] = {
    "defects": (DEFECTS, bases),
    "sound": (SOUND, bases),
    "near-field defects": (NEAR_DEFECTS, near_field),
    "sound, other kinds": ({"as it is": lambda raw, rng: Case(raw)}, other_kinds),
}
"""Cases, and the scans that they are made of."""

SCANS: dict[str, dict[str, Case]] = {}
"""Those of each part; read by the processes that judge."""


def tabled(part: str, verdicts: Mapping[Task, str]) -> str:
    """A line for each case, or for each scan where these are more."""
    cases, scans = (list(dict.fromkeys(task[k] for task in verdicts)) for k in (1, 2))
    by_case = [
        {"scan": case, **{scan: verdicts[part, case, scan] for scan in scans}} for case in cases
    ]
    by_scan = [
        {"scan": scan, **{case: verdicts[part, case, scan] for case in cases}} for scan in scans
    ]
    rows = by_case if len(cases) >= len(scans) else by_scan
    return f"{part}, {summed([*verdicts.values()])}\n\n{table(rows)}"


def keep(text: str) -> None:
    """Put the table of a part into the results, in the place of an earlier one."""
    head, *others = RESULTS.read_text().rstrip("\n").split("\n## ")
    kept = {
        other.partition(":")[0].rpartition(", ")[0]: other.rstrip("\n") for other in (*others, text)
    }
    RESULTS.write_text("\n\n## ".join([head.rstrip("\n"), *kept.values()]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="parts; default: all")
    parser.add_argument("--case", default="", help="only cases with this in their name")
    parser.add_argument("--base", default="", help="only scans with this in their name")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args()
    parts = args.only or list(PARTS)
    SCANS.update({part: PARTS[part][1]() for part in parts})
    with get_context("fork").Pool(args.jobs) as pool:
        for part in parts:
            tasks = [
                (part, case, scan)
                for case in PARTS[part][0]
                if args.case in case
                for scan in SCANS[part]
                if args.base in scan
            ]
            verdicts = dict(zip(tasks, pool.map(judge, tasks, chunksize=1), strict=True))
            if verdicts:
                print(f"## {tabled(part, verdicts)}")
            if not (args.case or args.base):
                keep(tabled(part, verdicts))


if __name__ == "__main__":
    main()
