"""Positions that have several exposures: whether they are listed by exposure or by position."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError

Array = NDArray[np.float64]

SAME = 0.5
"""Exposures of one position lie closer than this share of the step to the next position."""

ENCODER_NOISE = 6.0
"""Or, where encoders are noisy, than so many times what the steadiest quarter of groups differs."""


def by_exposure(positions_m: Array, exposures: int) -> bool:
    """Whether positions (m, 2) come in groups of ``exposures`` that hardly differ."""
    steps = np.linalg.norm(np.diff(positions_m, axis=0), axis=-1)
    onward = np.arange(1, len(positions_m)) % exposures == 0
    if len(positions_m) == exposures > 1:  # one position only: nothing to compare with
        return not steps.any()
    if not np.isfinite(steps[onward]).any() or not np.isfinite(steps[~onward]).any():
        return False
    return bool(np.nanmedian(steps[~onward]) <= SAME * np.nanmedian(steps[onward]))


def group_means(by_exposure_m: Array, exposures: int) -> Array:
    """(groups, 2) mean of the finite positions of each group of exposures.

    Raises
    ------
    ScanError
        Exposures of one group were taken at different positions.
    """
    grouped = _grouped(by_exposure_m, exposures)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # groups without a position
        means = np.nanmean(grouped, axis=1)
        spread_m = np.nanmax(np.linalg.norm(grouped - means[:, None], axis=-1), axis=1)
        step_m = np.nanmedian(np.linalg.norm(np.diff(means, axis=0), axis=-1))
        limit_m = max(SAME * step_m, ENCODER_NOISE * np.nanquantile(spread_m, 0.25))
    usual = by_exposure(by_exposure_m, exposures)
    apart = spread_m > limit_m if usual else spread_m > 0
    if len(grouped) > 1 and apart.any():
        raise _different(int(np.argmax(apart)), exposures, by_exposure_m)
    return np.asarray(means, np.float64)


def _grouped(by_exposure_m: Array, exposures: int) -> NDArray[Any]:
    """(groups, exposures, 2); NaN where a position is not known."""
    groups = -(-len(by_exposure_m) // exposures)
    padded = np.full((groups * exposures, 2), np.nan)
    padded[: len(by_exposure_m)] = by_exposure_m
    padded[~np.isfinite(padded).all(1)] = np.nan
    return padded.reshape(groups, exposures, 2)


def _different(group: int, exposures: int, by_exposure_m: Array) -> ScanError:
    first = group * exposures
    last = min(first + exposures, len(by_exposure_m)) - 1
    some = by_exposure_m[first : last + 1]
    apart_m = np.linalg.norm(np.nanmax(some, axis=0) - np.nanmin(some, axis=0))
    return ScanError(
        f"exposures {first} to {last} would make position {group}, but were taken {apart_m:.3g} m "
        f"apart",
        f"check frames_per_position={exposures} (--frames-per-pos); if an exposure was lost, give "
        "acquisition numbers by paths.frame_index (--path frame_index=PATH)",
    )


def contradiction(frames: int, exposures: int) -> ScanError:
    """As many frames as different positions, which are to have several frames each."""
    return ScanError(
        f"{frames} frames for {frames} different positions, of {exposures} exposures each",
        "leave frames_per_position (--frames-per-pos) out if each frame has its position; if the "
        f"scan was stopped after {frames} of {frames * exposures} exposures, say so by --path "
        "position_index=0 (paths.position_index)",
    )
