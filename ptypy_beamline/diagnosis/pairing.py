"""Which frame belongs to which position: lags, lost frames, bidirectional rows and backlash.

Neighbours on the sample are similar. Of two pairings of frames and positions most neighbours are
the same; where they differ, short reconstructions decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import BeamlineError, silenced_warnings
from ..planning.scan_geometry import in_metres
from ..planning.selection import select
from ..scan import Scan
from ..settings import Settings
from ..summary import Finding
from .frame_features import FEWEST, FrameFeatures, measure_features, unoriented_plan
from .lost_frames import LostFrames, MisplacedRun, ReversedRun
from .neighbour_likelihood import Similarity
from .orientation import Ranking, misorientation, rank
from .pairing_breaks import Break
from .pairing_comparison import PairingComparison
from .pairings import Pairing
from .proposed_settings import changed, finding, only_orientation
from .sampling import LARGE_OVERLAP
from .short_reconstruction import Improvement
from .stage import RULED_OUT, backlash_that_fits, lags_and_reversed_rows

UNRELATED = "frames and positions do not belong together"

SIGNIFICANT = 0.05
"""Chance below which similarity is reported."""

MANY_PAIRS, BRIGHT = 150, 3000.0
"""Neighbours, and median counts per frame, needed to show whether they are similar."""

UNLIKELY = 1e-3
"""Chance below which neighbours count as similar."""


@dataclass(frozen=True)
class PairingVerdict:
    """What is wrong with the pairing of frames and positions, and how far that was tested.

    Attributes
    ----------
    found
        Empty where nothing is wrong, or the data do not decide.
    ranking
        Of the orientations; None with too few positions.
    lost_frames
        Result of the search for lost frames; None where something else is wrong.
    """

    found: tuple[Finding, ...]
    ranking: Ranking | None = None
    lost_frames: LostFrames | None = None


def findings(scan: Scan, settings: Settings) -> PairingVerdict:
    """What is wrong with the pairing of frames and positions, or with their axes.

    Lost frames, lags, reversed rows, backlash; and, with those corrected, the orientation.

    Raises
    ------
    BeamlineError
        No plan can be made.
    """
    if len(unoriented_plan(scan, settings)) < FEWEST:
        return PairingVerdict(())
    ranking, tried = rank(scan, settings), settings
    if ranking.decided and not ranking.agrees(settings.orientation_flags):
        # In a wrong orientation one lag may fit better than another by chance.
        tried = changed(settings, only_orientation(ranking.orientation))
    found, lost_frames = check_pairing(scan, tried)
    if not found:
        return PairingVerdict(tuple(misorientation(ranking, settings)), ranking, lost_frames)
    ranking = rank(scan, changed(tried, found[0].settings))
    return PairingVerdict((*found, *misorientation(ranking, settings)), ranking)


def unrelated(features: FrameFeatures, settings: Settings, overlap: float) -> Iterator[Finding]:
    """Whether frames and positions are unrelated; for scans that no orientation fits.

    Neighbours on the sample are similar where their views ``overlap`` strongly, unless frames are
    few or dim. Where they overlap less, frames taken in succession must be similar.
    """
    given = Pairing.at(settings, features.positions_m)
    similarity = Similarity.of_neighbours(given, features.patterns)
    if not _shows_similarity(given, features) or similarity.chance < SIGNIFICANT:
        return
    if overlap <= LARGE_OVERLAP and Similarity.in_order(features.patterns).chance > RULED_OUT:
        return
    what = (
        f"frames at neighbouring positions are no more similar than any two frames (more similar "
        f"in {similarity.share:.0%} of {len(given.neighbours)} comparisons, chance "
        f"{similarity.chance:.1g}), and no orientation predicts frames left out of the fit"
    )
    remedy = "check the positions' datasets and their order (--path x=PATH --path y=PATH)"
    yield finding("error", what, UNRELATED, remedy=remedy)


def check_pairing(scan: Scan, settings: Settings) -> tuple[list[Finding], LostFrames]:
    """Whether frames were lost, frames lag, rows run backwards, or the stage has backlash.

    One finding for each loss of frames, or one of the others; and the search for losses.

    Raises
    ------
    BeamlineError
        No plan can be made.
    """
    scan = in_metres(scan, settings)
    each = settings.model_copy(update={"grouping": "none", "step": 1})
    plan = unoriented_plan(scan, each)
    lost_frames = LostFrames.of(scan, each, plan)
    found = [*_lost_frame_findings(lost_frames, scan, settings)]
    if lost_frames.breaks:
        return found, lost_frames
    features = measure_features(plan, in_order=True)
    exposures = features.plan.selection.exposures[features.positions, 0]
    given = Pairing.of(scan, each, exposures)
    suspects, undecided_lags = lags_and_reversed_rows(
        PairingComparison(given, features), scan, exposures, lost_frames.gains
    )
    suspects += backlash_that_fits(given, scan, features, exposures)
    lost_frames = replace(lost_frames, undecided_lags=undecided_lags)
    # With shuffled positions one pairing may fit better than another by chance.
    if _shows_similarity(given, features):
        suspects = [
            one
            for one in suspects
            if Similarity.of_neighbours(one[0], features.patterns).chance < UNLIKELY
        ]
    if not suspects:
        return found, lost_frames
    right, improvement = max(suspects, key=lambda suspect: suspect[1].margin.ratio)
    return [
        _finding(given, right, improvement, Similarity.of(right, given, features.patterns))
    ], lost_frames


def _shows_similarity(given: Pairing, features: FrameFeatures) -> bool:
    """Whether there are enough bright frames for neighbours to be similar."""
    return len(given.neighbours) >= MANY_PAIRS and features.usual_counts >= BRIGHT


def _comparison(improvement: Improvement, where: str = "") -> str:
    return (
        f"corrected, the validation error {where}is {improvement.other:.3f} instead of "
        f"{improvement.given:.3f}"
    )


def _finding(
    before: Pairing, after: Pairing, improvement: Improvement, similarity: Similarity
) -> Finding:
    given, now = before.settings.positions, after.settings.positions
    if now.snake != given.snake:
        what = "every other row runs backwards"
        change: dict[str, Any] = {"positions.snake": now.snake}
        cause = "a snake scan was recorded as a raster, or vice versa"
    elif now.backlash != given.backlash:
        beside_m = abs(now.backlash - given.backlash)
        what = f"rows that run backwards are offset by {beside_m:.3g} m from the others"
        change = {"positions.backlash": now.backlash}
        cause = "the stage has backlash, or is triggered late where it runs backwards"
    else:
        lag = now.shift - given.shift
        what = f"frames are {abs(lag)} {'behind' if lag > 0 else 'ahead of'} their positions"
        change = {"positions.shift": now.shift}
        cause = "frames and positions were not triggered together, or one was lost at the start"
    evidence = f"{what}: {_comparison(improvement)}"
    if similarity.chance < SIGNIFICANT:
        evidence += (
            f", and neighbours are more similar in {similarity.share:.0%} of the cases that "
            f"differ (chance {similarity.chance:.1g})"
        )
    return finding("error", evidence, cause, change)


def _lost_frame_findings(
    lost_frames: LostFrames, scan: Scan, settings: Settings
) -> Iterator[Finding]:
    """An error for each break, or for the most certain run of misplaced frames."""
    breaks, misplaced = lost_frames.breaks, lost_frames.misplaced
    if lost_frames.reversed_runs:
        yield _finding_of_reversals(lost_frames.reversed_runs)
    elif misplaced and misplaced[0].improvement:
        yield _finding_of_misplaced_run(misplaced[0], misplaced[0].improvement)
    for number in range(1, len(breaks) + 1):  # only where there are no runs
        yield _finding_of_break(breaks[:number], scan, settings)


def _finding_of_break(breaks: Sequence[Break], scan: Scan, settings: Settings) -> Finding:
    """The last of ``breaks``."""
    this, total = breaks[-1], sum(one.lag for one in breaks)
    so_far = f" ({abs(total)} in all)" if len(breaks) > 1 else ""
    what = (
        f"from {_frame_in_words(this)} on, frames and positions are off by {abs(this.lag)}{so_far}"
        f": {_comparison(this.improvement, 'near there ')}"
    )
    lost = "1 frame was" if this.lag == 1 else f"{this.lag} frames were"
    cause = f"{lost} lost there"
    if this.lag < 0:
        count = f"{-this.lag} frame{'s' * (this.lag < -1)}"
        cause = f"positions of {count} were lost there, or frames were taken twice"
    remedy = _remedy_by_number(breaks, scan)
    frames_before = _frames_before(breaks, scan, settings)
    if frames_before:
        remedy = f"and check again, as more may have been lost before it; if not, {remedy}"
    return finding("error", what, cause, frames_before, remedy)


def _finding_of_misplaced_run(run: MisplacedRun, improvement: Improvement) -> Finding:
    side = "later" if run.lag > 0 else "earlier"
    what = (
        f"frames between {run.first} and {run.last} belong {abs(run.lag)} positions {side}: "
        f"{_comparison(improvement, 'there ')}"
    )
    cause = "frames or positions were lost before and after them, or their numbers are wrong"
    remedy = f"leave them out (--reject {run.first}-{run.last}) and check again"
    return finding("error", what, cause, remedy=remedy)


def _finding_of_reversals(these: Sequence[ReversedRun]) -> Finding:
    frames = ",".join(f"{one.first}-{one.last}" for one in these)
    comparison = _comparison(these[0].improvement, "there ")
    what = f"the positions of frames {frames} are listed backwards: {comparison}"
    remedy = (
        f"leave them out (--reject {frames}), or write them reversed into another file (--path "
        "positions=OTHER.h5::/PATH)"
    )
    return finding("error", what, "the stage ran the other way there", remedy=remedy)


def _frame_in_words(this: Break) -> str:
    if this.first == this.last:
        return f"frame {this.frame}"
    return f"a frame between {this.first} and {this.last} (most likely {this.frame})"


def _remedy_by_number(breaks: Sequence[Break], scan: Scan) -> str:
    """How to join frames and positions by number; for lost frames, the numbers themselves."""
    if scan.numbers is not None or any(one.lag < 0 for one in breaks):
        return (
            "join them by number (--path frame_index=PATH --path position_index=PATH, a whole "
            "number for each frame and position)"
        )
    lost, before = [], 0
    for one in breaks:
        first = one.frame + before
        lost.append(f"{first}:{first + one.lag}")
        before += one.lag
    numbers = f"np.delete(np.arange({len(scan) + before}), np.r_[{', '.join(lost)}])"
    uncertain = ",".join(f"{one.first}-{one.last - 1}" for one in breaks if one.first < one.last)
    without = f", without those that may belong to either side (--reject {uncertain})"
    return (
        f"number the frames, {numbers}, in a dataset of an HDF5 file (--path "
        f"frame_index=OTHER.h5::/PATH){without if uncertain else ''}"
    )


def _frames_before(breaks: Sequence[Break], scan: Scan, settings: Settings) -> dict[str, Any]:
    """Settings that keep only the frames before a break, if it is the first."""
    if len(breaks) > 1:
        return {}
    whole = settings.model_copy(update={"num_frames": None})
    try:
        with silenced_warnings():  # of the scan's own plan
            exposures = select(scan, whole).exposures
    except BeamlineError:
        return {}
    before = int(np.count_nonzero((exposures < breaks[0].first).all(axis=1)))
    return {"num_frames": before} if before else {}
