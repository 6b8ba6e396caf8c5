"""A :class:`Reconstruction` from an NPZ of PtychoPINN, which knows no metres."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Complex64s, Floats
from ...errors import BeamlineWarning, MissingDataError, ScanError, SettingsError
from ...frames.npz import Member, members
from ..model import Reconstruction

NEEDED = ("xcoords", "ycoords", "probeGuess", "objectGuess")
UNKNOWN = {"energy_eV": 0.0, "distance_m": 0.0, "pixel_m": 5e-8}
"""What PtychoPINN's converter takes where neither the user nor the file knows; 0 = not known."""
PROBE_PIXEL_M = 1.25e-7
"""And for the probe's pixel, where the object's is not known either."""


@dataclass(frozen=True)
class Physics:
    """What the user says of a file without units; None = as the file says, else ``UNKNOWN``.

    Attributes
    ----------
    energy_eV, distance_m
        Of the photons; from the sample to the detector.
    pixel_m
        Of object and probe.
    center_m
        (y, x) of the object's middle; None there = coordinates are pixels of ``objectGuess``, or,
        where views would then lie outside it, are counted from its middle.
    """

    energy_eV: float | None = None
    distance_m: float | None = None
    pixel_m: float | None = None
    center_m: tuple[float | None, float | None] = (None, None)


FLAGS = {
    "energy_eV": "--probe-energy-eV",
    "distance_m": "--detector-distance-m",
    "pixel_m": "--object-pixel-size-m",
}


