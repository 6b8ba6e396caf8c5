"""Faults of a stage and its trigger: lag, backlash, and a slip during a scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..arrays import Bools, Float32s, Floats, Ints
from ..errors import BeamlineError
from ..parameter_values import orientation_flags
from ..positions import across_rows, directions, fast_axis, is_bidirectional
from ..scan import Scan
from ..settings import Settings
from ..summary import Finding
from .centre import vertex
from .frame_features import FrameFeatures, most_varied
from .neighbour_likelihood import FEWEST_PAIRS, Similarity, rank_test
from .orientation import ranked
from .pairing_comparison import PairingComparison
from .pairings import FAR_SHIFTS, SHIFTS, Pairing, as_rows
from .proposed_settings import changed, finding
from .short_reconstruction import PATCH_FRAMES, STUDENT_T, Improvement, Patch, held_out_errors

REACH, MOST = 6.0, 3.5
"""Steps along a row up to which frames are compared, and largest backlash searched for."""

WIDTHS = (0.7, 1.0, 1.5, 2.2)
"""Steps over which similarity may decay."""

FINE, NOTHING = 0.25, 0.1
"""Steps of the scan between the offsets tried, and below which there is no backlash."""


RULED_OUT = 1e-6
"""Chance below which the given neighbours are more similar than those of another pairing, which is
then ruled out."""

AGAINST, FAR, FAR_TRIED = -20.0, 12.0, 2
"""Evidence at which a lag is ruled out (in scans that lagged, the right lag had at least 15), and
evidence that a long lag needs; how many of these are reconstructed."""

STRONG, STRONG_T = 40.0, 2.0
"""Evidence for a lag with which reconstructions need only this Student's t."""


def lags_and_reversed_rows(
    comparison: PairingComparison, scan: Scan, exposures: Ints, gains: Mapping[int, float]
) -> tuple[list[tuple[Pairing, Improvement]], tuple[int, ...]]:
    """Lags, and reversed rows, that reconstructions confirm; of long lags only the most likely.

    Also returns the lags that fit as well as no lag.

    ``gains``: evidence for a lag, by how many positions later all exposures then belong.
    """
    given = comparison.given.settings.positions

    def gain(shift: int) -> float:
        return gains.get(given.shift - shift, 0.0)

    far = sorted(
        (k for k in FAR_SHIFTS if gain(given.shift + k) >= FAR),
        key=lambda k: -gain(given.shift + k),
    )
    lags = [k for k in SHIFTS if gain(given.shift + k) > AGAINST] + far[:FAR_TRIED]
    changes: list[dict[str, Any]] = [{"positions.shift": given.shift + k} for k in lags]
    suspects: list[tuple[Pairing, Improvement]] = []
    undecided_lags: list[int] = []
    for change in (*changes, {"positions.snake": not given.snake}):
        try:
            other = Pairing.of(scan, changed(comparison.given.settings, change), exposures)
        except BeamlineError:  # no rows to reverse, or no frame left by the shift
            continue
        less_similar = (
            Similarity.of(comparison.given, other, comparison.features.patterns).chance < RULED_OUT
        )
        if less_similar or comparison.is_clearly_worse(other):
            continue
        result = comparison.errors_of(other)
        if result is None:
            continue
        now = other.settings.positions
        lags_only = now.snake == given.snake
        strong = lags_only and gain(now.shift) >= STRONG
        improvement = result.improvement(STRONG_T if strong else STUDENT_T)
        if improvement is not None:
            suspects.append((other, improvement))
        elif lags_only and not result.is_worse:
            undecided_lags.append(now.shift - given.shift)
    return suspects, tuple(sorted(undecided_lags))


