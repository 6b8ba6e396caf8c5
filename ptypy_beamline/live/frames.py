"""Frames that are read while their file is being written, and told from those of another scan."""

from __future__ import annotations

import os
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BeamlineError, FileError, UnreadableError
from ..frames.wrappers import WrappedFrames
from ..scan import Frames, Indices, Window

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
