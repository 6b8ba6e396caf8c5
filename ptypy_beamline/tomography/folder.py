"""The folder ``ptycho_tomo``: one reconstruction per angle, and the table of angles.

``angle_NNN/phase.tif`` and ``amplitude.tif`` show the scanned area; ``angle_NNN/reconstruction.h5``
holds the whole reconstruction, and marks the angle as finished: it is written last. Phases may also
come from other programs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

from ..arrays import Complex64s
from ..errors import FileError, MissingDataError, SettingsError
from ..files.filelist import natural
from ..files.links import open_confined
from ..files.regular import read_text
from ..output.files import renamed_together, write_text
from ..output.names import is_ours, refuse_foreign
from ..reconstruction.area import scanned
from ..reconstruction.io.hdf5 import as_json, write_reconstruction
from ..reconstruction.io.hdf5 import checksum as sha256_of
from ..reconstruction.io.tiff import write_tiffs
from ..reconstruction.model import Reconstruction
from .angles import TABLE, Angle, read_theta

NAME = "ptycho_tomo"
FINISHED = "reconstruction.h5"

REMEDY = "reconstruct the angle again, or leave it out (--skip)"


def finished(folder: Path, angle: Angle, made: Mapping[str, Any]) -> bool:
    """Whether an angle's reconstruction is there and complete.

    Raises
    ------
    FileError
        It is, but was made from another file or with settings other than ``made``.
    """
    path = folder / angle.name / FINISHED
    if not path.is_file():
        return False
    with open_confined(path) as file:
        before = json.loads(_provenance(file).get("made", "{}"))
        same = _same_content(file, angle.file)
    now = json.loads(as_json(made))
    other = [name for name in now if name not in before or before[name] != now[name]]
    if other or not same:
        raise FileError(
            f"reconstructed with another {', '.join(other or ['file'])}",
            "choose another folder with -o, or use the same file and settings as before",
            path,
        )
    return True


def _provenance(file: h5py.File) -> dict[str, str]:
    """Raw file, SHA-256 and how it was made, as JSON, where they are known."""
    return {
        name: file[f"provenance/{name}"].asstr()[()]
        for name in ("source", "sha256", "made")
        if isinstance(file.get(f"provenance/{name}"), h5py.Dataset)
    }


def _same_content(file: h5py.File, raw: Path) -> bool:
    """Whether ``raw`` is the file that was reconstructed; read only if it was moved."""
    known = _provenance(file)
    source = Path(known.get("source", raw))
    if source.name != raw.name or source.resolve() == raw.resolve() or "sha256" not in known:
        return True
    return bool(known["sha256"] == checksum(raw))


checksum = lru_cache(maxsize=1)(sha256_of)
"""SHA-256 of a file, read once for all angles in it."""


def write_angle(folder: Path, angle: Angle, found: Reconstruction, made: Mapping[str, Any]) -> None:
    """Write an angle and how it was ``made``; for several layers the TIFFs show the product."""
    rows, columns = scanned(found)
    shown = found.object.prod(axis=0, keepdims=True)[:, rows, columns]
    origin = {**found.provenance, "made": made, "theta_deg": angle.theta_deg}
    with renamed_together():
        write_tiffs(replace(found, object=shown), folder / angle.name)
        write_reconstruction(replace(found, provenance=origin), folder / angle.name / FINISHED)


def write_table(folder: Path, angles: Sequence[Angle]) -> None:
    """Write ``theta.csv``, one line per angle.

    Raises
    ------
    FileError
        Another table is there, without a reconstruction by this package beside it.
    """
    lines = [f"{angle.name},{angle.theta_deg!r}\n" for angle in angles]
    text, path = "".join(["name,theta_deg\n", *lines]), folder / TABLE
    if (
        path.is_file()
        and read_text(path) != text
        and not any(map(is_ours, folder.glob(f"angle_*/{FINISHED}")))
    ):
        refuse_foreign(path)
    write_text(path, text)


def phases_in(folder: Path) -> Path | None:
    """The folder with ``angle_NNN/phase.tif``: this one, or ``ptycho_tomo`` in it; else None."""
    return next(
        (path for path in (folder / NAME, folder) if next(path.glob("angle_*/phase.tif"), None)),
        None,
    )


def angles_in(folder: Path, theta: str | None = None) -> tuple[Angle, ...]:
    """The angles of a folder with phases, and further ones that its table names.

    The table is ``theta``, else ``theta.csv`` in the folder or beside it; it names the
    angles' folders, or lists one angle for each in order.

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
    tables = [str(path / TABLE) for path in (folder, folder.parent) if (path / TABLE).is_file()]
    table = theta or next(iter(tables), None)
    if table is None:
        raise MissingDataError(
            "no table of angles", f"write {TABLE} (name,theta_deg), or give --theta", folder
        )
    rows = read_theta(table)
    if any(name for name, _ in rows):
        degrees = {Path(name).stem: value for name, value in rows}
    elif len(rows) == len(names):
        degrees = {name: value for name, (_, value) in zip(names, rows, strict=True)}
    else:
        raise SettingsError(f"{len(rows)} angles of {len(names)} phases", "give one each", table)
    missing = next((name for name in names if name not in degrees), None)
    if missing is not None:
        raise MissingDataError(
            f"no angle of {missing}", "give each folder a line name,theta_deg", table
        )
    known = sorted(filter(_is_angle, degrees), key=natural)
    return tuple(Angle(int(name[6:]), degrees[name], folder / name) for name in known)


