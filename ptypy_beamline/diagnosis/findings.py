"""Everything that is found out about a scan, worst first."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from .. import formats
from ..errors import BeamlineError, BeamlineWarning, FileError, GeometryError, UnknownFormatError
from ..formats.positions import TOLD_BY_CHECK
from ..parameter_values import code_of
from ..planning.plan import Plan
from ..scan import Scan
from ..settings import Settings
from ..summary import STEP, Finding, empty_beam, physics, unwarned_notes
from . import (
    beam,
    calibration,
    centre,
    near_field,
    pairing,
    sampling,
    scale,
    stage,
    unit_corrections,
)
from .frame_features import FEWEST, measure_in_order
from .orientation import Ranking, rank
from .proposed_settings import changed, planned
from .sampling import Sampling
from .scan_sample import ScanSample

LEVELS = ("error", "warning", "note")
UNCHECKED = "too few positions to check pairing and orientation"


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What was found.

    Attributes
    ----------
    findings
        Errors, then warnings, then notes.
    look
        What it was found from; None where no plan could be made.
    ranking
        Of the orientations; None where something else is wrong, or it was not asked for.
    """

    findings: tuple[Finding, ...]
    sample: ScanSample | None = None
    ranking: Ranking | None = None


def diagnose(settings: Settings, turned: bool = True) -> Diagnosis:
    """Open the file, look at a sample of its frames and check everything.

    A scan that cannot be loaded is a finding too, and raises nothing, if its files can be read.

    Parameters
    ----------
    settings
        Of the file.
    turned
        Whether short reconstructions check that frames and positions are paired and turned
        rightly, and that the pixel is not that of another binning.

    Raises
    ------
    FileError, UnknownFormatError
        A file is missing, damaged or of no known format.
    """
    sample, ranking, told = None, None, None
    found: list[Finding] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BeamlineWarning)
        try:
            settings, found = _with_orientation(settings)
            sample = ScanSample.at(*_opened(settings))
            told = len(caught)  # what trials are warned of is nothing of the scan's
            more, sound = of_look(sample)
            found += more
            if sound and turned:
                more, ranking = _reconstructed(sample, [f for f in more if f.level == "warning"])
                if any(f.cause == pairing.UNRELATED for f in more):
                    found = [f for f in found if not beam.of_neighbours(f)]
                found += more
        except (FileError, UnknownFormatError):
            raise
        except GeometryError as error:
            sample, found = None, [unit_corrections.impossible(settings, error)]
        except BeamlineError as error:
            found.append(Finding("error", str(error)))
    ours = [w.message for w in caught[:told] if issubclass(w.category, BeamlineWarning)]
    assumed = dict.fromkeys(str(message).replace(TOLD_BY_CHECK, "") for message in ours)
    found += [Finding("warning", message) for message in assumed]
    ordered = sorted(found, key=lambda f: LEVELS.index(f.level))
    return Diagnosis(tuple(ordered), sample, ranking)


def of_look(sample: ScanSample, near: bool | None = None) -> tuple[list[Finding], bool]:
    """What needs no reconstruction, and whether frames and geometry allow a far-field one.

    ``near``: whether the frames are taken as near-field ones; default: as they are.

    What rests on counts or on the geometry is left out where these are wrong.
    """
    notes = [Finding("note", note) for note in unwarned_notes(sample.scan)]
    found = calibration.findings(sample)
    if any(finding.level == "error" for finding in found):
        return notes + found, False
    found = notes + found
    found += [
        *empty_beam(sample.scan, sample.plan),
        *beam.findings(sample),
        *centre.findings(sample),
    ]
    times, plain = None if near is False else near_field.magnification(sample), physics(sample.plan)
    if near and times is None:
        times = 1.0
    near = times is not None
    wrong = [] if near else unit_corrections.findings(sample)
    if near or wrong:  # the cheap checks of the step are of far-field pixels, and give no cause
        plain = [finding for finding in plain if not finding.what.startswith(STEP)]
    found += wrong + plain
    if wrong:
        return found, False
    found += near_field.findings(sample, times)
    if near:
        return found, False
    sound = all(finding.level != "error" for finding in plain)
    return found + beam.of_events(sample) + sampling.findings(sample), sound


