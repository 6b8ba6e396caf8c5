"""Images and lists a user names: arrays, ``.npy``, ``.tif``, CSV, JSON, ``file.h5::/path``."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, SettingsError
from ..scan import ArrayFrames, Frames
from .hdf5 import Hdf5Frames, open_hdf5
from .links import lookup

IMAGE_KINDS = "an array, .npy, .tif or file.h5::/path"


def frames_of(given: Any, name: str, links: str = "inside") -> Frames:
    """The image or stack of images that parameter ``name`` names, read lazily from HDF5.

    HDF5 links are followed as ``links`` says, see :func:`lookup`.

    Raises
    ------
    FileError
        The file is missing or unreadable.
    SettingsError
        It is of no known kind.
    """
    if isinstance(given, np.ndarray | list | tuple):
        return _in_memory(np.asarray(given))
    text = str(given)
    if "::" in text:
        path, dataset = _in_hdf5(text, name, links)
        return Hdf5Frames(path, dataset)
    path = _existing(text, name)
    if path.suffix == ".npy":
        return _in_memory(_load_npy(path))
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        try:
            return ArrayFrames(tifffile.imread(path))
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise FileError(f"not a readable TIFF ({error})", "save it again", path) from error
    raise SettingsError(f"{name}={text!r} is of no known kind", f"give {IMAGE_KINDS}")


def _in_memory(images: NDArray[Any]) -> ArrayFrames:
    """An image, a stack of them, or a map of them (rows, columns, ny, nx) as a stack."""
    return ArrayFrames(images.reshape(-1, *images.shape[-2:]) if images.ndim == 4 else images)


def values_of(given: Any, name: str, links: str = "inside") -> NDArray[np.float64]:
    """The list of numbers that parameter ``name`` names, as (n,) float64; ``links`` as above."""
    if isinstance(given, np.ndarray | list | tuple):
        return np.asarray(given, np.float64).ravel()
    text = str(given)
    if "::" in text:
        path, dataset = _in_hdf5(text, name, links)
        with open_hdf5(path) as opened:
            return np.asarray(opened[dataset], np.float64).ravel()
    path = _existing(text, name)
    if path.suffix == ".npy":
        return _load_npy(path).astype(np.float64).ravel()
    raise SettingsError(f"{name}={text!r} is of no known kind",
                        "give a list, .npy or file.h5::/path")  # fmt: skip


def rejected_frames(given: Any) -> NDArray[np.int64]:
    """Raw frame indices to leave out, from a list or any file that quality control writes."""
    if isinstance(given, np.ndarray | list | tuple):
        return _indices(np.asarray(given), "reject")
    path = _existing(given, "reject")
    if path.suffix == ".npy":
        return _indices(_load_npy(path), path)
    if path.suffix == ".json":
        try:
            content = json.loads(path.read_text())
        except ValueError as error:
            raise FileError(f"not JSON ({error})", "give ptypy_indices.json", path) from error
        if not isinstance(content, dict) or "rejected_indices" not in content:
            raise FileError("Expected a key 'rejected_indices'", "give ptypy_indices.json", path)
        return _indices(np.asarray(content["rejected_indices"]), path)
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if rows and not {"index", "rejected"} <= rows[0].keys():
            raise FileError("Expected columns 'index' and 'rejected'", "give qc_summary.csv", path)
        marked = [int(row["index"]) for row in rows if _true(row["rejected"], path)]
        return _indices(np.asarray(marked), path)
    raise SettingsError(f"reject={given!r} is of no known kind", "give a list, .npy, .json or .csv")


def _in_hdf5(text: str, name: str, links: str) -> tuple[Path, str]:
    """File and dataset of ``file.h5::/path``."""
    given, _, dataset = text.partition("::")
    file = _existing(given, name)
    with open_hdf5(file) as opened:
        if not isinstance(lookup(opened, dataset, links), h5py.Dataset):
            raise FileError(f"no dataset {dataset}", "check the path", file)
    return file, dataset


def _true(text: str, path: Path) -> bool:
    known = {"true": True, "yes": True, "false": False, "no": False, "": False}
    word = text.strip().lower()
    if word in known:
        return known[word]
    try:
        return float(word) != 0
    except ValueError as error:
        raise FileError(f"Expected 0 or 1 in column 'rejected'. Got {text!r}", "mend it",
                        path) from error  # fmt: skip


def _indices(values: NDArray[Any], source: str | Path) -> NDArray[np.int64]:
    if values.size == 0:
        return np.zeros(0, np.int64)
    if values.dtype == np.bool_ or not np.issubdtype(values.dtype, np.integer):
        raise SettingsError(f"Expected whole frame indices in {source}. Got {values.dtype}",
                            "give the indices of the raw frames to leave out")  # fmt: skip
    return np.unique(values.astype(np.int64))


def _existing(given: Any, name: str) -> Path:
    path = Path(given).expanduser()
    if not path.is_file():
        raise FileError("no such file", f"check {name}", path)
    return path


def _load_npy(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise FileError(
            "not a readable .npy array", "save it again with numpy.save", path
        ) from error