def backlash_that_fits(
    given: Pairing, scan: Scan, features: FrameFeatures, exposures: Ints
) -> Iterator[tuple[Pairing, Improvement]]:
    """The backlash that predicts held-out frames best, if it is convincing.

    In a bidirectional scan, a lag of k frames offsets rows by 2k steps, apart from their ends: even
    numbers of steps are no backlash.
    """

    def at(**positions: Any) -> Pairing:
        change = {f"positions.{name}": value for name, value in positions.items()}
        return Pairing.of(scan, changed(given.settings, change), exposures)

    found = row_offset(at(axes="yx").positions_m, features.patterns)
    if found is None or _is_even(found[0]):
        return
    steps, step_m = found
    backlash_m = given.settings.positions.backlash + steps * step_m
    offsets_m = backlash_m + np.arange(-2, 3) * FINE * step_m
    try:
        tried = [at(backlash=float(offset_m)) for offset_m in offsets_m]
    except BeamlineError:  # only these frames have bidirectional rows
        return
    usable = [np.isfinite(pairing.positions_m).all(axis=1) for pairing in (given, *tried)]
    picked = most_varied(features, PATCH_FRAMES)
    picked = picked[np.all(usable, axis=0)[picked]]
    patch = Patch.of(features, picked).oriented(given.settings.orientation_flags)
    before, *after = (
        held_out_errors(patch.at(pairing.positions_m[picked])) for pairing in (given, *tried)
    )
    means = np.array([errors.mean() for errors in after])
    best = int(means.argmin())
    improvement = Improvement.of(before, after[best])
    if improvement.is_convincing():
        fraction = vertex(-means[best - 1 : best + 2]) if 0 < best < len(means) - 1 else 0.0
        found_m = float(offsets_m[best] + fraction * FINE * step_m)
        if abs(found_m) < NOTHING * step_m:
            found_m = 0.0
        if not _is_even((found_m - given.settings.positions.backlash) / step_m):
            yield at(backlash=float(f"{found_m:.3g}")), improvement


def _is_even(steps: float) -> bool:
    return abs(steps - 2 * round(steps / 2)) < FINE


def row_offset(positions_m: Floats, patterns: Float32s) -> tuple[float, float] | None:
    """Offset to add to positions at which the fast axis runs towards smaller values.

    Frames of neighbouring rows are most similar where they show the same part of the sample; their
    dissimilarity against the distance along the rows is symmetric about there. The centre is that
    of a cusp 1 − b·exp(−|x − c|/w) that fits best; comparing rows above and below cancels slanted
    features of the sample.

    Parameters
    ----------
    positions_m
        (n, 2) stage positions in the order of the scan; NaN where unknown.
    patterns
        (n, d) as in :class:`.frame_features.FrameFeatures`.

    Returns
    -------
    steps, step_m : float, or None
        Along the fast axis, in steps of the scan, and such a step. None where rows are not
        bidirectional, or similarity does not decrease along them.
    """
    known = np.isfinite(positions_m).all(axis=1)
    known_m, known_patterns = positions_m[known], patterns[known]
    # Several exposures share a position.
    first = np.append(True, np.any(known_m[1:] != known_m[:-1], axis=1))[: len(known_m)]
    distinct_m = known_m[first]
    if len(distinct_m) < 2:
        return None
    direction = directions(distinct_m)[np.cumsum(first) - 1]
    backwards, forwards = np.flatnonzero(direction < 0), np.flatnonzero(direction > 0)
    if not is_bidirectional(direction) or min(len(backwards), len(forwards)) < 2:
        return None
    row, step_m = fast_axis(distinct_m)
    apart = known_m[backwards][:, None] - known_m[forwards]
    along, across = apart @ row / step_m, np.abs(apart @ across_rows(row))
    near = (across <= 1.5 * np.median(across.min(axis=1)) + 1e-3 * step_m) & (np.abs(along) < REACH)
    if not near.any():
        return None
    center = _cusp(along[near], 1 - (known_patterns[backwards] @ known_patterns[forwards].T)[near])
    return None if center is None or abs(center) >= MOST else (-center, step_m)


