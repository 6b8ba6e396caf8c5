"""How many frames of a growing scan there are, and whether they are those that were there."""

from __future__ import annotations

import os
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BeamlineError, FileError, UnfollowableError, UnreadableError
from ..frames.wrappers import WrappedFrames
from ..planning.exposures import acquisitions
from ..scan import Frames, Indices, Scan, Window
from ..settings import Settings

REMEMBERED = 4
"""Frames whose checksums are kept: the first one, and the last ones seen."""


@dataclass(frozen=True)
class Fingerprint:
    """Checksums of some frames of a growing scan when they were first seen.

    A scan that is started again under the same name may have the same shape and positions; only
    its frames tell it from the first.

    Attributes
    ----------
    path
        The file that is followed, or the first of several.
    seen
        (frame, checksum of its raw pixels).
    inode
        Of the file when it was last seen; the same on all nodes of a cluster, unlike the device
        number.
    """

    path: Path | None = None
    seen: tuple[tuple[int, int], ...] = ()
    inode: int | None = None

    def after(self, frames: Frames, count: int) -> Fingerprint:
        """This fingerprint with the last of ``count`` frames added, and the first one."""
        known = dict(self.seen)
        for frame in (0, count // 2, count - 1) if count and not known else (count - 1,):
            if frame >= 0 and frame not in known:
                known[frame] = _checksum(frames, frame)
        first, *others = sorted(known.items()) or [(0, 0)]
        seen = (first, *others[1 - REMEMBERED :]) if known else ()
        return replace(self, seen=seen, inode=_inode(self.path))

    def is_replaced(self) -> bool:
        """Whether another file has taken the name since."""
        inode = _inode(self.path)
        return None not in (inode, self.inode) and inode != self.inode

    def differs(self, frames: Frames, count: int) -> int | None:
        """The first of ``count`` readable frames that has changed; None = none has."""
        for frame, checksum in self.seen:
            if frame < count and _checksum(frames, frame) != checksum:
                return frame
        return None

    def check(self, frames: Frames, count: int, again_s: float = 0.1) -> None:
        """Check that the frames are those that were there.

        Raises
        ------
        FileError
            They are not, nor ``again_s`` later: the writer may have been in the middle of a change.
        """
        if self._changed(frames, count) is None:
            return
        time.sleep(again_s)
        changed = self._changed(frames, count)
        if changed is not None:
            raise FileError(
                f"frame {changed} is no longer what it was: another scan has been written to this "
                "file while it was followed",
                "load the new scan by itself, and give the next one another name",
                self.path,
            )

    def _changed(self, frames: Frames, count: int) -> int | None:
        try:
            return self.differs(frames, count)
        except (BeamlineError, OSError, KeyError, RuntimeError):
            return None  # cannot be read now: an error where the frame is needed


def _inode(path: Path | None) -> int | None:
    try:
        return os.stat(path).st_ino if path else None
    except OSError:
        return None


def _checksum(frames: Frames, number: int) -> int:
    _, height, width = frames.shape
    pixels = np.ascontiguousarray(frames.read([number], Window(0, 0, height, width)))
    return zlib.crc32(pixels.data)


WITHOUT_LIVE = "load it without live (--live) when it is closed"


def timed_out(error: BeamlineError, after_s: float) -> BeamlineError:
    """The error for a followed file that could not be read for so long.

    It may still be open in its writer, so that copying it again is no remedy.
    """
    if not isinstance(error, UnreadableError):
        return error
    return type(error)(
        f"nothing could be read of it for {after_s:g} s: {error.problem}",
        "if it is being written, have its writer use SWMR mode, or flush after each frame, or "
        f"{WITHOUT_LIVE}",
        error.file,
    )


@dataclass(frozen=True, eq=False)
class RetryingFrames(WrappedFrames):
    """The frames of another stack; reading is retried while it fails.

    A writer without SWMR may be in the middle of a change, and a file server may show a file to
    one node later than to another.

    Attributes
    ----------
    timeout_s
        For how long it is retried.
    poll_s
        Time between two attempts.
    fingerprint
        Checksums of some of the frames; None = unknown.
    """

    timeout_s: float
    poll_s: float
    fingerprint: Fingerprint | None = None

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame), (len(indices), height, width).

        Raises
        ------
        BeamlineError
            After ``timeout_s``: what is still wrong. At once: another file has taken the name.
        """
        until = time.monotonic() + self.timeout_s
        while True:
            try:
                found = self.frames.read(indices, window)
                break
            except (BeamlineError, OSError, KeyError, RuntimeError) as error:
                if time.monotonic() > until:
                    if isinstance(error, BeamlineError):
                        raise timed_out(error, self.timeout_s) from error
                    raise
            time.sleep(self.poll_s)
        if self.fingerprint is not None and self.fingerprint.is_replaced():
            self.fingerprint.check(self.frames, self.shape[0], self.poll_s)
        return found


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
