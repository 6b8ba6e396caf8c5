"""What goes with each raw exposure: monitor factor, exposure time, and whether it is used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDataError, ScanError, SettingsError
from ..reading.images import rejected_frames, values_of
from ..reading.picked import whole_stack
from ..scan import Frames, Scan, written
from ..settings import Settings

Values = NDArray[np.float64]
"""(n,) one for each raw frame."""


def usable_i0(scan: Scan, settings: Settings) -> Values | None:
    """I0 of each raw frame, NaN where it is not usable; None where no monitor is applied.

    Raises
    ------
    MissingDataError
        A monitor is asked for and none is recorded.
    ScanError
        It has fewer values than there are frames, or no positive one.
    """
    n, k, given = len(scan), settings.frames_per_position or 1, settings.monitor
    if given is False or (given is None and settings.paths.monitor is None):
        return None
    stored = given is True or given is None
    monitor = scan.monitor
    if not stored:
        monitor = _of_raw_frames(values_of(given, "monitor", settings.links), scan)
    if monitor is None:
        raise MissingDataError("no monitor is recorded", "set paths.monitor (--path monitor=PATH) "
                               "or leave monitor off", scan.source)  # fmt: skip
    if len(monitor) < n and len(monitor) * k >= n:
        monitor = np.repeat(monitor, k)
    if len(monitor) < n:
        raise ScanError(f"monitor has {len(monitor)} values for {n} frames",
                        "give one value a raw frame", scan.source)  # fmt: skip
    usable = np.isfinite(monitor[:n]) & (monitor[:n] > 0)
    if not usable.any():
        raise ScanError("no monitor value is positive", "leave monitor off", scan.source)
    return np.where(usable, monitor[:n], np.nan)


def _of_raw_frames(values: Values, scan: Scan) -> Values:
    """The scan's own of one value for each raw frame of the files."""
    picked = whole_stack(scan.frames)[1]
    if picked is None or len(values) == len(scan) or len(values) <= picked.max(initial=0):
        return values
    return values[picked]


def recorded_i0(scan: Scan, settings: Settings) -> Values | None:
    """(total,) the file's own I0 of each raw frame of the files; NaN or None where it has none."""
    n, monitor = len(scan), scan.monitor
    if monitor is not None and len(monitor) < n:
        monitor = np.repeat(monitor, settings.frames_per_position or 1)
    if monitor is None or len(monitor) < n:
        return None
    whole, picked = whole_stack(scan.frames)
    found = np.full(whole.shape[0], np.nan)
    found[np.arange(n) if picked is None else picked] = monitor[:n]
    return found


def mean_i0(scan: Scan, settings: Settings) -> float | None:
    """What the monitor is scaled to: the mean of its usable values; None where none is applied."""
    monitor = usable_i0(scan, settings)
    return None if monitor is None else float(np.nanmean(monitor))


def monitor_factor(scan: Scan, settings: Settings, mean: float | None) -> Values:
    """mean(I0)/I0 of each raw frame, 1 without a monitor; NaN where I0 is not usable."""
    monitor = usable_i0(scan, settings)
    if monitor is None:
        return np.ones(len(scan))
    return np.asarray((np.nanmean(monitor) if mean is None else mean) / monitor, np.float64)


def exposure_times(scan: Scan, settings: Settings) -> Values:
    """Seconds of each raw frame where ``grouping='hdr'`` needs them, else 1; NaN if not usable.

    Raises
    ------
    MissingDataError, ScanError
        They are not recorded, or are not one a frame or one for each exposure of a position.
    """
    n, k = len(scan), settings.frames_per_position or 1
    if settings.grouping != "hdr":
        return np.ones(n)
    if scan.exposure_s is None:
        raise MissingDataError("grouping='hdr' needs exposure times", "set paths.exposure "
                               "(--path exposure=PATH)", scan.source)  # fmt: skip
    times = np.atleast_1d(scan.exposure_s).astype(np.float64)
    if len(times) < n and len(times) not in (1, k):
        raise ScanError(
            f"{len(times)} exposure times for {n} frames, {k} a position",
            "give one a frame, or one for each exposure of a position", scan.source,
        )  # fmt: skip
    times = np.resize(times, n)
    return np.where(np.isfinite(times) & (times > 0), times, np.nan)


def rejected(scan: Scan, settings: Settings, growing: bool) -> NDArray[np.int64]:
    """The scan's frames that are in the reject list, which counts all raw frames of the files.

    Raises
    ------
    SettingsError
        The list names a frame that the files have not; ``growing`` scans may get it yet.
    """
    if settings.reject is None:
        return np.zeros(0, np.int64)
    named, (whole, picked) = rejected_frames(settings.reject), whole_stack(scan.frames)
    total = whole.shape[0]
    beyond = named[(named < 0) | (named >= total)]
    if len(beyond) and not (growing and beyond.min() >= 0):
        raise SettingsError(
            f"reject names frame {beyond[0]}, the scan has frames 0 to {total - 1}",
            "give the reject list of this scan", scan.source,
        )  # fmt: skip
    if picked is not None:
        return np.flatnonzero(np.isin(picked, named))
    return named[named < total]


def unwritten(frames: Frames) -> NDArray[np.int64]:
    """Frames that there is only room for: nothing was ever written there."""
    there = written(frames)
    return np.zeros(0, np.int64) if there is None else np.flatnonzero(~there)
