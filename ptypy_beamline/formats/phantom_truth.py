"""A phantom's ground truth, and the far field in which it is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FileError, SettingsError
from ..frames.simulated import Phantom
from ..geometry import resolution_m, wavelength_m
from .phantom_info import Info

GRIDS = ("phantom/grid_delta.npy", "phantom/grid_beta.npy")
PIXEL_M = 75e-6
"""Detector pixel where none is given: in the far field only λz/p matters, and z follows."""

FAR_FIELD = "far field: distance and detector pixel stand for any pair that gives the same λz/p"


def is_phantom(path: Path) -> bool:
    """Whether ``path`` is a directory with a phantom's ground truth."""
    return path.is_dir() and all((path / name).is_file() for name in GRIDS)


def measured_file(directory: Path) -> Path | None:
    """``NAME.h5`` of a directory NAME, or the only HDF5 file but for the ``_ref``."""
    named = directory / f"{directory.name}.h5"
    others = [path for path in sorted(directory.glob("*.h5")) if not path.stem.endswith("_ref")]
    if named in others:
        return named
    return others[0] if len(others) == 1 else None


def phantom_of(path: Path, info: Info) -> Phantom:
    """The ground truth; voxels are cubes unless ``simulate.slice_m`` or ``info.txt`` says else.

    Raises
    ------
    FileError
        It is not there.
    MissingDataError
        Neither ``info`` nor ``info.txt`` has the voxel or the energy.
    """
    absent = [name for name in GRIDS if not (path / name).is_file()]
    if absent:
        raise FileError(f"no {absent[0]} in it", "give a directory with a phantom", path)
    pixel_m = info.pixel_m
    slice_m = float(info.get("slice_m", pixel_m))
    return Phantom(path / GRIDS[0], path / GRIDS[1], pixel_m, slice_m, info.energy_eV)


def far_field_geometry(info: Info, shape: tuple[int, int]) -> tuple[float, tuple[float, float]]:
    """Distance and detector pixel that give the phantom's voxel: λz/(N·p), whichever are free.

    Raises
    ------
    SettingsError
        The user gives both, and they give another pixel.
    """
    voxel, wavelength = info.pixel_m, wavelength_m(info.energy_eV)
    distance, pixel = info.given.get("distance"), info.given.get("psize")
    if distance is None:
        p = pixel or (PIXEL_M, PIXEL_M * shape[0] / shape[1])
        return voxel * shape[0] * p[0] / wavelength, (float(p[0]), float(p[1]))
    span = wavelength * distance / voxel
    fitting = (span / shape[0], span / shape[1])
    if pixel is not None and not np.allclose(pixel, fitting, rtol=0.01):
        found = resolution_m(info.energy_eV, distance, pixel, shape)[0]
        raise SettingsError(
            f"distance and psize give a pixel of {found:.4g} m, the phantom has {voxel:.4g} m",
            "give only one of them",
        )
    return float(distance), fitting
