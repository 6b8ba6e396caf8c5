"""Which raw exposures make which position."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDataError, ScanError, SettingsError
from ..reading.images import rejected_frames, values_of
from ..scan import Scan
from ..settings import Select, Settings


@dataclass(frozen=True, eq=False)
class Selection:
    """The positions that are handed over, numbered without holes.

    Attributes
    ----------
    exposures
        (m, k) int64: raw frame of each exposure of each position, −1 = left out.
    positions_m
        (m, 2) float64: (row, column) of the illumination in image axes.
    scale
        (m, k) float64: monitor factor of each exposure.
    seconds
        (m, k) float64: exposure time, 1 where it is not needed.
    """

    exposures: NDArray[np.int64]
    positions_m: NDArray[np.float64]
    scale: NDArray[np.float64]
    seconds: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.exposures)

    def __getitem__(self, positions: NDArray[Any] | slice) -> Selection:
        return Selection(self.exposures[positions], self.positions_m[positions],
                         self.scale[positions], self.seconds[positions])  # fmt: skip


def select(scan: Scan, settings: Settings) -> Selection:
    """Compile which exposures and positions are used.

    Order: pair frames with positions → region → every n-th → rejected exposures and those with a
    bad monitor → positions without exposures → ``grouping='none'`` → ``num_frames`` → image axes.

    Raises
    ------
    ScanError
        Frames and positions do not belong together.
    SettingsError
        Nothing is left.
    """
    whole = _pair(scan, settings)
    region = whole[in_region(whole.positions_m, settings.select)]
    if not len(region):
        raise SettingsError(
            f"no position lies in the selected {settings.select.shape} {_extent(whole)}",
            "set select.center, select.radius or select.size (metres, y,x)", scan.source,
        )  # fmt: skip
    stepped = region[:: settings.step]
    accepted = _without(stepped, _left_out(scan, settings), scan)
    if settings.grouping == "none":
        accepted = _one_exposure_each(accepted)
    chosen = accepted[: settings.num_frames]
    return replace(chosen, positions_m=to_image_axes(chosen.positions_m, settings.positions.axes))


def _pair(scan: Scan, settings: Settings) -> Selection:
    """Every position of the scan with its exposures."""
    n, shift = len(scan), settings.positions.shift
    k = settings.frames_per_position or scan.frames_per_position or 1
    positions = scan.positions_m
    if settings.positions.snake:
        positions = unsnake(positions, scan.grid, scan)
    groups = -(-n // k)
    if len(positions) < groups:
        raise _too_many_frames(n, len(positions), scan)
    if k > 1 and _one_each(positions, n, k):
        padded = np.full((groups * k, 2), np.nan)
        padded[:n] = positions[:n]
        positions = np.nanmean(padded.reshape(groups, k, 2), axis=1)
    exposures = np.arange(groups * k).reshape(groups, k) + shift
    exposures[(exposures < 0) | (exposures >= n)] = -1
    raw = np.maximum(exposures, 0)
    seconds = _seconds(scan, k)[raw] if settings.grouping == "hdr" else np.ones(exposures.shape)
    return Selection(exposures, positions[:groups], _scale(scan, settings)[raw], seconds)


def _too_many_frames(frames: int, positions: int, scan: Scan) -> ScanError:
    several, rest = divmod(frames, max(positions, 1))
    remedy = "give the positions of all frames (--path x=PATH --path y=PATH)"
    if not rest and several > 1:
        remedy = f"set frames_per_position={several} (--frames-per-pos {several})"
    return ScanError(f"{frames} frames but {positions} positions", remedy, scan.source)


def _one_each(positions: NDArray[np.float64], n: int, k: int) -> bool:
    """True when positions are listed for each exposure: those of a group hardly differ."""
    if len(positions) < n:
        return False
    groups = positions[: n // k * k].reshape(-1, k, 2)
    within = np.median(np.abs(groups - groups.mean(1, keepdims=True)).sum(-1))
    between = np.median(np.linalg.norm(np.diff(groups.mean(1), axis=0), axis=-1)) if n > k else 1
    return bool(within < 0.25 * between)


def in_region(positions_m: NDArray[np.float64], region: Select) -> NDArray[np.bool_]:
    """Which stage positions (y, x) lie in ``region``."""
    if region.shape == "none":
        return np.ones(len(positions_m), np.bool_)
    low, high = positions_m.min(0), positions_m.max(0)
    away = positions_m - (np.array(region.center) if region.center else (low + high) / 2)
    if region.shape == "circle":
        inside = np.hypot(away[:, 0], away[:, 1]) <= float(region.radius or 0)
    else:
        inside = (np.abs(away) <= np.array(region.size) / 2).all(1)
    return np.asarray(inside, np.bool_)


def to_image_axes(positions_m: NDArray[np.float64], axes: str) -> NDArray[np.float64]:
    """Stage (y, x) → image (row, column), as ``axes`` says: ``-yx`` means row = −y, column = x."""
    names = axes.replace("-", "")
    signs = [-1.0 if axes[: axes.index(name)].endswith("-") else 1.0 for name in names]
    columns = ["yx".index(name) for name in names]
    return np.asarray(positions_m[:, columns] * signs, np.float64)


def unsnake(
    positions_m: NDArray[np.float64], grid: tuple[int, int] | None, scan: Scan
) -> NDArray[np.float64]:
    """Turn the positions of every other row round."""
    starts = _row_starts(positions_m, grid)
    if len(starts) < 2:
        raise SettingsError("positions.snake needs a scan in rows, none were found",
                            "leave positions.snake (--snake) off", scan.source)  # fmt: skip
    rows = np.split(positions_m, starts[1:])
    return np.concatenate([row[::-1] if i % 2 else row for i, row in enumerate(rows)])


def _row_starts(
    positions_m: NDArray[np.float64], grid: tuple[int, int] | None
) -> NDArray[np.int64]:
    """Index of the first position of each row: known, or where the fast axis flies back."""
    if grid:
        return np.arange(0, len(positions_m), grid[1])
    steps = np.diff(positions_m, axis=0)
    fast = int(np.argmax(np.abs(steps).sum(0)))
    along = np.abs(steps[:, fast])
    return np.concatenate([[0], 1 + np.flatnonzero(along > 3 * np.median(along))])


def _scale(scan: Scan, settings: Settings) -> NDArray[np.float64]:
    """mean(I0)/I0 of each raw frame; NaN where I0 is not usable."""
    n = len(scan)
    given = settings.monitor
    wanted = given is not None and given is not False
    if not wanted and settings.paths.monitor is None:
        return np.ones(n)
    monitor = scan.monitor if given is True or not wanted else values_of(given, "monitor")
    if monitor is None:
        raise MissingDataError("no monitor is recorded", "set paths.monitor (--path monitor=PATH) "
                               "or leave monitor off", scan.source)  # fmt: skip
    if len(monitor) < n:
        raise ScanError(f"monitor has {len(monitor)} values for {n} frames",
                        "give one value a raw frame", scan.source)  # fmt: skip
    usable = np.isfinite(monitor[:n]) & (monitor[:n] > 0)
    if not usable.any():
        raise ScanError("no monitor value is positive", "leave monitor off", scan.source)
    i0 = np.where(usable, monitor[:n], np.nan)
    scale: NDArray[np.float64] = np.nanmean(i0) / i0
    return scale


def _seconds(scan: Scan, k: int) -> NDArray[np.float64]:
    """Exposure time of each raw frame."""
    if scan.exposure_s is None:
        raise MissingDataError("grouping='hdr' needs exposure times", "set paths.exposure "
                               "(--path exposure=PATH)", scan.source)  # fmt: skip
    n, times = len(scan), np.atleast_1d(scan.exposure_s).astype(np.float64)
    if len(times) >= n:
        return times[:n]
    if len(times) == k:
        return np.resize(times, n)
    if len(times) == 1:
        return np.full(n, times[0])
    raise ScanError(
        f"{len(times)} exposure times for {n} frames, {k} a position",
        "give one a frame, or one for each exposure of a position",
        scan.source,
    )


def _left_out(scan: Scan, settings: Settings) -> NDArray[np.bool_]:
    """Raw frames that are not used."""
    out: NDArray[np.bool_] = np.isnan(_scale(scan, settings))
    if settings.reject is not None:
        rejected = rejected_frames(settings.reject)
        if len(rejected) and not (rejected.min() >= 0 and rejected.max() < len(scan)):
            raise SettingsError(
                f"reject names frame {rejected.max()}, the scan has frames 0 to {len(scan) - 1}",
                "give the reject list of this scan", scan.source,
            )  # fmt: skip
        out[rejected] = True
    return out


def _without(selection: Selection, out: NDArray[np.bool_], scan: Scan) -> Selection:
    """Leave out exposures, and positions that have none left."""
    present = selection.exposures >= 0
    exposures = np.where(present & ~out[selection.exposures], selection.exposures, -1)
    left = np.any(exposures >= 0, axis=1)
    if not left.any():
        raise SettingsError(f"all {present.sum()} selected frames are rejected",
                            "check reject, monitor and positions.shift", scan.source)  # fmt: skip
    return replace(selection, exposures=exposures)[left]


def _one_exposure_each(selection: Selection) -> Selection:
    """Each exposure a position of its own."""
    k = selection.exposures.shape[1]
    flat = Selection(
        selection.exposures.reshape(-1, 1), np.repeat(selection.positions_m, k, axis=0),
        selection.scale.reshape(-1, 1), selection.seconds.reshape(-1, 1),
    )  # fmt: skip
    return flat[flat.exposures[:, 0] >= 0]


def _extent(selection: Selection) -> str:
    low, high = selection.positions_m.min(0), selection.positions_m.max(0)
    return f"(positions: y {low[0]:.4g} to {high[0]:.4g} m, x {low[1]:.4g} to {high[1]:.4g} m)"
