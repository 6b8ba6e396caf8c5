"""Formats of files: a scan is opened by the format that recognises its file, or that is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..arrays import Bools
from ..errors import SettingsError, naming, silenced_warnings, warn
from ..files.filelist import is_glob
from ..files.hdf5 import being_written, files_kept_open, locking
from ..files.regular import check_file
from ..frames.wrappers import FftShiftedFrames, PickedFrames, as_counts
from ..scan import Frames, Scan, StoredAs
from ..settings import Settings
from .recognition import recognise
from .table import TABLE, Format, get, known, names

__all__ = ["TABLE", "Format", "get", "known", "names", "open_with", "recognise"]


def open_with(settings: Settings) -> Scan:
    """The scan that loader settings name, as they read it; no frame is read.

    The file is of the format that is named, else of the one that is recognised by content, else,
    where none is and ``paths`` has ``frames``, it is read by those paths alone.

    A file that is being written and is not followed is warned of. What is missing of a followed
    one may still come; :class:`.live.Follower` warns of what stays so, and of what is missing at
    the end.

    Raises
    ------
    BeamlineError
        What is wrong, in one line with the file and the remedy.
    """
    first, *more = settings.files or ("",)
    if not settings.growing and locking() and os.path.isfile(first) and being_written(Path(first)):
        what = "is being written, or its writer died: only what is there now is loaded"
        warn(f"{what}; wait until it is closed, or follow it (live=10, --live 10)", Path(first))
    with silenced_warnings() if settings.growing else nullcontext():
        for name in (first, *more):
            if not (is_glob(name) or os.path.isdir(name)):
                check_file(Path(name).expanduser())
        with naming(first), files_kept_open():
            return _opened(Path(first), settings)


def _opened(path: Path, settings: Settings) -> Scan:
    chosen = get(settings.format) if settings.format is not None else None
    chosen = chosen or recognise(path, settings.paths.frames is not None)
    if chosen.family != "TIFF" and (len(settings.files) > 1 or settings.sidecar):
        what = "sidecar" if settings.sidecar else "several files"
        raise SettingsError(
            f"{what} given with a scan of format {chosen.name}, which keeps all in one file",
            "leave it out",
            path,
        )
    return _as_counts(chosen.open(path, settings), settings)


def _as_counts(scan: Scan, settings: Settings) -> Scan:
    """The scan with frames of counts and zero frequency in the middle; masks, dark and flat alike.

    How they are stored is set by the user, else by the format.
    """
    stored_as = settings.stored_as or scan.stored_as
    where = settings.zero_frequency or scan.zero_frequency
    scan = _counts(replace(scan, stored_as=stored_as, zero_frequency=where), stored_as)
    return _centred(scan) if where == "corner" else scan


def _counts(scan: Scan, stored_as: StoredAs | None) -> Scan:
    """Amplitudes squared, and the raw number of a pixel without a count with them."""
    if stored_as is None or (stored_as == "intensity" and scan.frames.dtype.kind != "c"):
        return scan
    frames = _inside(scan.frames, lambda stored: as_counts(stored, stored_as))
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
        None if stack is None else _inside(stack, FftShiftedFrames) for stack in stacks
    )
    bad: Bools | None = None if scan.bad is None else np.fft.fftshift(scan.bad)
    center = None if scan.center_px is None else _center(scan.center_px, scan.frame_shape)
    return replace(
        scan,
        frames=_inside(scan.frames, FftShiftedFrames),
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


def _inside(frames: Frames, make: Callable[[Frames], Frames]) -> Frames:
    """``make`` of the whole stack, of which the same frames are picked."""
    if isinstance(frames, PickedFrames):
        return replace(frames, frames=_inside(frames.frames, make))
    return make(frames)
