"""What loading a scan must give, in plain NumPy: from what was measured and the settings alone.

Written from the order of operations in docs/corrections.md and from docs/parameters.md, one station
after the other, and sharing nothing with the package. A new parameter is one line in the station
that it belongs to; settings that make no sense raise :class:`Refused`, with the words that an error
must have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import reference

HC_EV_M = 1.239841984e-6
SLACK = 2.0**-22
"""Of a count, relative to the numbers it is the difference of: four roundings to float32."""


class Refused(Exception):
    """The settings make no sense for the scan; one of ``words`` must be in the error."""

    def __init__(self, *words: str) -> None:
        super().__init__(" or ".join(words))
        self.words = words


@dataclass(frozen=True, eq=False)
class Measured:
    """A scan as its file tells it; None where it does not.

    Attributes
    ----------
    frames
        (n, ny, nx), or (projections, n, ny, nx), counts as they are stored.
    positions
        (m, 2) y, x in metres or, ``in_pixels``, in pixels of the reconstruction of the raw frame.
    each
        A position is listed for each exposure, not for each group of them.
    mask, dark, flat, monitor, exposure_s, center_px, saturation
        As stored.
    no_count
        Raw number that stands for no count.
    row
        Positions in a row of a raster; 0 if it is none.
    fast
        Axis of the positions that runs fast.
    bidirectional
        Rows are listed forwards and backwards in turns.
    beam_px
        Where the beam really is.
    hot
        Pixels that are really hot or dead, and that ``hot_sigma`` must find.
    """

    frames: np.ndarray
    positions: np.ndarray
    in_pixels: bool = False
    each: bool = False
    energy_eV: float | None = None
    distance_m: float | None = None
    pixel_m: tuple[float, float] | None = None
    exposure_s: Any = None
    mask: np.ndarray | None = None
    dark: np.ndarray | None = None
    flat: np.ndarray | None = None
    monitor: np.ndarray | None = None
    center_px: tuple[float, float] | None = None
    saturation: float | None = None
    no_count: float | None = None
    row: int = 0
    fast: int = 1
    bidirectional: bool = False
    beam_px: tuple[float, float] = (0, 0)
    hot: np.ndarray | None = None


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
    """Every station; ``found_center`` is where the beam was found, where nothing tells."""
    check(settings)
    measured = chosen_projection(measured, settings)
    energy_eV, distance_m, pixel_m = quantities(measured, settings)
    positions_m, exposures, factor, seconds = pairs(measured, settings)
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
        raise Refused("center", "centre")
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


def check(settings: Mapping[str, Any]) -> None:
    """Settings that contradict each other."""
    if "orientation" in settings and {"rotate", "flip"} & set(settings):
        raise Refused("orientation")
    region = settings.get("select.shape", "none")
    if region == "circle" and "select.radius" not in settings:
        raise Refused("select.radius")
    if region == "rect" and "select.size" not in settings:
        raise Refused("select.size")


def chosen_projection(measured: Measured, settings: Mapping[str, Any]) -> Measured:
    outer, projections = settings.get("outer_index"), measured.frames.ndim == 4
    if (outer is None) == projections or (projections and outer >= len(measured.frames)):
        raise Refused("outer_index")
    chosen = measured.frames[outer] if projections else measured.frames
    return Measured(**{**vars(measured), "frames": chosen})


def quantities(measured: Measured, settings: Mapping[str, Any]) -> tuple[float, float, Any]:
    """Energy in eV, distance and pixel (y, x) in metres: given, else the file's."""
    keV = settings.get("energy")
    energy = measured.energy_eV if keV is None else keV * 1e3
    distance = settings.get("distance", measured.distance_m)
    pixel = settings.get("psize", measured.pixel_m)
    if pixel is not None:
        pixel = tuple(np.broadcast_to(pixel, 2).astype(float).tolist())
    for value, low, high, name in (
        (energy, 20, 120e3, "energy"), (distance, 1e-4, 1e3, "distance"),
        (pixel and pixel[0], 1e-10, 5e-3, "pixel"), (pixel and pixel[1], 1e-10, 5e-3, "pixel"),
    ):  # fmt: skip
        if value is None or not low <= value <= high:
            raise Refused(name)
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
        if np.isfinite([y, x]).all() and max(frames) >= 0:
            table.append((y, x, frames))
    if not table:
        raise Refused("position")
    table = [row for row, inside in zip(table, in_region(table, settings), strict=True) if inside]
    if not table:
        raise Refused("select")
    out = rejected(settings, n)
    unusable = out | set(np.flatnonzero(~np.isfinite(factor * seconds)).tolist())
    left = []
    for y, x, frames in table[:: settings.get("step", 1)]:
        kept = [-1 if f in unusable else f for f in frames]
        if max(kept) >= 0:
            left.append((y, x, kept))
    if not left:
        raise Refused("rejected")
    if settings.get("grouping") == "none":
        left = [(y, x, [f]) for y, x, frames in left for f in frames if f >= 0]
    left = left[: settings.get("num_frames")]
    return (np.array([row[:2] for row in left]), np.array([row[2] for row in left]), factor,
            seconds)  # fmt: skip


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
    if len(places) * k < n:
        raise Refused("positions")
    if settings.get("positions.snake"):
        if measured.row == 0 or measured.row >= len(places):
            raise Refused("snake")
        rows = [
            places[start : start + measured.row] for start in range(0, len(places), measured.row)
        ]
        places = np.concatenate([row[::-1] if i % 2 else row for i, row in enumerate(rows)])
    backlash = settings.get("positions.backlash", 0.0)
    if backlash:
        if not (settings.get("positions.snake") or measured.bidirectional):
            raise Refused("backlash")
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
        raise Refused("reject")
    return named


