"""Recognition of a file's format by its content, and the error for a file of no format."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import h5py

from ..errors import BeamlineError, FileError, UnknownFormatError, UnreadableError, warn
from ..files.filelist import first_file, is_glob, is_list
from ..files.hdf5 import is_hdf5, open_hdf5
from ..frames.npz import members
from .table import Format, get, known, names

NAME_DATASETS = "--path frames=PATH --path x=PATH --path y=PATH"


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
    if kind != "HDF5":
        found = _only(_understood(known(kind), path, None), path)
        if found is None:
            _refuse(path)
        return found
    with open_hdf5(path) as file:
        found = _only(_understood(known(kind), path, file), path)
        if found is None and not frames_named:
            _refuse_hdf5(path, file)
        return found or get("hdf5")


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


def _only(found: list[Format], path: Path) -> Format | None:
    """The only format that was found, if any."""
    if len(found) > 1:
        names = [format_.name for format_ in found]
        raise UnknownFormatError(f"understood by {names}", "name one with --format", path)
    return found[0] if found else None


def _refuse(path: Path) -> NoReturn:
    """Raise what is wrong with a file that no format understands and that is not HDF5."""
    if is_glob(path) or is_list(path):
        raise FileError(
            "neither TIFF nor another kind of which a scan may have several files",
            "name the one file of the scan",
            first_file(path),
        )
    if path.is_file() and not path.stat().st_size:
        raise UnreadableError("an empty file", "copy it again, or wait until it is written", path)
    if path.is_file():
        raise _of_no_kind(path)
    open_hdf5(path).close()  # raises what is wrong with it
    raise UnknownFormatError("not recognised by any format", "name one with --format", path)


def _of_no_kind(path: Path) -> BeamlineError:
    arrays = members(path)
    if arrays:
        return UnknownFormatError(
            f"an NPZ that no format recognises, with the arrays {', '.join(arrays)}",
            "name its arrays by --format ptychopinn --path frames=ARRAY --path y=ARRAY "
            "--path x=ARRAY (or positions=ARRAY), and say --stored-as intensity if they are "
            "counts",
            path,
        )
    if path.suffix == ".npy":
        return FileError(
            "an array alone, without positions",
            "put it into an NPZ with them, numpy.savez('scan.npz', frames=..., y=..., x=...), "
            "and name them: --format ptychopinn --stored-as intensity --path frames=frames "
            "--path y=y --path x=x --unit positions=m; in an HDF5 file, --path alone does",
            path,
        )
    return FileError(
        "not an HDF5 file, nor recognised by another format",
        f"known formats are {', '.join(names())}",
        path,
    )


def _refuse_hdf5(path: Path, file: h5py.File) -> NoReturn:
    """Raise what is missing in an HDF5 file or beside it, or which datasets may be frames."""
    missing = (
        nearly(file) for format_ in known("HDF5") if (nearly := getattr(format_, "nearly", None))
    )
    if what := next(filter(None, missing), ""):
        raise UnknownFormatError(
            what,
            "copy that file, too, or name the format with --format, or the datasets with "
            f"{NAME_DATASETS}",
            path,
        )
    raise UnknownFormatError(
        f"not recognised by any format ({', '.join(names())}): {candidates(file)}",
        f"name a format with --format, or the datasets with {NAME_DATASETS}",
        path,
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
