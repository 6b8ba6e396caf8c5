"""Formats of files: a scan is opened by the format that recognises its file, or that is named.

A file of no format is refused with what is missing, or with the datasets that may be its frames.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np

from ..arrays import Bools
from ..errors import (
    FileError,
    SettingsError,
    UnknownFormatError,
    UnreadableError,
    naming,
    silenced_warnings,
    warn,
)
from ..files.filelist import first_file, is_glob, is_list
from ..files.hdf5 import being_written, files_kept_open, is_hdf5, locking, open_hdf5
from ..files.regular import check_file
from ..frames.npz import members
from ..frames.wrappers import FftShiftedFrames, PickedFrames, as_counts
from ..scan import Frames, Scan, StoredAs
from ..settings import Settings
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
    """With frames, mask, dark, flat and beam centre shifted as by ``numpy.fft.fftshift``."""
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
    """The beam centre on the centred frame: shifted with it, if that brings it to the middle.

    Some files give it for the stored frames, others for the frames before they were shifted.
    """
    middle = np.array(shape) // 2
    shifted = np.mod(np.array(stored) + middle, shape)
    row, column = min(stored, shifted, key=lambda at: float(np.abs(at - middle).max()))
    return float(row), float(column)


def _inside(frames: Frames, make: Callable[[Frames], Frames]) -> Frames:
    """``make`` of the whole stack; frames picked from it stay picked."""
    if isinstance(frames, PickedFrames):
        return replace(frames, frames=_inside(frames.frames, make))
    return make(frames)


def recognise(path: str | Path, frames_named: bool = False) -> Format:
    """The one format that understands the file, which is opened once.

    Of two that do, the one that refines the other.

    Parameters
    ----------
    path
        The file, directory, glob or list of files.
    frames_named
        The user names the dataset of the frames: an HDF5 file that no format understands is read
        by the user's paths alone.

    Raises
    ------
    FileError
        The file cannot be opened at all.
    UnknownFormatError
        No format, or more than one, understands it.
    """
    path = Path(path)
    kind = kind_of(path)
    with open_hdf5(path) if kind == "HDF5" else nullcontext() as file:
        found = _understood(known(kind), path, file)
        if len(found) > 1:
            names = [format_.name for format_ in found]
            raise UnknownFormatError(f"understood by {names}", "name one with --format", path)
        if found:
            return found[0]
        if file is None:
            _refuse(path)
        if not frames_named:
            _refuse_hdf5(path, file)
        return get("hdf5")


def kind_of(path: Path) -> str:
    """``HDF5``, ``NPZ``, ``folder``, or ``other``: a glob, a list, or any other file.

    Raises
    ------
    FileError
        An NPZ file that is truncated.
    """
    if is_glob(path) or is_list(path):
        return "other"
    if path.is_dir():
        return "folder"
    if is_hdf5(path):
        return "HDF5"
    return "NPZ" if members(path) else "other"


def _understood(formats: Iterable[Format], path: Path, file: h5py.File | None) -> list[Format]:
    """Formats that understand the file, without those that another of them refines."""
    found = []
    for format_ in formats:
        try:
            if format_.understands(path, file):
                found.append(format_)
        except FileError:  # in another file that it reads
            continue
        except UnknownFormatError as error:  # another package's format fails
            warn(str(error), path)
    general = {name for format_ in found for name in format_.refines}
    return [format_ for format_ in found if format_.name not in general]


def _refuse(path: Path) -> NoReturn:
    """Raise what is wrong with a file that no format understands and that is not HDF5."""
    if is_glob(path) or is_list(path):
        raise FileError(
            "neither TIFF nor another kind of scan that may have several files",
            "name the one file of the scan",
            first_file(path),
        )
    if path.is_file() and not path.stat().st_size:
        raise UnreadableError("an empty file", "copy it again, or wait until it is written", path)
    if not path.is_file():
        open_hdf5(path).close()  # raises what is wrong with it
        raise UnknownFormatError("not recognised by any format", "name one with --format", path)
    arrays = members(path)
    if arrays:
        raise UnknownFormatError(
            f"an NPZ that no format recognises, with the arrays {', '.join(arrays)}",
            "name its arrays by --format ptychopinn --path frames=ARRAY --path y=ARRAY "
            "--path x=ARRAY (or positions=ARRAY), and say --stored-as intensity if they are "
            "counts",
            path,
        )
    if path.suffix == ".npy":
        raise FileError(
            "an array alone, without positions",
            "put it into an NPZ with them, numpy.savez('scan.npz', frames=..., y=..., x=...), "
            "and name them: --format ptychopinn --stored-as intensity --path frames=frames "
            "--path y=y --path x=x --unit positions=m; in an HDF5 file, --path alone does",
            path,
        )
    raise FileError(
        "not an HDF5 file, nor recognised by another format",
        f"check the path; known formats are {', '.join(names())}",
        path,
    )


def _refuse_hdf5(path: Path, file: h5py.File) -> NoReturn:
    """Raise what is missing in an HDF5 file or beside it, or which datasets may be frames."""
    remedy = (
        "name a format with --format, or the datasets with --path frames=PATH --path x=PATH "
        "--path y=PATH"
    )
    for format_ in known("HDF5"):
        nearly = getattr(format_, "nearly", None)
        if nearly and (what := nearly(file)):
            raise UnknownFormatError(what, f"copy that file, too, or {remedy}", path)
    raise UnknownFormatError(
        f"not recognised by any format ({', '.join(names())}): {candidates(file)}", remedy, path
    )


SMALLEST_PX = 4
"""Side of the smallest frame."""

FRAMES, POSITIONS = 3, 6
"""Maximum number of datasets of each kind that a message lists."""

LIKELY = re.compile(r"pos|stage|motor|[xy](_[a-zµ]+)?$", re.IGNORECASE)
"""Usual names of positions, which are listed first."""


def candidates(file: h5py.File) -> str:
    """Datasets that by their shapes may be frames or positions, for a message."""
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, item: found.append(item) if _has_numbers(item) else None)
    stacks = [
        dataset for dataset in found if dataset.ndim >= 3 and min(dataset.shape[-2:]) >= SMALLEST_PX
    ]
    stacks.sort(key=lambda dataset: -dataset.size)
    if not stacks:
        return "no dataset in it has three axes, as a stack of frames has"
    frames = math.prod(stacks[0].shape[:-2])
    lists = [dataset for dataset in found if _length(dataset) > 1]
    lists.sort(
        key=lambda dataset: (abs(_length(dataset) - frames), not LIKELY.search(dataset.name))
    )
    text = f"{_named(stacks[:FRAMES])} may be frames"
    return f"{text}, {_named(lists[:POSITIONS])} positions" if lists else text


def _has_numbers(item: h5py.Dataset | h5py.Group) -> bool:
    named = isinstance(item.name, str)  # bytes: no UTF-8
    return named and isinstance(item, h5py.Dataset) and item.dtype.kind in "iufc"


def _length(dataset: h5py.Dataset) -> int:
    """Number of positions in an array (n, 2), (n, 3), (2, n) or (3, n); 0 for other shapes."""
    if dataset.ndim == 2 and {2, 3} & {*dataset.shape}:
        return int(max(dataset.shape))
    return int(dataset.shape[0]) if dataset.ndim == 1 else 0


def _named(datasets: list[h5py.Dataset]) -> str:
    return ", ".join(f"{dataset.name} {dataset.shape}" for dataset in datasets)
