"""A phantom directory: δ and β on a grid, measured frames, or frames simulated as they are read.

::

    cone/info.txt                        what it is illuminated with
    cone/phantom/grid_delta.npy          (y, x, z)
    cone/phantom/grid_beta.npy
    cone/cone.h5, cone/cone_ref.h5       measured frames, and those without the sample, if any
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ..arrays import Complex64s, Ints
from ..errors import FileError, MissingDataError, SettingsError, naming
from ..files.hdf5 import open_hdf5
from ..frames.hdf5 import Hdf5Frames
from ..frames.images import frames_of
from ..frames.simulated import SimulatedFrames, back_to_sample, zone_plate_beam
from ..scan import Frames, Scan, Window, sample_indices
from ..settings import Settings
from .frame_axes import leading_axis
from .hdf5_source import has
from .phantom_info import (
    FAR_FIELD,
    GRIDS,
    Info,
    corners,
    far_field_geometry,
    is_phantom,
    measured_file,
)
from .table import get


@dataclass(frozen=True)
class PhantomFormat:
    """Measured if there is ``NAME.h5`` and nothing of ``simulate`` is set, else simulated."""

    name: str = "phantom"
    title: str = (
        "phantom directory with phantom/grid_delta.npy, grid_beta.npy; simulated or measured"
    )
    family: str = "phantom"
    refines: tuple[str, ...] = ("adorym", "exchange")

    def understands(self, path: Path, file: h5py.File | None) -> bool:
        """Whether ``path`` is a directory with a phantom's ground truth, or its frames' file."""
        return is_phantom(path) if file is None else _measured_here(file)

    def open(self, path: Path, settings: Settings) -> Scan:
        """The scan; nothing is simulated yet."""
        path = Path(path).absolute()
        if path.is_file() and is_phantom(path.parent):  # the file of the measured frames
            path = path.parent
        if not path.is_dir():
            raise FileError("Expected a phantom directory", f"with {' and '.join(GRIDS)}", path)
        recorded = measured_file(path)
        with naming(path):
            geometry = {name: getattr(settings, name) for name in ("energy", "distance", "psize")}
            known = {name: value for name, value in geometry.items() if value is not None}
            info = Info.of(path, settings.simulate.given | known)
            if recorded is not None and not settings.simulate.given:
                return measured(recorded, info, settings)
            return simulated(info, settings)


def _measured_here(file: h5py.File) -> bool:
    """Whether these are the frames of a phantom, whose directory has all else."""
    path = Path(file.filename).absolute()
    frames = has(file, DATA) and not has(file, METADATA[0])
    return frames and is_phantom(path.parent) and measured_file(path.parent) == path


def simulated(info: Info, settings: Settings) -> Scan:
    """Frames computed as they are read."""
    if settings.paths.given:
        raise SettingsError("a simulated phantom has no dataset paths", "leave paths.* out")
    if settings.stored_as not in (None, "intensity") or settings.zero_frequency == "corner":
        raise SettingsError(
            "a simulated phantom has frames of counts, with the beam in the middle",
            "leave stored_as and zero_frequency out",
        )
    phantom = info.phantom()
    ny, nx, nz = phantom.shape
    probe = _probe(info)
    shape = (probe.shape[0], probe.shape[1])
    corners_px = corners(info, (ny, nx), shape)
    power = float(info.need("photons")) / float((np.abs(probe) ** 2).sum())
    probe *= np.sqrt(power)
    middle = corners_px + np.array(shape) // 2 - np.array([ny, nx]) // 2
    scan = _scan(
        SimulatedFrames(phantom, probe, corners_px, int(info.get("seed", 0))), middle, info
    )
    return replace(
        scan,
        probe=probe.astype(np.complex64),
        format="phantom",
        source=info.directory,
        notes=(
            f"simulated: {nz} slices of {phantom.slice_m:g} m, {info.need('photons'):g} photons "
            "in a frame without a sample",
            FAR_FIELD,
        ),
    )


def _scan(frames: Frames, corners_px: Ints, info: Info) -> Scan:
    """A scan with the phantom's geometry; corners (n, 2) of the probe's window."""
    shape = frames.shape[1:]
    distance_m, pixel_m = far_field_geometry(info, shape)
    return Scan(
        frames=frames,
        positions_m=np.asarray(corners_px * info.pixel_m, np.float64),
        energy_eV=info.energy_eV,
        distance_m=distance_m,
        pixel_m=pixel_m,
        center_px=(shape[0] // 2, shape[1] // 2),
        positions_each=True,
    )


def _probe(info: Info) -> NDArray[np.complex128]:
    """The given wave, else a zone plate's beam behind its focus."""
    given = info.get("probe")
    if given is None:
        ny, nx = info.need("shape")
        if ny != nx:
            raise SettingsError(
                f"the built probe is square. Got {ny}x{nx}",
                "give simulate.probe, or a square simulate.shape",
            )
        return zone_plate_beam(ny).astype(np.complex128)
    frames = frames_of(given, "simulate.probe")
    wave = frames.read([0], Window.full(frames.shape[1:]))[0]  # the first mode
    if not np.isfinite(wave).all() or not np.any(wave):
        raise SettingsError("simulate.probe is not finite, or 0", "give another probe")
    return np.asarray(wave, np.complex128)


