"""Which exposures make which position, and the geometry of the raw detector, in plain NumPy.

Written from docs/corrections.md and docs/parameters.md, see :mod:`reference_load`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from reference_scan import Measured, RefusedError

HC_EV_M = 1.239841984e-6
"""h·c in eV·m."""


def quantities(measured: Measured, settings: Mapping[str, Any]) -> tuple[float, float, Any]:
    """Energy in eV, distance and pixel (y, x) in metres: given, else the file's."""
    keV = settings.get("energy")
    energy = measured.energy_eV if keV is None else keV * 1e3
    distance = settings.get("distance", measured.distance_m)
    pixel = settings.get("psize", measured.pixel_m)
    if pixel is not None:
        pixel = tuple(np.broadcast_to(pixel, 2).astype(float).tolist())
    for value, low, high, name in (
        (energy, 20, 120e3, "energy"),
        (distance, 1e-4, 1e3, "distance"),
        (pixel and pixel[0], 1e-10, 5e-3, "pixel"),
        (pixel and pixel[1], 1e-10, 5e-3, "pixel"),
    ):
        if value is None or not low <= value <= high:
            raise RefusedError(name)
    return energy, distance, pixel


def pairs(measured: Measured, settings: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Positions (M, 2) on the stage, exposures (M, k), and of each raw frame factor and seconds.

    Frames with positions → region → every n-th → rejected and unusable exposures → empty positions
    → ``grouping='none'`` → ``num_frames``.
    """
    n, k = len(measured.frames), settings.get("frames_per_position", 1)
    factor, seconds = monitor_factor(measured, settings, k), times(measured, settings, k)
    places = listed_positions(measured, settings, n, k)
    table = []
    for number, (y, x) in enumerate(places):
        frames = [number * k + j + settings.get("positions.shift", 0) for j in range(k)]
        frames = [f if 0 <= f < n else -1 for f in frames]
        table.append((y, x, frames))
    begun = [row for row in table if max(row[2]) >= 0]
    if k > 1 and len(begun) > 1 and min(begun[-1][2]) < 0 and begun[-1][2][-1] < 0:
        begun = begun[:-1]  # the scan was stopped before the position was finished
    table = [row for row in begun if np.isfinite(row[:2]).all()]
    if not table:
        raise RefusedError("position")
    table = [row for row, inside in zip(table, in_region(table, settings), strict=True) if inside]
    if not table:
        raise RefusedError("select")
    out = rejected(settings, n)
    unusable = out | set(np.flatnonzero(~np.isfinite(factor * seconds)).tolist())
    left = []
    for y, x, frames in table[:: settings.get("step", 1)]:
        kept = [-1 if f in unusable else f for f in frames]
        if max(kept) >= 0:
            left.append((y, x, kept))
    if not left:
        raise RefusedError("rejected")
    if settings.get("grouping") == "none":
        left = [(y, x, [f]) for y, x, frames in left for f in frames if f >= 0]
    left = left[: settings.get("num_frames")]
    return (
        np.array([row[:2] for row in left]),
        np.array([row[2] for row in left]),
        factor,
        seconds,
    )


def listed_positions(measured: Measured, settings: Mapping[str, Any], n: int, k: int) -> np.ndarray:
    """(m, 2) in metres, one for each position, as the stage really went."""
    places = np.array(measured.positions, float)
    if measured.in_pixels:
        energy, distance, pixel = quantities(measured, settings)
        pixels = np.array(measured.frames.shape[-2:])
        places = places * (HC_EV_M / energy * distance / (pixels * np.array(pixel)))
    if measured.each and k > 1:
        groups = range(0, len(places), k)
        places = np.array([np.nanmean(places[g : g + k], axis=0) for g in groups])
    elif k > 1 and len(places) == n:
        raise RefusedError("frames_per_position")
    if len(places) * k < n:
        raise RefusedError("positions")
    if settings.get("positions.snake"):
        if measured.row == 0 or measured.row >= len(places):
            raise RefusedError("snake")
        rows = [
            places[start : start + measured.row] for start in range(0, len(places), measured.row)
        ]
        places = np.concatenate([row[::-1] if i % 2 else row for i, row in enumerate(rows)])
    backlash = settings.get("positions.backlash", 0.0)
    if backlash:
        if not (settings.get("positions.snake") or measured.bidirectional):
            raise RefusedError("backlash")
        backwards = np.arange(len(places)) // measured.row % 2 == 1
        places[backwards, measured.fast] += backlash
    return places


def in_region(table: list, settings: Mapping[str, Any]) -> np.ndarray:
    places = np.array([row[:2] for row in table])
    shape = settings.get("select.shape", "none")
    middle = settings.get("select.center", (places.min(0) + places.max(0)) / 2)
    away = places - np.array(middle)
    if shape == "circle":
        return (away**2).sum(1) ** 0.5 <= settings["select.radius"]
    if shape == "rect":
        return (np.abs(away) <= np.broadcast_to(settings["select.size"], 2) / 2).all(1)
    return np.ones(len(table), bool)


def rejected(settings: Mapping[str, Any], n: int) -> set[int]:
    named = {int(i) for i in settings.get("reject", ())}
    if any(not 0 <= i < n for i in named):
        raise RefusedError("reject")
    return named


def monitor_factor(measured: Measured, settings: Mapping[str, Any], k: int) -> np.ndarray:
    """mean(I0)/I0 of each raw frame; NaN where I0 is not usable."""
    n, given = len(measured.frames), settings.get("monitor")
    if given is False or (given is None and "paths.monitor" not in settings):
        return np.ones(n)
    of_the_file = given is None or given is True or isinstance(given, str)
    i0 = measured.monitor if of_the_file else np.asarray(given, float)
    if i0 is None:
        raise RefusedError("monitor")
    places = len(measured.positions) // (k if measured.each else 1)
    if len(i0) == places and n != places:
        i0 = np.repeat(i0, k)
    if len(i0) not in (n, places * k):
        raise RefusedError("monitor")
    i0 = np.array([v if np.isfinite(v) and v > 0 else np.nan for v in i0[:n]])
    if np.isnan(i0).all():
        raise RefusedError("monitor")
    return np.nanmean(i0) / i0


def times(measured: Measured, settings: Mapping[str, Any], k: int) -> np.ndarray:
    """Seconds of each raw frame, where they count."""
    n = len(measured.frames)
    if settings.get("grouping") != "hdr":
        return np.ones(n)
    if measured.exposure_s is None:
        raise RefusedError("exposure")
    seconds = np.atleast_1d(measured.exposure_s)
    if len(seconds) == 1:
        return np.full(n, float(seconds[0]))
    if len(seconds) == n:
        return seconds.astype(float)
    shift = settings.get("positions.shift", 0)
    return np.array([seconds[(f - shift) % k] for f in range(n)], float)


def times_in_place(measured: Measured, settings: Mapping[str, Any], k: int) -> np.ndarray:
    """Seconds of the k exposures of any position, by which a sum is filled; 1 where they are equal.

    Times of frames repeat after k of them.
    """
    seconds = np.atleast_1d(np.ones(1) if measured.exposure_s is None else measured.exposure_s)
    if k == 1 or np.ptp(seconds) == 0:
        return np.ones(k)
    by_frame = len(seconds) == len(measured.frames) != k
    shift = settings.get("positions.shift", 0) if by_frame else 0
    return np.array([seconds[(j + shift) % k] for j in range(k)], float)


def image_axes(positions: np.ndarray, axes: str) -> np.ndarray:
    """Stage (y, x) as image (row, column): ``-xy`` is row = −x, column = y."""
    columns, sign = [], 1.0
    for letter in axes:
        if letter == "-":
            sign = -1.0
        else:
            columns.append(sign * positions[:, "yx".index(letter)])
            sign = 1.0
    return np.column_stack(columns)
