"""A stage that slipped, or a sample that moved: the frames before and after fit by themselves."""

from __future__ import annotations

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..settings import Settings
from ..summary import Finding
from .candidates import PATCH_FRAMES, Patch
from .evidence import Survey, liveliest
from .neighbours import FEWEST_LINKS, Pairing, ranked_less
from .orientation import Ranking, ranked
from .remedy import finding

SURELY, SOON = 1e-5, 2
"""Chance that neighbours from before and after look less alike than others do; exposures that
follow each other so soon are on the same side."""


def findings(seen: Survey, settings: Settings) -> list[Finding]:
    """Whether a scan falls into two parts; to be asked where no orientation fits it as a whole.

    Neighbours on the sample that were taken before and after look least alike where it falls
    apart; then each part must determine the orientation, and both the same one.
    """
    cut = _weakest(Pairing.at(settings, seen.positions_m), seen)
    if cut is None or min(cut, len(seen.positions) - cut) < PATCH_FRAMES // 2:
        return []
    rows = np.arange(len(seen.positions))
    before, after = (_ranked(seen.some(part), settings) for part in np.split(rows, [cut]))
    if not (before.decided and after.decided and after.agrees_with(before)):
        return []
    plan = seen.plan
    frame = int(plan.selection.exposures[seen.positions[cut], 0])
    return [
        finding(
            "warning",
            f"frames up to about {frame} fit their positions by themselves (confidence "
            f"{before.confidence:.3f}), and those after them, too ({after.confidence:.3f}), but "
            "not all together",
            "the stage slipped, or the sample moved",
            remedy="load the parts by themselves (--reject "
            f"{frame}-{plan.frames.shape[0] - 1}, --reject 0-{frame - 1})",
        )
    ]


def _weakest(given: Pairing, seen: Survey) -> int | None:
    """The exposure before which neighbours look least like those after it; None = hardly so."""
    links, n = np.array([*given.links], np.int64).reshape(-1, 2), len(seen.positions)
    if len(links) < FEWEST_LINKS:
        return None
    unlike = _compared_with_usual(links, seen)
    begins, ends = (
        [np.bincount(links[:, k] + 1, weights, n + 1) for weights in (None, unlike)] for k in (0, 1)
    )
    count, total = (np.cumsum(b - e)[:n] for b, e in zip(begins, ends, strict=True))
    excess = (total - count * unlike.mean()) / np.sqrt(np.maximum(count, 1))
    cut = int(np.where(count >= FEWEST_LINKS, excess, 0).argmax())
    across: Bools = (links[:, 0] < cut) & (cut <= links[:, 1])
    if min(np.count_nonzero(across), np.count_nonzero(~across)) < FEWEST_LINKS:
        return None
    return cut if ranked_less(unlike[~across], unlike[across]).chance < SURELY else None


def _compared_with_usual(links: Ints, seen: Survey) -> Floats:
    """How unlike neighbours (m, 2) are, over what neighbours one after another are there."""
    unlike = np.linalg.norm(seen.looks[links[:, 0]] - seen.looks[links[:, 1]], axis=1)
    soon = links[:, 1] - links[:, 0] <= SOON
    ends, n = links[soon].ravel(), len(seen.positions)
    count, total = (np.bincount(ends, weights, n) for weights in (None, np.repeat(unlike[soon], 2)))
    usual = np.where(count > 0, total / np.maximum(count, 1), unlike.mean())[links].mean(axis=1)
    return np.asarray(unlike / np.maximum(usual, 1e-9))


def _ranked(seen: Survey, settings: Settings) -> Ranking:
    patch = Patch.of(seen, liveliest(seen, PATCH_FRAMES))
    return ranked(seen, patch, settings.positions.axes)
