"""The exposures of a plan: measured, scored, and accepted or rejected."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Bools, Floats
from ..errors import BeamlineWarning, ScanError, SettingsError
from ..options import Qc
from ..robust import finite_median
from ..statistics.event_search import find_events
from ..statistics.events import Event, intensity
from ..statistics.interruptions import beam_lost, no_beam, repeated
from ..statistics.measure import COLUMNS, BlockMeasurements, Reference, measure_frames
from ..statistics.measurements import BinnedFrames, Exposures, Measurements
from ..statistics.neighbours import Neighbours
from .assessment import Assessment, small_images
from .embedding import Embedding, classes, embed
from .scores import Deviation, z_scores

Progress = Callable[[int], None]
"""Called with the number of exposures that have been measured since."""


def evaluate(
    exposures: Exposures,
    qc: Qc,
    stage_m: Floats | None = None,
    monitor: Floats | None = None,
    comm: Any = None,
    progress: Progress = lambda _: None,
    unit: str = "m",
) -> Assessment | None:
    """Measure and evaluate, in one pass over the data.

    Parameters
    ----------
    exposures
        What to evaluate.
    qc
        How to evaluate.
    stage_m
        (n, 2) stage positions (y, x), where they are not those of the plan.
    monitor
        (total,) I0 of the raw frames.
    comm
        MPI communicator whose ranks share the work; None = this process alone.
    progress
        Called with the number of exposures done.
    unit
        Of ``stage_m``, where that is not metres.

    Returns
    -------
    Assessment
        On the first rank; None on the others.
    """
    with BinnedFrames() as binned:
        inspection = Inspection(qc, binned)
        inspection.measure(exposures, comm, progress)
        if comm is not None and comm.rank:
            return None
        return inspection.assess(exposures, stage_m, monitor, unit)


@dataclass
class Inspection:
    """What has been measured so far; a live scan adds to it."""

    qc: Qc
    binned: BinnedFrames
    blocks: list[BlockMeasurements] = field(default_factory=list)
    reference: Reference | None = None

    @property
    def done(self) -> int:
        """Exposures that have been measured."""
        return sum(len(block.table) for block in self.blocks)

    def measure(
        self, exposures: Exposures, comm: Any = None, progress: Progress = lambda _: None
    ) -> None:
        """Measure the exposures that are new, each rank a contiguous share of them."""
        rank, size = (comm.rank, comm.size) if comm is not None else (0, 1)
        start = self.done
        edges = np.linspace(start, len(exposures), size + 1).astype(np.int64)
        mine = np.arange(edges[rank], edges[rank + 1])
        self.reference = self.reference or Reference.of(exposures.plan)
        for block in measure_frames(exposures.plan, mine, self.reference, self.qc.embed_side):
            self.binned.append(block.binned)
            self.blocks.append(block.without_images())
            progress(len(block.table))
        if comm is not None:
            self._gather(comm)

    def _gather(self, comm: Any) -> None:
        """Everything to the first rank, in order; images in batches, to limit memory."""
        lists = comm.gather(self.blocks)
        for rank in range(1, comm.size):
            if comm.rank == rank:
                for images in self.binned.batches():
                    comm.send(images, 0)
                comm.send(None, 0)
            elif comm.rank == 0:
                while (images := comm.recv(source=rank)) is not None:
                    self.binned.append(images)
        self.blocks = [block for one in lists or [] for block in one]

    def assess(
        self,
        exposures: Exposures,
        stage_m: Floats | None = None,
        monitor: Floats | None = None,
        unit: str = "m",
    ) -> Assessment:
        """Score what has been measured, and decide."""
        qc = self.qc
        stage_m = exposures.plan.positions_m if stage_m is None else stage_m
        known = None if monitor is None else monitor[exposures.frames]
        counted = Measurements.of(self.blocks, exposures.slot, known)
        if not counted.column("total").any():
            raise ScanError("the frames hold no counts", "check paths.frames, dark, mask and shape")
        factor = exposures.plan.selection.scale[:, 0]
        found = find_events(counted, stage_m, exposures.frames, factor)
        beam, equalizing = _beam(found, exposures, factor)
        embedding = embed(self.binned.scaled(equalizing), qc.pca_k, qc.embedding)
        equalized = counted.scaled(equalizing)
        deviation, score = _scored(equalized, embedding, stage_m, repeated(counted, factor), qc)
        masked = region(stage_m, qc, unit)
        row, column = counted.column("row"), counted.column("column")
        return Assessment(
            frames=exposures.frames,
            total=exposures.total,
            positions_m=stage_m,
            features={name: counted.column(name) for name in COLUMNS},
            deviation=deviation.size,
            reason=deviation.reason,
            score=score,
            stxm=np.log1p(np.maximum(counted.column("total"), 0)),
            dpcx=column - finite_median(column),
            dpcy=row - finite_median(row),
            labels=classes(embedding, qc.labels),
            masked=masked,
            rejected=~masked | decide(score, deviation.size, masked, qc),
            images=small_images(self.binned),
            settings={**qc.model_dump(), "rule": rule(qc)},
            unit=unit,
            events=tuple(found),
            beam=beam,
            i0_recorded=known is not None and bool(np.isfinite(known).any()),
        )


def _beam(events: list[Event], exposures: Exposures, factor: Floats) -> tuple[Floats, Floats]:
    """(total,) intensity of the beam, and (n,) factors that equalize the counts of the exposures.

    A change of the beam or the monitor over many frames is no fault of single frames. ``factor``:
    by which a monitor has scaled the counts.
    """
    beam = intensity(events, exposures.total)
    equalizing = 1 / np.nan_to_num(beam[exposures.frames], nan=1.0)
    if any(event.of_monitor for event in events):
        equalizing = equalizing / factor
    else:
        beam[exposures.frames] /= factor
    return beam, equalizing


def _scored(
    measured: Measurements, embedding: Embedding, stage_m: Floats, repeats: Bools, qc: Qc
) -> tuple[Deviation, Floats]:
    """Deviations of the frames from their neighbours, and their scores."""
    # A loss of the beam may be longer than a neighbourhood, so dark frames are no neighbours.
    dark = no_beam(measured)
    around = Neighbours.of(stage_m, np.where(dark, -1, measured.slot))
    z = z_scores(measured, embedding, around)
    deviation = Deviation.of(z, dark, beam_lost(measured, dark, stage_m), repeats)
    return deviation, deviation.score(z, dark, qc.w_feat)


def decide(score: Floats, deviation: Floats, masked: Bools, qc: Qc) -> Bools:
    """Rows to reject: by the rules requested, combined, else by the default one.

    Parameters
    ----------
    score
        (n,) 0 … 1.
    deviation
        (n,) 1 and more: a fault.
    masked
        (n,) inside the region; rules by number count only these.
    """
    requested = (qc.reject_topk, qc.reject_topp, qc.reject_thresh)
    if all(rule is None for rule in requested):
        return deviation >= 1
    inside_rows = np.flatnonzero(masked)
    worst = inside_rows[np.argsort(-score[inside_rows], kind="stable")]
    count = max(qc.reject_topk or 0, round((qc.reject_topp or 0) * len(worst)))
    out = np.zeros(len(score), np.bool_)
    out[worst[:count]] = True
    if qc.reject_thresh is not None:
        out |= score >= qc.reject_thresh
    return out


def rule(qc: Qc) -> str:
    """The rule in words."""
    rules = []
    if qc.reject_topk is not None:
        plural = "s" if qc.reject_topk != 1 else ""
        rules.append(f"the {qc.reject_topk} frame{plural} with the highest score{plural}")
    if qc.reject_topp is not None:
        rules.append(f"{qc.reject_topp:.3g} of the frames, those with the highest scores")
    if qc.reject_thresh is not None:
        rules.append(f"scores of {qc.reject_thresh:g} and above")
    return " and ".join(rules) or "default rule: frames unlike their neighbours on the sample"


def inside(positions: Floats, qc: Qc) -> Bools:
    """Rows inside the region of ``qc``; ``positions`` (n, 2) stage y, x."""
    y, x = positions.T
    keep = np.ones(len(positions), np.bool_)
    if qc.rect is not None:
        cx, cy, width, height = qc.rect
        keep &= (np.abs(x - cx) <= width / 2) & (np.abs(y - cy) <= height / 2)
    if qc.circ is not None:
        cx, cy, radius = qc.circ
        keep &= np.hypot(x - cx, y - cy) <= radius
    return keep


def region(positions: Floats, qc: Qc, unit: str) -> Bools:
    """As :func:`inside`, with a warning where the region contains the whole scan.

    Raises
    ------
    SettingsError
        The region contains no frame of the scan.
    """
    keep = inside(positions, qc)
    if qc.rect is None and qc.circ is None:
        return keep
    (y0, x0), (y1, x1) = positions.min(0), positions.max(0)
    unit = unit or "(as stored)"
    where = f"positions are x {x0:.4g} to {x1:.4g}, y {y0:.4g} to {y1:.4g} {unit}"
    if not keep.any():
        raise SettingsError(
            f"no frame lies in the region: {where}",
            "give rect (--rect CX CY W H) or circ (--circ CX CY R) in that unit",
        )
    if keep.all():
        warnings.warn(
            f"the region contains the whole scan, so it excludes nothing: {where}; "
            "rect and circ (--rect, --circ) are in that unit",
            BeamlineWarning,
            stacklevel=3,
        )
    return keep
