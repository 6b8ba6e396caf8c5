"""From settings to a folder of results: what ``ptypy-beamline qc`` does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats
from ..extras import versions
from ..frames.picked import whole_stack
from ..options import Qc
from ..output import together
from ..planning.exposures import recorded_i0, rejected
from ..planning.plan import Plan
from ..planning.positions import to_stage_axes
from ..planning.rejects import RawFrames, rejected_frames
from ..scan import Scan, absent
from ..settings import Settings
from .assessment import Assessment
from .evaluate import Exposures, Inspection, Progress, evaluate
from .files import Folder, write_indices
from .needs import Needs
from .pictures import large_pictures
from .reject import inside


@dataclass(frozen=True)
class Output:
    """Where results go, and how many frames are shown large, with how many pixels."""

    folder: Folder
    thumbs: int = 24
    thumbs_size: int = 256
    indices: Path | None = None


def judged_scan(
    scan: Scan,
    plan: Plan,
    settings: Settings,
    qc: Qc,
    comm: Any = None,
    progress: Progress = lambda _: None,
    needs: Needs | None = None,
) -> Assessment | None:
    """Evaluate a plan of ``scan``; frames of the user's reject list stay rejected.

    ``needs``: what the plan was made with, where that is not ``settings``.

    Returns
    -------
    Assessment
        On the first rank; None on the others.
    """
    exposures, monitor = Exposures.of(plan), recorded_i0(scan, settings)
    needs = needs or Needs(settings)
    places = needs.stage(stage(exposures, settings))
    found = evaluate(exposures, qc, places, monitor, comm, progress, needs.unit)
    return None if found is None else with_rejected(found, settings)


def to_be_judged(scan: Scan, settings: Settings, needs: Needs) -> Settings:
    """Rejected frames are judged, too, but not those that the user leaves out for want of a file.

    ``needs``: without the user's reject list, which ``settings`` have.
    """
    whole, picked = whole_stack(scan.frames)
    gone = absent(whole)
    if gone is None:
        return needs.settings
    out = rejected(scan, settings, growing=False)
    raw = out if picked is None else picked[out]
    return needs.settings.model_copy(update={"reject": raw[gone[raw]]})


def judged_plan(
    plan: Plan, settings: Settings, qc: Qc, monitor: Floats | None, comm: Any
) -> Assessment | None:
    """Evaluate what a plan would load, as above; ``monitor``: I0 of each raw frame."""
    exposures = Exposures.of(plan)
    return evaluate(exposures, qc, stage(exposures, settings), monitor, comm)


def stage(exposures: Exposures, settings: Settings) -> Floats:
    """(n, 2) stage positions (y, x) of exposures."""
    return to_stage_axes(exposures.plan.positions_m, settings.positions.axes)


def with_rejected(found: Assessment, settings: Settings) -> Assessment:
    """With the frames of the user's list rejected, too."""
    if settings.reject is None:
        return found
    positions_m = np.full((found.total, 2), np.nan)
    positions_m[found.frames] = found.positions_m
    of = RawFrames(
        found.total,
        Path(settings.file_name),
        None,
        settings.frames_per_position or 1,
        positions_m,
        bool(settings.live.timeout_s),
    )
    named = rejected_frames(settings.reject, of)
    return replace(found, rejected=found.rejected | np.isin(found.frames, named))


def put_down(
    found: Assessment,
    plan: Plan,
    scan: Scan,
    settings: Settings,
    output: Output,
    refresh_s: float | None = None,
) -> None:
    """Write the folder, and the list of indices where one is asked for."""
    exposures = Exposures.of(plan)
    worst = np.argsort(-found.score, kind="stable")[: output.thumbs]
    meta = {
        "file": str(scan.source),
        "format": scan.format,
        "paths": settings.paths.model_dump(exclude_none=True),
        "settings": settings.record(),
        "versions": versions(),
    }
    name = Path(settings.file_name).name
    pictures = large_pictures(exposures.plan, worst)
    with together():
        output.folder.write(
            found, pictures, meta, f"Quality of {name}", output.thumbs_size, refresh_s
        )
        if output.indices is not None:
            write_indices(output.indices, found, meta)


MINIMUM = 32
"""Exposures that there must be before a live scan is judged."""


def follow(
    plans: Iterable[Plan],
    scan: Scan,
    settings: Settings,
    qc: Qc,
    output: Output,
    refresh_s: float,
    needs: Needs | None = None,
) -> None:
    """Judge a growing scan again whenever it has grown; each exposure is read once.

    ``plans`` gives the plan so far, again and again. A region that the scan has not reached yet
    is waited for.
    """
    from .spool import Spool

    needs = needs or Needs(settings)
    with Spool() as spool:
        inspection = Inspection(qc, spool)
        for plan in plans:
            exposures = Exposures.of(plan)
            if len(exposures) < MINIMUM or len(exposures) == inspection.done:
                continue
            inspection.look(exposures)
            places = needs.stage(stage(exposures, settings))
            if not inside(places, qc).any():
                continue
            found = inspection.judge(exposures, places, unit=needs.unit)
            put_down(with_rejected(found, settings), plan, scan, settings, output, refresh_s)
