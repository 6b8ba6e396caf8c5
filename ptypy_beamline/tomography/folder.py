"""The folder ``ptycho_tomo``: one reconstruction an angle, and the table of angles.

``angle_NNN/phase.tif`` and ``amplitude.tif`` show the scanned area; ``angle_NNN/reconstruction.h5``
has all that was found, and marks an angle as finished: it is written last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py

from ..errors import FileError, MissingDataError, SettingsError
from ..files.filelist import natural
from ..files.links import open_confined
from ..files.regular import read_text
from ..output import is_ours, put_text, refuse_foreign, together
from ..reconstruction.area import scanned
from ..reconstruction.io.hdf5 import as_json, write_reconstruction
from ..reconstruction.io.hdf5 import checksum as sha256_of
from ..reconstruction.io.tiff import write_tiffs
from ..reconstruction.model import Reconstruction
from .angles import TABLE, Angle, read_theta

NAME = "ptycho_tomo"
FINISHED = "reconstruction.h5"
MADE = "provenance/made"


def finished(folder: Path, angle: Angle, made: Mapping[str, Any]) -> bool:
    """Whether an angle's reconstruction is there and complete.

    Raises
    ------
    FileError
        It is, but ``made`` otherwise: of another file, or with other settings.
    """
    path = folder / angle.name / FINISHED
    if not path.is_file():
        return False
    with open_confined(path) as file:
        before = json.loads(file[MADE].asstr()[()]) if MADE in file else {}
        same = _same_content(file, angle.file)
    now = json.loads(as_json(made))
    other = [name for name in now if name not in before or before[name] != now[name]]
    if other or not same:
        raise FileError(
            f"reconstructed with another {', '.join(other or ['file'])}",
            "take another folder (-o), or the same again",
            path,
        )
    return True


def _same_content(file: h5py.File, raw: Path) -> bool:
    """Whether ``raw`` is the file that was reconstructed; read only if it lies elsewhere now."""
    known = {
        name: file[f"provenance/{name}"].asstr()[()]
        for name in ("source", "sha256")
        if f"provenance/{name}" in file
    }
    source = Path(known.get("source", raw))
    if source.name != raw.name or source.resolve() == raw.resolve() or "sha256" not in known:
        return True
    return bool(known["sha256"] == checksum(raw))


@lru_cache(maxsize=1)
def checksum(file: Path) -> str:
    """SHA-256, read once for all angles in a file."""
    return sha256_of(file)


def write_angle(folder: Path, angle: Angle, found: Reconstruction, made: Mapping[str, Any]) -> None:
    """Put an angle down, and how it was ``made``; of several layers, the TIFFs have the product."""
    rows, columns = scanned(found)
    shown = found.object.prod(axis=0, keepdims=True)[:, rows, columns]
    origin = {**found.provenance, "made": made, "theta_deg": angle.theta_deg}
    with together():
        write_tiffs(replace(found, object=shown), folder / angle.name)
        write_reconstruction(replace(found, provenance=origin), folder / angle.name / FINISHED)


def write_table(folder: Path, angles: Sequence[Angle]) -> None:
    """Write ``theta.csv``, a line for each angle.

    Raises
    ------
    FileError
        Another is there, and nothing beside it that was reconstructed.
    """
    lines = [f"{angle.name},{angle.theta_deg!r}\n" for angle in angles]
    text, path = "".join(["name,theta_deg\n", *lines]), folder / TABLE
    if (
        path.is_file()
        and read_text(path) != text
        and not any(map(is_ours, folder.glob(f"angle_*/{FINISHED}")))
    ):
        refuse_foreign(path)
    put_text(path, text)


def phases_in(folder: Path) -> Path | None:
    """The folder with ``angle_NNN/phase.tif``: this one, or ``ptycho_tomo`` in it; else None."""
    return next(
        (place for place in (folder / NAME, folder) if next(place.glob("angle_*/phase.tif"), None)),
        None,
    )


def angles_in(folder: Path, theta: str | None = None) -> tuple[Angle, ...]:
    """The angles of a folder with phases, and those that its table names besides.

    The table is ``theta``, else ``theta.csv`` in the folder or beside it; it names them, or has
    one angle for each in turn.

    Raises
    ------
    MissingDataError, SettingsError
        There is no phase, no table, or one angle is not in it.
    """
    names = sorted(
        filter(_is_angle, (p.parent.name for p in folder.glob("angle_*/phase.tif"))), key=natural
    )
    if not names:
        raise MissingDataError(
            "no angle_NNN/phase.tif in it", "reconstruct the angles first", folder
        )
    tables = [str(place / TABLE) for place in (folder, folder.parent) if (place / TABLE).is_file()]
    table = theta or next(iter(tables), None)
    if table is None:
        raise MissingDataError(
            "no table of angles", f"write {TABLE} (name,theta_deg), or give --theta", folder
        )
    degrees = _by_name(read_theta(table), names, table)
    lacking = next((name for name in names if name not in degrees), None)
    if lacking is not None:
        raise MissingDataError(
            f"no angle of {lacking}", "give each folder a line name,theta_deg", table
        )
    known = sorted(filter(_is_angle, degrees), key=natural)
    return tuple(Angle(int(name[6:]), degrees[name], folder / name) for name in known)


def _is_angle(name: str) -> bool:
    """Whether it is a name that :class:`Angle` gives, not that of a folder put aside."""
    return name.startswith("angle_") and name[6:].isdecimal() and name[6:] == f"{int(name[6:]):03d}"


def check_there(folder: Path, angles: Sequence[Angle]) -> None:
    """Stop where an angle has no phase: its reconstruction was interrupted, or it was removed.

    Raises
    ------
    MissingDataError
        The first such angle, and how many there are.
    """
    lacking = [angle for angle in angles if not (folder / angle.name / "phase.tif").is_file()]
    if lacking:
        raise MissingDataError(
            f"no phase.tif of {len(lacking)} of {len(angles)} angles, {lacking[0].name} the first",
            f"reconstruct them first, or leave them out (--skip {lacking[0].number})",
            folder,
        )


def _by_name(
    rows: Sequence[tuple[str, float]], names: Sequence[str], table: str
) -> dict[str, float]:
    if any(name for name, _ in rows):
        return {Path(name).stem: degrees for name, degrees in rows}
    if len(rows) != len(names):
        raise SettingsError(f"{len(rows)} angles of {len(names)} phases", "give one each", table)
    return {name: degrees for name, (_, degrees) in zip(names, rows, strict=True)}


def sources_of(folder: Path, angles: Sequence[Angle]) -> dict[str, dict[str, Any]]:
    """Of each angle that was reconstructed here: its raw file, SHA-256, and how it was made."""
    found: dict[str, dict[str, Any]] = {}
    for angle in angles:
        path = folder / angle.name / FINISHED
        if path.is_file():
            with open_confined(path) as file:
                texts = {
                    name: file[f"provenance/{name}"].asstr()[()]
                    for name in ("source", "sha256", "made")
                    if isinstance(file.get(f"provenance/{name}"), h5py.Dataset)
                }
            made = json.loads(texts.pop("made", "{}"))
            found[angle.name] = {**texts, **made}
    return found
