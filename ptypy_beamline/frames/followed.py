"""Frames of files that are followed while they are written."""

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
from ..scan import Frames, Indices, Window
from .wrappers import WrappedFrames

REMEMBERED = 4
"""Frames remembered: the first one, and the last ones seen."""


@dataclass(frozen=True)
class Fingerprint:
    """What some frames of a growing scan were when they were first seen.

    A scan that is started again under the same name may have the same shape, so neither sizes nor
    positions tell; its frames do.

    Attributes
    ----------
    path
        The file that is followed, or the first of several.
    seen
        (frame, checksum of its raw pixels).
    inode
        Of the file when it was last looked at; the same on all nodes of a cluster, unlike the
        number of its device.
    """

    path: Path | None = None
    seen: tuple[tuple[int, int], ...] = ()
    inode: int | None = None

    def after(self, frames: Frames, count: int) -> Fingerprint:
        """This, with the last of ``count`` frames, and the first one."""
        known = dict(self.seen)
        for frame in (0, count // 2, count - 1) if count and not known else (count - 1,):
            if frame >= 0 and frame not in known:
                known[frame] = _checksum(frames, frame)
        first, *others = sorted(known.items()) or [(0, 0)]
        seen = (first, *others[1 - REMEMBERED :]) if known else ()
        return replace(self, seen=seen, inode=_inode(self.path))

    def is_elsewhere(self) -> bool:
        """Whether another file has taken the name since."""
        inode = _inode(self.path)
        return None not in (inode, self.inode) and inode != self.inode

    def differs(self, frames: Frames, count: int) -> int | None:
        """The first frame, of ``count`` that can be read, that is not what it was; None = none."""
        for frame, checksum in self.seen:
            if frame < count and _checksum(frames, frame) != checksum:
                return frame
        return None

    def check(self, frames: Frames, count: int, again_s: float = 0.1) -> None:
        """See that the frames are those that were there.

        Raises
        ------
        FileError
            They are not, ``again_s`` later either: its writer may have been in the middle of it.
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
            return None  # cannot be read now; whoever needs the frame says so


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


def given_up(error: BeamlineError, after_s: float) -> BeamlineError:
    """What to tell of a file that is followed, and could not be read for so long.

    It may be in its writer's hands still, so that copying it again is no remedy.
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
    """The frames of another stack; reading is tried again while it fails.

    A writer without SWMR may be in the middle of something, and a file server may show a file to
    one node later than to another.

    Attributes
    ----------
    timeout_s
        How long.
    poll_s
        Time between two attempts.
    fingerprint
        What some of the frames were; None = nobody has looked.
    """

    timeout_s: float
    poll_s: float
    fingerprint: Fingerprint | None = None

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame), (len(indices), height, width).

        Raises
        ------
        BeamlineError
            After ``timeout_s``: what is still wrong. At once: another file has taken the name of
            the one that is followed.
        """
        until = time.monotonic() + self.timeout_s
        while True:
            try:
                found = self.frames.read(indices, window)
                break
            except (BeamlineError, OSError, KeyError, RuntimeError) as error:
                if time.monotonic() > until:
                    if isinstance(error, BeamlineError):
                        raise given_up(error, self.timeout_s) from error
                    raise
            time.sleep(self.poll_s)
        if self.fingerprint is not None and self.fingerprint.is_elsewhere():
            self.fingerprint.check(self.frames, self.shape[0], self.poll_s)
        return found