def doubts(sample: ScanSample, near: bool) -> list[Finding]:
    """Errors and warnings of :func:`of_look`, worst first, on a reconstruction as ``near`` has it.

    That the frames are of the near field is no doubt where they are reconstructed as such; that
    they are turned is one.
    """
    handled = [f for f in near_field.findings(sample, 1.0) if f.level != "error"] if near else []
    found = [f for f in of_look(sample, near)[0] if f.level != "note" and f not in handled]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def of_reconstructions(sample: ScanSample, warned: list[Finding]) -> list[Finding]:
    """Errors and warnings of what takes short reconstructions."""
    return [f for f in _reconstructed(sample, warned)[0] if f.level != "note"]


def _reconstructed(
    sample: ScanSample, warned: list[Finding]
) -> tuple[list[Finding], Ranking | None]:
    """What takes short reconstructions; another λz/p is only tried where all else is in order."""
    verdict = pairing.findings(sample.scan, sample.settings)
    ranking = verdict.ranking
    if verdict.found:
        return [*verdict.found], ranking
    level = "note"
    if ranking is None:
        what = f"{UNCHECKED}, at least {FEWEST} are needed"
        if len(sample.plan) == 1:  # nothing overlaps
            what, level = f"1 position does not determine object and probe; {what}", "warning"
    elif not ranking.decided:
        what = f"the data do not determine the orientation ({ranking.doubt})"
    else:
        code = code_of(sample.settings.turn)
        losses = f"; {verdict.lost_frames.summary}" if verdict.lost_frames else ""
        what = (
            f"frames and positions belong together with orientation {code} (confidence "
            f"{ranking.confidence:.3f}){losses}; its conjugate twin, orientation "
            f"{ranking.twin_of(code)}, fits as well (ptypy-beamline orient)"
        )
    decided = ranking is not None and ranking.decided
    doubt = "" if decided else "that needs the orientation"
    doubt = "correct the warnings first" if warned else doubt
    found = [Finding(level, what), *scale.findings(sample, doubt)]
    if ranking and not decided:
        found += _misfits(sample, ranking, warned)
    return found, ranking


def _misfits(sample: ScanSample, ranking: Ranking, warned: list[Finding]) -> list[Finding]:
    """Why no orientation may fit: the pixel, a scan that fell apart, frames of other positions."""
    found = [] if warned else scale.undecided(sample)
    if found:
        return found
    sampled = Sampling.of(sample)
    judged = sampled is not None and all(map(beam.of_neighbours, warned))
    overlap = sampled.overlap if sampled and judged else 0.0
    may_be_unrelated = overlap > sampling.ENOUGH_OVERLAP
    if ranking.lag and not may_be_unrelated:
        return []
    features = measure_in_order(sample.scan, sample.settings)
    found = [] if ranking.lag else stage.slipped(features, sample.settings)
    more = pairing.unrelated(features, sample.settings, overlap) if may_be_unrelated else []
    return found + more


def _with_orientation(settings: Settings) -> tuple[Settings, list[Finding]]:
    """``orientation='auto'`` replaced by a number, and what is to be said of it."""
    if settings.orientation != "auto":
        return settings, []
    scan, shift = formats.open_with(settings), settings.positions.shift
    try:
        ranking = rank(scan, settings)
        if ranking.lag:  # the pairing's own check will name it
            ranking = rank(scan, changed(settings, {"positions.shift": shift + ranking.lag}))
    except GeometryError:
        raise
    except BeamlineError as error:
        return settings.model_copy(update={"orientation": 0}), [Finding("error", str(error))]
    code = ranking.orientation
    said = (
        Finding(
            "warning",
            f"orientation {code} was found from the data",
            f"set orientation={code} (--orientation {code}) to settle it",
        )
        if ranking.decided
        else Finding("error", "the data do not determine the orientation", ranking.remedy)
    )
    return settings.model_copy(update={"orientation": code}), [said]


def _opened(settings: Settings) -> tuple[Scan, Settings, Plan]:
    """Where no counts show the centre it is taken in the middle: the counts' own check says why."""
    try:
        scan, plan = planned(settings)
    except GeometryError:
        if settings.center is not None:
            raise
        scan, plan = planned(changed(settings, {"center": "fftshift"}))
    return scan, settings, plan
