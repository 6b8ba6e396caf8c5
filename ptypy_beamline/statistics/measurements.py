"""Exposures of a plan and their measurements: numbers in memory, images on disk."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..arrays import Float32s, Floats, Ints
from ..output.files import naming_full_disk
from ..planning.plan import Plan
from ..planning.selection import one_exposure_each
from .measure import COLUMNS, COUNTED, BlockMeasurements


@dataclass(frozen=True, eq=False)
class Exposures:
    """A plan in which every exposure is a position of its own.

    Attributes
    ----------
    plan
        With one exposure per position.
    slot
        (n,) number of each exposure at its position: these may differ in exposure time.
    total
        Raw frames of the scan.
    """

    plan: Plan
    slot: Ints
    total: int

    @classmethod
    def of(cls, plan: Plan) -> Exposures:
        """The exposures of ``plan``, corrected, but neither grouped nor aligned."""
        present = plan.selection.exposures >= 0
        slot = np.broadcast_to(np.arange(present.shape[1]), present.shape)[present]
        if present.shape[1] == 1:
            slot = _repeats(plan.positions_m)
        single = replace(
            plan,
            selection=one_exposure_each(plan.selection),
            transform=replace(plan.transform, grouping="none", align=False),
        )
        return cls(single, slot, plan.frames.shape[0])

    def __len__(self) -> int:
        return len(self.plan)

    @property
    def frames(self) -> Ints:
        """(n,) raw frame of each."""
        raw: Ints = self.plan.selection.exposures[:, 0]
        return raw


def _repeats(positions_m: Floats) -> Ints:
    """Number of each consecutive exposure at one position, from 0."""
    number = np.arange(len(positions_m))
    new = np.ones(len(positions_m), np.bool_)
    new[1:] = (positions_m[1:] != positions_m[:-1]).any(1)
    return np.asarray(number - np.maximum.accumulate(np.where(new, number, 0)), np.int64)


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measurements of all frames.

    Attributes
    ----------
    table
        (n, len(COLUMNS)), see :data:`.measure.COLUMNS`.
    without_count
        (n,) fraction of the good pixels that are saturated or not finite.
    coarse
        (n, 64) logarithm of the counts in 8×8 bins.
    slot
        (n,) which exposure of its position each is.
    monitor
        (n,) I0, where it is recorded.
    """

    table: Floats
    without_count: Floats
    coarse: Float32s
    slot: Ints
    monitor: Floats | None = None

    @classmethod
    def of(
        cls, blocks: Sequence[BlockMeasurements], slot: Ints, monitor: Floats | None = None
    ) -> Measurements:
        """All blocks, one after another."""
        return cls(
            np.concatenate([block.table for block in blocks]),
            np.concatenate([block.without_count for block in blocks]),
            np.concatenate([block.coarse for block in blocks]),
            slot,
            monitor,
        )

    def __len__(self) -> int:
        return len(self.table)

    def subset(self, rows: Ints) -> Measurements:
        """Of some frames, or of all in another order; without the monitor."""
        return Measurements(
            self.table[rows], self.without_count[rows], self.coarse[rows], self.slot[rows]
        )

    def scaled(self, factor: Floats) -> Measurements:
        """As if the intensity at each frame had been ``factor`` (n,) times as high."""
        table = self.table.copy()
        table[:, [name in COUNTED for name in COLUMNS]] *= factor[:, None]
        coarse = np.log1p(np.expm1(self.coarse) * factor[:, None]).astype(np.float32)
        return replace(self, table=table, coarse=coarse)

    def column(self, name: str) -> Floats:
        """One of :data:`.measure.COLUMNS`."""
        values: Floats = self.table[:, COLUMNS.index(name)]
        return values

    @property
    def equal_exposures(self) -> Floats:
        """(n,) counts as if all exposures of a position were as long as the first."""
        total: Floats = self.column("total").copy()
        for one in np.unique(self.slot)[1:]:
            rows, first = self.slot == one, self.slot == self.slot.min()
            usual = float(np.median(total[rows]))
            total[rows] *= float(np.median(total[first])) / usual if usual > 0 else 1
        return total

    @property
    def shape(self) -> Floats:
        """(n, 6) numbers independent of the intensity: shares of the rings, and widths."""
        total = np.maximum(self.column("total"), 1)
        rings = [np.sqrt(np.maximum(self.column(f"ring_{k}"), 0) / total) for k in range(1, 5)]
        widths = [
            np.log(np.maximum(self.column(name), 0) + 1e-3)
            for name in ("row_variance", "column_variance")
        ]
        return np.asarray(np.nan_to_num(np.stack([*rings, *widths], axis=1)))


BATCH = 1000
"""Binned frames that are in memory at once."""


class BinnedFrames:
    """Binned frames in a temporary file, so that memory does not grow with the scan."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="ptypy-beamline-qc-")  # noqa: SIM115
        self._shape: tuple[int, ...] = ()
        self._count = 0
        self._factor: Floats | None = None

    def scaled(self, factor: Floats) -> BinnedFrames:
        """The same frames with ``factor`` (n,) times the counts, as they are read."""
        other = copy(self)
        other._factor = factor
        return other

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> BinnedFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, images: Float32s) -> None:
        """Append (k, s, s) counts."""
        self._shape = images.shape[1:]
        with naming_full_disk(Path(tempfile.gettempdir()), "make room there, or set TMPDIR"):
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(images, np.float32).tobytes())
            self._file.flush()
        self._count += len(images)

    def batches(self, size: int = BATCH) -> Iterator[Float32s]:
        """All of them in order, ``size`` at a time."""
        one = math.prod(self._shape) * 4
        for start in range(0, self._count, size):
            self._file.seek(start * one)
            data = self._file.read(min(size, self._count - start) * one)
            images = np.frombuffer(data, np.float32).reshape(-1, *self._shape)
            if self._factor is not None:
                some = self._factor[start : start + len(images), None, None]
                images = np.asarray(images * some, np.float32)
            yield images
