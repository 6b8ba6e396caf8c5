"""Monitor factor and exposure time of each raw exposure, and whether it can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..arrays import Floats, Ints
from ..errors import MissingDataError, ScanError, warn
from ..formats import exposure_groups
from ..frames.images import values_of
from ..frames.wrappers import whole_stack
from ..scan import Frames, Scan, Window, absent, written
from ..settings import Settings
from .rejects import INTENSITY, another_file, meta_beside

UNEVEN = 0.01
"""Relative difference from which exposure times of a position count as unequal."""


def acquisitions(scan: Scan) -> Ints:
    """(n,) acquisition of each frame from 0; −1 = it has no position."""
    return np.arange(len(scan)) if scan.numbers is None else scan.numbers


def listed_by_exposure(scan: Scan, exposures: int) -> bool:
    """Whether positions are listed for each exposure rather than for each group of exposures.

    Raises
    ------
    ScanError
        There are as many different positions as frames, although each should have several.
    """
    if scan.positions_each is not None:
        return scan.positions_each
    return exposure_groups.listed_by_exposure(
        scan.positions_m, len(scan), exposures, file=scan.source
    )


def usable_i0(scan: Scan, settings: Settings) -> Floats | None:
    """I0 of each raw frame, NaN where it is not usable; None = no monitor is applied.

    Raises
    ------
    MissingDataError
        A monitor is requested but none is recorded.
    ScanError
        It has fewer values than there are frames, or none that is positive.
    """
    n, given = len(scan), settings.monitor
    if given is False or (given is None and settings.paths.monitor is None):
        return None
    if given is not True and given is not None:
        values = values_of(given, "monitor", settings.links)
        _refuse_two_meanings(values, scan, settings)
    elif scan.monitor is not None:
        values = scan.monitor
    else:
        raise MissingDataError(
            "no monitor is recorded",
            "set paths.monitor (--path monitor=PATH) or leave monitor off",
            scan.source,
        )
    monitor = _per_frame(values, scan, settings, "monitor values")[:n]
    usable = np.isfinite(monitor) & (monitor > 0) & (acquisitions(scan) >= 0)
    if not usable.any():
        raise ScanError("no monitor value is positive", "leave monitor off", scan.source)
    return np.where(usable, monitor, np.nan)


def warn_about_estimate(scan: Scan, settings: Settings) -> None:
    """Warn of a monitor that quality control estimated for another scan."""
    given = settings.monitor
    if not isinstance(given, str | Path):
        return
    path = Path(given).expanduser()
    doubt = another_file(meta_beside(path, INTENSITY), scan.source)
    if doubt:
        warn(
            f"{path}: {doubt}: frames are scaled by it nevertheless; give the monitor of this scan"
        )


def _refuse_two_meanings(values: Floats, scan: Scan, settings: Settings) -> None:
    """Stop if a list could be one of frames or of positions with several exposures each."""
    k = settings.frames_per_position or 1
    if k > 1 and len(values) == len(scan):
        each = listed_by_exposure(scan, k)
        at = acquisitions(scan)
        exposure_groups.for_frames(values, at, len(scan.positions_m), k, each, scan.source)


def _per_frame(values: Floats, scan: Scan, settings: Settings, what: str) -> Floats:
    """(n,) values per frame, from one for each raw frame, frame in use, exposure or position.

    Raises
    ------
    ScanError
        The number of values fits none of these.
    """
    n, k, m = len(scan), settings.frames_per_position or 1, len(scan.positions_m)
    whole, picked = whole_stack(scan.frames)
    if len(values) == whole.shape[0]:
        return values[picked]
    if len(values) == n:
        return values
    at = acquisitions(scan)
    used = _with_position(scan, at, k)
    if len(values) == used.size:
        out = np.full(n, np.nan)
        out[used] = values
        return out
    each = listed_by_exposure(scan, k)
    found = exposure_groups.for_frames(values, at, m, k, each)
    if found is not None:
        return found
    raise ScanError(
        f"{len(values)} {what} for {n} frames at {-(-m // k) if each else m} positions",
        "give one per raw frame, or one per position",
        scan.source,
    )


def _with_position(scan: Scan, at: Ints, k: int) -> Ints:
    """Frames that have a position, in the order of acquisition."""
    known = np.asarray(np.isfinite(scan.positions_m).all(1), np.float64)
    of_each = 1 if listed_by_exposure(scan, k) else k
    used = np.flatnonzero(exposure_groups.by_acquisition(known, at, of_each) == 1)
    return used[np.argsort(at[used], kind="stable")]


def recorded_i0(scan: Scan, settings: Settings) -> Floats | None:
    """(total,) the file's own I0 of each raw frame, NaN where unknown; None if it has none."""
    if scan.monitor is None:
        return None
    try:
        monitor = _per_frame(scan.monitor, scan, settings, "monitor values")
    except ScanError:
        return None
    whole, picked = whole_stack(scan.frames)
    found = np.full(whole.shape[0], np.nan)
    found[picked] = monitor[: len(scan)]
    return found


