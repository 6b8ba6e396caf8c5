"""From settings to a folder of results: what ``ptypy-beamline qc`` does."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Float32s, Floats, Ints
from ..errors import BeamlineError, MissingDataError, silenced_warnings, warn
from ..extras import versions
from ..formats import open_with
from ..frames.wrappers import whole_stack
from ..geometry import object_pixel_m
from ..options import Qc
from ..output.files import renamed_together
from ..planning.exposures import recorded_i0
from ..planning.frame_lists import rejected
from ..planning.plan import Plan
from ..planning.rejects import RejectTarget, rejected_frames
from ..planning.scan_geometry import quantities
from ..positions import to_stage_axes
from ..scan import Scan, absent
from ..settings import Settings
from ..statistics.measurements import BinnedFrames, Exposures
from .assessment import Assessment
from .evaluate import Inspection, Progress, evaluate, inside
from .folder import Folder, write_indices

NOMINAL = {"energy": 10.0, "distance": 1.0, "psize": (1e-4, 1e-4), "focus_to_sample": 0.0}
"""Placeholders for what a file does not have: frames are compared only with each other.
"""
METRES, PIXELS, AS_STORED = "m", "px", ""
"""Units of stage positions; the last is not known."""


@dataclass(frozen=True)
class NominalSettings:
    """Settings with which a scan can be evaluated: it needs frames and positions, no geometry.

    Attributes
    ----------
    settings
        The user's, with nominal values for what neither they nor the file give.
    unit
        Of the stage positions: ``m``, ``px``, or empty where it is not known.
    unit_size
        (y, x) of ``unit`` in the plan's positions.
    """

    settings: Settings
    unit: str = METRES
    unit_size: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(cls, settings: Settings) -> NominalSettings:
        """For the file that ``settings`` name; waits for a file that is followed live.

        Raises
        ------
        BeamlineError
            There are no frames or no positions, or anything else is wrong with the file.
        """
        end = time.monotonic() + (settings.live.timeout_s or 0)
        while True:
            try:
                with silenced_warnings():  # loading warns
                    found = _nominal(settings)
            except BeamlineError:
                if time.monotonic() >= end:
                    raise
                time.sleep(settings.live.poll_s)
            else:
                break
        if found.unit == AS_STORED:
            warn(
                "the positions have no unit: they are taken as they are stored, and so "
                "is a region; set units.positions (--unit positions=UNIT)",
                settings.file_name,
            )
        return found

    def in_unit(self, positions_m: Floats) -> Floats:
        """Positions (n, 2) of a plan in ``unit``."""
        return np.asarray(positions_m / np.array(self.unit_size), np.float64)


def _nominal(settings: Settings) -> NominalSettings:
    """Unchanged, else with a nominal geometry, else also without a unit for the positions."""
    try:
        quantities(open_with(settings), settings)
        return NominalSettings(settings)
    except BeamlineError:
        missing = {key: value for key, value in NOMINAL.items() if getattr(settings, key) is None}
        nominal = settings.model_copy(update=missing)
    try:
        return _with_unit(nominal, open_with(nominal))
    except MissingDataError:
        if nominal.units.positions is not None:
            raise
        units = nominal.units.model_copy(update={"positions": METRES})
        unitless = nominal.model_copy(update={"units": units})
        try:
            open_with(unitless)
        except BeamlineError:
            pass
        else:
            return NominalSettings(unitless, AS_STORED)
        raise


def _with_unit(nominal: Settings, scan: Scan) -> NominalSettings:
    """Positions in pixels remain so: a nominal pixel has no meaning."""
    if scan.positions_px is None:
        return NominalSettings(nominal)
    size = object_pixel_m(*quantities(scan, nominal), scan.frame_shape)
    return NominalSettings(nominal, PIXELS, size)


def stage_positions_m(exposures: Exposures, settings: Settings) -> Floats:
    """(n, 2) stage positions (y, x) of exposures."""
    return to_stage_axes(exposures.plan.positions_m, settings.positions.axes)


def settings_to_evaluate(scan: Scan, settings: Settings, nominal: NominalSettings) -> Settings:
    """Without the user's reject list, except for frames on it whose file is missing.

    ``nominal``: from ``settings`` without that list.
    """
    whole, picked = whole_stack(scan.frames)
    gone = absent(whole)
    if gone is None:
        return nominal.settings
    raw = picked[rejected(scan, settings, growing=False)]
    return nominal.settings.model_copy(update={"reject": raw[gone[raw]]})


def evaluate_scan(
    scan: Scan,
    plan: Plan,
    settings: Settings,
    qc: Qc,
    comm: Any = None,
    progress: Progress = lambda _: None,
    nominal: NominalSettings | None = None,
) -> Assessment | None:
    """Evaluate a plan of ``scan``; frames of the user's reject list stay rejected.

    ``nominal``: what the plan was made with, where that is not ``settings``.

    Returns
    -------
    Assessment
        On the first rank; None on the others.
    """
    exposures, monitor = Exposures.of(plan), recorded_i0(scan, settings)
    nominal = nominal or NominalSettings(settings)
    stage = nominal.in_unit(stage_positions_m(exposures, settings))
    found = evaluate(exposures, qc, stage, monitor, comm, progress, nominal.unit)
    return None if found is None else _with_rejected(found, settings)


def evaluate_plan(
    plan: Plan, settings: Settings, qc: Qc, monitor: Floats | None, comm: Any
) -> Assessment | None:
    """Evaluate what a plan would load, as above; ``monitor``: I0 of each raw frame."""
    exposures = Exposures.of(plan)
    return evaluate(exposures, qc, stage_positions_m(exposures, settings), monitor, comm)


def _with_rejected(found: Assessment, settings: Settings) -> Assessment:
    """With the frames of the user's list rejected as well."""
    if settings.reject is None:
        return found
    positions_m = np.full((found.total, 2), np.nan)
    positions_m[found.frames] = found.positions_m
    of = RejectTarget(
        found.total,
        Path(settings.file_name),
        None,
        settings.frames_per_position or 1,
        positions_m,
        bool(settings.live.timeout_s),
    )
    named = rejected_frames(settings.reject, of)
    return replace(found, rejected=found.rejected | np.isin(found.frames, named))


