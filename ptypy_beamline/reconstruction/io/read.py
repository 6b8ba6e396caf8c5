"""Reading any file that holds a reconstruction."""

from __future__ import annotations

from pathlib import Path

from ...errors import FileError
from ...files.links import open_confined
from ..model import Reconstruction
from .ptyr import read_ptyr

KINDS = {"ptyr": ("content/obj",), "h5": ("object/complex",), "product": ("probe_position_x_m",)}
"""Datasets by which each kind of HDF5 file is recognised."""


def read(
    path: str | Path,
    *,
    scan: str = "",
    raw: str | Path | None = None,
    distance_m: float | None = None,
) -> Reconstruction:
    """A reconstruction from a ``.ptyr``, a ``reconstruction.h5`` or a Ptychodus product.

    Parameters
    ----------
    path
        The file; recognised by content.
    scan, raw, distance_m
        What a ``.ptyr`` may need, see :func:`ptypy_beamline.reconstruction.read_ptyr`.

    Raises
    ------
    FileError
        The file is missing, damaged, or of another kind.
    BeamlineError
        See the function that reads this kind.
    """
    from .hdf5 import read_reconstruction
    from .product import import_product

    kind = _kind(path)
    if kind == "ptyr":
        return read_ptyr(path, scan=scan, raw=raw, distance_m=distance_m)
    return import_product(path) if kind == "product" else read_reconstruction(path)


def _kind(path: str | Path) -> str:
    with open_confined(path) as file:
        for kind, names in KINDS.items():
            if all(name in file for name in names):
                return kind
    raise FileError(
        "not a reconstruction: neither .ptyr, reconstruction.h5 nor product",
        "give one of them",
        path,
    )
