"""Samples of raw frames, spread over the scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Ints
from ..errors import BeamlineError
from ..scan import SAMPLE, Frames, Scan, Window, absent, sample_indices, written
from ..settings import Settings
from .frame_lists import rejected

BATCH_BYTES = 8 * 2**20
"""Bytes of frames that are read at a time."""


@dataclass(frozen=True)
class Sample:
    """At most ``size`` frames of a stack, cut to ``window`` (inside the frame).

    They are read :data:`BATCH_BYTES` at a time, because 64 frames of a large detector are gigabytes
    in double precision. Frames that were never written are excluded.
    """

    frames: Frames
    window: Window
    size: int = SAMPLE
    rejected: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, scan: Scan, settings: Settings, window: Window, size: int = SAMPLE) -> Sample:
        """Sample a scan; frames that ``settings`` reject are included unless they are damaged."""
        return cls(scan.frames, window, size, rejected(scan, settings, settings.growing))

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Iterate over frames (h, w) native."""
        for stack in self.stacks():
            yield from stack

    def stacks(self) -> Iterator[NDArray[Any]]:
        """The same in batches (n, h, w)."""
        return in_batches(self.frames, self.window, self.indices)

    @cached_property
    def indices(self) -> Ints:
        """(n,) the frames."""
        found = written_sample(self.frames, self.size)
        doubtful = found[np.isin(found, self.rejected)]
        return np.setdiff1d(found, [index for index in doubtful if not self._is_readable(index)])

    def _is_readable(self, index: int) -> bool:
        try:
            self.frames.read([index], self.window)
        except BeamlineError:
            return False
        return True

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.indices)

    @property
    def bytes(self) -> int:
        """Bytes of all frames."""
        return len(self) * self.window.pixels * self.frames.dtype.itemsize


def written_sample(frames: Frames, size: int, so_far: int | None = None) -> Ints:
    """At most ``size`` readable frames of the first ``so_far``, evenly spread."""
    n = frames.shape[0] if so_far is None else min(so_far, frames.shape[0])
    is_written, is_absent = written(frames), absent(frames)
    usable = np.ones(n, np.bool_) if is_written is None else is_written[:n]
    known = np.flatnonzero(usable if is_absent is None else usable & ~is_absent[:n])
    return known[sample_indices(len(known), size)] if len(known) else known


def in_batches(frames: Frames, window: Window, indices: Ints) -> Iterator[NDArray[Any]]:
    """Read frames (n, h, w), :data:`BATCH_BYTES` at a time."""
    size = max(1, BATCH_BYTES // max(window.pixels * frames.dtype.itemsize, 1))
    for start in range(0, len(indices), size):
        yield frames.read(indices[start : start + size], window)
