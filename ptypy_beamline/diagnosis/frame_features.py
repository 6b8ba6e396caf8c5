"""Features of frames by which pairings and orientations are compared without reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import Delaunay, QhullError, cKDTree

from ..arrays import Bools, Float32s, Floats, Ints
from ..errors import silenced_warnings
from ..planning.make_plan import make_plan
from ..planning.plan import Plan
from ..planning.scan_geometry import in_metres
from ..scan import Scan
from ..settings import Settings
from ..statistics.measure import COLUMNS, Reference, measure_frames

MOST_FRAMES, MOST_BYTES = 2000, 4 * 2**30
"""Positions measured, and bytes of corrected frames; at least ``FEWEST`` positions."""

FEWEST = 24
"""Fewer positions are not examined."""

PATTERN_BINS = 32
"""Bins along each axis of the coarse images by which frames are compared."""

BLANK = 0.05
"""Share of the median counts below which a frame is blank."""

LONG_EDGE = 2.5
"""Triangles with an edge longer than this many median edges span a gap."""


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """What is measured of the frames of a plan, in the orientation of the detector.

    Attributes
    ----------
    plan
        Corrected frames as the detector has them: orientation 0, no padding.
    positions
        (n,) positions of the plan that were measured.
    com_px
        (n, 2) centre of mass (row, column); NaN where a frame has no counts.
    patterns
        (n, d) root of the counts in coarse bins, normalised: frames are compared by the distance
        between these, from 0 (identical) to √2.
    spread_px
        Half side of the square around the beam that holds 95 % of the counts.
    totals
        (n,) counts of each frame.
    """

    plan: Plan
    positions: Ints
    com_px: Floats
    patterns: Float32s
    spread_px: float
    totals: Floats

    @property
    def usual_counts(self) -> float:
        """Median counts of the frames that have any."""
        positive = self.totals[self.totals > 0]
        return float(np.median(positive)) if positive.size else 0.0

    @property
    def illuminated(self) -> Bools:
        """(n,) frames that are not blank."""
        return np.asarray(self.totals > BLANK * self.usual_counts)

    @property
    def positions_m(self) -> Floats:
        """(n, 2) of the positions measured."""
        return self.plan.positions_m[self.positions]

    def subset(self, rows: Ints) -> FrameFeatures:
        """Only the frames in ``rows``."""
        return replace(
            self,
            positions=self.positions[rows],
            com_px=self.com_px[rows],
            patterns=self.patterns[rows],
            totals=self.totals[rows],
        )


def measure_features(plan: Plan, in_order: bool = False, first: int = 0) -> FrameFeatures:
    """Measure some positions of ``plan``: those around its middle, or from ``first`` on."""
    ny, nx = plan.geometry.shape
    most = max(FEWEST, min(MOST_FRAMES, MOST_BYTES // (4 * ny * nx)))
    positions = (
        np.arange(first, min(first + most, len(plan)))
        if in_order
        else nearest_positions(plan.positions_m, np.median(plan.positions_m, axis=0), most)
    )
    parts = list(measure_frames(plan, positions, Reference.of(plan), PATTERN_BINS))
    table = np.concatenate([part.table for part in parts])
    binned = np.concatenate([part.binned for part in parts])
    patterns = np.sqrt(binned.reshape(len(binned), -1))
    patterns /= np.maximum(np.linalg.norm(patterns, axis=1, keepdims=True), 1e-12)
    com_px = table[:, [COLUMNS.index("row"), COLUMNS.index("column")]]
    totals = table[:, COLUMNS.index("total")]
    return FrameFeatures(plan, positions, com_px, patterns, _spread_px(binned.sum(0), plan), totals)


def measure_in_order(scan: Scan, settings: Settings) -> FrameFeatures:
    """Measure the frames of a scan in the order in which they were taken."""
    return measure_features(unoriented_plan(in_metres(scan, settings), settings), in_order=True)


def unoriented_plan(scan: Scan, settings: Settings, **other: object) -> Plan:
    """The plan of ``settings`` with all frames as the detector has them, not padded.

    ``other`` replaces more of the settings.
    """
    plain = {"rotate": None, "flip": None, "orientation": 0, "pad": None, "qc": None, "step": 1}
    with silenced_warnings():  # reported for the scan's own plan
        return make_plan(scan, settings.model_copy(update={**plain, **other}))


def nearest_positions(positions_m: Floats, center_m: Floats, count: int) -> Ints:
    """At most ``count`` positions around ``center_m``, in increasing order."""
    found = cKDTree(positions_m).query(center_m, min(count, len(positions_m)))[1]
    return np.sort(np.atleast_1d(found)).astype(np.int64)


def curl_share(com_px: Floats, positions_m: Floats, flags: tuple[bool, bool, bool]) -> float:
    """How far the centres of mass of frames oriented by ``flags`` deviate from a gradient field.

    The centre of mass of a frame is the mean phase gradient of the illuminated part of the sample
    (A. Menzel et al., Ultramicroscopy 110, 1143 (2010)): its integral round any triangle of
    neighbouring positions is 0. Returned is the sum of the squares of these integrals over that
    of the integrals along the edges: 0 for a gradient field, about ½ for unrelated vectors. NaN
    where the positions form no triangles.
    """
    usable = np.isfinite(com_px).all(axis=1)
    points, field = positions_m[usable], com_px[usable] - np.median(com_px[usable], axis=0)
    transpose, *flips = flags
    field = (field[:, ::-1] if transpose else field) * np.where(flips, -1, 1)
    extent_m = float(np.ptp(points, axis=0).max()) if len(points) else 0.0
    if extent_m == 0:
        return float("nan")
    try:
        triangles = Delaunay(points / extent_m).simplices
    except (QhullError, ValueError):
        return float("nan")
    edges = np.roll(points[triangles], -1, axis=1) - points[triangles]
    longest = np.linalg.norm(edges, axis=2).max(axis=1)
    midway = (field[triangles] + np.roll(field[triangles], -1, axis=1)) / 2
    along = (midway * edges).sum(axis=2)[longest <= LONG_EDGE * np.median(longest)]
    return float((along.sum(axis=1) ** 2).sum() / max(float((along**2).sum()), 1e-300))


def most_varied(features: FrameFeatures, count: int) -> Ints:
    """Rows of ``count`` neighbouring positions where the frames differ most."""
    groups = _compact_groups(features, count)
    variety = [float(features.patterns[group].var(axis=0).sum()) for group in groups]
    return groups[int(np.argmax(variety))]


def partly_in_vacuum(features: FrameFeatures, count: int) -> Ints:
    """Rows of ``count`` neighbouring positions at the edge of the sample.

    Frames in vacuum resemble their neighbours; frames on the sample do not.
    """
    groups = _compact_groups(features, count)
    points_m, patterns = features.positions_m, features.patterns
    around = cKDTree(points_m).query(points_m, min(7, len(points_m)))[1]
    apart = [np.linalg.norm(patterns - patterns[near], axis=1) for near in around.T[1:]]
    dissimilarity = np.mean(apart, axis=0)
    unevenness = [float(dissimilarity[group].std()) for group in groups]
    return groups[int(np.argmax(unevenness))]


def _compact_groups(features: FrameFeatures, count: int) -> list[Ints]:
    """Rows of groups of ``count`` neighbours around 64 positions spread over the scan.

    Groups at its edge, whose members lie farther apart, are left out.
    """
    illuminated = np.flatnonzero(features.illuminated | ~features.illuminated.any())
    points_m = features.positions_m[illuminated]
    picked = points_m[np.unique(np.linspace(0, len(points_m) - 1, 64).astype(int))]
    count = min(count, len(points_m))
    distances, groups = cKDTree(points_m).query(picked, np.arange(1, count + 1))
    compact = np.flatnonzero(distances[:, -1] <= 1.2 * distances[:, -1].min())
    return [illuminated[np.sort(groups[k])] for k in compact]


def _spread_px(binned: Floats, plan: Plan) -> float:
    """Half side of the square around the beam that holds 95 % of the counts."""
    edges = [
        np.linspace(0, n, side + 1)
        for n, side in zip(plan.geometry.shape, binned.shape, strict=True)
    ]
    away = [
        np.maximum(np.abs(e[:-1] - c - 0.5), np.abs(e[1:] - c - 0.5))
        for e, c in zip(edges, plan.geometry.center_px, strict=True)
    ]
    reach = np.maximum.outer(*away).ravel()
    order = np.argsort(reach)
    share = np.cumsum(binned.ravel()[order], dtype=np.float64)
    return float(reach[order][np.searchsorted(share, 0.95 * share[-1])])
