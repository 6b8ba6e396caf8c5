"""Following a scan whose file is still being written."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace

import numpy as np

from . import formats
from .errors import BeamlineError, BeamlineWarning, FileError
from .planning.exposures import mean_i0
from .planning.make import make_plan
from .planning.places import one_each
from .planning.plan import Plan
from .planning.selection import SoFar, select
from .scan import Scan, Window
from .settings import Settings

SPIN_S = 0.01
"""A caller that asks again so soon has nothing else to do, and may sleep."""


@dataclass(frozen=True)
class Progress:
    """How far a scan is.

    Attributes
    ----------
    plan
        For all positions that can be loaded now; earlier ones keep their numbers.
    complete
        No more will come.
    """

    plan: Plan
    complete: bool


class Follower:
    """Looks at a growing scan again and again; its plan only ever gets longer.

    Window, calibration and geometry are fixed with the first frames, so that no result depends on
    when somebody looked. The scan is complete when its writer has closed it, when every position
    that was known from the start has its frames, when ``num_frames`` positions are there, or when
    nothing has come for ``live.timeout_s``.

    Parameters
    ----------
    settings
        With ``live.timeout_s``.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._timeout_s = float(settings.live.timeout_s or 0)
        self._progress: Progress | None = None
        self._so_far = SoFar(0)
        self._planned: int | None = None
        self._was_written = False
        self._left = 0.0
        self._grew = self._looked = time.monotonic()

    def first(self) -> Plan:
        """Wait for the first frames.

        Raises
        ------
        BeamlineError
            After ``live.timeout_s``: what is still wrong with the file then.
        """
        while True:
            try:
                return self._begin().plan
            except BeamlineError:
                if self._idle_s() > self._timeout_s:
                    raise
            time.sleep(self.settings.live.poll_s)

    def look(self) -> Progress:
        """How far the scan is now; the file is looked at once in ``live.poll_s``.

        Sleeps until the next look when it is called again at once, as PtyPy does while it waits;
        a caller that reconstructs meanwhile is not held up.
        """
        progress = self._progress or self._begin()
        if progress.complete:
            return progress
        next_look = self._looked + self.settings.live.poll_s
        if time.monotonic() - self._left < SPIN_S:
            time.sleep(max(0.0, next_look - time.monotonic()))
        if time.monotonic() >= next_look:
            progress = self._again(progress)
        self._left = time.monotonic()
        return progress

    def to_the_end(self) -> Plan:
        """Wait until the scan is complete."""
        if self._progress is None:
            self.first()
        while not (progress := self.look()).complete:
            pass
        return progress.plan

    def _begin(self) -> Progress:
        scan = self._open()
        k = self._each(scan)
        self._so_far = SoFar(self._whole(scan) // k * k, mean_i0(scan, self.settings))
        self._planned = self._announced(scan, k)
        self._was_written = not scan.frames.ready().complete
        plan = make_plan(scan, self.settings, self._so_far)
        self._grew = self._looked = time.monotonic()
        self._progress = Progress(plan, len(plan) == self.settings.num_frames)
        return self._progress

    def _again(self, progress: Progress) -> Progress:
        self._looked = time.monotonic()
        idle = self._idle_s() > self._timeout_s
        # Asked before the file is opened: what it holds when it is found closed is all.
        closed = self._is_closed(progress.plan)
        # HDF5 shows a file that is open already as it was then.
        getattr(progress.plan.frames, "close", lambda: None)()
        try:
            scan = self._open()
        except BeamlineError:
            # The writer is in the middle of something; what was there stays valid.
            self._progress = replace(progress, complete=idle)
            return self._progress
        whole = self._whole(scan)
        planned = self._planned is not None and whole >= self._planned
        complete = closed or planned or idle
        k = self._each(scan)
        usable = whole if complete else whole // k * k
        if usable > (self._so_far.frames or 0):
            self._grew = time.monotonic()
        self._so_far = replace(self._so_far, frames=usable)
        plan = self._longer(progress.plan, scan)
        self._progress = Progress(plan, complete or len(plan) == self.settings.num_frames)
        return self._progress

    def _open(self) -> Scan:
        with warnings.catch_warnings():
            # That frames and positions are not equally many yet is no news.
            warnings.simplefilter("ignore", BeamlineWarning)
            file = self.settings.file or ""
            try:
                return formats.open_file(file, self.settings.format, self.settings.opening)
            except (OSError, KeyError, RuntimeError) as error:
                raise FileError(f"cannot be read yet ({error})", "wait for its writer",
                                self.settings.file_name) from error  # fmt: skip

    def _longer(self, plan: Plan, scan: Scan) -> Plan:
        """The plan with the positions that have come; earlier ones must be as they were."""
        selection = select(scan, self.settings, self._so_far)
        known = plan.selection.exposures
        if not np.array_equal(selection.exposures[: len(known)], known):
            raise BeamlineError("frames that were there are no longer the same",
                                "load the scan when its writer is done", scan.source)  # fmt: skip
        return replace(plan, frames=scan.frames, selection=selection)

    def _is_closed(self, plan: Plan) -> bool:
        """The writer was seen writing and has closed the file since."""
        written = not plan.frames.ready().complete
        closed = self._was_written and not written
        self._was_written = self._was_written or written
        return closed

    def _announced(self, scan: Scan, k: int) -> int | None:
        """Frames that will come: the file says so, or positions were listed beforehand."""
        if scan.expected is not None:
            return scan.expected
        if len(scan.positions_m) <= len(scan):
            return None
        listed_each = k > 1 and one_each(scan.positions_m, k)
        return len(scan.positions_m) * (1 if listed_each else k)

    def _whole(self, scan: Scan) -> int:
        """Frames that can be read: the last file or part may be half written."""
        n = len(scan)
        try:
            if n:
                scan.frames.read([n - 1], Window.full(scan.frame_shape))
        except BeamlineError:
            return n - 1
        return n

    def _each(self, scan: Scan) -> int:
        return self.settings.frames_per_position or 1

    def _idle_s(self) -> float:
        return time.monotonic() - self._grew