def _cusp(x: Floats, dissimilarity: Float32s) -> float | None:
    """The point from which ``dissimilarity`` (n,) at ``x`` (n,) grows to both sides."""
    rise = dissimilarity - dissimilarity.mean()
    best, found = 0.0, None
    for center in np.linspace(-MOST, MOST, 141):
        for width in WIDTHS:
            cusp = np.exp(-np.abs(x - center) / width)
            cusp -= cusp.mean()
            fits = float(cusp @ rise) / max(float(np.linalg.norm(cusp)), 1e-12)
            if fits < best:
                best, found = fits, float(center)
    return found


CERTAIN, CONSECUTIVE = 1e-5, 2
"""Chance below which neighbours across the slip are less similar than others; exposures at most
this far apart in time count as consecutive."""


def stage_slip(features: FrameFeatures, settings: Settings) -> Iterator[Finding]:
    """Whether a scan splits into two parts; for scans that no orientation fits as a whole.

    Neighbours on the sample from before and after differ most across the slip. Each part must
    determine the orientation, and both the same one.
    """
    cut = _slip_row(Pairing.at(settings, features.positions_m), features)
    if cut is None or min(cut, len(features.positions) - cut) < PATCH_FRAMES // 2:
        return
    parts = map(features.subset, np.split(np.arange(len(features.positions)), [cut]))
    before, after = (
        ranked(part, Patch.of(part, most_varied(part, PATCH_FRAMES)), settings.positions.axes)
        for part in parts
    )
    flags = orientation_flags(before.pairs[0].orientation)
    if not (before.decided and after.decided and after.agrees(flags)):
        return
    plan = features.plan
    frame = int(plan.selection.exposures[features.positions[cut], 0])
    yield finding(
        "warning",
        f"frames up to about {frame} fit their positions on their own (confidence "
        f"{before.confidence:.3f}), and those after them, too ({after.confidence:.3f}), but "
        "not together",
        "the stage slipped, or the sample moved",
        remedy="load the two parts separately (--reject "
        f"{frame}-{plan.frames.shape[0] - 1}, --reject 0-{frame - 1})",
    )


def _slip_row(given: Pairing, features: FrameFeatures) -> int | None:
    """The exposure before which the slip is most likely; None where it is not significant."""
    pairs, n = as_rows(given.neighbours), len(features.positions)
    if len(pairs) < FEWEST_PAIRS:
        return None
    dissimilarity = _relative_dissimilarity(pairs, features)
    begins, ends = (
        [np.bincount(pairs[:, k] + 1, weights, n + 1) for weights in (None, dissimilarity)]
        for k in (0, 1)
    )
    count, total = (np.cumsum(b - e)[:n] for b, e in zip(begins, ends, strict=True))
    excess = (total - count * dissimilarity.mean()) / np.sqrt(np.maximum(count, 1))
    cut = int(np.where(count >= FEWEST_PAIRS, excess, 0).argmax())
    across: Bools = (pairs[:, 0] < cut) & (cut <= pairs[:, 1])
    if min(np.count_nonzero(across), np.count_nonzero(~across)) < FEWEST_PAIRS:
        return None
    return (
        cut if rank_test(dissimilarity[~across], dissimilarity[across]).chance < CERTAIN else None
    )


def _relative_dissimilarity(pairs: Ints, features: FrameFeatures) -> Floats:
    """Dissimilarity of neighbours (m, 2), relative to that of consecutive neighbours nearby."""
    dissimilarity = np.linalg.norm(
        features.patterns[pairs[:, 0]] - features.patterns[pairs[:, 1]], axis=1
    )
    consecutive = pairs[:, 1] - pairs[:, 0] <= CONSECUTIVE
    ends, n = pairs[consecutive].ravel(), len(features.positions)
    count, total = (
        np.bincount(ends, weights, n)
        for weights in (None, np.repeat(dissimilarity[consecutive], 2))
    )
    usual = np.where(count > 0, total / np.maximum(count, 1), dissimilarity.mean())[pairs].mean(
        axis=1
    )
    return np.asarray(dissimilarity / np.maximum(usual, 1e-9))
