"""Other packages: their versions, and scikit-image, needed only for tomography and unwrapping."""

from __future__ import annotations

import importlib.util
import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .errors import BeamlineError

PACKAGES = (
    "ptypy-beamline",
    "numpy",
    "scipy",
    "scikit-learn",
    "h5py",
    "hdf5plugin",
    "ptypy",
)


def skimage(module: str) -> Any:
    """A module of scikit-image.

    Raises
    ------
    BeamlineError
        It is not installed.
    """
    try:
        return import_module(f"skimage.{module}")
    except ImportError as error:
        raise BeamlineError("scikit-image is not installed", "pip install scikit-image") from error


def has_ptypy() -> bool:
    """Whether PtyPy is installed; it is not imported."""
    return importlib.util.find_spec("ptypy") is not None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter to a result, where installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
