"""Whether an output may have a name, and whose file already has it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import h5py

from ..errors import FileError, SettingsError, in_short
from ..files.hdf5 import open_hdf5
from ..files.regular import KINDS

SIGNATURE = "creator"
CREATOR = "ptypy_beamline"
PICTURES = {
    ".png": ("Software", b"Software\0ptypy_beamline"),
    ".pdf": ("Creator", b"/Creator (ptypy_beamline)"),
    ".svg": ("Creator", b"<dc:title>ptypy_beamline</dc:title>"),
}
"""Suffix → the metadata key by which Matplotlib names the creator, and the bytes it writes."""

OTHER_FILE = "write to another file (-o)"
REMEDY = "choose another output (-o), or make room and check the folder's permissions"


def check_output_name(name: str | Path, folder: bool = False) -> Path:
    """Check, before anything is computed, that an output of this name can be written.

    Parameters
    ----------
    name
        As the user gave it.
    folder
        Whether the output is a folder.

    Raises
    ------
    FileError
        The name belongs to something of another kind or to a dangling link, is too long, or its
        folder cannot be written to.
    """
    path, wanted = Path(name), "folder" if folder else "file"
    try:
        kind = _kind(path)
        candidates = (path, *path.absolute().parents) if folder else path.absolute().parents
        above = next(place for place in candidates if place.exists())
    except OSError as error:
        raise FileError(f"cannot be written ({in_short(error)})", REMEDY, path) from error
    if kind is None and path.is_symlink():
        raise FileError(
            f"links to {os.readlink(path)}, which does not exist",
            f"{OTHER_FILE}, or remove the link first",
            path,
        )
    if not folder and str(name).endswith("/"):
        kind = "folder"
    if kind not in (None, wanted):
        remedy = "name a file in it" if kind == "folder" else f"write to another {wanted} (-o)"
        raise FileError(f"Expected a name for a {wanted}. Got a {kind}", remedy, path)
    if not above.is_dir():
        raise FileError(f"cannot be written ({above} is not a folder)", REMEDY, path)
    if not os.access(above, os.W_OK | os.X_OK):
        raise FileError(f"cannot be written ({above} may not be written to)", REMEDY, path)
    return path


def _kind(path: Path) -> str | None:
    """What is at a path: ``file``, ``folder``, ``pipe``…; None where nothing is."""
    if not path.exists():
        return None
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return "folder"
    return next((word for is_kind, word in KINDS if is_kind(mode)), "file")


def refuse_foreign(path: Path) -> None:
    """Refuse to replace a file that this package did not write.

    Raises
    ------
    FileError
        The file is there, not empty, and neither a picture nor an HDF5 file of this package.
    """
    if not check_output_name(path).exists() or not path.stat().st_size or is_ours(path):
        return
    raise FileError(
        "exists and was not written by ptypy_beamline", f"{OTHER_FILE}, or remove it first", path
    )


def refuse_inputs(target: Path, inputs: Iterable[str | Path]) -> None:
    """Refuse to replace one of ``inputs``, even under another name.

    Raises
    ------
    SettingsError
        ``target`` is one of them.
    """
    if target.exists() and any(os.path.exists(i) and target.samefile(i) for i in inputs):
        raise is_input_error(target)


def is_input_error(target: Path) -> SettingsError:
    """The error for an output that is one of the command's inputs."""
    return SettingsError(f"{target} is read by this command", OTHER_FILE)


def is_ours(path: Path) -> bool:
    """Whether it is a picture or an HDF5 file that this package wrote."""
    if not path.is_file():
        return False
    if path.suffix in PICTURES:
        return PICTURES[path.suffix][1] in path.read_bytes()
    if not h5py.is_hdf5(path):
        return False
    with open_hdf5(path, noted=False) as file:
        return SIGNATURE in file.attrs