def mean_i0(scan: Scan, settings: Settings) -> float | None:
    """The mean of the usable I0, to which frames are scaled; None = no monitor is applied."""
    monitor = usable_i0(scan, settings)
    return None if monitor is None else float(np.nanmean(monitor))


def monitor_factor(scan: Scan, settings: Settings, mean: float | None) -> Floats:
    """mean(I0)/I0 of each raw frame, 1 without a monitor; NaN where I0 is not usable."""
    monitor = usable_i0(scan, settings)
    if monitor is None:
        return np.ones(len(scan))
    return np.asarray((np.nanmean(monitor) if mean is None else mean) / monitor, np.float64)


def exposure_times(scan: Scan, settings: Settings, exposures: Ints, scale: Floats) -> Floats:
    """(m, k) seconds of ``exposures`` (−1 = excluded) where ``grouping`` needs them, else 1.

    ``hdr`` always does: NaN where a time is not usable. ``sum`` and ``mean`` do at positions whose
    times are known and unequal, because a pixel that is bad in some exposures is estimated from
    the others in proportion to time; an excluded exposure has the median time of its column.

    Parameters
    ----------
    scale
        (m, k) monitor factors. Where they already compensate for unequal times, times are 1.

    Raises
    ------
    MissingDataError, ScanError
        ``hdr``: times are not recorded, or are neither per frame nor per exposure of a position.
    """
    ones = np.ones(exposures.shape)
    if settings.grouping == "hdr":
        if scan.exposure_s is None:
            remedy = "set paths.exposure (--path exposure=PATH)"
            raise MissingDataError("grouping='hdr' needs exposure times", remedy, scan.source)
        return _seconds(scan, settings, exposures)
    alike = settings.grouping not in ("sum", "mean") or exposures.shape[1] == 1
    if alike or scan.exposure_s is None:
        return ones
    try:
        seconds = _seconds(scan, settings, exposures)
    except ScanError as error:
        warn(f"{error.problem}: all exposures of a position are assumed equally long", error.file)
        return ones
    seconds = np.where(exposures < 0, _filled(seconds), seconds)
    known = np.isfinite(seconds).all(axis=1)
    uneven = known & (seconds.max(axis=1) > (1 + UNEVEN) * seconds.min(axis=1))
    compensated = _spread(seconds * scale) < 0.5 * _spread(seconds)
    return np.where((uneven & ~compensated)[:, None], seconds, ones)


def _seconds(scan: Scan, settings: Settings, exposures: Ints) -> Floats:
    """(m, k) recorded times; NaN where one is not usable.

    Times per exposure of a position apply by column, whatever the lag of the frames.
    """
    n, k = len(scan), settings.frames_per_position or 1
    stored = np.atleast_1d(np.asarray(scan.exposure_s, np.float64))
    if len(stored) in (1, k) and (len(stored) != n or n == k):
        times = np.broadcast_to(stored, exposures.shape)
    else:
        of_frames = _per_frame(stored, scan, settings, "exposure times")
        times = np.where(exposures >= 0, of_frames[np.maximum(exposures, 0)], np.nan)
    return np.where(np.isfinite(times) & (times > 0), times, np.nan)


def _filled(seconds: Floats) -> Floats:
    """(m, k) with NaN replaced by the median of its column, if that has any values."""
    columns = [column[np.isfinite(column)] for column in seconds.T]
    usual = [np.median(known) if known.size else np.nan for known in columns]
    return np.where(np.isfinite(seconds), seconds, usual)


def _spread(values: Floats) -> Floats:
    """(m,) standard deviation of the logarithms of each row; NaN if one is unknown."""
    return np.asarray(np.std(np.log(values), axis=1), np.float64)


def unwritten(frames: Frames) -> Ints:
    """Frames that were allocated but never written."""
    is_written = written(frames)
    return np.zeros(0, np.int64) if is_written is None else np.flatnonzero(~is_written)


def refuse_absent(exposures: Ints, frames: Frames) -> None:
    """Stop if ``exposures`` include frames in a file that cannot be read.

    Raises
    ------
    FileError
        Names the file, and how to exclude its frames.
    """
    is_absent, wanted = absent(frames), exposures[exposures >= 0]
    if is_absent is not None and is_absent[wanted].any():
        # Raises the error that says what is wrong.
        frames.read(wanted[is_absent[wanted]][:1], Window(0, 0, 1, 1))
