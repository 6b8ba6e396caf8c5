"""Faults of many frames in a row: what happened to the beam or the stage during the scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..planning.exposures import recorded_i0
from ..planning.rejects import INTENSITY
from ..quality.evaluate import Exposures
from ..quality.events import FLOATING, Event, events, intensity
from ..quality.evidence import Measured
from ..quality.features import Yardstick, measured
from ..summary import Finding
from .look import Look
from .remedy import finding

MOST, BINS = 12_000, 8
"""Frames that are looked at, the first ones of the scan; bins of each axis of their pictures."""

FOLLOWS = 0.5
"""Share of the change in the beam that must be gone when the monitor is divided by."""

CAUSES = {
    "dump": "the beam was lost or a shutter was closed",
    "step": "the intensity of the beam changed",
    "decay": "the intensity of the beam changed",
    "flicker": "the intensity of the beam changes from frame to frame",
    "drift": "the beam, or the detector, moved",
    "motor": "the stage did not follow the positions",
}


def findings(look: Look) -> list[Finding]:
    """A warning for each, with what removes it."""
    plan = look.plan
    single = Exposures.of(plan) if plan.selection.exposures.shape[1] > 1 else None
    plan = single.plan if single else plan
    rows = np.arange(min(len(plan), MOST))
    parts = [part.without_pictures() for part in measured(plan, rows, Yardstick.of(plan), BINS)]
    slot = single.slot[rows] if single else np.zeros(len(rows), np.int64)
    seen = Measured.of(parts, slot)
    if not seen.column("total").any():
        return []
    frames = plan.selection.exposures[rows, 0]
    found = events(seen, plan.positions_m[rows], frames, plan.selection.scale[rows, 0])
    dumps = [event for event in found if event.kind == "dump"]
    if len(dumps) > 1:
        found = [event for event in found if event.kind != "dump"]
    return [
        *([_dumps(dumps)] if len(dumps) > 1 else []),
        *(finding("warning", e.what, _cause(e), *_remedy(e, look)) for e in found),
    ]


def _cause(event: Event) -> str:
    return "the monitor does not follow the beam" if event.of_monitor else CAUSES[event.kind]


def of_neighbours(finding: Finding) -> bool:
    """Whether it is told by frames beside each other on the sample, if positions are right."""
    return finding.cause in (CAUSES["step"], CAUSES["flicker"], CAUSES["drift"])


def _dumps(found: Sequence[Event]) -> Finding:
    """Several losses of the beam in one line."""
    frames = ",".join(f"{event.first}-{event.last}" for event in found)
    number = sum(event.last - event.first + 1 for event in found)
    return finding(
        "warning",
        f"no beam {len(found)} times, in {number} frames",
        CAUSES["dump"],
        remedy=f"leave them out (--reject {frames})",
    )


def _remedy(event: Event, look: Look) -> tuple[Mapping[str, Any], str]:
    """Settings, and words where there are none."""
    given = look.settings.reject is not None
    reject = f"leave them out (--reject {event.first}-{event.last}" + (
        ", with those of the list that is given)" if given else ")"
    )
    if event.of_monitor:
        return {"monitor": False}, ""
    if event.kind in ("dump", "motor"):
        return {}, reject
    if event.kind == "drift":
        return {"align": "com"}, ""
    if _followed(event, look):
        return {"monitor": "file"}, ""
    if event.kind == "flicker":
        return {}, f"no I0 that follows it is recorded: {FLOATING}"
    scale = (
        "no I0 that follows it is recorded: run ptypy-beamline qc, and scale by its estimate "
        f"(--monitor qc/{INTENSITY})"
    )
    return {}, scale if event.kind == "decay" else f"{scale}, or {reject}"


def _followed(event: Event, look: Look) -> bool:
    """Whether a recorded monitor that is not applied changes with the beam."""
    stored = recorded_i0(look.scan, look.settings)
    applied = look.settings.monitor not in (None, False) or bool(look.settings.paths.monitor)
    if stored is None or applied:
        return False
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.log(stored)
    known = np.isfinite(level)
    if event.kind == "flicker":
        changes = np.diff(level[known])
        return len(changes) > 1 and float(np.std(changes)) > FOLLOWS * event.amount
    beam = np.log(intensity([event], len(stored)))
    beam, level = beam[known] - beam[known].mean(), level[known] - level[known].mean()
    return float((beam * level).sum()) > FOLLOWS * float((beam**2).sum())
