"""The slices of PtyPy's multislice engine, which keeps them in a file of their own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Complex64s
from ...errors import FileError, MissingDataError, ScanError
from .h5rw import read_tree

ENGINE = "ThreePIE"
DEFAULT_FILE, DEFAULT_THICKNESS_M = "slices.h5", 1e-6
"""As ``ptypy.custom.threepie`` has them; PtyPy saves only parameters that were given."""


@dataclass(frozen=True, eq=False)
class Layers:
    """An object of one layer or more.

    Attributes
    ----------
    object
        (layers, ny, nx).
    spacing_m
        (layers - 1,) distances between them.
    """

    object: Complex64s
    spacing_m: tuple[float, ...] = ()


def layers_of(pars: Mapping[str, Any], planes: Complex64s, folder: Path | None = None) -> Layers:
    """The object's layers: the storage's one plane, or the slices of a last engine 3PIE.

    Parameters
    ----------
    pars
        The parameter tree; paths in it are relative to the working directory.
    planes
        (planes, ny, nx) of the object's storage.
    folder
        Where the file of slices may be, too: that of the ``.ptyr``.

    Raises
    ------
    ScanError
        The planes are modes of the object.
    MissingDataError
        The file of slices is not there.
    """
    if len(planes) > 1:
        raise ScanError(
            f"the object has {len(planes)} modes, and no export holds more than one",
            "reconstruct with coherence.num_object_modes=1",
        )
    engines = list((pars.get("engines") or {}).values())
    if not engines or engines[-1].get("name") != ENGINE:
        return Layers(planes)
    return _slices(engines[-1], planes, folder)


def _slices(engine: Mapping[str, Any], planes: Complex64s, folder: Path | None) -> Layers:
    named = Path(engine.get("fslices") or DEFAULT_FILE)
    places = [named] if folder is None else [named, folder / named.name]
    path = next((place for place in places if os.path.isfile(place)), None)
    if path is None:
        raise MissingDataError(
            f"the slices of {ENGINE} are not there",
            "put the file (fslices) into the folder of the .ptyr",
            named,
        )
    content = read_tree(path).get("content", {})
    found = content.get("objects", {})
    ordered = sorted(found, key=lambda name: int(re.findall(r"\d+", name)[-1]))
    slices = [
        np.asarray(storage["data"], np.complex64)
        for name in ordered
        for storage in found[name].values()
    ]
    if any(s.shape != planes.shape for s in slices) or len(slices) < 2:
        shapes = ", ".join(str(s.shape) for s in slices)
        raise FileError(
            f"Expected slices of {planes.shape}. Got {shapes}",
            "give the file of this reconstruction (fslices)",
            path,
        )
    thickness = content.get("slice_thickness", DEFAULT_THICKNESS_M)
    spacing_m = np.broadcast_to(np.asarray(thickness, np.float64), len(slices) - 1)
    return Layers(np.concatenate(slices), tuple(spacing_m.tolist()))