def _is_angle(name: str) -> bool:
    """Whether a folder is named as by :class:`Angle`; others are ignored."""
    return name.startswith("angle_") and name[6:].isdecimal() and name[6:] == f"{int(name[6:]):03d}"


def check_all_reconstructed(folder: Path, angles: Sequence[Angle]) -> None:
    """Refuse angles without a phase: the reconstruction was interrupted, or it was removed.

    Raises
    ------
    MissingDataError
        The first such angle, and how many there are.
    """
    missing = [angle for angle in angles if not (folder / angle.name / "phase.tif").is_file()]
    if missing:
        raise MissingDataError(
            f"no phase.tif of {len(missing)} of {len(angles)} angles, {missing[0].name} the first",
            f"reconstruct them first, or leave them out (--skip {missing[0].number})",
            folder,
        )


def sources_of(folder: Path, angles: Sequence[Angle]) -> dict[str, dict[str, Any]]:
    """Raw file, SHA-256 and settings of each angle that was reconstructed here."""
    found: dict[str, dict[str, Any]] = {}
    for angle in angles:
        path = folder / angle.name / FINISHED
        if path.is_file():
            with open_confined(path) as file:
                texts = _provenance(file)
            made = json.loads(texts.pop("made", "{}"))
            found[angle.name] = {**texts, **made}
    return found


@dataclass(frozen=True)
class Phase:
    """The ``phase.tif`` of an angle, written by this or another program.

    Attributes
    ----------
    path
        Path of ``phase.tif``, in rad; ``amplitude.tif`` may be beside it.
    shape
        (ny, nx).
    pixel_m
        (y, x).
    energy_eV
        Of the photons.
    """

    path: Path
    shape: tuple[int, int]
    pixel_m: tuple[float, float]
    energy_eV: float

    @classmethod
    def of(
        cls, folder: Path, pixel_m: float | None = None, energy_eV: float | None = None
    ) -> Phase:
        """Open the file in ``angle_NNN``; no image is read.

        Parameters
        ----------
        folder
            ``angle_NNN``.
        pixel_m, energy_eV
            For files by other programs, which do not contain them.

        Raises
        ------
        FileError, MissingDataError
            It is unreadable, or pixel or energy is unknown.
        """
        path = folder / "phase.tif"
        try:
            with tifffile.TiffFile(path) as file:
                shape, text = file.series[0].shape, str(file.pages.first.description)
        except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
            raise FileError(f"not readable ({error})", REMEDY, path) from error
        if len(shape) != 2:
            raise FileError(f"Expected an image (ny, nx). Got {shape}", REMEDY, path)
        about = json.loads(text) if text.startswith("{") else {}
        pixel, energy = about.get("pixel_size_m", {}), energy_eV or about.get("energy_eV")
        y, x = pixel_m or pixel.get("y"), pixel_m or pixel.get("x")
        if not (y and x and energy):
            what = "energy" if y and x else "pixel"
            raise MissingDataError(
                f"the {what} is not written in it", "give --voxel-m and --energy-kev", path
            )
        return cls(path, (shape[0], shape[1]), (float(y), float(x)), float(energy))

    def read(self) -> Complex64s:
        """(ny, nx) transmission; its modulus is 1 without ``amplitude.tif``.

        Raises
        ------
        FileError
            The images are damaged, or differ in shape.
        """
        amplitude_file = self.path.with_name("amplitude.tif")
        amplitude = np.ones(self.shape)
        try:
            phase = tifffile.imread(self.path)
            if amplitude_file.is_file():
                amplitude = tifffile.imread(amplitude_file)
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise FileError(
                f"it or amplitude.tif in its folder is not readable ({error})", REMEDY, self.path
            ) from error
        if amplitude.shape != self.shape:
            raise FileError(
                f"Expected an image {self.shape}, as the phase. Got {amplitude.shape}",
                REMEDY,
                amplitude_file,
            )
        wave = np.asarray(amplitude * np.exp(1j * phase), np.complex64)
        if not (np.isfinite(wave).all() and wave.any()):
            raise FileError("phase or amplitude is not finite, or all is 0", REMEDY, self.path)
        return wave
