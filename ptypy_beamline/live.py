"""Following a scan whose file is still being written."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import formats
from .errors import (
    BeamlineError,
    BeamlineWarning,
    FileError,
    UnfollowableError,
    UnreadableError,
    naming,
    silenced_warnings,
    warn,
)
from .files.crashcheck import check_for_crashes
from .files.hdf5 import DEAD, OPEN_FOR_WRITING, stays_open_for_writing, unlocked
from .frames.followed import WITHOUT_LIVE, Fingerprint, RetryingFrames, given_up
from .frames.wrappers import whole_stack
from .options import Live
from .planning.exposures import acquisitions, mean_i0
from .planning.make_plan import make_plan
from .planning.plan import Plan
from .planning.scan_geometry import in_metres
from .planning.selection import Selection, SoFar, select
from .scan import PersistentNote, Scan, Window, written
from .settings import Settings

SPIN_S = 0.01
"""A caller that asks again so soon has nothing else to do, and may sleep."""

HELD_S = 3.0
"""A file that nobody may read for so long is not one that is opened and closed for each frame."""


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
    when somebody looked. The scan is complete when its writer was seen to close it, when the frames
    that it announces are there, or those of a list of positions that was there beforehand, when
    ``num_frames`` positions are there, or when nothing has come for ``live.timeout_s``.

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
        self._said: list[str] = []
        self._so_far = SoFar(0)
        self._there = 0
        self._ahead = 0
        self._was_written = False
        self._allocated: tuple[int, float] | None = None
        self._left = 0.0
        self._grew = self._looked = time.monotonic()

    def first(self) -> Plan:
        """Wait for the first frames.

        Raises
        ------
        UnfollowableError
            At once: the file is written in a way that cannot be followed.
        BeamlineError
            After ``live.timeout_s``: what is still wrong with the file then.
        """
        while True:
            last = self._is_idle()
            try:
                return self._begin().plan
            except UnfollowableError:
                raise
            except BeamlineError as error:
                if last:
                    raise given_up(error, self._timeout_s) from error
            self._check_not_held()
            time.sleep(self.settings.live.poll_s)

    def _check_not_held(self) -> None:
        """Stop where a writer without SWMR mode keeps the file open, so that HDF5 refuses it."""
        path = Path(self.settings.file_name)
        if path.is_file() and stays_open_for_writing(path, min(HELD_S, self._timeout_s)):
            remedy = f"have its writer use SWMR mode, or {WITHOUT_LIVE}; {DEAD}"
            raise UnfollowableError(OPEN_FOR_WRITING, remedy, path)

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

    def wait_until_complete(self) -> Plan:
        """Wait until the scan is complete."""
        if self._progress is None:
            self.first()
        while not (progress := self.look()).complete:
            pass
        return progress.plan

    def _begin(self) -> Progress:
        with self._reading():
            check_for_crashes(filter(None, (self.settings.file_name, self.settings.sidecar)))
            scan = self._open()
            whole = self._whole(scan, closed=False)
            if not whole:
                raise UnreadableError("it holds no frame", "wait for its writer", scan.source)
            self._count(whole)
            complete = self._has_all(scan, whole)
            self._so_far = SoFar(whole, mean_i0(scan, self.settings), not complete)
            self._was_written = not scan.frames.ready().complete
            self._fingerprint = Fingerprint(scan.source)
            self._frames = self._patient(scan, whole)
            plan = make_plan(scan, self.settings, self._so_far)
            plan = replace(plan, frames=self._frames)
        self._said = [str(note) for note in scan.notes if isinstance(note, PersistentNote)]
        for note in self._said:
            warn(note, scan.source)
        self.format = scan.format
        self._looked = time.monotonic()
        return self._reached(plan, complete)

    def _again(self, progress: Progress) -> Progress:
        self._looked = time.monotonic()
        try:
            with self._reading():
                # Asked before the file is opened: what it holds when it is found closed is all.
                closed = self._is_closed()
                scan = self._open()
                whole = self._whole(scan, closed)
        except UnfollowableError:
            raise
        except BeamlineError:
            # The writer is in the middle of something; what was there stays valid.
            return self._reached(progress.plan, self._is_idle())
        fewer = whole < (self._so_far.frames or 0) and not self._is_idle()
        if not fewer or self._fingerprint.is_elsewhere():
            self._check_same(scan, whole)
        if fewer:
            return progress  # caught in the middle of something likewise
        self._count(whole)
        complete = closed or self._has_all(scan, whole) or self._is_idle()
        if complete and written(scan.frames) is not None:
            whole = len(scan)  # frames that lack in the middle do not come any more
        self._so_far = replace(self._so_far, frames=whole, growing=not complete)
        try:
            with unlocked(), naming(scan.source):
                plan = self._longer(progress.plan, scan, whole)
        except FileError:  # the writer has opened it again meanwhile
            return self._reached(progress.plan, self._is_idle())
        return self._reached(plan, complete)

    def _check_same(self, scan: Scan, whole: int) -> None:
        """Stop where another scan has been written in the place of this one."""
        frames = whole_stack(scan.frames)[0]
        if replace(self._frames, frames=frames).continues(self._frames):  # else see _longer
            with unlocked():
                self._fingerprint.check(frames, whole, self.settings.live.poll_s)

    def _reached(self, plan: Plan, complete: bool) -> Progress:
        enough = len(plan) == self.settings.num_frames
        if complete and not enough:
            self._say_what_is_missing(plan.selection)
        self._progress = Progress(plan, complete or enough)
        return self._progress

    def _say_what_is_missing(self, delivered: Selection) -> None:
        """Warn of what anybody is told who loads the file now; until here it was no news."""
        with unlocked(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                if not self._as_finished().begins_with(delivered):
                    warn("loaded now, its frames have other positions: load it again")
            except BeamlineError as error:
                warn(str(error))
        for one in said:
            known = any(str(one.message).endswith(note) for note in self._said)
            if issubclass(one.category, BeamlineWarning) and not known:
                warn(f"the live scan has ended with {len(delivered)} positions: {one.message}")

    def _as_finished(self) -> Selection:
        """The positions of the file, opened as one that nobody writes any more."""
        ended = self.settings.model_copy(update={"format": self.format, "live": Live()})
        scan = formats.open_with(ended)
        return select(in_metres(scan, self.settings), self.settings)

    def _open(self) -> Scan:
        with silenced_warnings():  # that frames and positions are not equally many yet is no news
            return formats.open_with(self.settings.model_copy(update={"format": self.format}))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Leave the writer alone, and say so where it is in the middle of something."""
        try:
            with unlocked():
                yield
        except BeamlineError:
            raise
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise UnreadableError(
                f"cannot be read yet ({error})", "wait for its writer", self.settings.file_name
            ) from error

    def _longer(self, plan: Plan, scan: Scan, whole: int) -> Plan:
        """The plan with the positions that have come; earlier ones must be as they were."""
        selection = select(in_metres(scan, self.settings), self.settings, self._so_far)
        frames = self._patient(scan, whole)
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

    def _is_closed(self) -> bool:
        """The writer was seen writing and has closed the file since."""
        written = not self._frames.ready().complete
        closed = self._was_written and not written
        self._was_written = self._was_written or written
        return closed

    def _has_all(self, scan: Scan, whole: int) -> bool:
        """Every frame that will come is there: the file says so, or all positions have theirs."""
        taken = int(acquisitions(scan)[:whole].max(initial=-1)) + 1
        if scan.expected is not None:
            return taken >= scan.expected
        if scan.listed_s is None:
            return False
        listed = len(scan.positions_m) * (1 if scan.positions_each else self._each)
        if taken < listed:
            self._ahead = listed
            return False
        # A writer may replace the list with each frame: it must have been there beforehand, or
        # nobody has touched it for long.
        return listed == self._ahead or time.time() - scan.listed_s > self._timeout_s

    def _whole(self, scan: Scan, closed: bool) -> int:
        """Frames that can be read: the last file or part may be half written."""
        n = min(len(scan), self._told(scan, closed))
        try:
            if n:
                scan.frames.read([n - 1], Window.full(scan.frame_shape))
        except BeamlineError:
            return n - 1
        return n

    def _told(self, scan: Scan, closed: bool) -> int:
        """Frames that are there; what looks like one counts when nobody writes any more.

        Raises
        ------
        UnfollowableError
            None can be told, and the file is being written.
        """
        ready, count = scan.frames.ready(), scan.frames.shape[0]
        if not ready.unconfirmed or closed:
            return ready.frames
        before, self._allocated = self._allocated, (count, ready.changed_s)
        if self._allocated != before:
            self._grew = time.monotonic()
            if ready.unconfirmed == count and before is not None and before[0] == count:
                raise UnfollowableError(
                    "the file is being written, and space for all its frames was allocated at "
                    "the start: written frames cannot be distinguished from empty space",
                    f"have its writer use chunks of one frame, or {WITHOUT_LIVE}",
                    scan.source,
                )
        settled = self._is_idle() or time.time() - ready.changed_s > self._timeout_s
        return ready.frames - (0 if settled else ready.unconfirmed)

    def _patient(self, scan: Scan, whole: int) -> RetryingFrames:
        frames = whole_stack(scan.frames)[0]
        self._fingerprint = self._fingerprint.after(frames, whole)
        return RetryingFrames(frames, self._timeout_s, self.settings.live.poll_s, self._fingerprint)

    @property
    def _each(self) -> int:
        return self.settings.frames_per_position or 1

    def _count(self, whole: int) -> None:
        """Remember when the last frame came; a caller may have been away for long."""
        if whole > self._there:
            self._there, self._grew = whole, time.monotonic()

    def _is_idle(self) -> bool:
        return time.monotonic() - self._grew > self._timeout_s
