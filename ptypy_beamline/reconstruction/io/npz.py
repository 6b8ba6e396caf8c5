"""NPZ with PtychoPINN's names: reconstructions written, and read although it has no units.

Source: ``docs/data_contracts.md`` of PtychoPINN (github.com/hoidn/PtychoPINN).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ...arrays import Complex64s, Floats
from ...errors import MissingDataError, ScanError, SettingsError, warn
from ...formats.npz import CENTER, MASK
from ...frames.npz import Member, members
from ...output.files import complete_file
from ...output.names import SIGNATURE
from ...writers.stacks import BadPixels
from ..area import pixels_of, views_outside
from ..model import Reconstruction
from .amplitudes import AMPLITUDES, Amplitudes, without_nan
from .hdf5 import as_json, provenance

REQUIRED = ("xcoords", "ycoords", "probeGuess", "objectGuess")
OPTIONAL = (
    *("probe_modes", "frame_indices", "scan_index", "pixel_m", "energy_eV", "distance_m"),
    *("object_center_m", "errors", "algorithm"),
)
UNKNOWN = {"energy_eV": 0.0, "distance_m": 0.0, "pixel_m": 5e-8}
"""What PtychoPINN's converter assumes if neither user nor file gives it; 0 = unknown."""
PROBE_PIXEL_M = 1.25e-7
"""What it assumes for the probe's pixel if the object's is unknown as well."""

FLAGS = {
    "energy_eV": "--probe-energy-eV",
    "distance_m": "--detector-distance-m",
    "pixel_m": "--object-pixel-size-m",
}
"""Quantity → flag that sets it."""


@dataclass(frozen=True)
class Physics:
    """What the user states about a file without units; None = from the file, else ``UNKNOWN``.

    Attributes
    ----------
    energy_eV, distance_m
        Photon energy; sample-detector distance.
    pixel_m
        Pixel size of object and probe.
    center_m
        (y, x) of the object's middle; None there = coordinates are pixels of ``objectGuess``, or,
        where views would then lie outside it, are counted from its middle.
    """

    energy_eV: float | None = None
    distance_m: float | None = None
    pixel_m: float | None = None
    center_m: tuple[float | None, float | None] = (None, None)


