"""The folder ``ptycho_tomo``: one reconstruction an angle, and the table of angles.

``angle_NNN/phase.tif`` and ``amplitude.tif`` show the scanned area; ``angle_NNN/reconstruction.h5``
has all that was found, and marks an angle as finished: it is written last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py

from ..errors import FileError, MissingDataError, SettingsError
from ..exports.files import complete
from ..exports.reconstruction import as_json, write_reconstruction
from ..exports.tiff import write_tiffs
from ..reading.filelist import natural
from ..reading.files import open_hdf5
from ..results.area import scanned
from ..results.reconstruction import Reconstruction
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
    with open_hdf5(path) as file:
        before = json.loads(file[MADE].asstr()[()]) if MADE in file else None
    now = json.loads(as_json(made))
    if before != now:
        other = [name for name in now if not before or before.get(name) != now[name]]
        raise FileError(f"reconstructed with another {', '.join(other)}",
                        "take another folder (-o), or the same again", path)  # fmt: skip
    return True


def write_angle(folder: Path, angle: Angle, found: Reconstruction, made: Mapping[str, Any]) -> None:
    """Put an angle down, and how it was ``made``; of several layers, the TIFFs have the product."""
    rows, columns = scanned(found)
    shown = found.object.prod(axis=0, keepdims=True)[:, rows, columns]
    write_tiffs(replace(found, object=shown), folder / angle.name)
    origin = {**found.provenance, "made": made, "theta_deg": angle.theta_deg}
    write_reconstruction(replace(found, provenance=origin), folder / angle.name / FINISHED)


def write_table(folder: Path, angles: Sequence[Angle]) -> None:
    """Write ``theta.csv``, a line for each angle."""
    lines = [f"{angle.name},{angle.theta_deg!r}\n" for angle in angles]
    with complete(folder / TABLE, ours=True) as temporary:
        temporary.write_text("".join(["name,theta_deg\n", *lines]))


def phases_in(folder: Path) -> Path | None:
    """The folder with ``angle_NNN/phase.tif``: this one, or ``ptycho_tomo`` in it; else None."""
    return next((place for place in (folder / NAME, folder)
                 if next(place.glob("angle_*/phase.tif"), None)), None)  # fmt: skip


def angles_in(folder: Path, theta: str | None = None) -> tuple[Angle, ...]:
    """The angles whose phase is in a folder.

    Their table is ``theta``, else ``theta.csv`` in the folder or beside it; it names them, or has
    one angle for each in turn.

    Raises
    ------
    MissingDataError, SettingsError
        There is no phase, no table, or one angle is not in it.
    """
    names = sorted((p.parent.name for p in folder.glob("angle_*/phase.tif")), key=natural)
    if not names:
        raise MissingDataError("no angle_NNN/phase.tif in it", "reconstruct the angles first",
                               folder)  # fmt: skip
    tables = [str(place / TABLE) for place in (folder, folder.parent) if (place / TABLE).is_file()]
    table = theta or next(iter(tables), None)
    if table is None:
        raise MissingDataError("no table of angles", f"write {TABLE} (name,theta_deg), or give "
                               "--theta", folder)  # fmt: skip
    degrees = _by_name(read_theta(table), names, table)
    lacking = next((name for name in names if name not in degrees), None)
    if lacking is not None:
        raise MissingDataError(f"no angle of {lacking}", "give each folder a line name,theta_deg",
                               table)  # fmt: skip
    return tuple(Angle(int(name.rpartition("_")[2]), degrees[name], folder / name)
                 for name in names)  # fmt: skip


def _by_name(
    rows: Sequence[tuple[str, float]], names: Sequence[str], table: str
) -> dict[str, float]:
    if any(name for name, _ in rows):
        return {Path(name).stem: degrees for name, degrees in rows}
    if len(rows) != len(names):
        raise SettingsError(f"{len(rows)} angles of {len(names)} phases", "give one each",
                            table)  # fmt: skip
    return {name: degrees for name, (_, degrees) in zip(names, rows, strict=True)}


def sources_of(folder: Path, angles: Sequence[Angle]) -> dict[str, dict[str, Any]]:
    """Of each angle that was reconstructed here: its raw file, SHA-256, and how it was made."""
    found: dict[str, dict[str, Any]] = {}
    for angle in angles:
        path = folder / angle.name / FINISHED
        if path.is_file():
            with open_hdf5(path) as file:
                texts = {name: file[f"provenance/{name}"].asstr()[()]
                         for name in ("source", "sha256", "made")
                         if isinstance(file.get(f"provenance/{name}"), h5py.Dataset)}  # fmt: skip
            made = json.loads(texts.pop("made", "{}"))
            found[angle.name] = {**texts, **made}
    return found
