"""The exposures of a plan: measured, scored and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..errors import ScanError
from ..options import Qc
from ..planning.plan import Plan
from ..planning.selection import one_exposure_each
from . import evidence, kernels, reject
from .assessment import Assessment
from .embedding import embed
from .events import events, intensity
from .faults import Deviation
from .features import Part, Yardstick, measured
from .labels import classes
from .pictures import small_pictures
from .scores import LIMIT, Around, combined
from .spool import Spool

Progress = Callable[[int], None]
"""Called with the number of exposures that have been measured since."""


@dataclass(frozen=True, eq=False)
class Exposures:
    """A plan that hands over every exposure by itself.

    Attributes
    ----------
    plan
        With one exposure a position.
    slot
        (n,) which of the exposures of its position each is: they may differ in exposure time.
    total
        Raw frames of the scan.
    """

    plan: Plan
    slot: Ints
    total: int

    @classmethod
    def of(cls, plan: Plan) -> Exposures:
        """Those of ``plan``, corrected as there, but neither grouped nor aligned."""
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
        """Number of exposures."""
        return len(self.plan)

    @property
    def frames(self) -> Ints:
        """(n,) raw frame of each."""
        raw: Ints = self.plan.selection.exposures[:, 0]
        return raw


def evaluate(
    exposures: Exposures,
    qc: Qc,
    stage_m: Floats | None = None,
    monitor: Floats | None = None,
    comm: Any = None,
    progress: Progress = lambda _: None,
    unit: str = "m",
) -> Assessment | None:
    """Measure and judge, in one pass over the data.

    Parameters
    ----------
    exposures
        What to look at.
    qc
        How to judge.
    stage_m
        (n, 2) stage positions (y, x), where they are not those of the plan.
    monitor
        (total,) I0 of the raw frames.
    comm
        MPI communicator whose ranks share the work; None = this process alone.
    progress
        Told how many exposures are done.
    unit
        Of ``stage_m``, where that is not metres.

    Returns
    -------
    Assessment
        On the first rank; None on the others.
    """
    with Spool() as spool:
        inspection = Inspection(qc, spool)
        inspection.look(exposures, comm, progress)
        if comm is not None and comm.rank:
            return None
        return inspection.judge(exposures, stage_m, monitor, unit)


@dataclass
class Inspection:
    """What has been measured so far; a live scan adds to it."""

    qc: Qc
    spool: Spool
    parts: list[Part] = field(default_factory=list)
    yard: Yardstick | None = None

    @property
    def done(self) -> int:
        """Exposures that have been measured."""
        return sum(len(part.table) for part in self.parts)

    def look(
        self, exposures: Exposures, comm: Any = None, progress: Progress = lambda _: None
    ) -> None:
        """Measure the exposures that are new, each rank a contiguous share of them."""
        rank, size = (comm.rank, comm.size) if comm is not None else (0, 1)
        start = self.done
        edges = np.linspace(start, len(exposures), size + 1).astype(np.int64)
        mine = np.arange(edges[rank], edges[rank + 1])
        self.yard = self.yard or Yardstick.of(exposures.plan)
        for part in measured(exposures.plan, mine, self.yard, self.qc.embed_side):
            self.spool.append(part.binned)
            self.parts.append(part.without_pictures())
            progress(len(part.table))
        if comm is not None:
            self._gather(comm)

    def _gather(self, comm: Any) -> None:
        """Everything to the first rank, in order; pictures in batches, for the sake of memory."""
        lists = comm.gather(self.parts)
        for rank in range(1, comm.size):
            if comm.rank == rank:
                for images in self.spool.batches():
                    comm.send(images, 0)
                comm.send(None, 0)
            elif comm.rank == 0:
                while (images := comm.recv(source=rank)) is not None:
                    self.spool.append(images)
        self.parts = [part for one in lists or [] for part in one]

    def judge(
        self,
        exposures: Exposures,
        stage_m: Floats | None = None,
        monitor: Floats | None = None,
        unit: str = "m",
    ) -> Assessment:
        """Score what has been measured, and decide."""
        plan, qc = exposures.plan, self.qc
        stage_m = plan.positions_m if stage_m is None else stage_m
        known = None if monitor is None else monitor[exposures.frames]
        counted = evidence.Measured.of(self.parts, exposures.slot, known)
        if not counted.column("total").any():
            raise ScanError("the frames hold no counts", "check paths.frames, dark, mask and shape")
        factor = plan.selection.scale[:, 0]
        happened = events(counted, stage_m, exposures.frames, factor)
        beam = intensity(happened, exposures.total)
        # What the beam or the monitor did to many frames in a row is no fault of one.
        even = 1 / np.nan_to_num(beam[exposures.frames], nan=1.0)
        if any(event.of_monitor for event in happened):
            even = even / factor
        else:
            beam[exposures.frames] /= factor
        seen = counted.scaled(even)
        # A dump of the beam may be longer than a neighbourhood: it is nobody's neighbour.
        dark = evidence.no_beam(seen)
        around = Around.of(stage_m, np.where(dark, -1, exposures.slot))
        embedding = embed(self.spool.scaled(even), qc.pca_k, qc.embedding)
        z = evidence.deviations(seen, embedding, around)
        again = evidence.repeated(counted, factor)
        found = Deviation.of(z, dark, evidence.beam_lost(seen, dark, stage_m), again)
        score = combined(found.nearness, _of_pictures(z, dark, found.nearness), qc.w_feat)
        masked = reject.region(stage_m, qc, unit)
        row, column = counted.column("row"), counted.column("column")
        return Assessment(
            frames=exposures.frames,
            total=exposures.total,
            positions_m=stage_m,
            features={name: counted.column(name) for name in kernels.COLUMNS},
            deviation=found.nearness,
            reason=found.reason,
            score=score,
            stxm=np.log1p(np.maximum(counted.column("total"), 0)),
            dpcx=column - evidence.middle(column),
            dpcy=row - evidence.middle(row),
            labels=classes(embedding, qc.labels),
            masked=masked,
            rejected=~masked | reject.judge(score, found.nearness, masked, qc),
            images=small_pictures(self.spool),
            settings={**qc.model_dump(), "rule": reject.rule(qc)},
            unit=unit,
            events=tuple(happened),
            beam=beam,
            i0_recorded=known is not None and bool(np.isfinite(known).any()),
        )


def _of_pictures(z: Mapping[str, Floats], dark: Bools, nearness: Floats) -> Floats:
    """(n,) how unusual each picture is.

    No frame that the default rule rejects is to have a lower score than one that it accepts.
    """
    farthest = np.max([np.abs(z[k]) for k in evidence.PICTURE], axis=0)
    farthest = np.where(dark, nearness, farthest)
    return np.asarray(np.where(nearness >= 1, LIMIT * nearness, farthest))


def _repeats(positions_m: Floats) -> Ints:
    """Which of the exposures that follow each other at one position each is, from 0."""
    number = np.arange(len(positions_m))
    new = np.ones(len(positions_m), np.bool_)
    new[1:] = (positions_m[1:] != positions_m[:-1]).any(1)
    return np.asarray(number - np.maximum.accumulate(np.where(new, number, 0)), np.int64)
