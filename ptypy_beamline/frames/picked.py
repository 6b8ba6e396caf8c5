"""Some frames of a stack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Ints
from ..scan import Frames, Indices, Readiness, Window, absent, written


@dataclass(frozen=True, eq=False)
class PickedFrames:
    """The frames ``picked`` of another stack, in this order."""

    frames: Frames
    picked: Ints

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return len(self.picked), *self.frames.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel."""
        return self.frames.dtype

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame), (len(indices), height, width)."""
        return self.frames.read(self.picked[np.asarray(indices, np.intp)], window)

    def written(self) -> Bools | None:
        """(n,) which frames were ever written; None = all, or nobody can tell."""
        there = written(self.frames)
        return None if there is None else there[self.picked]

    def absent(self) -> Bools | None:
        """(n,) which frames are in files that cannot be read; None = none of them."""
        lacking = absent(self.frames)
        return None if lacking is None else lacking[self.picked]

    def ready(self) -> Readiness:
        """Those of the picked frames, from the first on, that can be read now."""
        there = self.frames.ready()
        count, told = self._before(there.frames), self._before(there.frames - there.untold)
        return replace(there, frames=count, untold=count - told)

    def _before(self, frame: int) -> int:
        """How many are picked before the first that is not below ``frame``."""
        beyond = np.flatnonzero(self.picked >= frame)
        return int(beyond[0]) if beyond.size else len(self.picked)


def whole_stack(frames: Frames) -> tuple[Frames, Ints | None]:
    """All raw frames of the files, and which of them ``frames`` has; None = all, in order."""
    picked: Ints | None = None
    while isinstance(frames, PickedFrames):
        picked = frames.picked if picked is None else frames.picked[picked]
        frames = frames.frames
    return frames, picked
