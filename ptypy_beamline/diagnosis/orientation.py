"""Orientation of the frames relative to the axes of the positions.

Four pairs of orientations can be distinguished (:mod:`.orientation_ambiguities`), by the curl of
the centres of mass and by short reconstructions of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from scipy.special import expit

from ..arrays import Floats
from ..errors import ScanError, SettingsError, warn
from ..parameter_values import orientation_code, orientation_flags
from ..scan import Scan
from ..settings import Settings
from ..summary import Finding
from .frame_features import (
    FEWEST,
    FrameFeatures,
    curl_share,
    measure_features,
    most_varied,
    unoriented_plan,
)
from .near_field import is_near
from .orientation_ambiguities import (
    PAIRS,
    PhasePrior,
    conjugate_twin,
    equivalents,
    hidden_lag,
    phase_prior,
    relation,
    same_axes,
)
from .proposed_settings import only_orientation
from .scan_sample import ScanSample
from .short_reconstruction import PATCH_FRAMES, Margin, Patch, held_out_errors

CONFIDENT = 0.95
"""Minimum confidence for a decision."""


@dataclass(frozen=True)
class OrientationPair:
    """Two orientations that the data cannot distinguish, and how well they fit.

    Attributes
    ----------
    orientation, conjugate_twin
        PtyPy's numbers; the frames of one are those of the other rotated by 180 degrees.
    error
        Mean error of frames held out of a short reconstruction,
        :func:`.short_reconstruction.held_out_errors`.
    curl
        Share of curl in the centres of mass, :func:`.frame_features.curl_share`.
    """

    orientation: int
    conjugate_twin: int
    error: float
    curl: float


@dataclass(frozen=True, eq=False)
class Ranking:
    """What the data say about the orientation of the frames.

    Attributes
    ----------
    axes
        The given axes of the positions, which are kept.
    decided
        Whether the confidence suffices.
    confidence
        Probability, calibrated on simulated scans, that the best pair is right.
    pairs
        The four pairs, the best one first.
    find_prior
        Reconstructs the object for the best pair, and decides between its two orientations.
    lag
        Number of frames by which frames may lag instead; then nothing is decided.
    """

    axes: str
    decided: bool
    confidence: float
    pairs: tuple[OrientationPair, ...]
    find_prior: Callable[[], PhasePrior]
    lag: int = 0

    @cached_property
    def prior(self) -> PhasePrior:
        """What decides between the best pair; needs two reconstructions."""
        return self.find_prior()

    @property
    def orientation(self) -> int:
        """The best one: PtyPy's 0-7, for ``axes``."""
        best = self.pairs[0]
        return best.conjugate_twin if self.prior.prefers_conjugate else best.orientation

    def pair_of(self, code: int) -> OrientationPair:
        """The pair that an orientation belongs to."""
        return next(pair for pair in self.pairs if code in (pair.orientation, pair.conjugate_twin))

    @property
    def doubt(self) -> str:
        """Why nothing is decided."""
        if not self.lag:
            return f"confidence {self.confidence:.2f}"
        behind = "behind" if self.lag > 0 else "ahead of"
        return f"the frames may instead be {abs(self.lag)} {behind} their positions, and rotated"

    @property
    def remedy(self) -> str:
        """What to do where nothing is decided."""
        by_hand = "set orientation (--orientation), or rotate and flip (--rotate --flip)"
        if not self.lag:
            return by_hand
        return f"{self.doubt}: see ptypy-beamline check (positions.shift), or {by_hand}"

    @property
    def equivalent(self) -> list[tuple[int, str]]:
        """The other (orientation, axes) with the same error; the conjugate twin comes first."""
        return [
            pair
            for pair in equivalents(self.orientation, self.axes)
            if pair != (self.orientation, self.axes)
        ]

    def agrees(self, flags: tuple[bool, bool, bool]) -> bool:
        """Whether ``flags`` (transpose, flipud, fliplr) is one of the best pair."""
        return orientation_code(flags) in (self.pairs[0].orientation, self.pairs[0].conjugate_twin)