def write_npz(
    found: Reconstruction,
    path: str | Path,
    *,
    frames: Amplitudes | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write ``xcoords ycoords scan_index probeGuess objectGuess``, ``diffraction`` and ``mask``.

    ``probeGuess`` is the most powerful mode; all are in ``probe_modes``. Coordinates are pixels
    of ``objectGuess`` under the probe's middle, (N - 1)/2. ``mask`` (1 = bad) is this package's
    own, one image or one per frame; bad pixels of ``diffraction`` hold 0.

    Parameters
    ----------
    found
        What to write.
    path
        The NPZ file; written completely or not at all.
    frames
        One per position, written a block at a time; default: no ``diffraction``.
    progress
        Called with the number of frames each block has written.

    Raises
    ------
    FileError
        The folder cannot be written, or ``path`` is another program's file.
    ScanError
        The object has several layers, or the numbers of frames and positions differ.
    """
    if len(found.object) > 1:
        raise ScanError(
            f"the object has {len(found.object)} layers, PtychoPINN needs one",
            "export it --to product or h5",
        )
    path = Path(path)
    ours = SIGNATURE in members(path) if path.is_file() else False
    with complete_file(path, ours) as temporary, zipfile.ZipFile(temporary, "w") as file:
        arrays = _arrays(found)
        if frames is not None and frames.center_px is not None:
            arrays[CENTER] = frames.center_px
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w") as raw:
                npy.write_array(cast(BinaryIO, raw), np.asarray(array), allow_pickle=False)
        if frames is not None:
            _write_frames(file, frames.checked(len(found.positions_m)), progress)
    return path


def _arrays(found: Reconstruction) -> dict[str, Any]:
    rows, columns = pixels_of(found, found.positions_m).T
    return {
        "xcoords": columns,
        "ycoords": rows,
        "xcoords_start": columns,
        "ycoords_start": rows,
        "scan_index": np.zeros(len(rows), np.int64),
        "probeGuess": found.probe[found.strongest_mode],
        "objectGuess": found.object[0],
        "probe_modes": found.probe,
        "frame_indices": found.indices,
        "pixel_m": found.pixel_m,
        "object_center_m": found.center_m,
        "energy_eV": found.energy_eV,
        "distance_m": found.distance_m,
        "errors": found.errors,
        "algorithm": found.algorithm,
        "provenance": as_json(provenance(found)),
        SIGNATURE: "ptypy_beamline",
    }


def _write_frames(
    file: zipfile.ZipFile, frames: Amplitudes, progress: Callable[[int], None]
) -> None:
    bad = BadPixels(frames.shape[1:])

    def amplitudes() -> Iterator[NDArray[Any]]:
        for block in frames.blocks():
            yield without_nan(block, bad)
            progress(len(block))

    _write_stack(file, AMPLITUDES, frames.shape, np.float32, amplitudes())
    if bad.shared:
        _write_stack(file, MASK, frames.shape[1:], np.uint8, [bad.always])
    else:
        _write_stack(file, MASK, frames.shape, np.uint8, bad.stacks())


def _write_stack(
    file: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: type,
    stacks: Iterable[NDArray[Any]],
) -> None:
    """Write an array a piece at a time."""
    header = {"descr": npy.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with file.open(f"{name}.npy", "w", force_zip64=True) as raw:
        npy.write_array_header_1_0(cast(BinaryIO, raw), header)
        for stack in stacks:
            raw.write(np.ascontiguousarray(stack, dtype).data)


def read_npz(path: str | Path, physics: Physics) -> Reconstruction:
    """Object, probe and positions of a PtychoPINN NPZ.

    Files of this package have energy, distance and pixel as well. A warning says what is unknown,
    and how many views lie outside the object.

    Raises
    ------
    FileError
        The file is missing or damaged.
    MissingDataError
        An array is missing.
    SettingsError
        A physical quantity is negative, or the pixel is not positive.
    ScanError
        The arrays do not match.
    """
    path = Path(path)
    known = _stored_arrays(path)
    if names := unknown(path, physics):
        values = ", ".join(f"{name} = {UNKNOWN[name]:g}" for name in names)
        flags = ", ".join(FLAGS[name] for name in names)
        warn(
            f"not in the file, nor given: {values} is written, as PtychoPINN's converter does "
            f"(0 = not known); set {flags}",
            path,
        )
    physical = {name: _quantity(known, physics, name, path) for name in UNKNOWN}
    pixel = np.broadcast_to(physical["pixel_m"], 2)
    obj, probe = _waves(known["objectGuess"]), _waves(known.get("probe_modes", known["probeGuess"]))
    if len(obj) != 1:
        raise ScanError(
            f"Expected objectGuess (rows, columns). Got {known['objectGuess'].shape}",
            "give one object of one layer",
            path,
        )
    coordinates = _coordinates(known, path)
    center, positions_m = _positions(coordinates, (obj, probe), pixel, known, physics)
    if outside := views_outside(positions_m - center, pixel, obj.shape, probe.shape):
        warn(
            f"{outside} of {len(positions_m)} views lie outside the object: set "
            "--object-center-y-m and --object-center-x-m to where its middle is",
            path,
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
        energy_eV=float(physical["energy_eV"]),
        distance_m=float(physical["distance_m"]),
        errors=np.asarray(known.get("errors", ()), np.float64),
        algorithm=str(known.get("algorithm", "")),
        scan=path.stem,
        provenance={"npz": str(path)},
    )


def _stored_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays but the frames."""
    known = members(path)
    absent = [name for name in REQUIRED if name not in known]
    if absent:
        raise MissingDataError(
            f"Expected arrays {', '.join(REQUIRED)}. Got no {', '.join(absent)}",
            "give an NPZ with a reconstruction",
            path,
        )
    wanted = REQUIRED + OPTIONAL
    return {name: Member(path, name).array for name in wanted if name in known}


def unknown(path: str | Path, physics: Physics) -> list[str]:
    """The physical quantities that neither the user nor the file gives."""
    stored = members(Path(path))
    return [name for name in UNKNOWN if getattr(physics, name) is None and name not in stored]


def _quantity(known: dict[str, NDArray[Any]], physics: Physics, name: str, path: Path) -> Any:
    given = getattr(physics, name)
    found = np.asarray(known.get(name, UNKNOWN[name]) if given is None else given)
    may_be_0 = UNKNOWN[name] == 0
    if not (np.isfinite(found) & ((found >= 0) if may_be_0 else (found > 0))).all():
        kind = "0 (not known) or a positive" if may_be_0 else "a positive"
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
            "give one of each per position",
            path,
        )
    coordinates = np.stack([rows, columns], axis=1)
    if lost := int((~np.isfinite(coordinates)).any(axis=1).sum()):
        raise ScanError(
            f"{lost} of {len(rows)} positions are not finite",
            "remove them and their frames",
            path,
        )
    return coordinates


def _positions(
    coordinates: NDArray[Any],
    waves: tuple[Complex64s, Complex64s],
    pixel: NDArray[Any],
    known: dict[str, NDArray[Any]],
    physics: Physics,
) -> tuple[Floats, Floats]:
    """The object's centre and the positions in metres.

    A file with the centre in metres has coordinates in pixels of the object. Without it they are
    taken as such, too, unless views would lie outside: then the centre is 0, the default of
    PtychoPINN's converter. A centre that the user gives is in the system of the coordinates.
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
        if not views_outside(positions_m - center, pixel, obj.shape, probe.shape):
            break
    if not default.any() and physics.center_m == (None, None):
        warn("the coordinates are not pixels of objectGuess: its middle is assumed to be at 0")
    return center, positions_m
