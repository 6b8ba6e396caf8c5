"""From stored frames to counts with zero frequency in the middle, for every format alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..arrays import Bools
from ..frames.wrappers import FftShiftedFrames, PickedFrames, as_counts
from ..opening import Opening
from ..scan import Frames, Scan, StoredAs


def present(scan: Scan, opening: Opening) -> Scan:
    """The scan with frames of counts, centred, and with what lies as they do turned alike.

    What is stored is what the user says, else what the format takes it for.
    """
    stored_as = opening.stored_as or scan.stored_as
    where = opening.zero_frequency or scan.zero_frequency
    scan = _counts(replace(scan, stored_as=stored_as, zero_frequency=where), stored_as)
    return _centred(scan) if where == "corner" else scan


def _counts(scan: Scan, stored_as: StoredAs | None) -> Scan:
    """Amplitudes squared, and the raw number of a pixel without a count with them."""
    if stored_as is None or (stored_as == "intensity" and scan.frames.dtype.kind != "c"):
        return scan
    frames = inside(scan.frames, lambda stored: as_counts(stored, stored_as))
    squared = stored_as != "intensity"
    notes = scan.notes
    if squared and scan.dark is not None:
        notes = (*notes, "frames are squared; the dark is subtracted from that as it is stored")
    no_count = scan.no_count
    if squared and no_count is not None:
        no_count = float(np.float32(no_count**2))  # as the frames round it
    return replace(scan, frames=frames, no_count=no_count, notes=notes)


def _centred(scan: Scan) -> Scan:
    """Frames, mask, dark and flat as ``numpy.fft.fftshift`` turns them, and the beam centre."""
    stacks = (scan.dark, scan.flat, scan.bad_each)
    dark, flat, each = (
        None if stack is None else inside(stack, FftShiftedFrames) for stack in stacks
    )
    bad: Bools | None = None if scan.bad is None else np.fft.fftshift(scan.bad)
    center = None if scan.center_px is None else _center(scan.center_px, scan.frame_shape)
    return replace(
        scan,
        frames=inside(scan.frames, FftShiftedFrames),
        dark=dark,
        flat=flat,
        bad=bad,
        bad_each=each,
        center_px=center,
    )


def _center(stored: tuple[float, float], shape: tuple[int, int]) -> tuple[float, float]:
    """The beam centre on the centred frame: turned with it, if that brings it to the middle.

    Some files have it for the frames as they are stored, some as they were before.
    """
    middle = np.array(shape) // 2
    as_it_is = np.array(stored, np.float64)
    turned = np.mod(as_it_is + middle, shape)
    row, column = min(as_it_is, turned, key=lambda at: float(np.abs(at - middle).max()))
    return float(row), float(column)


def inside(frames: Frames, make: Callable[[Frames], Frames]) -> Frames:
    """``make`` of the whole stack, of which the same frames are picked."""
    if isinstance(frames, PickedFrames):
        return replace(frames, frames=inside(frames.frames, make))
    return make(frames)
