"""A phantom directory: δ and β on a grid, measured frames, or frames simulated as they are read.

::

    cone/info.txt                        what it is illuminated with
    cone/phantom/grid_delta.npy          (y, x, z)
    cone/phantom/grid_beta.npy
    cone/cone.h5, cone/cone_ref.h5       measured frames, and those of the empty beam, if any
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import BeamlineError, FileError, SettingsError
from ..files.hdf5 import open_hdf5
from ..frames.images import frames_of
from ..frames.simulated import SimulatedFrames, zone_plate_beam
from ..opening import AS_STORED, Opening
from ..scan import Scan, Window
from .adorym import in_phantom
from .phantom_info import Info, corners
from .phantom_measured import measured
from .phantom_truth import (
    FAR_FIELD,
    GRIDS,
    far_field_geometry,
    is_phantom,
    measured_file,
    phantom_of,
)

GEOMETRY = ("energy", "distance", "psize")
"""What is given along with ``simulate`` and does not ask for a simulation."""


@dataclass(frozen=True)
class PhantomFormat:
    """Measured where ``NAME.h5`` is there and nothing of ``simulate`` is set; else simulated."""

    name: str = "phantom"
    title: str = (
        "phantom directory with phantom/grid_delta.npy, grid_beta.npy; simulated or measured"
    )
    family: str = "phantom"

    def understands(self, path: Path) -> bool:
        """Whether ``path`` is a directory with a phantom's ground truth, or its frames' file."""
        return is_phantom(path) or _is_inside(path)

    def open(self, path: Path, opening: Opening = AS_STORED) -> Scan:
        """The scan; nothing is simulated yet.

        Raises
        ------
        FileError, MissingDataError, ScanError, SettingsError
            Each names the file and the parameter to set.
        """
        path = Path(path).absolute()
        if _is_inside(path):
            path = path.parent
        if not path.is_dir():
            raise FileError("Expected a phantom directory", f"with {' and '.join(GRIDS)}", path)
        asked = set(opening.simulate) - set(GEOMETRY)
        recorded = measured_file(path)
        try:
            info = Info.of(path, opening.simulate)
            if recorded is not None and not asked:
                return measured(recorded, info, opening)
            return simulated(info, opening)
        except BeamlineError as error:
            if error.file is not None:
                raise
            raise type(error)(error.problem, error.remedy, path) from error


def _is_inside(path: Path) -> bool:
    """Whether it is the file of a phantom's measured frames, which has no metadata itself."""
    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    try:
        with open_hdf5(path) as file:
            return in_phantom(file)
    except FileError:
        return False


def simulated(info: Info, opening: Opening) -> Scan:
    """Frames computed as they are read."""
    if opening.paths:
        raise SettingsError("a simulated phantom has no dataset paths", "leave paths.* out")
    if opening.stored_as not in (None, "intensity") or opening.zero_frequency == "corner":
        raise SettingsError(
            "a simulated phantom has frames of counts, with the beam in the middle",
            "leave stored_as and zero_frequency out",
        )
    phantom = phantom_of(info.directory, info)
    ny, nx, nz = phantom.shape
    probe = _probe(info)
    shape = (probe.shape[0], probe.shape[1])
    places = corners(info, (ny, nx), shape)
    distance_m, pixel_m = far_field_geometry(info, shape)
    power = float(info.need("photons")) / float((np.abs(probe) ** 2).sum())
    probe *= np.sqrt(power)
    middle = places + np.array(shape) // 2 - np.array([ny, nx]) // 2
    return Scan(
        frames=SimulatedFrames(phantom, probe, places, int(info.get("seed", 0))),
        positions_m=middle * phantom.pixel_m,
        energy_eV=phantom.energy_eV,
        distance_m=distance_m,
        pixel_m=pixel_m,
        center_px=(shape[0] // 2, shape[1] // 2),
        positions_each=True,
        probe=probe.astype(np.complex64),
        format="phantom",
        source=info.directory,
        notes=(
            f"simulated: {nz} slices of {phantom.slice_m:g} m, {info.need('photons'):g} photons "
            "in a frame without a sample",
            FAR_FIELD,
        ),
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


PHANTOM = PhantomFormat()