def read_npz(path: str | Path, physics: Physics) -> Reconstruction:
    """Object, probe and positions of a PtychoPINN NPZ.

    Files that this package wrote have energy, distance and pixel, too. A warning says what is not
    known, and how many views lie outside the object.

    Raises
    ------
    FileError
        The file is missing or damaged.
    MissingDataError
        An array is not there.
    SettingsError
        A physical quantity is negative, or the pixel is not positive.
    ScanError
        Arrays do not belong together.
    """
    path = Path(path)
    known = _arrays(path)
    _say_unknown(unknown(path, physics), path)
    pixel = np.broadcast_to(_given(known, physics.pixel_m, "pixel_m", path), 2)
    obj, probe = _waves(known["objectGuess"]), _waves(known.get("probe_modes", known["probeGuess"]))
    if len(obj) != 1:
        raise ScanError(
            f"Expected objectGuess (rows, columns). Got {known['objectGuess'].shape}",
            "give one object of one layer",
            path,
        )
    coordinates = _coordinates(known, path)
    center, positions_m = _place(coordinates, (obj, probe), pixel, known, physics)
    outside = _outside(positions_m - center, pixel, obj.shape, probe.shape)
    if outside:
        warnings.warn(
            f"{path}: {outside} of {len(positions_m)} views lie outside the object: set "
            "--object-center-y-m and --object-center-x-m to where its middle is",
            BeamlineWarning,
            stacklevel=2,
        )
    numbers = known.get("frame_indices", known.get("scan_index", ()))
    unique = len(np.unique(numbers)) == len(coordinates)
    return Reconstruction(
        object=obj,
        probe=probe,
        pixel_m=(float(pixel[0]), float(pixel[1])),
        center_m=(float(center[0]), float(center[1])),
        positions_m=positions_m,
        indices=np.asarray(numbers if unique else np.arange(len(coordinates)), np.int64),
        energy_eV=float(_given(known, physics.energy_eV, "energy_eV", path)),
        distance_m=float(_given(known, physics.distance_m, "distance_m", path)),
        errors=np.asarray(known.get("errors", ()), np.float64),
        algorithm=str(known.get("algorithm", "")),
        scan=path.stem,
        provenance={"npz": str(path)},
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays but the frames."""
    known = members(path)
    lacking = [name for name in NEEDED if name not in known]
    if lacking:
        raise MissingDataError(
            f"Expected arrays {', '.join(NEEDED)}. Got no {', '.join(lacking)}",
            "give an NPZ with a reconstruction",
            path,
        )
    wanted = (
        *NEEDED,
        "probe_modes",
        "frame_indices",
        "scan_index",
        "pixel_m",
        "energy_eV",
        "distance_m",
        "object_center_m",
        "errors",
        "algorithm",
    )
    return {name: Member(path, name).array for name in wanted if name in known}


def unknown(path: str | Path, physics: Physics) -> list[str]:
    """The physical quantities that neither the user nor the file gives."""
    there = members(Path(path))
    return [name for name in UNKNOWN if getattr(physics, name) is None and name not in there]


def _say_unknown(names: list[str], path: Path) -> None:
    if not names:
        return
    taken = ", ".join(f"{name} = {UNKNOWN[name]:g}" for name in names)
    flags = ", ".join(FLAGS[name] for name in names)
    warnings.warn(
        f"{path}: not in the file, nor given: {taken} is written, as PtychoPINN's "
        f"converter does (0 = not known); set {flags}",
        BeamlineWarning,
        stacklevel=3,
    )


def _given(known: dict[str, NDArray[Any]], value: float | None, name: str, path: Path) -> Any:
    found = np.asarray(known.get(name, UNKNOWN[name]) if value is None else value)
    zero = UNKNOWN[name] == 0
    if not (np.isfinite(found) & ((found >= 0) if zero else (found > 0))).all():
        kind = "a positive" if not zero else "0 (not known) or a positive"
        raise SettingsError(f"Expected {kind} {name}. Got {found}", f"set {FLAGS[name]}", path)
    return found


def _waves(array: NDArray[Any]) -> Complex64s:
    return np.asarray(array, np.complex64).reshape(-1, *array.shape[-2:])


def _coordinates(known: dict[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    """(n, 2) rows and columns."""
    rows, columns = (np.ravel(known[name]) for name in ("ycoords", "xcoords"))
    if len(rows) != len(columns):
        raise ScanError(
            f"Expected as many xcoords as ycoords. Got {len(columns)} and {len(rows)}",
            "give one of each a position",
            path,
        )
    coordinates = np.stack([rows, columns], axis=1)
    lost = int((~np.isfinite(coordinates)).any(axis=1).sum())
    if lost:
        raise ScanError(
            f"{lost} of {len(rows)} positions are not finite",
            "leave them out, and their frames",
            path,
        )
    return coordinates


def _place(
    coordinates: NDArray[Any],
    waves: tuple[Complex64s, Complex64s],
    pixel: NDArray[Any],
    known: dict[str, NDArray[Any]],
    physics: Physics,
) -> tuple[Floats, Floats]:
    """The object's middle and the positions in metres.

    A file with the middle in metres has coordinates in pixels of the object; so are they taken
    where nothing is said, unless views would lie outside: then the middle is 0, the default of
    PtychoPINN's converter. A middle that the user gives is on the axes of the coordinates.
    """
    obj, probe = waves
    half = (np.array(obj.shape[-2:]) - 1) / 2
    if "object_center_m" in known:
        center = known["object_center_m"]
        return center, center + (coordinates - half) * pixel
    positions_m = np.asarray(coordinates * pixel, np.float64)
    for default in (half * pixel, np.zeros(2)):
        given = zip(default, physics.center_m, strict=True)
        center = np.array([old if new is None else new for old, new in given])
        if not _outside(positions_m - center, pixel, obj.shape, probe.shape):
            break
    if not default.any() and physics.center_m == (None, None):
        warnings.warn(
            "the coordinates are not pixels of objectGuess: its middle is taken to be at 0",
            BeamlineWarning,
            stacklevel=3,
        )
    return center, positions_m


def _outside(
    from_center_m: Floats,
    pixel: NDArray[Any],
    obj: tuple[int, ...],
    probe: tuple[int, ...],
) -> int:
    """Views that reach more than a pixel beyond the object."""
    reach = (np.array(obj[-2:]) - np.array(probe[-2:])) / 2 + 1
    return int((np.abs(from_center_m) > reach * pixel).any(axis=1).sum())