def rank(scan: Scan, settings: Settings) -> Ranking:
    """Rank the orientations of the frames for ``settings.positions.axes``.

    ``rotate``, ``flip`` and ``orientation`` of the settings are ignored; all else is kept.

    Raises
    ------
    ScanError
        There are too few positions, or the frames are near field.
    BeamlineError
        No plan can be made.
    """
    plan = unoriented_plan(scan, settings)
    if len(plan) < FEWEST:
        raise ScanError(
            f"{len(plan)} positions are too few to find an orientation, at least {FEWEST} are "
            "needed",
            "set orientation (--orientation), or rotate and flip",
            scan.source,
        )
    if is_near(ScanSample.at(scan, settings, plan)):
        raise ScanError(
            "frames of the near field move as the stage does, and far-field reconstructions, which "
            "rank orientations, do not apply",
            "ptypy-beamline check compares these moves and names the orientation: set it "
            "(--orientation)",
            scan.source,
        )
    features = measure_features(plan)
    rows = most_varied(features, PATCH_FRAMES)
    patch = Patch.of(features, rows)
    found = ranked(features, patch, settings.positions.axes)
    if not found.decided:
        return found
    lag = hidden_lag(plan, features.positions[rows], patch, found.pairs[0].orientation)
    return replace(found, lag=lag, decided=not lag)


def ranked(features: FrameFeatures, patch: Patch, axes: str) -> Ranking:
    """Rank the four pairs by the frames."""
    errors: dict[int, Floats] = {}
    for code in PAIRS:
        same = next((one for one in errors if are_indistinguishable(patch, one, code)), None)
        errors[code] = (
            held_out_errors(patch.oriented(orientation_flags(code)))
            if same is None
            else errors[same]
        )
    curl = {
        code: curl_share(features.com_px, features.positions_m, orientation_flags(code))
        for code in PAIRS
    }
    order = sorted(errors, key=lambda code: float(errors[code].mean()))
    best, others = order[0], order[1:]
    margins = [Margin.of(errors[best], errors[code]) for code in others]
    curl_ratio = min(curl[code] for code in others) / max(curl[best], 1e-12)
    sure = confidence(min(m.t for m in margins), curl_ratio)
    return Ranking(
        axes=axes,
        decided=sure >= CONFIDENT,
        confidence=sure,
        pairs=tuple(
            OrientationPair(k, conjugate_twin(k), float(errors[k].mean()), curl[k]) for k in order
        ),
        find_prior=partial(phase_prior, features, patch, best),
    )


def are_indistinguishable(patch: Patch, one: int, other: int) -> bool:
    """Whether two orientations are equivalent for these positions, to half a pixel.

    As for a single row, which does not determine its two sides.
    """
    relative_m = patch.positions_m - patch.positions_m.mean(axis=0)
    first, second = (relative_m @ relation(code, "yx").T for code in (one, other))
    away_m = min(float(np.abs(first + sign * second).max()) for sign in (1, -1))
    return away_m < min(patch.pixel_m) / 2


def confidence(t: float, curl_ratio: float) -> float:
    """Probability that the best pair is right.

    A logistic regression on 210 simulated scans of all patterns with 600 to 10⁷ photons a frame,
    60 of them with their positions shuffled: never sure of a wrong answer there.

    Parameters
    ----------
    t
        Student's t of the errors of held-out frames, of the next best pair against the best.
    curl_ratio
        Minimum curl of the other pairs over that of the best; NaN without triangles of positions.
    """
    curl = np.log(np.clip(curl_ratio, 0.5, 2)) if np.isfinite(curl_ratio) else 0.0
    return float(expit(-3.5 + 1.15 * min(t, 10.0) + 8.0 * curl))


def with_orientation(scan: Scan, settings: Settings) -> Settings:
    """The settings with the orientation that the data show; a warning says which.

    Raises
    ------
    SettingsError
        The data do not determine it.
    """
    found = rank(scan, settings)
    if not found.decided:
        raise SettingsError("the data do not determine the orientation", found.remedy, scan.source)
    code = found.orientation
    warn(
        f"orientation {code} was found from the data (confidence {found.confidence:.3f}); "
        f"set orientation={code} (--orientation {code}) to fix it",
        scan.source,
    )
    return settings.model_copy(update={"orientation": code})


def misorientation(ranking: Ranking, settings: Settings) -> Iterator[Finding]:
    """Errors of the orientation and the axes that are set; empty where there are none."""
    if not ranking.decided or ranking.agrees(settings.orientation_flags):
        return
    given_code, code = orientation_code(settings.orientation_flags), ranking.orientation
    given, best = ranking.pair_of(given_code), ranking.pairs[0]
    axes = same_axes(given_code, code, ranking.axes)
    yield Finding(
        "error",
        "the frames are rotated or mirrored relative to the positions: the validation error is "
        f"{given.error:.3f}, and {best.error:.3f} with orientation {code} (confidence "
        f"{ranking.confidence:.3f})",
        f"set orientation={code} (--orientation {code}), or positions.axes='{axes}' "
        f"(--axes={axes}); if the phase then has the wrong sign, use its conjugate twin, "
        f"orientation {conjugate_twin(code)}",
        "the detector is mounted rotated or mirrored, or the stage's axes have other names or "
        "signs",
        only_orientation(code),
    )
