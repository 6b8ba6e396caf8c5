"""What a list has one value for: each frame, exposure, or position of several exposures."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import ScanError
from ..positions import step_m

SAME = 0.5
"""Exposures of one position lie closer than this share of the step to the next position."""

ENCODER_NOISE = 6.0
"""Or, where encoders are noisy, than so many times what two readings of one position differ."""


def by_exposure(positions_m: Floats, exposures: int) -> bool:
    """Whether positions (m, 2) are in groups of ``exposures`` that hardly differ."""
    steps = _steps(positions_m)
    last = np.arange(1, len(positions_m)) % exposures == 0
    between, within = steps[last], steps[~last]
    if len(positions_m) == exposures > 1:  # one position only: nothing to compare with
        return not steps.any()
    if not np.isfinite(between).any() or not np.isfinite(within).any():
        return False
    # In rows of 2k positions half the steps between groups lead to the next row.
    between_m = np.nanquantile(between, 0.5, method="lower")
    # Rows of k positions lie as far apart as the positions in them.
    between_m = min(between_m, _spacing(_grouped(positions_m, exposures)[:, 0]))
    return bool(np.nanmedian(within) <= SAME * between_m)


def _spacing(positions_m: Floats) -> float:
    """Step between the positions that are known; inf if there are fewer than two."""
    known = positions_m[np.isfinite(positions_m).all(axis=1)]
    return step_m(known) if len(known) > 1 else np.inf


def _steps(positions_m: Floats) -> Floats:
    """(m - 1,) distances from each position to the next."""
    return np.asarray(np.linalg.norm(np.diff(positions_m, axis=0), axis=-1), np.float64)


def listed_by_exposure(
    positions_m: Floats,
    frames: int,
    exposures: int,
    growing: bool = False,
    file: Path | None = None,
) -> bool:
    """Whether positions (m, 2) are listed one for each exposure, not for each group of them.

    Raises
    ------
    ScanError
        There are as many different positions as frames, but several exposures of each are
        expected. In a ``growing`` scan more frames may come.
    """
    # Positions that are fewer than the frames are not listed one for each exposure.
    enough = growing or frames <= len(positions_m)
    if exposures == 1 or (enough and by_exposure(positions_m, exposures)):
        return True
    if len(positions_m) == frames > 1 and not growing:
        raise ScanError(
            f"{frames} frames for {frames} different positions, of {exposures} exposures each",
            "leave frames_per_position (--frames-per-pos) out if each frame has its position; if "
            f"the scan was stopped after {frames} of {frames * exposures} exposures, say so by "
            "--path position_index=0 (paths.position_index)",
            file,
        )
    return False


def by_acquisition(values: Floats, acquisitions: Ints, exposures: int = 1) -> Floats:
    """(n,) the value of each frame, from one for so many ``exposures`` each; NaN where none is.

    ``acquisitions`` (n,) count the exposures from 0; −1 = the frame has no position.
    """
    index = acquisitions // exposures
    known = (index >= 0) & (index < len(values))
    return np.where(known, values[np.where(known, index, 0)], np.nan)


def for_frames(
    values: Floats,
    acquisitions: Ints,
    positions: int,
    exposures: int,
    each: bool,
    file: Path | None = None,
) -> Floats | None:
    """(n,) of one value for each frame, exposure or position; None if it is none of these.

    ``positions`` are listed for ``each`` exposure, or for each group of ``exposures``.

    Raises
    ------
    ScanError
        It is as long as two of these, which differ.
    """
    total = positions if each else positions * exposures
    found = [values] if len(values) == len(acquisitions) else []
    found += [
        by_acquisition(values, acquisitions, of_each)
        for of_each in (1, exposures)
        if len(values) == -(-total // of_each)
    ]
    if not all(np.array_equal(values, found[0], equal_nan=True) for values in found[1:]):
        raise ScanError(
            f"{len(values)} values may be one for each frame, or one for each position of "
            f"{exposures} exposures",
            f"give one for each of the {total} exposures of all positions",
            file,
        )
    return found[0] if found else None


def group_means(
    by_exposure_m: Floats, exposures: int, file: Path | None = None, numbered: bool = False
) -> Floats:
    """(groups, 2) mean of the finite positions of each group of exposures.

    ``numbered``: they go by acquisition numbers, so that a lost one is known.

    Raises
    ------
    ScanError
        Exposures of one group were taken at different positions.
    """
    grouped = _grouped(by_exposure_m, exposures)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # groups without a position
        means = np.nanmean(grouped, axis=1)
        spread_m = np.nanmax(np.linalg.norm(grouped - _first_known(grouped), axis=-1), axis=1)
        between_m = np.nanmedian(_steps(means))
        # The shorter steps are those inside of groups, wherever a lost exposure lets them begin.
        noise_m = np.nanquantile(_steps(by_exposure_m), (exposures - 1) / (2 * exposures))
    limit_m = np.fmax(SAME * between_m, ENCODER_NOISE * noise_m)
    usual = by_exposure(by_exposure_m, exposures)
    apart = spread_m > limit_m if usual else spread_m > 0
    if len(grouped) > 1 and apart.any():
        first = int(np.argmax(apart)) * exposures
        some = by_exposure_m[first : first + exposures]
        apart_m = np.linalg.norm(np.nanmax(some, axis=0) - np.nanmin(some, axis=0))
        lost = (
            "; if an exposure was lost, give acquisition numbers by paths.frame_index "
            "(--path frame_index=PATH)"
        )
        raise ScanError(
            f"exposures {first} to {first + len(some) - 1} would make position "
            f"{first // exposures}, but were taken {apart_m:.3g} m apart",
            f"check frames_per_position={exposures} (--frames-per-pos){'' if numbered else lost}",
            file,
        )
    return np.asarray(means, np.float64)


def are_groups(by_exposure_m: Floats, exposures: int) -> bool:
    """Whether the exposures of each group were taken at one position."""
    try:
        group_means(by_exposure_m, exposures)
    except ScanError:
        return False
    return True


def _grouped(by_exposure_m: Floats, exposures: int) -> NDArray[Any]:
    """(groups, exposures, 2); NaN where a position is not known."""
    groups = -(-len(by_exposure_m) // exposures)
    padded = np.full((groups * exposures, 2), np.nan)
    padded[: len(by_exposure_m)] = by_exposure_m
    padded[~np.isfinite(padded).all(1)] = np.nan
    return padded.reshape(groups, exposures, 2)


def _first_known(grouped: NDArray[Any]) -> NDArray[Any]:
    """(groups, 1, 2) first position of each group that is known; NaN where none is."""
    first = np.argmax(np.isfinite(grouped).all(-1), axis=1)
    return np.take_along_axis(grouped, first[:, None, None], axis=1)


def too_many(frames: int, positions: int, times: str = "", file: Path | None = None) -> ScanError:
    """The error for more frames than positions; ``times``: how many exposures these have."""
    remedy = "check paths.frames, paths.x and paths.y"
    several = -(-frames // max(positions, 1))
    if positions and several > 1 and frames > (several - 0.5) * positions:
        stopped = "" if frames == several * positions else " and the last ones are missing"
        remedy = (
            f"if each position has {several} exposures{stopped}, set "
            f"frames_per_position={several} (--frames-per-pos {several})"
        )
    return ScanError(
        f"Expected as many positions as frames. Got {frames} frames for {positions} "
        f"positions{times}",
        remedy,
        file,
    )


def of_exposures(exposures: int) -> str:
    """`` x 3 exposures`` for messages; empty for one."""
    return f" x {exposures} exposures" if exposures > 1 else ""
