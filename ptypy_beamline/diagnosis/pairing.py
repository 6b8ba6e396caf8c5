"""Which frame belongs to which position: frames that lag, rows that run backwards or hang behind.

Neighbours on the sample look alike. Of two pairings of frames and positions most neighbours are
the same; where they differ, short reconstructions tell which is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..arrays import Ints
from ..errors import BeamlineError
from ..planning.scan_geometry import in_metres
from ..scan import Scan
from ..settings import Settings
from ..summary import Finding
from .frame_features import FEWEST, Survey, survey, unturned
from .lost_frames import Along
from .orientation import Ranking, misorientation, rank
from .pairing_comparison import FAR_SHIFTS, SHIFTS, Likeness, Pairing, Trial
from .proposed_settings import changed, finding
from .sampling import MUCH
from .short_reconstruction import STUDENT_T, Outcome
from .stage import hanging_behind

UNRELATED = "frames and positions do not belong together"

TELLING = 0.05
"""Chance below which likeness is worth a word."""

MANY_LINKS, BRIGHT = 150, 3000.0
"""Neighbours, and median counts of a frame, from which it shows whether they look alike."""

UNLIKELY, RULED_OUT = 1e-3, 1e-6
"""Chance below which neighbours look alike, and at which the given ones look more alike than those
of another pairing, so that it is wrong."""

AGAINST, FAR, FAR_TRIED = -20.0, 12.0, 2
"""Evidence at which a lag is ruled out (the right one of scans that lagged had 15 at least), and
that which a great lag needs; so many of these are reconstructed."""

STRONG, STRONG_T = 40.0, 2.0
"""Evidence for a lag of which reconstructions need less convince; Student's t that they need."""


@dataclass(frozen=True)
class Verdict:
    """What is wrong with the pairing of frames and positions, and how far that was tested.

    Attributes
    ----------
    found
        Nothing where all is well or the data do not tell.
    ranking
        Of the orientations; None of too few positions.
    along
        What a look along the scan says; None where something else is wrong.
    """

    found: tuple[Finding, ...]
    ranking: Ranking | None = None
    along: Along | None = None


def findings(scan: Scan, settings: Settings) -> Verdict:
    """What is wrong with the pairing of frames and positions, or with their axes.

    Frames that were lost, frames that lag, rows that run backwards or hang behind, and, with those
    mended, frames turned against the positions: the ranking of the orientations tells.

    Raises
    ------
    BeamlineError
        No plan can be made.
    """
    if len(unturned(scan, settings)) < FEWEST:
        return Verdict(())
    ranking, tried = rank(scan, settings), settings
    if ranking.decided and not ranking.agrees(settings.turn):
        # With frames turned wrongly one lag may look better than another by chance.
        turned = {"orientation": ranking.orientation, "rotate": None, "flip": None}
        tried = changed(settings, turned)
    found, along = judged(scan, tried)
    if not found:
        return Verdict(tuple(misorientation(ranking, settings)), ranking, along)
    ranking = rank(scan, changed(tried, found[0].settings))
    return Verdict((*found, *misorientation(ranking, settings)), ranking)


def unrelated(seen: Survey, settings: Settings, overlap: float) -> list[Finding]:
    """Whether frames have nothing to do with their positions, to be asked if none are turned right.

    Neighbours on the sample look alike where their views ``overlap`` much; of few or dim frames it
    does not show. Where they overlap less, some frames must look alike: those that were taken one
    after another.
    """
    given = Pairing.at(settings, seen.positions_m)
    likeness = Likeness.of_neighbours(given, seen.looks)
    if not _shows_likeness(given, seen) or likeness.chance < TELLING:
        return []
    if overlap <= MUCH and Likeness.in_order(seen.looks).chance > RULED_OUT:
        return []
    what = (
        f"frames at neighbouring positions look no more alike than any two frames (alike in "
        f"{likeness.share:.0%} of {len(given.links)} comparisons, chance {likeness.chance:.1g}), "
        "and no orientation predicts frames left out of the fit"
    )
    remedy = "check the positions' datasets and their order (--path x=PATH --path y=PATH)"
    return [finding("error", what, UNRELATED, remedy=remedy)]


