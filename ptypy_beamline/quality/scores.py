"""Deviation of each frame from its neighbours' prediction, the kind of fault, and a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats, Ints
from ..robust import finite_median, rank
from ..statistics.measurements import Measurements
from ..statistics.neighbours import MAX_Z, Neighbours, local_z, median_distance
from .embedding import Embedding

IMAGE_NUMBERS = ("level", "residual", "apart", "step")
"""Numbers of the embedded images that are compared with those of the neighbours."""

MIN_SIGMA = {"row": 0.05, "column": 0.05, "without_count": 0.002}
MIN_LOG_SIGMA = 0.005
"""Least standard deviations, however quiet the scan: in pixels, as a fraction of the pixels, and
half a percent for everything else."""

ONE_SIDED = {
    "likeness": 1,
    "neighbours": 1,
    "without_count": 1,
    "change": -1,
    "residual": 1,
    "apart": 1,
    "step": -1,
}
"""Numbers that are unusual in one direction only: a frame cannot be too similar to its neighbours,
but it can be too similar to the one before."""


def z_scores(measured: Measurements, embedding: Embedding, around: Neighbours) -> dict[str, Floats]:
    """(n,) robust z of every number that is compared with the neighbours.

    Where only one direction is unusual, that one is positive.
    """
    found = _frame_numbers(measured, around.rows) | _image_numbers(embedding, around.rows)
    return {
        name: _one_sided(name, local_z(values, around, MIN_SIGMA.get(name, MIN_LOG_SIGMA)))
        for name, values in found.items()
    }


def _one_sided(name: str, z: Floats) -> Floats:
    sign = ONE_SIDED.get(name, 0)
    return np.maximum(z * sign, 0) if sign else z


def _frame_numbers(measured: Measurements, around: Ints) -> dict[str, Floats]:
    """Numbers to compare: positions in pixels, everything else as the logarithm of a ratio."""
    total, usual = measured.column("total"), finite_median(measured.column("total"))
    highest = measured.column("maximum")
    found = {
        "total": _log(total / usual, 1e-3) if usual > 0 else total,
        "maximum": _log(highest / max(float(np.median(highest)), 1e-9), 1e-3),
        "row": measured.column("row"),
        "column": measured.column("column"),
        "row_variance": _log(measured.column("row_variance"), 1e-3),
        "column_variance": _log(measured.column("column_variance"), 1e-3),
        "contrast": _log(measured.column("contrast"), 1e-3),
        "likeness": _log(1 - measured.column("likeness"), 1e-4),
        "change": _log_of_change(measured.column("change")),
        "without_count": measured.without_count,
        "neighbours": _log(median_distance(measured.coarse, around, "mean"), 1e-3),
    }
    for ring in range(1, 5):
        share = np.divide(
            measured.column(f"ring_{ring}"), total, where=total > 0, out=np.full(len(total), np.nan)
        )
        found[f"ring_{ring}"] = _log(share, 1e-4)
    if measured.monitor is not None:
        level = finite_median(measured.monitor)
        if level > 0:
            found["monitor"] = _log(measured.monitor / level, 1e-3)
    return found


def _image_numbers(embedding: Embedding, around: Ints) -> dict[str, Floats]:
    """Numbers of the embedded images to compare, see :data:`IMAGE_NUMBERS`."""
    points = embedding.points
    step = np.full(len(points), np.nan)
    step[1:] = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return {
        "level": embedding.level,
        "residual": _log(embedding.residual, 1e-9),
        "apart": _log(median_distance(points, around, "euclidean"), 1e-9),
        "step": _log_of_change(step),
    }


def _log(values: Floats, smallest: float) -> Floats:
    return np.asarray(np.log(np.maximum(values, 0) + smallest), np.float64)


def _log_of_change(values: Floats) -> Floats:
    """Logarithm of changes; no change at all counts as a millionth of the median change."""
    usual = finite_median(values)
    return _log(values / usual, 1e-6) if usual > 0 else np.full(len(values), np.nan)


SHAPE = (
    "contrast",
    "row_variance",
    "column_variance",
    "ring_1",
    "ring_2",
    "ring_3",
    "row",
    "column",
    "likeness",
)
"""What does not depend on the intensity."""

ANY = (
    "total",
    "maximum",
    "row_variance",
    "column_variance",
    "contrast",
    "ring_1",
    "ring_2",
    "ring_3",
    "neighbours",
    "likeness",
    "row",
    "column",
    "without_count",
    "monitor",
)
"""Numbers that make a fault by themselves if they deviate strongly."""


@dataclass(frozen=True)
class Fault:
    """One way in which a frame deviates from its neighbours.

    Attributes
    ----------
    name
        Description of such a frame.
    least
        Number → least |z|.
    most
        Number → largest |z|: more would be due to the sample.
    """

    name: str
    least: Mapping[str, float]
    most: Mapping[str, float] = field(default_factory=dict)

    def size(self, z: Mapping[str, Floats]) -> Floats:
        """(n,) from 0; 1 or more where a frame has this fault. ``z`` are absolute values."""
        parts = [z[name] / limit for name, limit in self.least.items()]
        for name, limit in self.most.items():
            parts.append(np.where(z[name] > limit, limit / np.maximum(z[name], limit), MAX_Z))
        return np.asarray(np.minimum.reduce(parts))


REPEATED = "repeated frame"

FAULTS = (
    Fault("unlike the rest of the scan", {"likeness": 5, "apart": 2}),
    Fault("unlike its neighbours", {"apart": 6}),
    Fault("unlike its neighbours", {"neighbours": 5}),
    Fault(REPEATED, {"step": 8}),
    Fault("intensity", {"total": 3, "apart": 5}),
    Fault("intensity", {"total": 3.75, "apart": 1.5}, {"shape": 2.5}),
    Fault("noise", {"spread": 4, "neighbours": 3}),
    Fault("shifted", {"offset": 6, "likeness": 2}, {"variance": 3}),
    Fault("any", {"any": 10, "apart": 4}),
)
"""Limits are of the numbers that :func:`z_scores` and :func:`_absolute` give."""

CERTAIN = 10.0
"""Size of the fault of a frame that has no beam, or equals the one before."""

SUSPICIOUS, SUSPECTED = 10.0, 0.99
"""|z| of any number alone that brings a frame close to a fault, and how close."""

TWO_NORMALS = 1.25
"""The 95 % quantile of the length of two normal deviations over that of one."""


@dataclass(frozen=True, eq=False)
class Deviation:
    """How close each row is to a fault, and what deviates most.

    Attributes
    ----------
    size
        (n,) 1 or more where the row has a fault.
    reason
        (n,) name of the fault, or of a number where that is more specific.
    """

    size: Floats
    reason: NDArray[np.str_]

    @classmethod
    def of(cls, z: Mapping[str, Floats], dark: Bools, lost: Floats, repeated: Bools) -> Deviation:
        """From z scores, frames without beam, and frames that equal the one before.

        ``dark`` frames are faulty where ``lost`` is 1 or more, see :func:`.beam_lost`.
        """
        absolute = _absolute(z)
        each = np.stack([fault.size(absolute) for fault in FAULTS])
        largest = each.argmax(axis=0)
        names = np.array([fault.name for fault in FAULTS])[largest]
        known = [name for name in ANY if name in z]
        farthest = np.abs(np.stack([z[name] for name in known])).argmax(axis=0)
        reason = np.where(names == "any", np.array(known)[farthest], names)
        alone = np.maximum(absolute["any"], absolute["offset"] / TWO_NORMALS)
        size = np.maximum(each.max(axis=0), np.minimum(alone / SUSPICIOUS, SUSPECTED))
        size = np.where(dark, np.where(lost >= 1, CERTAIN * lost, lost), size)
        size = np.where(repeated, CERTAIN, size)
        reason = np.where(lost >= 1, "no beam", np.where(dark, "dark", reason))
        return cls(size, np.where(repeated, REPEATED, reason))

    def score(self, z: Mapping[str, Floats], dark: Bools, weight: float) -> Floats:
        """(n,) 0 … 1: w·rank(size) + (1−w)·rank(how unusual the image is).

        A frame with a fault never has a lower score than one without.
        """
        image = np.max([np.abs(z[name]) for name in IMAGE_NUMBERS], axis=0)
        image = np.where(dark, self.size, image)
        image = np.where(self.size >= 1, MAX_Z * self.size, image)
        return combined(self.size, image, weight)


def _absolute(z: Mapping[str, Floats]) -> dict[str, Floats]:
    """|z| of each number, and of combinations of several."""
    row, column = z["row_variance"], z["column_variance"]
    wider = np.where(row * column > 0, np.minimum(np.abs(row), np.abs(column)), 0)
    common = {
        "offset": np.hypot(z["row"], z["column"]),
        "variance": np.maximum(np.abs(row), np.abs(column)),
        "spread": wider,
        "shape": np.max([np.abs(z[name]) for name in SHAPE], axis=0),
        "any": np.max([np.abs(z[name]) for name in ANY if name in z], axis=0),
    }
    return {name: np.abs(values) for name, values in z.items()} | common


def combined(features: Floats, embedding: Floats, weight: float) -> Floats:
    """Score 0 … 1: w·rank(features) + (1−w)·rank(embedding)."""
    return weight * rank(features) + (1 - weight) * rank(embedding)
