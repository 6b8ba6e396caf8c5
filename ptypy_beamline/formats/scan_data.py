"""What belongs to the frames: geometry, probe, dark, flat, mask, monitor, exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Bools, Complex64s, Floats
from ..errors import ScanError, shown
from ..frames.hdf5 import Hdf5Frames
from ..frames.masks import MaskFrames, different_masks
from ..quantities import QUANTITIES, known_factor
from ..scan import Frames, Window, gaps, sample_indices
from .frame_axes import follow
from .frames_and_positions import PairedFrames
from .hdf5_source import Found, Hdf5Source, text
from .stored_values import constant, numbers, si

if TYPE_CHECKING:
    from .hdf5 import Hdf5Format


def one(source: Hdf5Source, table: Hdf5Format, stack: PairedFrames, quantity: str) -> float | None:
    """Energy in eV, distance or focus in m; None if the file has none or the user gives it.

    Raises
    ------
    ScanError
        It varies along the scan.
    """
    if quantity in source.settings.overridden:
        return None
    found = source.find(quantity, getattr(table, quantity))
    return _constant(source, table, stack, found, quantity) if found else None


def _constant(
    source: Hdf5Source, table: Hdf5Format, stack: PairedFrames, found: Found, quantity: str
) -> float | None:
    values = si(source, found, quantity).ravel()
    if table.per_frame:  # without the padding of a chunk
        values = values[: max(stack.frames.shape[0], 1)]
    outer = (stack.layout.leading, stack.layout.outer)
    value = constant(values, quantity, found.name, outer)
    if value is None:
        source.notes.append(f"{found.name} holds no finite {quantity}")
    return value


def pixel(source: Hdf5Source, table: Hdf5Format, stack: PairedFrames) -> tuple[float, float] | None:
    """Detector pixel (y, x) in metres: one dataset of one or two numbers, or one each."""
    if "pixel" in source.settings.overridden:
        return None
    both = source.find("pixel", table.pixel)
    values = si(source, both, "pixel").ravel() if both is not None else np.empty(0)
    if values.size == 2:
        return float(values[0]), float(values[1])
    pair = [both or source.find(name, getattr(table, name)) for name in ("pixel_y", "pixel_x")]
    sizes = [_constant(source, table, stack, f, "pixel") for f in pair if f is not None]
    known = [size for size in sizes if size is not None]
    return (known[0], known[-1]) if known else None


def images(source: Hdf5Source, table: Hdf5Format, stack: PairedFrames, name: str) -> Frames | None:
    """A dark or flat stack; None if there is none or it is empty.

    Raises
    ------
    ScanError
        Its images are not of the frames' shape.
    """
    found = source.find(name, getattr(table, name))
    if found is None or not found.dataset.size:
        return None
    return _images(found, stack, name)


def _images(found: Found, stack: PairedFrames, name: str) -> Hdf5Frames:
    frame = stack.frames.shape[1:]
    if found.dataset.shape[-2:] != frame:
        raise ScanError(
            f"Expected {name} images {frame}, like the frames. "
            f"Got {found.name} of shape {found.dataset.shape}",
            f"set {QUANTITIES[name].path_remedy}",
            found.file,
        )
    at, alike = stack.layout, found.dataset.shape[:-2] == (stack.layout.outer, *stack.layout.axes)
    return Hdf5Frames(found.file, found.name, at.leading if alike else None)


def monitor(source: Hdf5Source, table: Hdf5Format, stack: PairedFrames) -> Floats | None:
    """(n,) incident intensity of each exposure; NaN where it has none.

    Raises
    ------
    ScanError
        It is neither one of each frame nor of each position.
    """
    found = source.find("monitor", table.monitor)
    if found is None:
        return None
    at, n = stack.layout, stack.frames.shape[0]
    k = source.exposures
    values = follow(numbers(found), at, k).ravel()
    if table.per_frame and "monitor" not in source.paths:
        return _to_length(values, n)
    if len(values) == at.frames > n:
        return values[:n]
    of_frames = stack.for_frames(values, k)
    if of_frames is None:
        raise ScanError(
            f"Expected a monitor value for each of {n} frames, or for each position. "
            f"Got {found.name} of shape {found.dataset.shape}",
            "set paths.monitor (--path monitor=PATH)",
            found.file,
        )
    return of_frames


def exposure(source: Hdf5Source, table: Hdf5Format, stack: PairedFrames) -> Floats | None:
    """Exposure time in s: (), one for each exposure, or one for each of those of a position."""
    found = source.find("exposure", table.exposure)
    if found is None:
        return None
    n, k = stack.frames.shape[0], source.exposures
    values = follow(si(source, found, "exposure"), stack.layout, k)
    if values.size == 1:
        return values.reshape(())
    values = values.ravel()
    if k > 1 and len(values) == k:
        return values
    if table.per_frame and "exposure" not in source.paths:
        return _to_length(values, n)
    of_frames = stack.for_frames(values, k)
    return values if of_frames is None else of_frames


def _to_length(values: Floats, length: int) -> Floats:
    """Cut padding; missing values are NaN."""
    out = np.full(length, np.nan)
    out[: len(values)] = values[:length]
    return out


def center(
    source: Hdf5Source, table: Hdf5Format, pixel_m: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Beam centre (row, column) in pixels; a length is divided by the detector's pixel.

    Raises
    ------
    ScanError
        It is not two numbers.
    """
    both = source.find("center", table.center)
    if both is None:
        row, column = (
            _pixels(source, paths, size)
            for (paths, size) in zip(
                (table.center_y.paths, table.center_x.paths), pixel_m or (0, 0), strict=True
            )
        )
        return None if row is None or column is None else (row, column)
    values = numbers(both).ravel()
    if values.size != 2 or not np.isfinite(values).all():
        raise ScanError(
            f"Expected a centre (row, column). Got {both.name} = {shown(values)}",
            "set paths.center (--path center=PATH)",
            both.file,
        )
    return float(values[0]), float(values[1])


