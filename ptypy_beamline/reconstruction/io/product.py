"""Ptychodus products: a reconstruction that Ptychodus 1.2 to 1.7 and PtychoPINN open.

Source: ``ptychodus.api.io`` (github.com/AdvancedPhotonSource/ptychodus). Older readers ask for
``probe_energy_eV`` and ``mass_attenuation_m2_kg``: both names of either are written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ...errors import FileError, ScanError, warn
from ...files.links import open_confined
from ...output.hdf5 import complete_hdf5
from ...writers.stacks import BadPixels, StackWriter
from ..area import pixels_of
from ..model import Reconstruction
from .amplitudes import AMPLITUDES, Amplitudes, without_nan
from .hdf5 import MALFORMED, as_json, provenance

ENERGY = ("photon_energy_eV", "probe_energy_eV")
ATTENUATION = ("mass_attenuation_m2_per_kg", "mass_attenuation_m2_kg")
SIDES = ("height", "width")


@dataclass(frozen=True)
class ProductInfo:
    """What a product contains besides the reconstruction; 0 = unknown, as in Ptychodus.

    Attributes
    ----------
    name, comments
        Free text.
    exposure_time_s
        Of a frame.
    mass_attenuation_m2_per_kg
        Of the sample.
    tomography_angle_deg
        Rotation of the sample.
    probe_pixel_m
        The probe's pixel, if it is not the object's.
    """

    name: str = ""
    comments: str = ""
    exposure_time_s: float = 0.0
    mass_attenuation_m2_per_kg: float = 0.0
    tomography_angle_deg: float = 0.0
    probe_pixel_m: float | None = None


UNKNOWN = ProductInfo()


def export_product(
    found: Reconstruction,
    path: str | Path,
    *,
    info: ProductInfo = UNKNOWN,
    frames: Amplitudes | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write a Ptychodus product.

    Parameters
    ----------
    found
        What to write; all of it is read back by :func:`import_product`.
    path
        The HDF5 file; written completely or not at all.
    info
        Name, comments and what else a product can contain.
    frames
        Written to ``/raw_data``, one per position, a block at a time; default: no such group.
    progress
        Called with the number of frames each block has written.

    Raises
    ------
    FileError
        The folder cannot be written, or ``path`` is another program's file.
    ScanError
        The numbers of frames and positions differ.
    """
    with complete_hdf5(path) as file:
        file.attrs.update(_attributes(found, info))
        _write_waves(file, found, info)
        file["probe_position_indexes"] = found.indices
        file["probe_position_y_m"], file["probe_position_x_m"] = found.positions_m.T
        recorded = np.flatnonzero(np.isfinite(found.errors))
        file["loss_epochs"], file["loss_values"] = recorded, found.errors[recorded]
        file["provenance"] = as_json(provenance(found))
        if frames is not None:
            _write_raw(file, found, frames, progress)
    return Path(path)


def import_product(path: str | Path) -> Reconstruction:
    """The reconstruction in a product by any program.

    Raises
    ------
    FileError
        The file is missing, damaged, or not a product.
    ScanError
        It has several coherent probes.
    """
    with open_confined(path) as file:
        try:
            return _read(file, Path(path))
        except MALFORMED as error:
            raise FileError(
                f"not a Ptychodus product ({error.args[0]})", "give a product", path
            ) from error


def _attributes(found: Reconstruction, info: ProductInfo) -> dict[str, Any]:
    return {
        "name": info.name or found.scan,
        "comments": info.comments,
        "detector_object_distance_m": found.distance_m,
        **dict.fromkeys(ENERGY, found.energy_eV),
        "exposure_time_s": info.exposure_time_s,
        "probe_photon_count": float((np.abs(found.probe) ** 2).sum()),
        **dict.fromkeys(ATTENUATION, info.mass_attenuation_m2_per_kg),
        "tomography_angle_deg": info.tomography_angle_deg,
        "scan": found.scan,
        "algorithm": found.algorithm,
        "n_iterations": found.iterations,
    }


def _write_waves(file: h5py.File, found: Reconstruction, info: ProductInfo) -> None:
    """Probe (coherent, incoherent, H, W) and object (layers, H, W); a single one is (H, W).

    PtychoPINN reads only (H, W), Ptychodus all of them.
    """
    pixel = {f"pixel_{side}_m": size for side, size in zip(SIDES, found.pixel_m, strict=True)}
    file["probe"] = found.probe[None] if len(found.probe) > 1 else found.probe[0]
    stated = info.probe_pixel_m
    file["probe"].attrs.update(pixel if stated is None else dict.fromkeys(pixel, stated))
    file["object"] = found.object if len(found.object) > 1 else found.object[0]
    center = dict(zip(("center_y_m", "center_x_m"), found.center_m, strict=True))
    file["object"].attrs.update({**pixel, **center})
    file["object_layer_spacing_m"] = np.asarray(found.layer_spacing_m, np.float64)


