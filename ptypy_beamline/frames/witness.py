"""Whether a file that is followed still holds the scan that it held: by what its frames were."""

from __future__ import annotations

import os
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import BeamlineError, FileError
from ..scan import Frames, Window

MOST = 4
"""Frames remembered: the first one, and the last ones seen."""


@dataclass(frozen=True)
class Witness:
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

    def after(self, frames: Frames, count: int) -> Witness:
        """This, with the last of ``count`` frames, and the first one."""
        known = dict(self.seen)
        for frame in (0, count // 2, count - 1) if count and not known else (count - 1,):
            if frame >= 0 and frame not in known:
                known[frame] = _checksum(frames, frame)
        first, *others = sorted(known.items()) or [(0, 0)]
        seen = (first, *others[1 - MOST :]) if known else ()
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
