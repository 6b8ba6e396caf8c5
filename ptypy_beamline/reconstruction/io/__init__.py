"""Files of reconstructions, a module for each format, and the reader of any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py

from ...errors import FileError
from ...files.links import open_confined
from ..model import Reconstruction
from .hdf5 import read_reconstruction
from .product import import_product
from .ptyr import read_ptyr

READERS: dict[str, Callable[..., Reconstruction]] = {
    "content/obj": read_ptyr,
    "object/complex": read_reconstruction,
    "probe_position_x_m": import_product,
}
"""A dataset or group by which each kind of HDF5 file is recognised, and what reads that kind."""


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
    reader = _reader(path)
    if reader is None:
        raise FileError(
            "not a reconstruction: neither .ptyr, reconstruction.h5 nor product",
            "give one of them",
            path,
        )
    if reader is read_ptyr:
        return read_ptyr(path, scan=scan, raw=raw, distance_m=distance_m)
    return reader(path)


def is_readable(path: Path) -> bool:
    """Whether :func:`read` can read a file: a ``.ptyr``, a ``reconstruction.h5`` or a product."""
    return h5py.is_hdf5(path) and _reader(path) is not None


def _reader(path: str | Path) -> Callable[..., Reconstruction] | None:
    with open_confined(path) as file:
        return next((reader for name, reader in READERS.items() if name in file), None)
