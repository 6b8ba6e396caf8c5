"""Formats: one lazily imported table, recognition by content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

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
from ..opening import AS_STORED, Format, Opening
from ..scan import Scan
from .presenting import present
from .unknown import candidates

if TYPE_CHECKING:
    from ..settings import Settings

__all__ = [
    "AS_STORED",
    "TABLE",
    "Format",
    "Opening",
    "get",
    "names",
    "open_file",
    "open_with",
    "recognise",
]

TABLE: dict[str, str] = {
    "standard": "ptypy_beamline.formats.standard:STANDARD",
    "cxi": "ptypy_beamline.formats.cxi:CXI",
    "nxcxi": "ptypy_beamline.formats.nexus:NXCXI",
    "diamond": "ptypy_beamline.formats.nexus:DIAMOND",
    "areadetector": "ptypy_beamline.formats.areadetector:AREADETECTOR",
    "exchange": "ptypy_beamline.formats.exchange:EXCHANGE",
    "eiger": "ptypy_beamline.formats.eiger:EIGER",
    "nanomax": "ptypy_beamline.formats.nanomax:NANOMAX",
    "hermes": "ptypy_beamline.formats.hermes:HERMES",
    "product": "ptypy_beamline.formats.product:PRODUCT",
    "adorym": "ptypy_beamline.formats.adorym:ADORYM",
    "ptychopinn": "ptypy_beamline.formats.npz:PTYCHOPINN",
    "tike": "ptypy_beamline.formats.npz:TIKE",
    "ptyd": "ptypy_beamline.formats.ptyd:PTYD",
    "tiff": "ptypy_beamline.formats.tiff:TIFF",
    "phantom": "ptypy_beamline.formats.phantom:PHANTOM",
    "hdf5": "ptypy_beamline.formats.hdf5:GENERIC",
}
"""Format name → ``module:attribute``."""


def names() -> tuple[str, ...]:
    """Names of the known formats."""
    return tuple(TABLE)


def get(name: str) -> Format:
    """The format of that name.

    Raises
    ------
    UnknownFormatError
        There is none.
    """
    if name not in TABLE:
        raise UnknownFormatError(
            f"Expected a format of {', '.join(TABLE)}. Got {name!r}", "see ptypy-beamline formats"
        )
    module, attribute = TABLE[name].split(":")
    return cast(Format, getattr(import_module(module), attribute))


def recognise(path: str | Path) -> Format:
    """The one format that understands the file.

    Raises
    ------
    FileError
        The file cannot be opened at all.
    UnknownFormatError
        No format, or more than one, understands it.
    """
    path = Path(path)
    found = [name for name in TABLE if get(name).understands(path)]
    if len(found) == 1:
        return get(found[0])
    if found:
        raise UnknownFormatError(f"understood by {found}", "name one with --format", path)
    _openable(path)
    lacking = [lacks for name in TABLE if (lacks := _lacks(get(name), path))]
    if lacking:
        raise UnknownFormatError(
            lacking[0],
            "copy that file, too, or name the format with "
            "--format, or the datasets with --path frames=PATH --path x=PATH "
            "--path y=PATH",
            path,
        )
    with open_hdf5(path) as file:
        there = candidates(file)
    raise UnknownFormatError(
        f"understood by no format of {', '.join(TABLE)}: {there}",
        "name a format with --format, or the datasets with --path frames=PATH --path x=PATH "
        "--path y=PATH",
        path,
    )


def _lacks(known: Format, path: Path) -> str:
    """What a file lacks that is nearly of this format, where the format can tell."""
    lacks = getattr(known, "lacks", None)
    return str(lacks(path)) if lacks else ""


def _openable(path: Path) -> None:
    """Raise what is wrong with a file that no format understands, if it is the file itself."""
    if is_glob(path) or is_list(path):
        raise FileError(
            "neither TIFF nor any other kind of file that a scan may have several of",
            "name the one file of the scan",
            first_file(path),
        )
    if path.is_file() and not path.stat().st_size:
        raise UnreadableError("an empty file", "copy it again, or wait until it is written", path)
    if path.is_file() and not is_hdf5(path):
        arrays = members(path)
        if arrays:
            raise UnknownFormatError(
                f"an NPZ understood by no format, with the arrays {', '.join(arrays)}",
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
            "not an HDF5 file, nor understood by another format",
            f"known formats are {', '.join(TABLE)}",
            path,
        )
    open_hdf5(path).close()


def open_file(
    path: str | Path | Sequence[str], format: str | None = None, opening: Opening = AS_STORED
) -> Scan:
    """Open a scan; no frame is read.

    Parameters
    ----------
    path
        The file; for TIFF a glob, several globs, or ``files.txt``.
    format
        Name of its format; None = recognised by content, or, where no format does and
        ``opening.paths`` has ``frames``, read by those paths alone.
    opening
        Where the file departs from its format.

    Raises
    ------
    BeamlineError
        What is wrong, in one line with the file and the remedy.
    """
    first, *more = [str(path)] if isinstance(path, str | Path) else path or [""]
    for name in (first, *more):
        if not (is_glob(name) or os.path.isdir(name)):
            check_file(Path(name).expanduser())
    with naming(first), files_kept_open():
        return _opened(first, more, format, opening)


def _opened(first: str, more: Sequence[str], format: str | None, opening: Opening) -> Scan:
    known = _choose(Path(first), format, opening)
    if known.family != "TIFF" and (more or opening.sidecar):
        what = "sidecar" if opening.sidecar else "several files"
        raise SettingsError(
            f"{what} given with a scan of format {known.name}, which keeps all in one file",
            "leave it out",
            first,
        )
    scan = known.open(Path(first), replace(opening, also=tuple(more)) if more else opening)
    return present(scan, opening)


def open_with(settings: Settings) -> Scan:
    """The scan that loader settings name, as they read it; see :func:`open_file`.

    Of a file that is being written, and is not followed, a warning says so. What is still to come
    of a followed one is no news; :class:`.live.Follower` says what lasts, and what is missing when
    it has ended.
    """
    path, followed = Path(settings.file_name), settings.live.timeout_s is not None
    if not followed and locking() and os.path.isfile(path) and being_written(path):
        what = "is being written, or its writer died: only what is there now is loaded"
        warn(f"{what}; wait until it is closed, or follow it (live=10, --live 10)", path)
    with silenced_warnings() if followed else nullcontext():
        return open_file(settings.file or "", settings.format, settings.opening)


def _choose(path: Path, format: str | None, opening: Opening) -> Format:
    """The format of that name, else the recognised one, else that of the user's paths."""
    if format is not None:
        return get(format)
    try:
        return recognise(path)
    except UnknownFormatError as error:
        named = "frames" in opening.paths and is_hdf5(path)
        if not named or error.problem.startswith("understood by ["):
            raise
        return get("hdf5")
