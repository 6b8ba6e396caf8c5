"""What goes with each raw exposure: monitor factor, exposure time, and whether it is used."""

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
from .rejects import INTENSITY, ListedFrames, another_file, meta_beside, rejected_frames

UNEVEN = 0.01
"""Exposure times of a position that differ by a larger share than this are not equal."""


def acquisitions(scan: Scan) -> Ints:
    """(n,) acquisition of each frame from 0; −1 = it has no position."""
    return np.arange(len(scan)) if scan.numbers is None else scan.numbers


def listed_by_exposure(scan: Scan, exposures: int) -> bool:
    """Whether there is a position for each exposure, not for each group of them.

    Raises
    ------
    ScanError
        As many different positions as frames, which are to have several each.
    """
    if scan.positions_each is not None:
        return scan.positions_each
    return exposure_groups.listed_by_exposure(
        scan.positions_m, len(scan), exposures, file=scan.source
    )


def usable_i0(scan: Scan, settings: Settings) -> Floats | None:
    """I0 of each raw frame, NaN where it is not usable; None where no monitor is applied.

    Raises
    ------
    MissingDataError
        A monitor is asked for and none is recorded.
    ScanError
        It has fewer values than there are frames, or no positive one.
    """
    n, given = len(scan), settings.monitor
    if given is False or (given is None and settings.paths.monitor is None):
        return None
    stored = given is True or given is None
    if not stored:
        values = values_of(given, "monitor", settings.links)
        _refuse_two_meanings(values, scan, settings)
        monitor = _of_frames(values, scan, settings, "monitor values")
    elif scan.monitor is None:
        raise MissingDataError(
            "no monitor is recorded",
            "set paths.monitor (--path monitor=PATH) or leave monitor off",
            scan.source,
        )
    else:
        monitor = _of_frames(scan.monitor, scan, settings, "monitor values")
    usable = np.isfinite(monitor[:n]) & (monitor[:n] > 0) & (acquisitions(scan) >= 0)
    if not usable.any():
        raise ScanError("no monitor value is positive", "leave monitor off", scan.source)
    return np.where(usable, monitor[:n], np.nan)


def warn_about_estimate(scan: Scan, settings: Settings) -> None:
    """A monitor that quality control has estimated of another scan."""
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
    """Stop where a list is as long as the frames and as the positions of several exposures."""
    k = settings.frames_per_position or 1
    if k > 1 and len(values) == len(scan):
        each = listed_by_exposure(scan, k)
        at = acquisitions(scan)
        exposure_groups.for_frames(values, at, len(scan.positions_m), k, each, scan.source)


def _of_frames(values: Floats, scan: Scan, settings: Settings, what: str) -> Floats:
    """(n,) of one value for each raw frame of the files, each frame used, exposure or position.

    Raises
    ------
    ScanError
        It is none of these.
    """
    n, k, m = len(scan), settings.frames_per_position or 1, len(scan.positions_m)
    whole, picked = whole_stack(scan.frames)
    if len(values) == whole.shape[0]:
        return values if picked is None else values[picked]
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
        "give one a raw frame, or one a position",
        scan.source,
    )


def _with_position(scan: Scan, at: Ints, k: int) -> Ints:
    """Frames that have a position, in the order of their acquisition."""
    known = np.asarray(np.isfinite(scan.positions_m).all(1), np.float64)
    of_each = 1 if listed_by_exposure(scan, k) else k
    used = np.flatnonzero(exposure_groups.by_acquisition(known, at, of_each) == 1)
    return used[np.argsort(at[used], kind="stable")]


def recorded_i0(scan: Scan, settings: Settings) -> Floats | None:
    """(total,) the file's own I0 of each raw frame of the files; NaN or None where it has none."""
    if scan.monitor is None:
        return None
    try:
        monitor = _of_frames(scan.monitor, scan, settings, "monitor values")
    except ScanError:
        return None
    whole, picked = whole_stack(scan.frames)
    found = np.full(whole.shape[0], np.nan)
    found[np.arange(len(scan)) if picked is None else picked] = monitor[: len(scan)]
    return found


def mean_i0(scan: Scan, settings: Settings) -> float | None:
    """What the monitor is scaled to: the mean of its usable values; None where none is applied."""
    monitor = usable_i0(scan, settings)
    return None if monitor is None else float(np.nanmean(monitor))


def monitor_factor(scan: Scan, settings: Settings, mean: float | None) -> Floats:
    """mean(I0)/I0 of each raw frame, 1 without a monitor; NaN where I0 is not usable."""
    monitor = usable_i0(scan, settings)
    if monitor is None:
        return np.ones(len(scan))
    return np.asarray((np.nanmean(monitor) if mean is None else mean) / monitor, np.float64)


