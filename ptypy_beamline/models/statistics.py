"""PtyPy's statistics of a scan, added up as the frames come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ptypy.core.classes import Storage
from ptypy.core.manager import logger
from ptypy.utils import parallel

from ..arrays import Bools, Numbers

STATISTICS_BYTES = 2**20
"""Frames whose statistics are computed in one go: they stay in the processor's cache."""


class Statistics:
    """PtyPy's statistics of a scan, from a single pass over the frames."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.totals: list[Numbers] = []
        self.max, self.min, self.sum, self.good = (np.zeros(shape) for _ in range(4))

    def add(self, frames: Any, good: Bools) -> None:
        """Frames (n, ny, nx) and their good pixels, in the order in which they are summed."""
        size = max(1, STATISTICS_BYTES // max(frames[:1].nbytes, 1))
        for start in range(0, len(frames), size):
            counts = good[start : start + size] * frames[start : start + size]
            counts += 0  # no zero is negative, which products of bad pixels may be
            self.totals.append(counts.reshape(len(counts), -1).sum(axis=1))
            np.fmax(self.max, np.fmax.reduce(counts), out=self.max)  # as PtyPy, of numbers only
            np.fmin(self.min, np.fmin.reduce(counts), out=self.min)
            for frame in counts:  # one after the other: the order decides how the sum is rounded
                self.sum += frame
        if good.strides[0]:
            self.good += np.count_nonzero(good, axis=0)
        elif len(good):
            self.good += len(good) * good[0].astype(float)

    def put(self, diff: Storage, frames: int, label: str) -> None:
        """Reduce over all ranks, and set what PtyPy's ``_update_stats`` sets."""
        maximum, minimum, mean, norm = (
            image.copy() for image in (self.max, self.min, self.sum, self.good)
        )
        parallel.allreduce(mean)
        parallel.allreduce(norm)
        if parallel.MPIenabled:
            parallel.allreduce(maximum, parallel.MPI.MAX)
            parallel.allreduce(minimum, parallel.MPI.MIN)
        mean /= norm + (norm == 0)
        totals = [np.concatenate(self.totals)] if self.totals else []
        pixels = np.prod(diff.shape[1:])
        diff.norm, diff.mean, diff.max, diff.min = norm, mean, maximum, minimum
        diff.max_power, diff.tot_power = parallel.MPImax(totals), parallel.MPIsum(totals)
        diff.mean_power = diff.tot_power / (frames * pixels)
        diff.pbound_stub = diff.max_power / pixels
        diff.label = label
        logger.info(
            f"\n--- Scan {label} photon report ---\n"
            f"Total photons   : {diff.tot_power:.2e} \n"
            f"Average photons : {mean.sum():.2e}\n"
            f"Maximum photons : {diff.max_power:.2e}\n" + "-" * 29
        )
