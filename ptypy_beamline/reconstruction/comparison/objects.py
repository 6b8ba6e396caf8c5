"""Reconstructed objects, from the files that hold them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ...arrays import Complexes
from ...errors import FileError
from ...files.links import open_confined
from ...frames.npy import load_npy
from ...frames.simulated import Phantom, check_finite, transmission

PLACES = (("object/complex", "object/pixel_size"), ("content/obj/*/data", "content/obj/*/_psize"))
"""Object and its pixel: ``reconstruction.h5``, PtyPy's ``.ptyr``."""


def read_object(path: Path, phantom: Phantom) -> tuple[Complexes, float | None]:
    """The transmission (ny, nx) in ``reconstruction.h5``, ``.ptyr`` or ``obj_checkpoint.npy``.

    Returns
    -------
    object
        Of Adorym's checkpoints (y, x, z, 2) = (δ, β), the projection along z; they are as thick
        as the phantom.
    pixel_m
        None where the file does not say.

    Raises
    ------
    FileError
        The file is missing, damaged, or of no such kind.
    ScanError
        The object is not finite.
    """
    path = Path(path)
    found, pixel_m = _from_npy(path, phantom) if path.suffix == ".npy" else _from_hdf5(path)
    check_finite(found, path, "reconstruct it again: the engine diverged")
    return found, pixel_m


def _from_npy(path: Path, phantom: Phantom) -> tuple[Complexes, float | None]:
    array = load_npy(path)
    if array.ndim == 2 and array.dtype.kind == "c":
        return array, None
    if array.ndim != 4 or array.shape[3] != 2:
        raise FileError(
            f"Expected (y,x,z,2) = (delta, beta). Got {array.dtype} {array.shape}",
            "give Adorym's obj_checkpoint.npy",
            path,
        )
    delta, beta = np.moveaxis(array.mean(axis=2), -1, 0)
    depth_m = phantom.slice_m * phantom.shape[2]
    return transmission(delta, beta, depth_m, phantom.energy_eV), None


def _from_hdf5(path: Path) -> tuple[Complexes, float | None]:
    with open_confined(path) as file:
        for place, pixel in PLACES:
            storage = ""
            if "*" in place:
                group = file.get(place.partition("/*")[0])
                storage = next(iter(group), "") if isinstance(group, h5py.Group) else ""
            found = file.get(place.replace("*", storage))
            if isinstance(found, h5py.Dataset):
                size = np.ravel(file[pixel.replace("*", storage)][()])
                return found[()].reshape(-1, *found.shape[-2:])[0], float(size[0])
    raise FileError(
        "not a reconstructed object: neither reconstruction.h5 nor .ptyr",
        "give one of them, or Adorym's obj_checkpoint.npy",
        path,
    )
