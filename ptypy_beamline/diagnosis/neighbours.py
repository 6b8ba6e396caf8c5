"""Whether neighbours on the sample look alike, in one pairing of frames and positions or another.

Of two pairings most neighbours are the same; those that only one of them has tell which is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtr

from ..arrays import Float32s, Floats, Ints
from ..errors import silenced_warnings
from ..planning.selection import select
from ..scan import Scan
from ..settings import Settings
from ..summary import step_m

NEIGHBOUR_STEPS = 1.5
"""Positions so many steps apart are neighbours."""

SHIFTS = (1, -1, 2, -2, 3, -3)
FAR_SHIFTS = (*range(-12, -3), *range(4, 13))
"""Frames by which a pairing may be off, and by which it hardly is."""

FEWEST_LINKS = 8


@dataclass(frozen=True, eq=False)
class Pairing:
    """One way of pairing frames with positions.

    Attributes
    ----------
    settings
        Those that make it, each exposure a position of its own.
    places_m
        (n, 2) where each exposure of the survey was taken; NaN where the pairing has none for it.
    links
        Pairs of exposures that are neighbours, the lower number first.
    """

    settings: Settings
    places_m: Floats
    links: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, scan: Scan, settings: Settings, exposures: Ints) -> Pairing:
        """Of the raw ``exposures`` (n,), increasing."""
        with silenced_warnings():  # said of the scan's own plan
            selection = select(scan, settings)
        kept = np.isin(selection.exposures[:, 0], exposures)
        numbers = np.searchsorted(exposures, selection.exposures[kept, 0])
        places_m = np.full((len(exposures), 2), np.nan)
        places_m[numbers] = selection.positions_m[kept]
        return cls.at(settings, places_m)

    @classmethod
    def at(cls, settings: Settings, places_m: Floats) -> Pairing:
        """Of exposures at ``places_m`` (n, 2)."""
        numbers = np.flatnonzero(np.isfinite(places_m).all(axis=1))
        near = NEIGHBOUR_STEPS * _step_m(places_m[numbers])
        pairs = cKDTree(places_m[numbers]).query_pairs(near, output_type="ndarray")
        ordered = np.sort(numbers[pairs], axis=1)
        return cls(settings, places_m, frozenset(map(tuple, ordered.tolist())))

    @property
    def step_m(self) -> float:
        """Median distance of neighbours."""
        return _step_m(self.places_m[np.isfinite(self.places_m).all(axis=1)])


def _step_m(places_m: Floats) -> float:
    return step_m(np.unique(places_m, axis=0))  # several exposures are at one place


@dataclass(frozen=True)
class Likeness:
    """How a pairing's neighbours compare with those of the given one, where the two differ.

    Attributes
    ----------
    chance
        Probability that they look more alike by chance (rank test of H. Mann and D. Whitney,
        Ann. Math. Stat. 18, 50 (1947)); 1 where too few differ.
    share
        Share of all comparisons of a link of its own with one of the given pairing's in which its
        own looks more alike.
    """

    chance: float
    share: float

    @classmethod
    def of(cls, pairing: Pairing, given: Pairing, looks: Float32s) -> Likeness:
        """Of the links that only one of the two has; ``looks`` as in :class:`.evidence.Survey`."""
        own, others = (
            np.array([*links], np.int64).reshape(-1, 2)
            for links in (pairing.links - given.links, given.links - pairing.links)
        )
        return cls.compared(own, others, looks)

    @classmethod
    def of_neighbours(cls, pairing: Pairing, looks: Float32s) -> Likeness:
        """Of all neighbours, compared with as many pairs of frames drawn at random."""
        return cls._of_links(np.array([*pairing.links], np.int64).reshape(-1, 2), looks)

    @classmethod
    def in_order(cls, looks: Float32s) -> Likeness:
        """Of frames taken one after another, likewise."""
        return cls._of_links(np.arange(len(looks) - 1)[:, None] + (0, 1), looks)

    @classmethod
    def _of_links(cls, links: Ints, looks: Float32s) -> Likeness:
        any_two = np.random.default_rng(0).integers(0, len(looks), links.shape)
        return cls.compared(links, any_two[any_two[:, 0] != any_two[:, 1]], looks)

    @classmethod
    def compared(cls, own: Ints, others: Ints, looks: Float32s) -> Likeness:
        """Of links (n, 2) with others (m, 2)."""
        if min(len(own), len(others)) < FEWEST_LINKS:
            return cls(1.0, 0.5)
        unlike = [np.linalg.norm(looks[a] - looks[b], axis=1) for a, b in (own.T, others.T)]
        return ranked_less(*unlike)


def ranked_less(these: NDArray[Any], others: NDArray[Any]) -> Likeness:
    """Whether ``these`` (n,) are less than ``others`` (m,).

    As ``scipy.stats.mannwhitneyu(these, others, alternative="less", method="asymptotic")`` has it,
    without the CPU second that importing it takes.
    """
    n, m = len(these), len(others)
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, these, side=side) for side in ("left", "right"))
    greater = float((below + up_to).sum()) / 2  # pairs in which the other is less, ties half
    _, tied = np.unique(np.concatenate([these, others]), return_counts=True)
    ties = float((tied.astype(float) ** 3 - tied).sum()) / ((n + m) * (n + m - 1))
    spread = np.sqrt(n * m / 12 * max(n + m + 1 - ties, 0.0))
    z = (n * m / 2 - greater - 0.5) / spread if spread else 0.0
    return Likeness(float(ndtr(-z)), 1 - greater / (n * m))