def _pixels(source: Hdf5Source, paths: tuple[str, ...], pixel_m: float) -> float | None:
    """A number of pixels, which NeXus also allows to be a length."""
    found, value = source.at(*paths), number(source, *paths)
    unit = text(found.dataset.attrs.get("units", "")).strip().lower() if found else ""
    if value is None or found is None or unit in PIXEL_UNITS:
        return value
    factor = known_factor("pixel", unit)
    if factor is None or not pixel_m:
        raise ScanError(
            f"Expected {found.name} in pixels or a length. Got unit {unit!r}",
            "set center (--roi-center)",
            found.file,
        )
    return value * factor / pixel_m


def probe(source: Hdf5Source, table: Hdf5Format, shape: tuple[int, int]) -> Complex64s | None:
    """The first mode of the first probe that is as large as the frames, if any."""
    for path in table.probe.paths:
        found = source.at(path)
        if found is None or found.dataset.ndim < 2:
            continue
        if found.dataset.shape[-2:] != shape or found.dataset.dtype.kind not in "cf":
            source.notes.append(
                f"{found.name} is of shape {found.dataset.shape}, "
                f"{found.dataset.dtype}: not used as the probe"
            )
            continue
        wave = np.asarray(found.dataset[(0,) * (found.dataset.ndim - 2)], np.complex64)
        if np.isfinite(wave).all() and wave.any():
            return wave
        source.notes.append(f"{found.name} is 0 or not finite: not used as the probe")
    return None


PIXEL_UNITS = ("", "pixel", "pixels", "px", "1", "dimensionless", "none", "count", "counts")


def number(source: Hdf5Source, *paths: str) -> float | None:
    """The first finite number of the first dataset that is there; None without one."""
    found = source.at(*paths)
    values = numbers(found).ravel() if found else np.empty(0)
    values = values[np.isfinite(values)]
    return float(values[0]) if values.size else None


SAMPLE = 8
"""Frames that are read to detect an inverted mask."""


def bad_pixels(
    source: Hdf5Source, found: Found | None, stack: PairedFrames, rule: str
) -> tuple[Bools | None, Frames | None]:
    """Bad pixels of all frames (ny, nx), True = ignore, or a stack of them, one for each frame.

    Of a stack of another length a pixel counts as bad that is bad in any of its masks, and a
    warning says so.

    Parameters
    ----------
    rule
        One of ``RULES``; ``mask_values`` overrides it.

    Raises
    ------
    ScanError
        The mask is not of the frames' shape.
    """
    if found is None:
        return None, None
    given, stored = source.settings.file_mask_values, _images(found, stack, "mask")
    masks = MaskFrames(stored, given or rule)
    if masks.shape[0] == stack.layout.frames > 1:
        return None, masks
    if masks.shape[0] > 1:
        source.assume(f"{found.name} has {different_masks(masks.shape[0], stack.layout.frames)}")
    whole = Window.full(masks.shape[1:])
    bad = masks.anywhere(whole)
    if rule == "cxi" and not given and bad.mean() > 0.5 and _holds_the_counts(stack.frames, bad):
        source.assume(
            f"{found.name} would discard most of the detector and of the counts: taken "
            "as inverted (0 = bad); settle it with mask_values (--mask-values)"
        )
        return MaskFrames(stored, "good").anywhere(whole), None
    return bad, None


def with_gaps(source: Hdf5Source, frames: Frames, bad: Bools | None) -> Bools | None:
    """Bad pixels, and those that no source or chunk of the dataset holds, in all or some frames."""
    found = gaps(frames)
    if found is None:
        return bad
    never, some = int(found.always.sum()), int((found.sometimes & ~found.always).sum())
    if never:
        source.notes.append(f"{never} pixels were not written in any frame: they are bad")
    if some:
        source.assume(f"{some} pixels were not written in some frames: they are bad in all")
    return found.sometimes if bad is None else bad | found.sometimes


def _holds_the_counts(frames: Frames, bad: Bools) -> bool:
    """Whether most counts of a few frames lie on bad pixels."""
    raw = frames.read(sample_indices(frames.shape[0], SAMPLE), Window.full(frames.shape[1:]))
    counts = np.where(np.isfinite(raw), np.abs(raw), 0).astype(np.float64)
    if raw.dtype.kind in "iu":  # detectors write the largest number where there is no pixel
        counts[raw == np.iinfo(raw.dtype).max] = 0
    total = counts.sum()
    return bool(total > 0 and counts[:, bad].sum() > total / 2)
