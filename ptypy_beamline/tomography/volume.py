"""Aligned projections and the volume of electron density: their files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.constants import physical_constants

from ..arrays import Float32s, Floats
from ..errors import FileError
from ..extras import versions
from ..files.links import open_confined
from ..geometry import wavelength_m
from ..output.hdf5 import complete_hdf5, linked_plot, nexus_group, put_dataset, stop_on_full_disk
from ..reconstruction.io.hdf5 import as_json
from .parallel_beam import RAMP, Method, slices

DENSITY_UNIT = "e/angstrom^3"

ELECTRON_RADIUS_M = float(physical_constants["classical electron radius"][0])
"""Thomson scattering length r_e (CODATA)."""


@dataclass(frozen=True, eq=False)
class Projections:
    """Phases at the angles of a series, aligned.

    Attributes
    ----------
    phase
        (n, ny, nx) float32 in rad; material is negative, air 0. The rotation axis is vertical,
        at column nx // 2.
    angles_deg
        (n,).
    shifts_px
        (n, 2) y, x by which each was moved.
    pixel_m
        (y, x).
    energy_eV
        Of the photons.
    names
        Names of the angles' folders.
    provenance
        Origin of the data.
    """

    phase: Float32s
    angles_deg: Floats
    shifts_px: Floats
    pixel_m: tuple[float, float]
    energy_eV: float
    names: tuple[str, ...]
    provenance: Mapping[str, Any]

    @property
    def axis_px(self) -> float:
        """Column of the rotation axis before they were moved.

        Moving the sample across the beam adds a sine of the angle to the shifts; the constant that
        remains is that of the axis.
        """
        theta = np.deg2rad(self.angles_deg)
        curves = np.stack([np.ones(len(theta)), np.cos(theta), np.sin(theta)], axis=1)
        offset = np.linalg.lstsq(curves, self.shifts_px[:, 1], rcond=None)[0][0]
        return float(self.phase.shape[2] // 2 - offset)


def write_projections(path: Path, found: Projections) -> Path:
    """Write ``/projections``, ``/angles_deg``, ``/shifts_px``, geometry and provenance."""
    with complete_hdf5(path) as file:
        data = _entry(file, "projections", ("angles_deg", "y_um", "x_um"))
        put_dataset(file, "projections", found.phase, units="rad")
        put_dataset(file, "pixel_m", found.pixel_m, units="m", columns="y,x")
        _put_series(file, found)
        _axes_um(data, found.phase.shape[1:], found.pixel_m, "yx")
    return path


def read_projections(path: Path) -> Projections:
    """Read what :func:`write_projections` has written.

    Raises
    ------
    FileError
        It is missing or another kind of file.
    """
    if not path.is_file():
        raise FileError("no such file", "align the projections first (--only align)", path)
    with open_confined(path) as file:
        try:
            y, x = (float(p) for p in file["pixel_m"][()])
            return Projections(
                file["projections"][()],
                file["angles_deg"][()],
                file["shifts_px"][()],
                (y, x),
                float(file["energy_eV"][()]),
                tuple(file["names"].asstr()[()]),
                json.loads(file["provenance"].asstr()[()]),
            )
        except KeyError as error:
            raise FileError(
                f"no aligned projections ({error.args[0]})", "align them again (--only align)", path
            ) from error


def write_volume(
    path: Path,
    found: Projections,
    method: Method = RAMP,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Reconstruct and write ``/volume`` in e/Å³, slice by slice: one slice is in memory at a time.

    Parameters
    ----------
    path
        The HDF5 file; complete or not there.
    found
        Aligned projections.
    method
        Reconstruction method, see :func:`ptypy_beamline.tomography.parallel_beam.slices`.
    progress
        Called with the number of slices done since.
    """
    (_, ny, nx), (pixel_y, pixel_x) = found.phase.shape, found.pixel_m
    factor = electrons_per_radian(found.energy_eV, pixel_x)
    with complete_hdf5(path) as file:
        data = _entry(file, "volume", ("z_um", "y_um", "x_um"))
        volume = file.create_dataset("volume", (ny, nx, nx), np.float32, chunks=(1, nx, nx))
        volume.attrs.update(units=DENSITY_UNIT, axes="z,y,x", long_name="electron density")
        for row, plane in enumerate(slices(-found.phase, found.angles_deg, method)):
            volume[row] = factor * plane
            stop_on_full_disk()
            progress(1)
        put_dataset(file, "voxel_m", (pixel_y, pixel_x, pixel_x), units="m", columns="z,y,x")
        _put_series(file, found, method=str(method))
        _axes_um(data, volume.shape, (pixel_y, pixel_x, pixel_x), "zyx")
    return path


def _put_series(file: h5py.File, found: Projections, **origin: str) -> None:
    put_dataset(file, "energy_eV", found.energy_eV, units="eV")
    put_dataset(file, "angles_deg", found.angles_deg, units="degree")
    put_dataset(file, "shifts_px", found.shifts_px, columns="y,x")
    file["names"] = list(found.names)
    file["provenance"] = as_json({**found.provenance, **origin, "versions": versions()})


def _entry(file: h5py.File, signal: str, axes: tuple[str, ...]) -> h5py.Group:
    """The default plot of NeXus viewers, which links ``signal`` at the root."""
    file.attrs.update(NX_class="NXroot", default="entry")
    entry = nexus_group(file, "entry", "NXentry", default="data")
    data = linked_plot(entry, "data", f"/{signal}", axes)
    if "angles_deg" in axes:
        data["angles_deg"] = h5py.SoftLink("/angles_deg")
    return data


def _axes_um(
    data: h5py.Group, shape: tuple[int, ...], pixel_m: tuple[float, ...], names: str
) -> None:
    """Coordinates in µm from the middle pixel, n // 2, in which the rotation axis lies."""
    for name, count, pixel in zip(names, shape, pixel_m, strict=True):
        put_dataset(data, f"{name}_um", (np.arange(count) - count // 2) * pixel * 1e6, units="um")


def electrons_per_radian(energy_eV: float, voxel_m: float) -> float:
    """Electron density in e/Å³ of a voxel that shifts the phase by −1 rad.

    A wave exp(−ikδt) behind a thickness t, with δ = r_e·λ²·n_e/2π, has the phase φ = −r_e·λ·n_e·t,
    hence n_e = −φ/(r_e·λ·v) for a voxel of edge v.
    Source: J. Als-Nielsen, D. McMorrow, Elements of Modern X-ray Physics, 2nd ed. (2011),
    section 3.1; A. Diaz et al., Phys. Rev. B 85, 020104 (2012).
    """
    return 1e-30 / (ELECTRON_RADIUS_M * wavelength_m(energy_eV) * voxel_m)
