"""All checks of a scan, worst findings first."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from .. import formats
from ..errors import BeamlineError, BeamlineWarning, FileError, GeometryError, UnknownFormatError
from ..formats.positions import SEE_CHECK
from ..parameter_values import orientation_code
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
from .orientation_ambiguities import conjugate_twin
from .proposed_settings import changed, planned
from .sampling import Sampling
from .scan_sample import ScanSample

LEVELS = ("error", "warning", "note")
UNCHECKED = "too few positions to check pairing and orientation"


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """The findings on a scan, and the data behind them.

    Attributes
    ----------
    findings
        Errors, then warnings, then notes.
    sample
        The frames examined; None where no plan could be made.
    ranking
        Of the orientations; None where something else is wrong, or it was not requested.
    """

    findings: tuple[Finding, ...]
    sample: ScanSample | None = None
    ranking: Ranking | None = None


def diagnose(settings: Settings, with_reconstructions: bool = True) -> Diagnosis:
    """Open the file, examine a sample of its frames and check everything.

    A scan that cannot be loaded gives a finding, not an exception, provided its files can be read.

    Parameters
    ----------
    settings
        Of the scan.
    with_reconstructions
        Whether short reconstructions check the pairing of frames and positions, the orientation
        and the scale of the reconstructed pixel.

    Raises
    ------
    FileError, UnknownFormatError
        A file is missing, damaged or of no known format.
    """
    sample, ranking, own_warnings = None, None, None
    found: list[Finding] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BeamlineWarning)
        try:
            settings, found = _with_orientation(settings)
            sample = ScanSample.at(*_opened(settings))
            own_warnings = len(caught)  # later ones are about trial plans, not about this scan
            more, sound = check_sample(sample)
            found += more
            if sound and with_reconstructions:
                more, ranking = _check_by_reconstruction(
                    sample, [f for f in more if f.level == "warning"]
                )
                if any(f.cause == pairing.UNRELATED for f in more):
                    found = [f for f in found if not beam.from_neighbours(f)]
                found += more
        except (FileError, UnknownFormatError):
            raise
        except GeometryError as error:
            sample, found = None, [unit_corrections.impossible(settings, error)]
        except BeamlineError as error:
            found.append(Finding("error", str(error)))
    ours = [w.message for w in caught[:own_warnings] if issubclass(w.category, BeamlineWarning)]
    assumed = dict.fromkeys(str(message).replace(SEE_CHECK, "") for message in ours)
    found += [Finding("warning", message) for message in assumed]
    ordered = sorted(found, key=lambda f: LEVELS.index(f.level))
    return Diagnosis(tuple(ordered), sample, ranking)


def check_sample(sample: ScanSample, near: bool | None = None) -> tuple[list[Finding], bool]:
    """Findings that need no reconstruction, and whether a far-field reconstruction makes sense.

    ``near``: treat the frames as near field, or not; default: decided from the data. Checks that
    rely on the counts or the geometry are skipped where these are wrong.
    """
    found = [Finding("note", note) for note in unwarned_notes(sample.scan)]
    found += calibration.findings(sample)
    if any(finding.level == "error" for finding in found):
        return found, False
    found += [
        *empty_beam(sample.scan, sample.plan),
        *beam.findings(sample),
        *centre.findings(sample),
    ]
    times, plain = None if near is False else near_field.magnification(sample), physics(sample.plan)
    if near and times is None:
        times = 1.0
    near = times is not None
    wrong = [] if near else [*unit_corrections.findings(sample)]
    if near or wrong:  # findings on the step assume far-field pixels, and give no cause
        plain = [finding for finding in plain if not finding.what.startswith(STEP)]
    found += wrong + plain
    if wrong:
        return found, False
    found += near_field.findings(sample, times)
    if near:
        return found, False
    sound = all(finding.level != "error" for finding in plain)
    return [*found, *beam.event_findings(sample), *sampling.findings(sample)], sound


def doubts(sample: ScanSample, near: bool) -> list[Finding]:
    """Errors and warnings of :func:`check_sample`, worst first, before a reconstruction.

    ``near``: a near-field reconstruction, for which near-field frames are no problem, but a wrong
    orientation is.
    """
    handled = [f for f in near_field.findings(sample, 1.0) if f.level != "error"] if near else []
    found = [f for f in check_sample(sample, near)[0] if f.level != "note" and f not in handled]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def of_reconstructions(sample: ScanSample, warned: list[Finding]) -> list[Finding]:
    """Errors and warnings of the checks that need short reconstructions."""
    return [f for f in _check_by_reconstruction(sample, warned)[0] if f.level != "note"]


def _check_by_reconstruction(
    sample: ScanSample, warned: list[Finding]
) -> tuple[list[Finding], Ranking | None]:
    """Findings by short reconstructions; another λz/p is tried only if all else is right."""
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
        code = orientation_code(sample.settings.orientation_flags)
        losses = f"; {verdict.lost_frames.summary}" if verdict.lost_frames else ""
        what = (
            f"frames and positions belong together with orientation {code} (confidence "
            f"{ranking.confidence:.3f}){losses}; its conjugate twin, orientation "
            f"{conjugate_twin(code)}, fits as well (ptypy-beamline orient)"
        )
    decided = ranking is not None and ranking.decided
    doubt = "" if decided else "that needs the orientation"
    doubt = "they need data without the warnings above" if warned else doubt
    found = [Finding(level, what), *scale.findings(sample, doubt)]
    if ranking and not decided:
        found += _why_no_orientation_fits(sample, ranking, warned)
    return found, ranking


def _why_no_orientation_fits(
    sample: ScanSample, ranking: Ranking, warned: list[Finding]
) -> list[Finding]:
    """Why no orientation may fit: the pixel, a slip of the stage, positions of another scan."""
    found = [] if warned else [*scale.wrong_binning(sample)]
    if found:
        return found
    sampled = Sampling.of(sample)
    assessable = sampled is not None and all(map(beam.from_neighbours, warned))
    overlap = sampled.overlap if sampled and assessable else 0.0
    may_be_unrelated = overlap > sampling.ENOUGH_OVERLAP
    if ranking.lag and not may_be_unrelated:
        return []
    features = measure_in_order(sample.scan, sample.settings)
    if not ranking.lag:
        found += stage.stage_slip(features, sample.settings)
    if may_be_unrelated:
        found += pairing.unrelated(features, sample.settings, overlap)
    return found


def _with_orientation(settings: Settings) -> tuple[Settings, list[Finding]]:
    """``orientation='auto'`` replaced by a number, and the finding that says so."""
    if settings.orientation != "auto":
        return settings, []
    scan, shift = formats.open_with(settings), settings.positions.shift
    try:
        ranking = rank(scan, settings)
        if ranking.lag:  # the check of the pairing will report it
            ranking = rank(scan, changed(settings, {"positions.shift": shift + ranking.lag}))
    except GeometryError:
        raise
    except BeamlineError as error:
        return settings.model_copy(update={"orientation": 0}), [Finding("error", str(error))]
    code = ranking.orientation
    orientation_finding = (
        Finding(
            "warning",
            f"orientation {code} was found from the data",
            f"set orientation={code} (--orientation {code}) to settle it",
        )
        if ranking.decided
        else Finding("error", "the data do not determine the orientation", ranking.remedy)
    )
    return settings.model_copy(update={"orientation": code}), [orientation_finding]


def _opened(settings: Settings) -> tuple[Scan, Settings, Plan]:
    """Scan, settings and plan; the middle serves as centre where no counts show one."""
    try:
        scan, plan = planned(settings)
    except GeometryError:
        if settings.center is not None:
            raise
        scan, plan = planned(changed(settings, {"center": "fftshift"}))
    return scan, settings, plan
