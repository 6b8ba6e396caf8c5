"""Scans that are loaded while they are still being written: a plan that gets longer."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .. import formats
from ..errors import (
    BeamlineError,
    BeamlineWarning,
    FileError,
    UnfollowableError,
    UnreadableError,
    naming,
    silenced_warnings,
    warn,
)
from ..files.crashcheck import check_for_crashes
from ..files.hdf5 import DEAD, OPEN_FOR_WRITING, stays_open_for_writing, unlocked
from ..frames.wrappers import whole_stack
from ..options import Live
from ..planning.exposures import mean_i0
from ..planning.make_plan import make_plan
from ..planning.plan import Plan
from ..planning.scan_geometry import in_metres
from ..planning.selection import Selection, SoFar, select
from ..scan import PersistentNote, Scan, written
from ..settings import Settings
from .growth import WITHOUT_LIVE, Fingerprint, Growth, RetryingFrames, timed_out

__all__ = ["Follower", "Progress"]

SPIN_S = 0.01
"""A caller that polls again so soon has nothing else to do, and is made to sleep."""

HELD_S = 3.0
"""A writer that keeps the file locked for so long does not open and close it for each frame."""


@dataclass(frozen=True)
class Progress:
    """How much of a scan has come.

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
    """Polls a growing scan, whose plan only ever gets longer.

    Window, calibration and geometry are fixed by the first frames, so that no result depends on
    when the file was polled. The scan is complete when its writer was seen to close it, when the
    frames that it announces are there, or those of a list of positions that was there beforehand,
    when ``num_frames`` positions are there, or when nothing has come for ``live.timeout_s``.

    Parameters
    ----------
    settings
        With ``live.timeout_s``.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.format = settings.format
        self._timeout_s = float(settings.live.timeout_s or 0)
        self._progress: Progress | None = None
        self._frames: RetryingFrames
        self._fingerprint: Fingerprint
        self._warned: list[str] = []
        self._so_far = SoFar(0)
        self._growth = Growth(settings)
        self._returned = 0.0
        self._polled = time.monotonic()

    def wait_for_first_frames(self) -> Plan:
        """Wait for the first frames, and plan how they are loaded.

        Raises
        ------
        UnfollowableError
            At once: the file is written in a way that cannot be followed.
        BeamlineError
            After ``live.timeout_s``: what is still wrong with the file.
        """
        while True:
            last = self._growth.is_idle()
            try:
                return self._start().plan
            except UnfollowableError:
                raise
            except BeamlineError as error:
                if last:
                    raise timed_out(error, self._timeout_s) from error
            self._check_not_held()
            time.sleep(self.settings.live.poll_s)

    def _check_not_held(self) -> None:
        """Refuse a file that a writer without SWMR mode keeps open, so that HDF5 cannot read it."""
        path = Path(self.settings.file_name)
        if path.is_file() and stays_open_for_writing(path, min(HELD_S, self._timeout_s)):
            remedy = f"have its writer use SWMR mode, or {WITHOUT_LIVE}; {DEAD}"
            raise UnfollowableError(OPEN_FOR_WRITING, remedy, path)

    def poll(self) -> Progress:
        """How much of the scan has come; the file is read every ``live.poll_s`` at most.

        Sleeps until the next time when it is called again at once, as PtyPy does while it waits;
        a caller that reconstructs meanwhile is not delayed.
        """
        progress = self._progress or self._start()
        if progress.complete:
            return progress
        next_poll = self._polled + self.settings.live.poll_s
        if time.monotonic() - self._returned < SPIN_S:
            time.sleep(max(0.0, next_poll - time.monotonic()))
        if time.monotonic() >= next_poll:
            progress = self._update(progress)
        self._returned = time.monotonic()
        return progress

    def wait_until_complete(self) -> Plan:
        """Wait until the scan is complete."""
        if self._progress is None:
            self.wait_for_first_frames()
        while not (progress := self.poll()).complete:
            pass
        return progress.plan

    first, look = wait_for_first_frames, poll  # former names

    def _start(self) -> Progress:
        with self._reading():
            check_for_crashes(filter(None, (self.settings.file_name, self.settings.sidecar)))
            scan = self._open()
            count = self._growth.readable(scan, closed=False)
            if not count:
                raise UnreadableError("it holds no frame", "wait for its writer", scan.source)
            self._growth.note_count(count)
            complete = self._growth.has_all(scan, count)
            self._so_far = SoFar(count, mean_i0(scan, self.settings), not complete)
            self._fingerprint = Fingerprint(scan.source)
            self._frames = self._retrying(scan, count)
            self._growth.note_written(scan.frames)
            plan = make_plan(scan, self.settings, self._so_far)
            plan = replace(plan, frames=self._frames)
        self._warned = [str(note) for note in scan.notes if isinstance(note, PersistentNote)]
        for note in self._warned:
            warn(note, scan.source)
        self.format = scan.format
        self._polled = time.monotonic()
        return self._reached(plan, complete)

    def _update(self, progress: Progress) -> Progress:
        self._polled = time.monotonic()
        try:
            with self._reading():
                # Checked before the file is opened: what it holds once closed is all.
                closed = self._growth.is_closed(self._frames)
                scan = self._open()
                count = self._growth.readable(scan, closed)
        except UnfollowableError:
            raise
        except BeamlineError:
            # The writer is in the middle of a change; what was there stays valid.
            return self._reached(progress.plan, self._growth.is_idle())
        fewer = count < (self._so_far.frames or 0) and not self._growth.is_idle()
        if not fewer or self._fingerprint.is_replaced():
            self._check_same(scan, count)
        if fewer:
            return progress  # likewise
        self._growth.note_count(count)
        complete = closed or self._growth.has_all(scan, count) or self._growth.is_idle()
        if complete and written(scan.frames) is not None:
            count = len(scan)  # frames that are missing in the middle will not come any more
        self._so_far = replace(self._so_far, frames=count, growing=not complete)
        try:
            with unlocked(), naming(scan.source):
                plan = self._extended(progress.plan, scan, count)
        except FileError:  # the writer has opened it again meanwhile
            return self._reached(progress.plan, self._growth.is_idle())
        return self._reached(plan, complete)

    def _check_same(self, scan: Scan, count: int) -> None:
        """Refuse another scan that has been written in place of this one."""
        frames = whole_stack(scan.frames)[0]
        if replace(self._frames, frames=frames).continues(self._frames):  # else see _extended
            with unlocked():
                self._fingerprint.check(frames, count, self.settings.live.poll_s)

    def _reached(self, plan: Plan, complete: bool) -> Progress:
        enough = len(plan) == self.settings.num_frames
        if complete and not enough:
            self._warn_of_missing(plan.selection)
        self._progress = Progress(plan, complete or enough)
        return self._progress

    def _warn_of_missing(self, loaded: Selection) -> None:
        """Give the warnings of loading the finished file, which were held back until now."""
        with unlocked(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if not self._as_finished().begins_with(loaded):
                    warn("loaded now, its frames have other positions: load it again")
            except BeamlineError as error:
                warn(str(error))
        for one in caught:
            known = any(str(one.message).endswith(note) for note in self._warned)
            if issubclass(one.category, BeamlineWarning) and not known:
                warn(f"the live scan has ended with {len(loaded)} positions: {one.message}")

    def _as_finished(self) -> Selection:
        """The positions of the file, opened as one that is finished."""
        ended = self.settings.model_copy(update={"format": self.format, "live": Live()})
        scan = formats.open_with(ended)
        return select(in_metres(scan, self.settings), self.settings)

    def _open(self) -> Scan:
        with silenced_warnings():  # frames and positions do not match in number yet
            return formats.open_with(self.settings.model_copy(update={"format": self.format}))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Take no lock from the writer; what fails while it writes is an UnreadableError."""
        try:
            with unlocked():
                yield
        except BeamlineError:
            raise
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise UnreadableError(
                f"cannot be read yet ({error})", "wait for its writer", self.settings.file_name
            ) from error

    def _extended(self, plan: Plan, scan: Scan, count: int) -> Plan:
        """The plan with the positions that have come; earlier ones must be unchanged."""
        selection = select(in_metres(scan, self.settings), self.settings, self._so_far)
        frames = self._retrying(scan, count)
        if not frames.continues(self._frames):
            raise BeamlineError(
                "frames that were read before have changed: files were added between them, or "
                "written again",
                "load the scan when its writer is done, each scan under a name of its own",
                scan.source,
            )
        if not selection.begins_with(plan.selection):
            raise BeamlineError(
                "frames that were read before have other positions now: positions were written "
                "again, or acquisition numbers that came since say so",
                "load the scan when its writer is done; if frames were lost, give the number of "
                "the first position by --path position_index=N (paths.position_index)",
                scan.source,
            )
        self._frames = frames
        return replace(plan, frames=frames, selection=selection)

    def _retrying(self, scan: Scan, count: int) -> RetryingFrames:
        frames = whole_stack(scan.frames)[0]
        self._fingerprint = self._fingerprint.after(frames, count)
        return RetryingFrames(frames, self._timeout_s, self.settings.live.poll_s, self._fingerprint)
