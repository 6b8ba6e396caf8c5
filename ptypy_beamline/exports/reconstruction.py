"""``reconstruction.h5``: object, probe, errors, and how they came about."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .files import complete

PACKAGES = ("ptypy-beamline", "numpy", "scipy", "scikit-learn", "h5py", "hdf5plugin",
            "python-ptypy")  # fmt: skip


def write_reconstruction(
    path: str | Path,
    *,
    object: ArrayLike,
    probe: ArrayLike,
    resolution_m: tuple[float, float],
    errors: ArrayLike,
    algorithm: str,
    n_iterations: int,
    provenance: Mapping[str, Any],
) -> Path:
    """Write a reconstruction; plotting programs open the object's phase.

    Parameters
    ----------
    path
        The HDF5 file; complete or not there.
    object
        (ny, nx) complex transmission.
    probe
        (N, N) or (modes, N, N) complex. ``/probe/complex`` is the most powerful mode.
    resolution_m
        Object pixel (y, x).
    errors
        (iterations,) error of each iteration.
    algorithm, n_iterations
        Name of the algorithm and its number of iterations.
    provenance
        ``settings`` (anything JSON can hold, arrays included) and, best, ``source`` (the raw
        file, whose SHA-256 is added); other entries are written as they are or as JSON.
    """
    wave = np.asarray(object).astype(np.complex64)
    modes = np.atleast_3d(np.asarray(probe).T).T.astype(np.complex64)
    strongest = int((np.abs(modes) ** 2).sum(axis=(1, 2)).argmax())
    with complete(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(NX_class="NXroot", default="object")
        _object(_group(file, "object", "NXentry", default="view"), wave, resolution_m)
        group = _group(file, "probe", "NXentry")
        group["complex"], group["modes"] = modes[strongest], modes
        metrics = _group(file, "metrics", "NXentry", default="view")
        metrics["error_per_iteration"] = np.asarray(errors, np.float64)
        metrics["algorithm"], metrics["n_iterations"] = algorithm, int(n_iterations)
        _view(metrics, "error_per_iteration")
        _provenance(_group(file, "provenance", "NXentry"), provenance)
    return Path(path)


def checksum(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal digits; read in pieces, so of any size."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter to a result, where installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def as_json(value: Any) -> str:
    """Settings as JSON: arrays become lists, paths and all else their text."""

    def plain(item: Any) -> Any:
        if isinstance(item, np.ndarray):
            return item.tolist()
        return item.item() if isinstance(item, np.generic) else str(item)

    return json.dumps(value, default=plain, indent=1)


def _object(
    group: h5py.Group, wave: NDArray[np.complex64], resolution_m: tuple[float, float]
) -> None:
    group["complex"] = wave
    group["phase"], group["amplitude"] = np.angle(wave), np.abs(wave)
    group["pixel_size"] = np.asarray(resolution_m, np.float64)
    group["phase"].attrs["units"] = "rad"
    group["pixel_size"].attrs.update(units="m", columns="y,x")
    view = _view(group, "phase", axes=("y", "x"))
    for name, count, pixel in zip("yx", wave.shape, resolution_m, strict=True):
        view[name] = np.arange(count) * pixel * 1e6
        view[name].attrs["units"] = "um"


def _provenance(group: h5py.Group, provenance: Mapping[str, Any]) -> None:
    entries = dict(provenance)
    group["settings"] = as_json(entries.pop("settings", {}))
    group["versions"] = as_json({**versions(), **entries.pop("versions", {})})
    source = entries.pop("source", None)
    if source is not None:
        group["source"] = str(source)
        if "sha256" not in entries and Path(source).is_file():
            entries["sha256"] = checksum(source)
    for name, value in entries.items():
        group[name] = value if isinstance(value, str | int | float) else as_json(value)


def _group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs.update(NX_class=nx_class, **attributes)
    return group


def _view(group: h5py.Group, signal: str, axes: Sequence[str] = ()) -> h5py.Group:
    """An NXdata group that links the signal, for programs that plot NeXus files."""
    view = _group(group, "view", "NXdata", signal=signal)
    view[signal] = h5py.SoftLink(f"{group.name}/{signal}")
    if axes:
        view.attrs["axes"] = list(axes)
    return view
