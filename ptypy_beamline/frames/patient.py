"""Frames of files that somebody is still writing to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BeamlineError, UnreadableError
from ..scan import Frames, Indices, Readiness, Window
from .witness import Witness

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
class PatientFrames:
    """The frames of another stack; reading is tried again while it fails.

    A writer without SWMR may be in the middle of something, and a file server may show a file to
    one node later than to another.

    Attributes
    ----------
    timeout_s
        How long.
    poll_s
        Time between two attempts.
    witness
        What some of the frames were; None = nobody has looked.
    """

    frames: Frames
    timeout_s: float
    poll_s: float
    witness: Witness | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return self.frames.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel."""
        return self.frames.dtype

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
        if self.witness is not None and self.witness.is_elsewhere():
            self.witness.check(self.frames, self.shape[0], self.poll_s)
        return found

    def ready(self) -> Readiness:
        """As the other stack."""
        return self.frames.ready()

    def continues(self, earlier: PatientFrames) -> bool:
        """Whether the frames of ``earlier`` are the first ones still, where the stack can tell."""
        known = getattr(self.frames, "continues", None)
        return known is None or bool(known(earlier.frames))