def _read(file: h5py.File, path: Path) -> Reconstruction:
    obj, attributes = file["object"], file.attrs
    pixel = _pixel(obj.attrs)
    epochs, losses = (
        file[name][()] if name in file else np.empty(0) for name in ("loss_epochs", "loss_values")
    )
    epochs = epochs.astype(np.int64)
    errors = np.full(int(attributes.get("n_iterations", epochs.max(initial=-1) + 1)), np.nan)
    errors[epochs] = losses
    spacing = file["object_layer_spacing_m"][()] if "object_layer_spacing_m" in file else ()
    return Reconstruction(
        object=obj[()].reshape(-1, *obj.shape[-2:]).astype(np.complex64),
        probe=_probe(file["probe"], pixel, path),
        pixel_m=pixel,
        center_m=(float(obj.attrs["center_y_m"]), float(obj.attrs["center_x_m"])),
        positions_m=np.stack([file[f"probe_position_{axis}_m"][()] for axis in "yx"], axis=1),
        indices=file["probe_position_indexes"][()].astype(np.int64),
        energy_eV=float(attributes[next((n for n in ENERGY if n in attributes), ENERGY[0])]),
        distance_m=float(attributes["detector_object_distance_m"]),
        errors=errors,
        algorithm=str(attributes.get("algorithm", "")),
        layer_spacing_m=tuple(map(float, spacing)),
        scan=str(attributes.get("scan", attributes.get("name", ""))),
        provenance=json.loads(file["provenance"].asstr()[()]) if "provenance" in file else {},
    )


def _pixel(attributes: Mapping[str, Any]) -> tuple[float, float]:
    height, width = (float(attributes[f"pixel_{side}_m"]) for side in SIDES)
    return height, width


def _probe(stored: h5py.Dataset, pixel: tuple[float, float], path: Path) -> Any:
    probe = stored[()].reshape(-1, *(1, *stored.shape)[-3:])
    if len(probe) > 1:
        raise ScanError(
            f"Expected one coherent probe. Got {len(probe)}",
            "save the product with the mean probe",
            path,
        )
    if "pixel_height_m" in stored.attrs and not np.allclose(
        _pixel(stored.attrs), pixel, rtol=1e-6, atol=0
    ):
        warn(
            f"the probe's pixel {_pixel(stored.attrs)} m is not the object's "
            f"{pixel}: assumed to be the same",
            path,
        )
    return probe[0].astype(np.complex64)


def _write_raw(
    file: h5py.File, found: Reconstruction, frames: Amplitudes, progress: Callable[[int], None]
) -> None:
    """Write ``/raw_data``: frames and positions with PtychoPINN's names, a block at a time.

    ``mask`` (uint8, 1 = bad) is this package's own; bad pixels hold 0 for readers without masks.
    """
    shape = frames.checked(len(found.positions_m)).shape
    file.attrs.update(bundle_version="1.0", contains_raw_data=1)
    group = file.create_group("raw_data")
    own = frames.coordinates_px
    group["ycoords"], group["xcoords"] = (
        pixels_of(found, found.positions_m) if own is None else own
    ).T
    group["scan_index"] = found.indices if frames.scan_index is None else frames.scan_index
    _guesses(file, group, found)
    if frames.center_px is not None:
        group["center_px"] = frames.center_px
    data, bad = StackWriter(group, AMPLITUDES, shape, np.float32, "lzf"), BadPixels(shape[1:])
    group[AMPLITUDES].attrs["axis_canonical"] = "NHW"
    for block in frames.blocks():
        data.append(without_nan(block, bad))
        progress(len(block))
    bad.write(group, "mask")


def _guesses(file: h5py.File, group: h5py.Group, found: Reconstruction) -> None:
    """Links to the product's own probe and object, which PtychoPINN reads as (rows, columns).

    Of several modes, the strongest is written by itself; of several layers, the projection.
    """
    modes, layers = len(found.probe), len(found.object)
    group["probeGuess"] = file["probe"] if modes == 1 else found.probe[found.strongest_mode]
    group["objectGuess"] = file["object"] if layers == 1 else found.object.prod(axis=0)
