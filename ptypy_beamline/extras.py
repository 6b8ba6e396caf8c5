"""scikit-image, which only tomography and unwrapping need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import BeamlineError


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
