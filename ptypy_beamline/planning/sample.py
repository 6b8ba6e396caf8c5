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


def sample_indices(n: int, size: int = SAMPLE) -> NDArray[np.int64]:
    """At most ``size`` of ``n`` frames, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, size)).round().astype(np.int64))


@dataclass(frozen=True)
class Sample:
    """A few frames of a stack, cut to ``window`` (inside the frame), read one at a time.

    One at a time, because 64 frames of a big detector are gigabytes in double precision.
    """

    frames: Frames
    window: Window

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Frames (h, w) native."""
        for index in sample_indices(self.frames.shape[0]):
            yield self.frames.read([int(index)], self.window)[0]

    def __len__(self) -> int:
        """Number of frames."""
        return len(sample_indices(self.frames.shape[0]))
