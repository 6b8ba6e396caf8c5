"""A few frames from all over the scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scan import Frames, Window

SAMPLE = 64
"""Frames in a sample; they are spread evenly over the whole scan, whatever is selected of it."""

TOGETHER = 8 * 2**20
"""Bytes of frames that are read in one go."""


def sample_indices(n: int, size: int = SAMPLE) -> NDArray[np.int64]:
    """At most ``size`` of ``n`` frames, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, size)).round().astype(np.int64))


@dataclass(frozen=True)
class Sample:
    """A few frames of a stack, cut to ``window`` (inside the frame), read ``TOGETHER`` at a time.

    Not all at once, because 64 frames of a big detector are gigabytes in double precision.
    """

    frames: Frames
    window: Window

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Frames (h, w) native."""
        for stack in self.stacks():
            yield from stack

    def stacks(self) -> Iterator[NDArray[Any]]:
        """The same, some at a time: (n, h, w)."""
        one = self.window.height * self.window.width * self.frames.dtype.itemsize
        size, indices = max(1, TOGETHER // max(one, 1)), sample_indices(self.frames.shape[0])
        for start in range(0, len(indices), size):
            yield self.frames.read(indices[start : start + size], self.window)

    def __len__(self) -> int:
        """Number of frames."""
        return len(sample_indices(self.frames.shape[0]))
