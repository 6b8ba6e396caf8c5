"""Which raw exposures make which position."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats, Ints
from ..errors import ScanError, SettingsError, warn
from ..formats.exposure_groups import group_means, of_exposures, too_many
from ..frames.wrappers import whole_stack
from ..positions import (
    directions,
    in_region,
    in_rows,
    is_bidirectional,
    row_starts,
    to_image_axes,
    unfinished,
    unsnake,
    without_backlash,
)
from ..scan import Scan
from ..settings import Settings
from .exposures import (
    acquisitions,
    exposure_times,
    listed_by_exposure,
    monitor_factor,
    unwritten,
)
from .frame_lists import frame_order, in_order, rejected
from .implausible import warn_about_positions


@dataclass(frozen=True)
class SoFar:
    """What may be used of a scan that is still being written.

    Attributes
    ----------
    frames
        Raw frames; None = all.
    mean_i0
        What the monitor is scaled to; None = the mean of all its usable values.
    growing
        More frames may come.
    """

    frames: int | None = None
    mean_i0: float | None = None
    growing: bool = False


EVERYTHING = SoFar()
"""The scan is complete."""


@dataclass(frozen=True, eq=False)
class Selection:
    """The positions to load, numbered without gaps.

    Attributes
    ----------
    exposures
        (m, k) int64: raw frame of each exposure of each position, as numbered in the files; −1 =
        excluded.
    positions_m
        (m, 2) float64: (row, column) of the illumination in image axes.
    scale
        (m, k) float64: monitor factor of each exposure.
    seconds
        (m, k) float64: exposure time; 1 where it does not matter.
    """

    exposures: Ints
    positions_m: Floats
    scale: Floats
    seconds: Floats

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.exposures)

    def __getitem__(self, positions: NDArray[Any] | slice) -> Selection:
        return Selection(
            self.exposures[positions],
            self.positions_m[positions],
            self.scale[positions],
            self.seconds[positions],
        )

    def begins_with(self, earlier: Selection) -> bool:
        """Whether the first positions and their exposures are those of ``earlier``."""
        n = len(earlier)
        same = np.array_equal(self.exposures[:n], earlier.exposures)
        return same and np.array_equal(self.positions_m[:n], earlier.positions_m)


def select(scan: Scan, settings: Settings, so_far: SoFar = EVERYTHING) -> Selection:
    """Choose the exposures and positions to load.

    Order: pair frames with positions → ``frame_order`` → region → every n-th position → exclude
    exposures that are rejected or have a bad monitor, and positions without exposures →
    ``grouping='none'`` → ``num_frames`` → image axes.

    Raises
    ------
    ScanError
        Frames and positions do not belong together.
    SettingsError
        Nothing is left.
    """
    whole = _pair(scan, settings, so_far)
    whole = whole[np.asarray(np.isfinite(whole.positions_m).all(axis=1))]
    if not len(whole):
        raise ScanError(
            "there is no frame with a position",
            "check positions.shift, or wait for the scan",
            scan.source,
        )
    whole = _ordered(whole, scan, settings)
    region = whole[in_region(whole.positions_m, settings.select)]
    if not len(region):
        raise SettingsError(
            f"no position lies in the selected {settings.select.shape} {_extent(whole)}",
            "set select.center, select.radius or select.size (metres, y,x)",
            scan.source,
        )
    out = np.union1d(rejected(scan, settings, so_far.frames is not None), unwritten(scan.frames))
    accepted = without(_usable(region[:: settings.step]), out, scan.source)
    if settings.grouping == "none":
        accepted = one_exposure_each(accepted)
    chosen = accepted[: settings.num_frames]
    exposures = _as_numbered_in_the_files(chosen.exposures, scan)
    if so_far.frames is None:
        warn_about_positions(exposures, chosen.positions_m, scan.source)
    positions_m = to_image_axes(chosen.positions_m, settings.positions.axes)
    return replace(chosen, exposures=exposures, positions_m=positions_m)


def _ordered(whole: Selection, scan: Scan, settings: Settings) -> Selection:
    """Positions in the order of the frames that the user lists."""
    wanted = frame_order(scan, settings)
    if wanted is None:
        return whole
    rows, columns = in_order(whole.exposures, wanted, scan.source)
    chosen, each = whole[rows], np.where(columns >= 0, columns, ~columns)
    exposures = np.take_along_axis(chosen.exposures, each, 1)
    scale: Floats = np.take_along_axis(chosen.scale, each, 1)
    seconds: Floats = np.take_along_axis(chosen.seconds, each, 1)
    return Selection(np.where(columns >= 0, exposures, -1), chosen.positions_m, scale, seconds)


def _as_numbered_in_the_files(exposures: Ints, scan: Scan) -> Ints:
    """Numbers of raw frames in the files, from those in the scan, which may use only some."""
    return np.where(exposures >= 0, whole_stack(scan.frames)[1][exposures], -1)


def _pair(scan: Scan, settings: Settings, so_far: SoFar) -> Selection:
    """Every position of the scan with its exposures, without those that have none."""
    n = len(scan) if so_far.frames is None else so_far.frames
    k, shift = settings.frames_per_position or 1, settings.positions.shift
    numbers = acquisitions(scan)[:n]
    taken = int(numbers.max(initial=-1)) + 1
    positions = _group_positions(scan, k)
    if len(positions) < -(-taken // k):
        raise too_many(taken, len(positions), of_exposures(k), scan.source)
    if settings.positions.snake:
        positions = _unsnaked(positions, scan)
    if settings.positions.backlash:
        positions = _without_backlash(positions, settings.positions.backlash, scan)
    groups = min(-(-(taken + max(0, -shift)) // k), len(positions))
    frame_of = np.full(max(taken, groups * k) + abs(shift), -1)
    known = numbers >= 0
    frame_of[numbers[known]] = np.flatnonzero(known)
    wanted = np.arange(groups * k) + shift
    exposures = np.where(wanted >= 0, frame_of[wanted], -1).reshape(groups, k)
    exposures, positions = _whole_groups(exposures, positions[:groups], scan, so_far)
    raw = np.maximum(exposures, 0)
    scale = monitor_factor(scan, settings, so_far.mean_i0)[raw]
    seconds = exposure_times(scan, settings, exposures, scale)
    used = np.asarray((exposures >= 0).any(1))
    return Selection(exposures, positions, scale, seconds)[used]


def _usable(selection: Selection) -> Selection:
    """Exclude exposures whose I0 or exposure time is not usable."""
    known = np.isfinite(selection.scale) & np.isfinite(selection.seconds)
    return replace(selection, exposures=np.where(known, selection.exposures, -1))


def _whole_groups(
    exposures: Ints, positions: Floats, scan: Scan, so_far: SoFar
) -> tuple[Ints, Floats]:
    """Drop an unfinished last group; warn of other groups that lack exposures.

    Exposures come in order: a group that has its last exposure is finished, whatever else it lacks.
    """
    used = exposures >= 0
    begun = np.flatnonzero(used.any(1))
    k = exposures.shape[1]
    if k == 1 or not begun.size:
        return exposures, positions
    last = int(begun[-1])
    stopped = not used[last, -1] and (so_far.growing or len(begun) > 1)
    if stopped:
        exposures, positions = exposures[:last], positions[:last]
    if so_far.frames is None:
        if stopped:
            warn(
                f"the last position has {used[last].sum()} of {k} exposures and is left out",
                scan.source,
            )
        _warn_of_incomplete(exposures >= 0, scan)
    return exposures, positions


def _warn_of_incomplete(used: Bools, scan: Scan) -> None:
    k, incomplete = used.shape[1], used.any(1) & ~used.all(1)
    if incomplete.any():
        first = int(np.argmax(incomplete))
        warn(
            f"positions without some of their {k} exposures: {incomplete.sum()}, the first one is "
            f"position {first}; their other exposures are used",
            scan.source,
        )


def _group_positions(scan: Scan, k: int) -> Floats:
    """Position of each group of k exposures: as listed, or the mean over its exposures.

    Raises
    ------
    ScanError
        The exposures of a group were taken at different positions.
    """
    if k == 1 or not listed_by_exposure(scan, k):
        return scan.positions_m
    return group_means(scan.positions_m, k, scan.source, scan.numbers is not None)


def _unsnaked(positions: Floats, scan: Scan) -> Floats:
    starts = row_starts(positions, scan.grid)
    if not in_rows(positions, starts):
        raise SettingsError(
            "positions.snake needs rows that are all listed in one direction, and found none",
            "leave positions.snake (--snake) off",
            scan.source,
        )
    if len(starts) % 2 == 0 and unfinished(positions, starts):
        warn(
            f"the last row was stopped after {len(positions) - starts[-1]} positions"
            " and runs backwards from an end that is not listed: its frames are excluded",
            scan.source,
        )
    return unsnake(positions, scan.grid)


def _without_backlash(positions: Floats, backlash_m: float, scan: Scan) -> Floats:
    known = np.isfinite(positions).all(1)
    if not is_bidirectional(directions(positions[known])):
        raise SettingsError(
            "positions.backlash needs a bidirectional scan, whose rows alternate in direction",
            "leave positions.backlash (--backlash-m) out",
            scan.source,
        )
    positions = positions.copy()
    positions[known] = without_backlash(positions[known], backlash_m)
    return positions


def without(selection: Selection, out: Ints, source: Path | None) -> Selection:
    """Exclude raw frames, and positions that have none left.

    Raises
    ------
    SettingsError
        Nothing is left.
    """
    keep = (selection.exposures >= 0) & ~np.isin(selection.exposures, out)
    left = np.any(keep, axis=1)
    if not left.any():
        raise SettingsError(
            f"all {keep.size} selected frames are rejected",
            "check reject, qc, monitor and positions.shift",
            source,
        )
    return replace(selection, exposures=np.where(keep, selection.exposures, -1))[left]


def one_exposure_each(selection: Selection) -> Selection:
    """Make each exposure in use a position of its own."""
    k = selection.exposures.shape[1]
    flat = Selection(
        selection.exposures.reshape(-1, 1),
        np.repeat(selection.positions_m, k, axis=0),
        selection.scale.reshape(-1, 1),
        selection.seconds.reshape(-1, 1),
    )
    return flat[flat.exposures[:, 0] >= 0]


def _extent(selection: Selection) -> str:
    low, high = selection.positions_m.min(0), selection.positions_m.max(0)
    return f"(positions: y {low[0]:.4g} to {high[0]:.4g} m, x {low[1]:.4g} to {high[1]:.4g} m)"
