"""How many frames of a growing scan are there, and whether more will come."""

from __future__ import annotations

import time

from ..errors import BeamlineError, UnfollowableError
from ..planning.exposures import acquisitions
from ..scan import Frames, Scan, Window
from ..settings import Settings
from .frames import WITHOUT_LIVE


class Growth:
    """What has been seen of a growing scan so far, and when.

    Parameters
    ----------
    settings
        With ``live.timeout_s``.
    """

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = float(settings.live.timeout_s or 0)
        self._each = settings.frames_per_position or 1
        self._count = 0
        self._listed = 0
        self._was_written = False
        self._allocated: tuple[int, float] | None = None
        self._grew = time.monotonic()

    def note_count(self, count: int) -> None:
        """Remember when the last frame came; the caller may have been away for long."""
        if count > self._count:
            self._count, self._grew = count, time.monotonic()

    def note_written(self, frames: Frames) -> None:
        """Remember whether the file is being written."""
        self._was_written = not frames.ready().complete

    def is_idle(self) -> bool:
        """Whether nothing has come for ``live.timeout_s``."""
        return time.monotonic() - self._grew > self._timeout_s

    def is_closed(self, frames: Frames) -> bool:
        """Whether the writer was seen writing, and has closed the file since."""
        written = not frames.ready().complete
        closed = self._was_written and not written
        self._was_written = self._was_written or written
        return closed

    def has_all(self, scan: Scan, count: int) -> bool:
        """Whether ``count`` frames are all: the file says so, or every position has its own."""
        taken = int(acquisitions(scan)[:count].max(initial=-1)) + 1
        if scan.expected is not None:
            return taken >= scan.expected
        if scan.listed_s is None:
            return False
        listed = len(scan.positions_m) * (1 if scan.positions_each else self._each)
        if taken < listed:
            self._listed = listed
            return False
        # A writer may replace the list with each frame: it must have been there beforehand, or
        # not have been changed for long.
        return listed == self._listed or time.time() - scan.listed_s > self._timeout_s

    def readable(self, scan: Scan, closed: bool) -> int:
        """Number of frames that can be read: the last file or part may be half written.

        Parameters
        ----------
        scan
            As it is now.
        closed
            Whether its writer has closed the file.

        Raises
        ------
        UnfollowableError
            Written frames cannot be told from allocated space, and the file is being written.
        """
        count = min(len(scan), self._written(scan, closed))
        try:
            if count:
                scan.frames.read([count - 1], Window.full(scan.frame_shape))
        except BeamlineError:
            return count - 1
        return count

    def _written(self, scan: Scan, closed: bool) -> int:
        """Frames that were written; unconfirmed ones count once nobody writes any more."""
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
        settled = self.is_idle() or time.time() - ready.changed_s > self._timeout_s
        return ready.frames - (0 if settled else ready.unconfirmed)