def exposure_times(scan: Scan, settings: Settings, exposures: Ints, scale: Floats) -> Floats:
    """Seconds of ``exposures`` (m, k; −1 = left out) where ``grouping`` needs them, else 1.

    ``hdr`` always does: NaN where a time is not usable. A ``sum`` or ``mean`` does at positions
    whose times are known and differ, as a pixel that is bad in some exposures is filled from the
    others by these; an exposure that is left out has the median time of those in its place.

    Parameters
    ----------
    scale
        (m, k) monitor factors: where they make up for the times already, these are 1.

    Raises
    ------
    MissingDataError, ScanError
        ``hdr``: times are not recorded, or are not one a frame or one for each exposure of a
        position.
    """
    ones = np.ones(exposures.shape)
    if settings.grouping == "hdr":
        if scan.exposure_s is None:
            remedy = "set paths.exposure (--path exposure=PATH)"
            raise MissingDataError("grouping='hdr' needs exposure times", remedy, scan.source)
        return _seconds(scan, settings, exposures)
    if settings.grouping not in ("sum", "mean") or exposures.shape[1] == 1:
        return ones
    if scan.exposure_s is None:
        return ones
    try:
        seconds = _seconds(scan, settings, exposures)
    except ScanError as error:
        warn(f"{error.problem}: exposures of a position are taken to be equally long", error.file)
        return ones
    seconds = np.where(exposures < 0, _filled(seconds), seconds)
    known = np.isfinite(seconds).all(axis=1)
    uneven = known & (seconds.max(axis=1) > (1 + UNEVEN) * seconds.min(axis=1))
    made_up = _spread(seconds * scale) < 0.5 * _spread(seconds)
    return np.where((uneven & ~made_up)[:, None], seconds, ones)


def _seconds(scan: Scan, settings: Settings, exposures: Ints) -> Floats:
    """(m, k) recorded times; NaN where one is not usable.

    One time for each exposure of a position goes by its place among these, whatever the lag.
    """
    n, k = len(scan), settings.frames_per_position or 1
    stored = np.atleast_1d(np.asarray(scan.exposure_s, np.float64))
    if len(stored) in (1, k) and (len(stored) != n or n == k):
        times = np.broadcast_to(stored, exposures.shape)
    else:
        of_frames = _of_frames(stored, scan, settings, "exposure times")
        times = np.where(exposures >= 0, of_frames[np.maximum(exposures, 0)], np.nan)
    return np.where(np.isfinite(times) & (times > 0), times, np.nan)


def _filled(seconds: Floats) -> Floats:
    """(m, k) with the median of the same column where one is NaN; NaN where that has none."""
    columns = [column[np.isfinite(column)] for column in seconds.T]
    usual = [np.median(known) if known.size else np.nan for known in columns]
    return np.where(np.isfinite(seconds), seconds, usual)


def _spread(values: Floats) -> Floats:
    """(m,) standard deviation of the logarithms of each row (m, k); NaN where one is not known."""
    return np.asarray(np.std(np.log(values), axis=1), np.float64)


def with_reject_list(scan: Scan, settings: Settings, growing: bool) -> Settings:
    """The settings with the raw frames that the reject list names instead of its file.

    Raises
    ------
    SettingsError
        The list names a frame that the files have not; ``growing`` scans may get it yet.
    """
    if settings.reject is None:
        return settings
    return settings.model_copy(update={"reject": _rejected_raw(scan, settings, growing)})


def rejected(scan: Scan, settings: Settings, growing: bool) -> Ints:
    """The scan's frames that are in the reject list; raises as :func:`with_reject_list`."""
    if settings.reject is None:
        return np.zeros(0, np.int64)
    named, picked = _rejected_raw(scan, settings, growing), whole_stack(scan.frames)[1]
    return named if picked is None else np.flatnonzero(np.isin(picked, named))


def _rejected_raw(scan: Scan, settings: Settings, growing: bool) -> Ints:
    """The raw frames of the files that are in the reject list."""
    whole, picked = whole_stack(scan.frames)
    grid = None if picked is not None else scan.grid
    return rejected_frames(
        settings.reject,
        ListedFrames(
            whole.shape[0],
            scan.source,
            grid,
            settings.frames_per_position or 1,
            _of_each(scan, settings, whole.shape[0], picked),
            growing,
        ),
    )


def _of_each(scan: Scan, settings: Settings, total: int, picked: Ints | None) -> Floats | None:
    """(total, 2) position of each raw frame as listed; None where it takes more to tell."""
    given = settings.positions
    listed = len(scan.positions_m) == len(scan) and scan.positions_px is None
    if given.shift or given.snake or given.backlash or not listed:
        return None
    each = np.full((total, 2), np.nan)
    each[np.arange(len(scan)) if picked is None else picked] = scan.positions_m
    return each


def unwritten(frames: Frames) -> Ints:
    """Frames that there is only room for: nothing was ever written there."""
    there = written(frames)
    return np.zeros(0, np.int64) if there is None else np.flatnonzero(~there)


def refuse_absent(exposures: Ints, frames: Frames) -> None:
    """Stop where raw ``exposures`` are wanted that are in a file that cannot be read.

    Raises
    ------
    FileError
        Which file, and how its frames are left out.
    """
    lacking, wanted = absent(frames), exposures[exposures >= 0]
    if lacking is not None and lacking[wanted].any():
        frames.read(wanted[lacking[wanted]][:1], Window(0, 0, 1, 1))  # it says what is wrong
