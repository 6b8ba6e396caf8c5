"""Images and lists that a user gives: arrays, ``.npy``, ``.tif``, ``file.h5::/path``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import FileError, SettingsError
from ..files.hdf5 import open_hdf5
from ..files.links import file_and_dataset, lookup
from ..files.regular import check_file
from ..scan import ArrayFrames, Frames
from .hdf5 import Hdf5Frames
from .npy import load_npy, npy_frames


def frames_of(given: Any, name: str, links: str = "inside") -> Frames:
    """The image or stack of images given by parameter ``name``, read lazily if possible.

    HDF5 links are followed according to ``links``, see :func:`lookup`.

    Raises
    ------
    FileError
        The file is missing or unreadable.
    SettingsError
        It is of an unknown kind.
    """
    if isinstance(given, np.ndarray | list | tuple):
        return _in_memory(np.asarray(given))
    text = str(given)
    if "::" in text:
        path, dataset = _in_hdf5(text, name, links)
        return Hdf5Frames(path, dataset)
    path = existing(text, name)
    if path.suffix == ".npy":
        return npy_frames(path) or _in_memory(load_npy(path))
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        try:
            return ArrayFrames(tifffile.imread(path))
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise FileError(f"not a readable TIFF ({error})", "save it again", path) from error
    raise SettingsError(
        f"{name}={text!r} is of an unknown kind", "give an array, .npy, .tif or file.h5::/path"
    )


def _in_memory(images: NDArray[Any]) -> ArrayFrames:
    """An image, a stack of them, or a map of them (rows, columns, ny, nx) as a stack."""
    return ArrayFrames(images.reshape(-1, *images.shape[-2:]) if images.ndim == 4 else images)


def values_of(given: Any, name: str, links: str = "inside") -> Floats:
    """The list of numbers given by parameter ``name``, as (n,) float64; ``links`` as above."""
    if isinstance(given, np.ndarray | list | tuple):
        return np.asarray(given, np.float64).ravel()
    text = str(given)
    if "::" in text:
        path, dataset = _in_hdf5(text, name, links)
        with open_hdf5(path) as opened:
            return np.asarray(opened[dataset], np.float64).ravel()
    path = existing(text, name)
    if path.suffix == ".npy":
        return load_npy(path).astype(np.float64).ravel()
    raise SettingsError(
        f"{name}={text!r} is of an unknown kind", "give a list, .npy or file.h5::/path"
    )


def whole_numbers_of(given: Any, name: str, links: str = "inside") -> Ints:
    """The list of integers given by parameter ``name``, as (n,) int64.

    Raises
    ------
    SettingsError
        Some are not integers.
    """
    values = values_of(given, name, links)
    if not np.array_equal(values, np.round(values)):
        raise SettingsError(
            f"Expected whole numbers in {name}. Got {values[values % 1 != 0][0]:g}", f"check {name}"
        )
    return values.astype(np.int64)


def _in_hdf5(text: str, name: str, links: str) -> tuple[Path, str]:
    """File and dataset of ``file.h5::/path``."""
    given, dataset = file_and_dataset(text)
    file = existing(given, name)
    with open_hdf5(file) as opened:
        if not isinstance(lookup(opened, dataset, links), h5py.Dataset):
            raise FileError(f"no dataset {dataset}", "check the path", file)
    return file, dataset


def existing(given: Any, name: str) -> Path:
    """The file given by parameter ``name``.

    Raises
    ------
    FileError
        It is missing or unreadable.
    """
    path = Path(given).expanduser()
    check_file(path, f"check {name}")
    return path
