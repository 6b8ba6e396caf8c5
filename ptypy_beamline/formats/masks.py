"""From a stored detector mask to bad pixels: one rule for each convention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..reading.hdf5 import Hdf5Frames
from ..reading.marked import Marked
from ..reading.picked import PickedFrames
from ..scan import Frames, Window
from .source import Found, Source
from .stack import Stack

Rule = Callable[[NDArray[Any]], NDArray[np.bool_]]

CXI_HAS_SIGNAL = 0x1000
"""The one bit of a CXI mask that does not spoil a pixel (CXI 1.6, section "mask")."""

EIGER_BAD = 0x8000FFFF
"""Bits of an Eiger mask that spoil a pixel: the lower 16, and 31 for a virtual pixel (Dectris,
SIMPLON API 1.8, "pixel_mask": 0 gap, 1 dead, 2 under-, 3 overresponding, 4 noisy, 31 virtual)."""

SAMPLE = 8
"""Frames looked at to tell whether a mask is inverted."""


def _nonzero(mask: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(mask != 0)


def _zero(mask: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(mask == 0)


def _cxi(mask: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((mask.astype(np.int64) & ~CXI_HAS_SIGNAL) != 0)


def _eiger(mask: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((mask.astype(np.int64) & EIGER_BAD) != 0)


RULES = {"bad": _nonzero, "good": _zero, "cxi": _cxi, "eiger": _eiger}
"""Convention → bad pixels of a mask; named by what nonzero means."""


def masked(
    source: Source, found: Found, stack: Stack, rule: str
) -> tuple[Frames, NDArray[np.bool_] | None]:
    """Frames and the bad pixels that all of them share.

    A mask laid out like the frames holds for each by itself: there they are NaN.

    Parameters
    ----------
    rule
        One of ``RULES``; ``opening.mask_values`` overrides it.

    Raises
    ------
    ScanError
        The mask is of another shape.
    """
    shape, at = found.dataset.shape, stack.layout
    laid_out = (*((at.outer,) if at.leading is not None else ()), *at.axes)
    each = laid_out if shape[:-2] == laid_out else at.axes
    if shape[:-2] != each or np.prod(each, dtype=int) < 2 or shape[-2:] != stack.frames.shape[1:]:
        return stack.frames, bad_pixels(source, found, stack.frames, rule)
    leading = at.leading if len(each) > len(at.axes) else None
    masks = Hdf5Frames(found.file, found.name, leading)
    return _marked(stack.frames, masks, RULES[source.opening.mask_values or rule], source)


def _marked(
    frames: Frames, masks: Frames, rule: Rule, source: Source
) -> tuple[Frames, NDArray[np.bool_] | None]:
    if isinstance(frames, PickedFrames):
        inner, bad = _marked(frames.frames, masks, rule, source)
        return replace(frames, frames=inner), bad
    made = Marked(frames, masks, rule)
    # Of a scan that is being written not all masks are there yet.
    return made, None if source.opening.growing else made.always_bad()


def bad_pixels(source: Source, found: Found, frames: Frames, rule: str) -> NDArray[np.bool_]:
    """(ny, nx) bool, True = ignore.

    Parameters
    ----------
    rule
        One of ``RULES``; ``opening.mask_values`` overrides it.

    Raises
    ------
    ScanError
        The mask is not of the frames' shape.
    """
    shape = found.dataset.shape
    if shape[-2:] != frames.shape[1:] or any(n != 1 for n in shape[:-2]):
        raise ScanError(f"Expected a mask {frames.shape[1:]} as the frames. "
                        f"Got {found.name} of shape {shape}",
                        "set paths.mask (--path mask=PATH)", found.file)  # fmt: skip
    mask: NDArray[Any] = found.dataset[()].reshape(shape[-2:])
    given = source.opening.mask_values
    bad: NDArray[np.bool_] = RULES[given or rule](mask)
    if rule == "cxi" and not given and bad.mean() > 0.5 and _holds_the_counts(frames, bad):
        source.assume(
            f"{found.name} would discard most of the detector and of the counts: taken "
            "as inverted (0 = bad); settle it with mask_values (--mask-values)"
        )
        return np.asarray(RULES["good"](mask))
    return bad


def _holds_the_counts(frames: Frames, bad: NDArray[np.bool_]) -> bool:
    """Whether most counts of a few frames lie on bad pixels."""
    n, ny, nx = frames.shape
    chosen = sorted({n * i // SAMPLE for i in range(SAMPLE)}) if n else []
    raw = frames.read(chosen, Window.full((ny, nx)))
    counts = np.where(np.isfinite(raw), np.abs(raw), 0).astype(np.float64)
    if raw.dtype.kind in "iu":  # detectors write the largest number where there is no pixel
        counts[raw == np.iinfo(raw.dtype).max] = 0
    total = counts.sum()
    return bool(total > 0 and counts[:, bad].sum() > total / 2)
