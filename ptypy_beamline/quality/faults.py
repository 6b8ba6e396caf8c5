"""What frames look like that went wrong, and how near to that each frame is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats
from .scores import LIMIT

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
"""What light of another strength leaves as it is."""

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


@dataclass(frozen=True)
class Fault:
    """One way in which a frame departs from its neighbours.

    Attributes
    ----------
    name
        What is said of such a frame.
    least
        Feature → |z| that it has at least.
    most
        Feature → |z| that it has at most: what else would be the sample.
    """

    name: str
    least: Mapping[str, float]
    most: Mapping[str, float] = field(default_factory=dict)

    def nearness(self, size: Mapping[str, Floats]) -> Floats:
        """(n,) 1 and more: so it is."""
        parts = [size[name] / limit for name, limit in self.least.items()]
        for name, limit in self.most.items():
            parts.append(np.where(size[name] > limit, limit / np.maximum(size[name], limit), LIMIT))
        return np.asarray(np.minimum.reduce(parts))


AGAIN = "repeated frame"

FAULTS = (
    Fault("unlike the scan", {"likeness": 5, "apart": 2}),
    Fault("unlike its neighbours", {"apart": 6}),
    Fault("unlike its neighbours", {"neighbours": 5}),
    Fault(AGAIN, {"step": 8}),
    Fault("light", {"total": 3, "apart": 5}),
    Fault("light", {"total": 3.75, "apart": 1.5}, {"shape": 2.5}),
    Fault("noise", {"spread": 4, "neighbours": 3}),
    Fault("shifted", {"offset": 6, "likeness": 2}, {"variance": 3}),
    Fault("any", {"any": 10, "apart": 4}),
)
"""Names of features are those of :mod:`.evidence`, and of :func:`_sizes`."""

LOST = 10.0
"""How far beyond the limit a frame is that has no beam, or is the one before."""

SUSPICIOUS, SUSPECTED = 10.0, 0.99
"""|z| of any feature alone that brings a frame near to a fault, and how near."""

BOTH = 1.25
"""The 95 % quantile of the length of two normal deviations over that of one."""


@dataclass(frozen=True, eq=False)
class Deviation:
    """How near each row is to a fault, 1 and more if it has one, and what departs most.

    ``reason`` is the name of the fault, or of a feature where that tells more.
    """

    nearness: Floats
    reason: NDArray[np.str_]

    @classmethod
    def of(cls, z: Mapping[str, Floats], dark: Bools, lost: Floats, repeated: Bools) -> Deviation:
        """From what is compared; for ``dark`` frames ``lost`` says how near they are.

        ``repeated``: the frame before once more, which takes no comparison.
        """
        size = _sizes(z)
        each = np.stack([fault.nearness(size) for fault in FAULTS])
        worst = each.argmax(axis=0)
        features = [name for name in ANY if name in z]
        which = np.abs(np.stack([z[name] for name in features])).argmax(axis=0)
        names = np.array([fault.name for fault in FAULTS])[worst]
        reason = np.where(names == "any", np.array(features)[which], names)
        farthest = np.maximum(size["any"], size["offset"] / BOTH)
        suspicious = np.minimum(farthest / SUSPICIOUS, SUSPECTED)
        nearness = np.maximum(each.max(axis=0), suspicious)
        nearness = np.where(dark, np.where(lost >= 1, LOST * lost, lost), nearness)
        nearness = np.where(repeated, LOST, nearness)
        reason = np.where(lost >= 1, "no beam", np.where(dark, "dark", reason))
        return cls(nearness, np.where(repeated, AGAIN, reason))


def _sizes(z: Mapping[str, Floats]) -> dict[str, Floats]:
    """|z| of each feature, and of what several say together."""
    row, column = z["row_variance"], z["column_variance"]
    wider = np.where(row * column > 0, np.minimum(np.abs(row), np.abs(column)), 0)
    together = {
        "offset": np.hypot(z["row"], z["column"]),
        "variance": np.maximum(np.abs(row), np.abs(column)),
        "spread": wider,
        "shape": np.max([np.abs(z[name]) for name in SHAPE], axis=0),
        "any": np.max([np.abs(z[name]) for name in ANY if name in z], axis=0),
    }
    return {name: np.abs(values) for name, values in z.items()} | together