def monitor_factor(measured: Measured, settings: Mapping[str, Any], k: int) -> np.ndarray:
    """mean(I0)/I0 of each raw frame; NaN where I0 is not usable."""
    n, given = len(measured.frames), settings.get("monitor")
    if given is False or (given is None and "paths.monitor" not in settings):
        return np.ones(n)
    of_the_file = given is None or given is True or isinstance(given, str)
    i0 = measured.monitor if of_the_file else np.asarray(given, float)
    if i0 is None:
        raise Refused("monitor")
    if len(i0) * k == n:
        i0 = np.repeat(i0, k)
    if len(i0) < n:
        raise Refused("monitor")
    i0 = np.array([v if np.isfinite(v) and v > 0 else np.nan for v in i0[:n]])
    if np.isnan(i0).all():
        raise Refused("monitor")
    return np.nanmean(i0) / i0


def times(measured: Measured, settings: Mapping[str, Any], k: int) -> np.ndarray:
    """Seconds of each raw frame, where they count."""
    n = len(measured.frames)
    if settings.get("grouping") != "hdr":
        return np.ones(n)
    if measured.exposure_s is None:
        raise Refused("exposure")
    seconds = np.atleast_1d(measured.exposure_s)
    if len(seconds) == 1:
        return np.full(n, float(seconds[0]))
    return np.array([seconds[f] if len(seconds) == n else seconds[f % k] for f in range(n)], float)


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
        raise Refused("center", "centre")
    return float(given[0]), float(given[1])


def window_of(
    measured: Measured, settings: Mapping[str, Any], center: tuple[float, float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) on the raw detector."""
    detector = measured.frames.shape[1:]
    shape = tuple(int(n) for n in np.broadcast_to(settings.get("shape", detector), 2))
    if any(n % settings.get("rebin", 1) for n in shape):
        raise Refused("rebin")
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
            raise Refused(name)
        return np.broadcast_to(image, shape)

    dark, flat = mean("dark", measured.dark, 0), mean("flat", measured.flat, 1)
    background = mean("background", None, 0)
    bad = ~np.isfinite(dark) | ~np.isfinite(background) | bad_in_masks(measured, settings)
    if "hot_sigma" in settings and measured.hot is not None:
        bad |= measured.hot
    limit = settings.get("saturation", np.inf)
    if limit == "file":
        limit = measured.no_count if measured.saturation is None else measured.saturation
        if limit is None:
            raise Refused("saturation")
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
            raise Refused("mask")
        bad |= (stack == 0).any(0) if good_ones else (stack != 0).any(0)
    return bad


def one_frame(measured, settings, which, per_frame, images, window, center):
    """One position: its counts (NaN = bad), and the size of the numbers they are made of."""
    factor, seconds = per_frame
    counts = np.full((len(which), *images.bad.shape), np.nan)
    sizes = counts.copy()
    for j, f in enumerate(which):
        if f >= 0:
            raw = reference.cut(measured.frames[f].astype(float), *window)
            counts[j], sizes[j] = corrected(raw, images, factor[f], settings.get("threshold", 0.0))
    how = settings.get("grouping", "sum")
    if how in ("first", "best"):
        there = [j for j, f in enumerate(which) if f >= 0]
        chosen = there[0] if how == "first" else min(there, key=lambda j: _quality(counts[j]))
        counts, sizes = counts[[chosen]], sizes[[chosen]]
    how = {"first": "mean", "best": "mean", "none": "mean"}.get(how, how)
    weights = [seconds[f] if f >= 0 else 1.0 for f in which]
    image, size = (reference.group(stack, how, weights) for stack in (counts, sizes))
    if settings.get("align") == "com" and np.nansum(image) > 0:
        image, size = reference.align_both(image, size, center)
    return delivered(image, settings), delivered(size, settings)


def corrected(
    raw: np.ndarray, images: Images, factor: float, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """One exposure: counts, NaN where bad, and the size of the numbers they are made of."""
    counts = reference.correct(
        raw[None], bad=images.bad, dark=images.dark, background=images.background,
        flat=images.flat, saturation=images.saturation, scale=[factor], threshold=threshold,
    )[0]  # fmt: skip
    with np.errstate(all="ignore"):
        size = (np.abs(raw) + np.abs(images.dark) + np.abs(images.background)) / images.flat
    return counts, np.where(np.isnan(counts), np.nan, size * factor)


def _quality(counts: np.ndarray) -> tuple[int, float]:
    """Fewest bad pixels first, then most counts."""
    return int(np.isnan(counts).sum()), -float(np.nansum(counts))


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
        raise Refused("pad")
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