DATA = "/exchange/data"
METADATA = ("/metadata/probe_pos_px", "/metadata/psize_cm")
REFERENCES = 64
"""Frames of a reference that are searched for one with a wave."""


def measured(file: Path, info: Info, settings: Settings) -> Scan:
    """Recorded frames; positions and geometry of the file, else of ``info.txt``.

    Raises
    ------
    MissingDataError
        The file has no frames, or neither has what is needed.
    """
    with open_hdf5(file) as opened:
        complete = all(name in opened for name in METADATA)
        shape = opened[DATA].shape if DATA in opened else ()
    if not shape:
        raise MissingDataError(f"no {DATA}", "set simulate.* to simulate instead", file)
    if complete:
        scan = get("adorym").open(file, settings)
    else:
        angle = leading_axis(shape, settings.outer_index, fits=False, inner_fits=True)
        frames = Hdf5Frames(file, DATA, angle)
        size = info.phantom().shape[:2]
        scan = replace(
            _scan(frames, corners(info, size, frames.shape[1:]), info),
            stored_as="wave" if frames.dtype.kind == "c" else None,
            notes=("positions and geometry are those of info.txt", FAR_FIELD),
        )
    reference = file.with_name(f"{file.stem}_ref.h5")
    if reference.is_file():
        corner = settings.zero_frequency == "corner"
        probe, note = _reference_probe(reference, scan.frame_shape, corner)
        scan = replace(scan, probe=probe, notes=(*scan.notes, note))
    return replace(scan, format="phantom", source=info.directory)


def _reference_probe(
    file: Path, shape: tuple[int, int], corner: bool
) -> tuple[Complex64s | None, str]:
    """The probe from the reference's wave, and what was made of it.

    A magnitude has a flat phase: the sharpest focus. References may be of zeros, all or in part.
    """
    with open_hdf5(file) as opened:
        axes = opened[DATA].ndim if DATA in opened else 0
    if axes not in (3, 4):
        return None, f"{file.name} has no frames in {DATA}: it gives no probe"
    stored = Hdf5Frames(file, DATA, 0 if axes == 4 else None)
    if stored.shape[1:] != shape:
        found = "x".join(map(str, stored.shape[1:]))
        return None, f"{file.name} has frames of {found}: it gives no probe"
    for index in sample_indices(stored.shape[0], REFERENCES):
        wave = stored.read([index], Window.full(shape))[0]
        if np.isfinite(wave).all() and np.any(wave):
            wave = wave if wave.dtype.kind == "c" else np.sqrt(np.maximum(wave, 0))
            wave = np.fft.fftshift(wave) if corner else wave
            return back_to_sample(wave), f"the probe is that of {file.name}"
    return None, f"{file.name} is all zero: it gives no probe"


PHANTOM = PhantomFormat()
