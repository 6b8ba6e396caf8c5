"""What loading a scan must give, in plain NumPy: from what was measured and the settings alone.

Written from the order of operations in docs/corrections.md and from docs/parameters.md, one station
after the other, and sharing nothing with the package. A new parameter is one line in the station
that it belongs to; settings that make no sense raise :class:`RefusedError`, with the words that an
error must have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import reference_corrections as reference
from reference_scan import Measured, RefusedError
from reference_selection import image_axes, pairs, quantities, times_in_place

SLACK = 2.0**-22
"""Of a count, relative to the numbers it is the difference of: four roundings to float32."""


@dataclass(frozen=True, eq=False)
class Expected:
    """What comes out; ``slack`` (M, ny, nx) is how far a count may be off by rounding."""

    frames: np.ndarray
    good: np.ndarray
    slack: np.ndarray
    positions_m: np.ndarray
    exposures: np.ndarray
    energy_eV: float
    distance_m: float
    pixel_m: tuple[float, float]
    center_px: tuple[float, float]

    @property
    def static(self) -> np.ndarray:
        """(ny, nx) good in some frame."""
        return self.good.any(0)


def load(measured: Measured, settings: Mapping[str, Any], found_center: Any = None) -> Expected:
    """Every station; ``found_center`` is the measured beam centre, used if none is given."""
    check(settings)
    measured = chosen_projection(measured, settings)
    (energy_eV, distance_m, pixel_m), (positions_m, exposures, factor, seconds) = _all_of(
        lambda: quantities(measured, settings), lambda: pairs(measured, settings)
    )
    center = beam_center(measured, settings, found_center)
    window = window_of(measured, settings, center)
    images = calibration(measured, settings).cut(window)
    inner = (center[0] - window[0], center[1] - window[1])
    out = [
        one_frame(measured, settings, which, (factor, seconds), images, window, inner)
        for which in exposures
    ]
    counts, magnitude = (np.array(part) for part in zip(*out, strict=True))
    center_px, transposed = follow(inner, window[2:], settings)
    if not all(0 <= c <= n - 1 for c, n in zip(center_px, counts.shape[1:], strict=True)):
        raise RefusedError("center", "centre")
    focus = settings.get("focus_to_sample") or 0
    magnification = (distance_m + focus) / focus if focus else 1.0
    size = [p * settings.get("rebin", 1) / magnification for p in pixel_m]
    good = np.isfinite(counts)
    return Expected(
        frames=np.where(good, counts, 0),
        good=good,
        slack=np.where(good, magnitude, 0) * SLACK,
        positions_m=image_axes(positions_m, settings.get("positions.axes", "yx")),
        exposures=exposures,
        energy_eV=energy_eV,
        distance_m=distance_m / magnification,
        pixel_m=(size[1], size[0]) if transposed else (size[0], size[1]),
        center_px=center_px,
    )


def _all_of(*parts: Callable[[], Any]) -> list[Any]:
    """What each part gives; of several that refuse, any may be named."""
    found, words = [], []
    for part in parts:
        try:
            found.append(part())
        except RefusedError as problem:
            words += problem.words
    if words:
        raise RefusedError(*words)
    return found


def check(settings: Mapping[str, Any]) -> None:
    """Settings that contradict each other."""
    if "orientation" in settings and {"rotate", "flip"} & set(settings):
        raise RefusedError("orientation")
    region = settings.get("select.shape", "none")
    if region == "circle" and "select.radius" not in settings:
        raise RefusedError("select.radius")
    if region == "rect" and "select.size" not in settings:
        raise RefusedError("select.size")


def chosen_projection(measured: Measured, settings: Mapping[str, Any]) -> Measured:
    outer, projections = settings.get("outer_index"), measured.frames.ndim == 4
    if (outer is None) == projections or (projections and outer >= len(measured.frames)):
        raise RefusedError("outer_index")
    chosen = measured.frames[outer] if projections else measured.frames
    return Measured(**{**vars(measured), "frames": chosen})


def beam_center(
    measured: Measured, settings: Mapping[str, Any], found_center: Any
) -> tuple[float, float]:
    given, shape = settings.get("center"), measured.frames.shape[1:]
    if given is None:
        given = measured.center_px
        if given is None:
            return found_center if found_center is not None else measured.beam_px
    elif given == "fftshift":
        given = (shape[0] // 2, shape[1] // 2)
    elif all(isinstance(c, float) and 0 <= c < 1 for c in given):
        given = tuple(float(np.floor(c * n)) for c, n in zip(given, shape, strict=True))
    if not all(0 <= c < n for c, n in zip(given, shape, strict=True)):
        raise RefusedError("center", "centre")
    return float(given[0]), float(given[1])


def window_of(
    measured: Measured, settings: Mapping[str, Any], center: tuple[float, float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) on the raw detector."""
    detector = measured.frames.shape[1:]
    shape = tuple(int(n) for n in np.broadcast_to(settings.get("shape", detector), 2))
    if any(n % settings.get("rebin", 1) for n in shape):
        raise RefusedError("rebin")
    if "shape" not in settings:
        return 0, 0, *shape
    top, left = (int(np.floor(c + 0.5)) - n // 2 for c, n in zip(center, shape, strict=True))
    return top, left, *shape


@dataclass(frozen=True, eq=False)
class Images:
    """Calibration of the whole detector, or of a window of it."""

    dark: np.ndarray
    background: np.ndarray
    flat: np.ndarray
    bad: np.ndarray
    saturation: float

    def cut(self, window: tuple[int, int, int, int]) -> Images:
        """Of a window; what lies past the detector is bad."""
        images = (self.dark, self.background, self.flat, self.bad.astype(float))
        dark, background, flat, bad = (reference.cut(image, *window) for image in images)
        return Images(dark, background, flat, (bad != 0) | np.isnan(bad), self.saturation)


def calibration(measured: Measured, settings: Mapping[str, Any]) -> Images:
    shape = measured.frames.shape[1:]

    def mean(name: str, stored: Any, default: float) -> np.ndarray:
        image = np.asarray(settings.get(name, default if stored is None else stored), float)
        image = image.mean(0) if image.ndim == 3 else image
        if image.ndim and image.shape != shape:
            raise RefusedError(name)
        turned = measured.corner and name in settings
        whole = np.broadcast_to(image, shape)
        return np.fft.fftshift(whole) if turned else whole

    dark, flat = mean("dark", measured.dark, 0), mean("flat", measured.flat, 1)
    background = mean("background", None, 0)
    bad = ~np.isfinite(dark) | ~np.isfinite(background) | bad_in_masks(measured, settings)
    if "hot_sigma" in settings and measured.hot is not None:
        bad |= measured.hot
    limit = settings.get("saturation", np.inf)
    if limit == "file":
        limit = measured.no_count if measured.saturation is None else measured.saturation
        if limit is None:
            raise RefusedError("saturation")
    no_count = np.inf if measured.no_count is None else measured.no_count
    return Images(dark, background, flat, bad, min(limit, no_count))


def bad_in_masks(measured: Measured, settings: Mapping[str, Any]) -> np.ndarray:
    """Bad in the file's mask or in any image of the user's."""
    bad = np.zeros(measured.frames.shape[1:], bool)
    given, good_ones = settings.get("mask"), settings.get("mask_values") == "good"
    if measured.mask is not None:
        marked = measured.mask != 0
        bad |= ~marked if good_ones and given is None else marked
    if given is not None:
        stack = np.asarray(given).reshape(-1, *np.shape(given)[-2:])
        if stack.shape[1:] != bad.shape:
            raise RefusedError("mask")
        marked = (stack == 0).any(0) if good_ones else (stack != 0).any(0)
        bad |= np.fft.fftshift(marked) if measured.corner else marked
    return bad


def one_frame(measured, settings, which, per_frame, images, window, center):
    """One position: its counts (NaN = bad), and the size of the numbers they are made of."""
    factor, seconds = per_frame
    counts = np.full((len(which), *images.bad.shape), np.nan)
    sizes, clipped = counts.copy(), counts.copy()
    for j, f in enumerate(which):
        if f >= 0:
            raw = reference.cut(measured.frames[f].astype(float), *window)
            known = images, factor[f], settings.get("threshold", 0.0)
            counts[j], sizes[j] = corrected(raw, *known)
            clipped[j] = corrected(raw, *known, clipped=True)[0]
    how = settings.get("grouping", "sum")
    if how in ("first", "best"):
        there = [j for j, f in enumerate(which) if f >= 0]
        chosen = (
            there[0]
            if how == "first"
            else max(there, key=lambda j: (*_quality(counts[j], clipped[j]), -j))
        )
        counts, sizes = counts[[chosen]], sizes[[chosen]]
    weights = [seconds[f] if f >= 0 else 1.0 for f in which] if how == "hdr" else None
    if how in ("sum", "mean"):
        weights = times_in_place(measured, settings, len(which))
    how = {"first": "mean", "best": "mean", "none": "mean"}.get(how, how)
    image, size = (reference.group(stack, how, weights) for stack in (counts, sizes))
    if settings.get("align") == "com" and np.nansum(image) > 0:
        image, size = reference.align_both(image, size, center)
    return delivered(image, settings), delivered(size, settings)


def corrected(
    raw: np.ndarray, images: Images, factor: float, threshold: float, clipped: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """One exposure: counts, NaN where bad, and the size of the numbers they are made of."""
    counts = reference.correct(
        raw[None],
        bad=images.bad,
        dark=images.dark,
        background=images.background,
        flat=images.flat,
        saturation=images.saturation,
        scale=[factor],
        threshold=threshold,
        clipped=clipped,
    )[0]
    with np.errstate(all="ignore"):
        size = (np.abs(raw) + np.abs(images.dark) + np.abs(images.background)) / images.flat
    return counts, np.where(np.isnan(counts), np.nan, size * factor)


def _quality(counts: np.ndarray, clipped: np.ndarray) -> tuple[float, int, float]:
    """Highest median after clipping at saturation, then fewest bad pixels, then most counts."""
    seen = clipped[np.isfinite(clipped)]
    median = float(np.median(seen)) if seen.size else -1.0
    return median, -int(np.isnan(counts).sum()), float(np.nansum(counts))


def delivered(image: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Bin → orient → pad."""
    image = oriented(reference.rebin(image, settings.get("rebin", 1)), settings)
    return reference.pad(image, border(image.shape, settings.get("pad", 0)))


def oriented(image: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    code = settings.get("orientation", 0)
    if not isinstance(code, int):
        code = 4 * bool(code[0]) + 2 * bool(code[1]) + bool(code[2])
    image = reference.orient(image, code)
    image = np.rot90(image, -(settings.get("rotate", 0) // 90))
    flip = settings.get("flip", "none")
    image = image[:, ::-1] if "h" in flip else image
    return image[::-1] if "v" in flip else image


def border(shape: tuple[int, ...], pad: Any) -> tuple[int, int, int, int]:
    """(top, bottom, left, right)."""
    if pad == "square":
        side = max(shape)
        rows, columns = side - shape[0], side - shape[1]
        return rows // 2, rows - rows // 2, columns // 2, columns - columns // 2
    if np.ndim(pad) == 0:
        return (pad,) * 4
    if min(pad) < 0:
        raise RefusedError("pad")
    return tuple(pad)


def follow(
    center: tuple[float, float], shape: tuple[int, int], settings: Mapping[str, Any]
) -> tuple[tuple[float, float], bool]:
    """Where a point of the window goes, and whether rows become columns.

    Found by sending the pixels' own coordinates through the same steps, which are linear.
    """
    square = settings.get("rebin", 1) ** 2
    maps = [delivered(image.astype(float), settings) / square for image in np.indices(shape)]
    known = np.argwhere(np.isfinite(maps[0]))
    design = np.column_stack([known, np.ones(len(known))])
    rows = [np.linalg.lstsq(design, image[np.isfinite(image)], rcond=None)[0] for image in maps]
    linear, offset = np.array([row[:2] for row in rows]), np.array([row[2] for row in rows])
    y, x = np.linalg.solve(linear, np.array(center) - offset)
    return (float(y), float(x)), bool(abs(linear[0, 1]) > abs(linear[0, 0]))