def mispaired(scan: Scan, settings: Settings) -> list[Finding]:
    """What :func:`judged` finds."""
    return judged(scan, settings)[0]


def judged(scan: Scan, settings: Settings) -> tuple[list[Finding], Along]:
    """Whether frames were lost, frames lag, rows run backwards or hang behind.

    One finding for each place where frames were lost, or one of the others.

    Raises
    ------
    BeamlineError
        No plan can be made.
    """
    scan = in_metres(scan, settings)
    each = settings.model_copy(update={"grouping": "none", "step": 1})
    plan = unturned(scan, each)
    along = Along.of(scan, each, plan)
    found = along.findings(scan, settings)
    if along.breaks:
        return found, along
    seen = survey(plan, in_order=True)
    exposures = seen.plan.selection.exposures[seen.positions, 0]
    given = Pairing.of(scan, each, exposures)
    suspects, open_lags = _listed_otherwise(Trial(given, seen), scan, exposures, along.gains)
    suspects += hanging_behind(given, scan, seen, exposures)
    along = replace(along, open_lags=open_lags)
    # Of shuffled positions one pairing may foretell frames better than another by chance.
    if _shows_likeness(given, seen):
        suspects = [
            one for one in suspects if Likeness.of_neighbours(one[0], seen.looks).chance < UNLIKELY
        ]
    if not suspects:
        return found, along
    right, outcome = max(suspects, key=lambda suspect: suspect[1].margin.ratio)
    return [_finding(given, right, outcome, Likeness.of(right, given, seen.looks))], along


def _listed_otherwise(
    trial: Trial, scan: Scan, exposures: Ints, gains: Mapping[int, float]
) -> tuple[list[tuple[Pairing, Outcome]], tuple[int, ...]]:
    """Lags, and rows turned round, that convince; of great lags only what looks likeliest.

    And the lags that may be right as well as none.

    ``gains``: evidence for a lag, by how many positions later all exposures then belong.
    """
    given = trial.given.settings.positions

    def at(changes: Iterable[dict[str, Any]]) -> Iterator[Pairing]:
        for change in changes:
            # A scan without rows has no snake, and a short one is used up by a shift.
            with suppress(BeamlineError):
                yield Pairing.of(scan, changed(trial.given.settings, change), exposures)

    def gain(shift: int) -> float:
        return gains.get(given.shift - shift, 0.0)

    far = sorted(
        (k for k in FAR_SHIFTS if gain(given.shift + k) >= FAR),
        key=lambda k: -gain(given.shift + k),
    )
    lags = [k for k in SHIFTS if gain(given.shift + k) > AGAINST] + far[:FAR_TRIED]
    changes = [{"positions.shift": given.shift + k} for k in lags]
    suspects: list[tuple[Pairing, Outcome]] = []
    open_lags: list[int] = []
    for other in at([*changes, {"positions.snake": not given.snake}]):
        less_alike = Likeness.of(trial.given, other, trial.seen.looks).chance < RULED_OUT
        if less_alike or trial.hopeless(other):
            continue
        contest = trial.against(other)
        if contest is None:
            continue
        now = other.settings.positions
        lags_only = now.snake == given.snake
        strong = lags_only and gain(now.shift) >= STRONG
        outcome = contest.won_by(STRONG_T if strong else STUDENT_T)
        if outcome is not None:
            suspects.append((other, outcome))
        elif lags_only and not contest.lost:
            open_lags.append(now.shift - given.shift)
    return suspects, tuple(sorted(open_lags))


def _shows_likeness(given: Pairing, seen: Survey) -> bool:
    """Whether there are frames enough, and bright ones, for neighbours to look alike."""
    return len(given.links) >= MANY_LINKS and seen.counts >= BRIGHT


def _finding(before: Pairing, after: Pairing, outcome: Outcome, likeness: Likeness) -> Finding:
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
        cause = "frames and positions were not triggered alike, or one was lost at the start"
    evidence = (
        f"{what}: corrected, the validation error is {outcome.other:.3f} instead of "
        f"{outcome.given:.3f}"
    )
    if likeness.chance < TELLING:
        evidence += (
            f", and neighbours look more alike in {likeness.share:.0%} of the cases that "
            f"differ (chance {likeness.chance:.1g})"
        )
    return finding("error", evidence, cause, change)