@dataclass(frozen=True)
class Output:
    """Where results go, how many frames are shown enlarged, and at what size."""

    folder: Folder
    thumbs: int = 24
    thumbs_size: int = 256
    indices: Path | None = None

    def write(
        self,
        found: Assessment,
        plan: Plan,
        scan: Scan,
        settings: Settings,
        refresh_s: float | None = None,
    ) -> None:
        """Write the folder, and the list of indices where one is asked for.

        ``refresh_s``: the report reloads itself so often.
        """
        worst = np.argsort(-found.score, kind="stable")[: self.thumbs]
        meta = {
            "file": str(scan.source),
            "format": scan.format,
            "paths": settings.paths.model_dump(exclude_none=True),
            "settings": settings.record(),
            "versions": versions(),
        }
        title = f"Quality of {Path(settings.file_name).name}"
        images = _corrected_frames(Exposures.of(plan).plan, worst)
        with renamed_together():
            self.folder.write(found, images, meta, title, self.thumbs_size, refresh_s)
            if self.indices is not None:
                write_indices(self.indices, found, meta)


def _corrected_frames(plan: Plan, rows: Ints) -> dict[int, Float32s]:
    """Corrected frames of some positions: raw frame → (ny, nx)."""
    found: dict[int, Float32s] = {}
    for block in plan.stream(np.sort(rows), warn_empty=False):
        found.update(zip(block.exposures[:, 0].tolist(), block.frames.copy(), strict=True))
    return found


MIN_LIVE = 32
"""Fewest exposures before a live scan is evaluated."""


def follow_scan(
    plans: Iterable[Plan],
    scan: Scan,
    settings: Settings,
    qc: Qc,
    output: Output,
    refresh_s: float,
    nominal: NominalSettings,
) -> None:
    """Evaluate a growing scan again whenever it has grown; each exposure is read once.

    ``plans`` yields the plan so far, repeatedly. A region that the scan has not reached yet
    is waited for.
    """
    with BinnedFrames() as binned:
        inspection = Inspection(qc, binned)
        for plan in plans:
            exposures = Exposures.of(plan)
            if len(exposures) < MIN_LIVE or len(exposures) == inspection.done:
                continue
            inspection.measure(exposures)
            stage = nominal.in_unit(stage_positions_m(exposures, settings))
            if not inside(stage, qc).any():
                continue
            found = inspection.assess(exposures, stage, unit=nominal.unit)
            output.write(_with_rejected(found, settings), plan, scan, settings, refresh_s)
