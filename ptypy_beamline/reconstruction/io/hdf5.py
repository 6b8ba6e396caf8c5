"""``reconstruction.h5``: object, probe, errors and provenance."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ...errors import BeamlineError, FileError, printable
from ...extras import versions
from ...files.filelist import expand
from ...files.links import open_confined
from ...output.hdf5 import complete_hdf5, linked_plot, nexus_group, put_dataset
from ..model import Reconstruction

MALFORMED = (KeyError, IndexError, ValueError, TypeError, AttributeError)
"""Exceptions from reading a file whose datasets are missing, or of other types or shapes."""

MAX_ELEMENTS = 4096
"""Maximum number of elements of an image that is stored in full among the settings."""


def write_reconstruction(found: Reconstruction, path: str | Path) -> Path:
    """Write a reconstruction; plotting programs open the object's phase.

    An object of one layer is written as (ny, nx), of several as (layers, ny, nx).
    ``/probe/complex`` is the most powerful mode. All of it is read back by
    :func:`read_reconstruction`.

    Parameters
    ----------
    found
        What to write. The SHA-256 of the raw file and versions are added to its provenance.
    path
        The HDF5 file; written completely or not at all.

    Raises
    ------
    FileError
        The folder cannot be written, or ``path`` is another program's file.
    """
    with complete_hdf5(path) as file:
        file.attrs.update(NX_class="NXroot", default="object", scan=found.scan)
        _write_object(nexus_group(file, "object", "NXentry", default="view"), found)
        probe = nexus_group(file, "probe", "NXentry")
        probe["complex"], probe["modes"] = found.probe[found.strongest_mode], found.probe
        positions = nexus_group(file, "positions", "NXentry")
        about = {"columns": "y,x", "description": "of the probe's pixel (N-1)/2"}
        put_dataset(positions, "refined", found.positions_m, units="m", **about)
        about = {"description": "raw frame of each position"}
        put_dataset(positions, "frame_indices", found.indices, **about)
        geometry = nexus_group(file, "geometry", "NXentry")
        put_dataset(geometry, "energy", found.energy_eV, units="eV")
        put_dataset(geometry, "distance", found.distance_m, units="m")
        metrics = nexus_group(file, "metrics", "NXentry", default="view")
        metrics["error_per_iteration"] = found.errors
        metrics["algorithm"], metrics["n_iterations"] = found.algorithm, found.iterations
        if found.held_out_error is not None:
            metrics["held_out_error"] = found.held_out_error
        linked_plot(metrics, "view", f"{metrics.name}/error_per_iteration")
        _write_provenance(nexus_group(file, "provenance", "NXentry"), found)
    return Path(path)


def read_reconstruction(path: str | Path) -> Reconstruction:
    """Read what :func:`write_reconstruction` wrote.

    Raises
    ------
    FileError
        The file is missing, damaged, or of another kind or an older version.
    """
    with open_confined(path) as file:
        try:
            return _read(file)
        except MALFORMED as error:
            what = f"not a reconstruction.h5, or one of an older version ({error.args[0]})"
            raise FileError(what, "write it again", path) from error


def _read(file: h5py.File) -> Reconstruction:
    wave, pixel = file["object/complex"][()], file["object/pixel_size"][()]
    held_out_error = file.get("metrics/held_out_error")
    center, spacing = file["object/center"][()], file["object/layer_spacing"][()]
    return Reconstruction(
        object=wave.reshape(-1, *wave.shape[-2:]),
        probe=file["probe/modes"][()],
        pixel_m=(float(pixel[0]), float(pixel[1])),
        center_m=(float(center[0]), float(center[1])),
        positions_m=file["positions/refined"][()],
        indices=file["positions/frame_indices"][()],
        energy_eV=float(file["geometry/energy"][()]),
        distance_m=float(file["geometry/distance"][()]),
        errors=file["metrics/error_per_iteration"][()],
        algorithm=file["metrics/algorithm"].asstr()[()],
        layer_spacing_m=tuple(spacing.tolist()),
        scan=str(file.attrs["scan"]),
        provenance={name: _entry(item) for name, item in file["provenance"].items()},
        held_out_error=None if held_out_error is None else float(held_out_error[()]),
    )


def checksum(*paths: str | Path) -> str:
    """SHA-256 of a file, or of several one after another, as hexadecimal digits.

    They are read in pieces, so they may be of any size.
    """
    digest = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as file:
            while piece := file.read(1 << 22):
                digest.update(piece)
    return digest.hexdigest()


def as_json(value: Any) -> str:
    """Settings as JSON: large images by their shape, paths and all else as text."""

    def plain(item: Any) -> Any:
        if isinstance(item, np.ndarray):
            large = item.ndim > 1 and item.size > MAX_ELEMENTS
            return f"{item.dtype} array {item.shape}" if large else item.tolist()
        return item.item() if isinstance(item, np.generic) else str(item)

    return json.dumps(value, default=plain, indent=1)


def provenance(found: Reconstruction) -> dict[str, Any]:
    """The provenance of a reconstruction, with the raw files' SHA-256 and versions added.

    Versions and checksums that it has already date from when it was made, and are kept.
    """
    entries = {"settings": {}, "versions": versions(), **found.provenance}
    source = entries.get("source")
    if source is not None:
        names = [str(name) for name in (source if isinstance(source, list) else [source])]
        entries["source"] = names if isinstance(source, list) else names[0]
        if "sha256" not in entries:
            with suppress(BeamlineError):  # a file is gone
                entries["sha256"] = checksum(*expand(names))
    return entries


def _write_object(group: h5py.Group, found: Reconstruction) -> None:
    wave = found.object[0] if len(found.object) == 1 else found.object
    group["complex"] = wave
    put_dataset(group, "phase", np.angle(wave), units="rad")
    group["amplitude"] = np.abs(wave)
    put_dataset(group, "pixel_size", found.pixel_m, units="m", columns="y,x")
    about = "of pixel ((ny-1)/2, (nx-1)/2), on the axes of the positions"
    put_dataset(group, "center", found.center_m, units="m", columns="y,x", description=about)
    put_dataset(group, "layer_spacing", np.asarray(found.layer_spacing_m, np.float64), units="m")
    axes = ("y", "x") if wave.ndim == 2 else ("layer", "y", "x")
    view = linked_plot(group, "view", f"{group.name}/phase", axes)
    for name, count, pixel in zip("yx", wave.shape[-2:], found.pixel_m, strict=True):
        put_dataset(view, name, np.arange(count) * pixel * 1e6, units="um")
    if wave.ndim == 3:
        view["layer"] = np.arange(len(wave))


def _write_provenance(group: h5py.Group, found: Reconstruction) -> None:
    for name, value in provenance(found).items():
        plain = isinstance(value, str | int | float)
        # JSON has escapes for what HDF5 cannot store: undecodable bytes in file names.
        plain &= not isinstance(value, str) or value == printable(value)
        group[name] = value if plain else as_json(value)
        group[name].attrs["json"] = not plain


def _entry(item: h5py.Dataset) -> Any:
    stored = item[()]
    text = stored.decode() if isinstance(stored, bytes) else stored.item()
    return json.loads(text) if item.attrs.get("json") else text
