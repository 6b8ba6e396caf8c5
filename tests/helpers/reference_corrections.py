"""The order of operations in plain NumPy: slow, obvious, and what the kernels are checked against.

read window → bad pixels → dark → background → flat → monitor → clip and threshold → group →
align → bin → orient → pad.
"""

from __future__ import annotations

import numpy as np

LARGEST = np.finfo(np.float32).max
"""Counts above cannot be handed over: such a pixel is bad."""


def correct(
    raw,
    *,
    bad=None,
    dark=0.0,
    background=0.0,
    flat=1.0,
    saturation=np.inf,
    scale=None,
    threshold=0.0,
    lowest=-np.inf,
    clipped=False,
):
    """Raw exposures (k, h, w) → counts (NaN where bad).

    ``clipped``: saturated pixels count with the saturation, as grouping ``best`` ranks exposures.
    """
    counts = raw.astype(np.float64)
    saturated = np.isfinite(counts) & (raw >= saturation)
    counts[~np.isfinite(counts) | (raw < lowest)] = np.nan
    counts[saturated] = saturation if clipped else np.nan
    if bad is not None:
        counts[:, bad] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        counts = (counts - dark - background) / flat
    counts[:, ~np.isfinite(np.broadcast_to(flat, counts.shape[1:]))] = np.nan
    counts[:, np.broadcast_to(flat, counts.shape[1:]) <= 0] = np.nan
    if scale is not None:
        with np.errstate(over="ignore"):
            counts *= np.asarray(scale)[:, None, None]
    counts[~(counts <= LARGEST)] = np.nan
    counts[counts < 0] = 0
    counts[counts < threshold] = 0
    return counts


def group(counts, how, seconds=None, clipped=None):
    """Exposures (k, h, w), NaN = bad → one frame (h, w), NaN = bad in all, or more than fits.

    ``clipped``: the same with saturated pixels clipped, for ``best``; default: none is saturated.
    """
    frame = _grouped(counts, how, seconds, clipped)
    return np.where(frame <= LARGEST, frame, np.nan)


def _grouped(counts, how, seconds, clipped):
    good = np.isfinite(counts)
    filled = np.where(good, counts, 0)
    number = good.sum(0)
    if how in ("first", "best"):
        best = 0
        if how == "best":
            seen = [one[np.isfinite(one)] for one in (counts if clipped is None else clipped)]
            medians = [np.median(one) if one.size else -1.0 for one in seen]
            ranks = [(medians[k], good[k].sum(), filled[k].sum(), -k) for k in range(len(counts))]
            best = ranks.index(max(ranks))
        return counts[best]
    with np.errstate(divide="ignore", invalid="ignore"):
        seconds = np.ones(len(counts)) if seconds is None else np.asarray(seconds)
        time = (good * seconds[:, None, None]).sum(0)
        if how in ("sum", "mean"):
            whole = seconds.sum() / (len(counts) if how == "mean" else 1)
            return filled.sum(0) * whole / np.where(number, time, np.nan)
        return filled.sum(0) / np.where(time, time, np.nan)


def align(frame, center):
    return align_both(frame, frame, center)[0]


def align_both(frame, other, center):
    """``frame`` with its centre of mass at ``center``, and another image moved with it."""
    total = np.nansum(frame)
    rows, columns = np.indices(frame.shape)
    dy = round(center[0] - np.nansum(frame * rows) / total)
    dx = round(center[1] - np.nansum(frame * columns) / total)
    h, w = frame.shape
    out = np.full((2, h, w), np.nan)
    for y in range(h):
        for x in range(w):
            if 0 <= y - dy < h and 0 <= x - dx < w:
                out[:, y, x] = frame[y - dy, x - dx], other[y - dy, x - dx]
    return out


def rebin(frame, b):
    h, w = frame.shape
    binned = frame.reshape(h // b, b, w // b, b).sum((1, 3))  # NaN spreads: such a bin is bad
    return np.where(binned <= LARGEST, binned, np.nan)


def orient(frame, code):
    if code & 4:
        frame = frame.T
    if code & 2:
        frame = frame[::-1]
    if code & 1:
        frame = frame[:, ::-1]
    return frame


def pad(frame, border):
    top, bottom, left, right = border
    return np.pad(frame, ((top, bottom), (left, right)), constant_values=np.nan)


def cut(frame, top, left, height, width):
    """A window that may reach past the edge, NaN there."""
    out = np.full((height, width), np.nan)
    for y in range(height):
        for x in range(width):
            if 0 <= top + y < frame.shape[0] and 0 <= left + x < frame.shape[1]:
                out[y, x] = frame[top + y, left + x]
    return out
