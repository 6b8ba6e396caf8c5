"""From a stored detector mask to bad pixels."""

from __future__ import annotations

import numpy as np

from ..arrays import Bools
from ..errors import ScanError
from ..frames.masks import MaskFrames, different_masks
from ..scan import Frames, Window, gaps
from .layout import Stack, stack_like_the_frames
from .source import Found, Source

SAMPLE = 8
"""Frames looked at to tell whether a mask is inverted."""


def bad_pixels(
    source: Source, found: Found | None, stack: Stack, rule: str
) -> tuple[Bools | None, Frames | None]:
    """Bad pixels of all frames (ny, nx), True = ignore, or a stack of them, one for each frame.

    Of a stack of another length a pixel counts as bad that is bad in any of its masks, and a
    warning says so.

    Parameters
    ----------
    rule
        One of ``RULES``; ``opening.mask_values`` overrides it.

    Raises
    ------
    ScanError
        The mask is not of the frames' shape.
    """
    if found is None:
        return None, None
    shape, frames = found.dataset.shape, stack.frames
    if shape[-2:] != frames.shape[1:]:
        raise ScanError(
            f"Expected a mask {frames.shape[1:]}, like the frames. "
            f"Got {found.name} of shape {shape}",
            "set paths.mask (--path mask=PATH)",
            found.file,
        )
    given = source.opening.mask_values
    stored = stack_like_the_frames(found, stack.layout)
    masks = MaskFrames(stored, given or rule)
    if masks.shape[0] == stack.layout.frames > 1:
        return None, masks
    if masks.shape[0] > 1:
        source.assume(f"{found.name} has {different_masks(masks.shape[0], stack.layout.frames)}")
    whole = Window.full(masks.shape[1:])
    bad = masks.anywhere(whole)
    if rule == "cxi" and not given and bad.mean() > 0.5 and _holds_the_counts(frames, bad):
        source.assume(
            f"{found.name} would discard most of the detector and of the counts: taken "
            "as inverted (0 = bad); settle it with mask_values (--mask-values)"
        )
        return MaskFrames(stored, "good").anywhere(whole), None
    return bad, None


def with_gaps(source: Source, frames: Frames, bad: Bools | None) -> Bools | None:
    """Bad pixels with those of which no source and no chunk has a number, in all or some frames."""
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
    n, ny, nx = frames.shape
    chosen = sorted({n * i // SAMPLE for i in range(SAMPLE)}) if n else []
    raw = frames.read(chosen, Window.full((ny, nx)))
    counts = np.where(np.isfinite(raw), np.abs(raw), 0).astype(np.float64)
    if raw.dtype.kind in "iu":  # detectors write the largest number where there is no pixel
        counts[raw == np.iinfo(raw.dtype).max] = 0
    total = counts.sum()
    return bool(total > 0 and counts[:, bad].sum() > total / 2)
