"""Measured frames of a phantom, with the empty beam's wave as the probe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDataError
from ..reading.derived import as_counts
from ..reading.files import open_hdf5
from ..reading.hdf5 import Hdf5Frames
from ..reading.multislice import back_to_sample
from ..scan import Scan, Window
from .adorym import ADORYM
from .opening import Opening
from .phantom_info import Info, corners
from .phantom_truth import FAR_FIELD, far_field_geometry, phantom_of
from .stack import leading_axis

DATA = "/exchange/data"
METADATA = ("/metadata/probe_pos_px", "/metadata/psize_cm")


def measured_file(directory: Path) -> Path | None:
    """``NAME.h5`` of a directory NAME, or the only HDF5 file but for the ``_ref``."""
    named = directory / f"{directory.name}.h5"
    others = [path for path in sorted(directory.glob("*.h5")) if not path.stem.endswith("_ref")]
    if named in others:
        return named
    return others[0] if len(others) == 1 else None


def measured(file: Path, info: Info, opening: Opening) -> Scan:
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
        scan = ADORYM.open(file, opening)
    else:
        angle = leading_axis(shape, opening.outer_index, fits=False, inner_fits=True)
        scan = _recorded(Hdf5Frames(file, DATA, angle), info, opening.stored_as)
    reference = file.with_name(f"{file.stem}_ref.h5")
    probe = _empty_beam(reference) if reference.is_file() else None
    notes = scan.notes if probe is None else (*scan.notes, f"the probe is that of {reference.name}")
    return replace(scan, probe=probe, format="phantom", source=info.directory, notes=notes)


def _recorded(stored: Hdf5Frames, info: Info, stored_as: str | None) -> Scan:
    """Frames whose file has no metadata; waves and magnitudes are squared."""
    frames = as_counts(stored, stored_as, stored.dtype.kind == "c")
    shape = frames.shape[1:]
    ny, nx, _ = phantom_of(info.directory, info).shape
    places = corners(info, (ny, nx), shape)
    distance_m, pixel_m = far_field_geometry(info, shape)
    return Scan(
        frames=frames,
        positions_m=np.asarray(places * info.pixel_m, np.float64),
        energy_eV=info.energy_eV,
        distance_m=distance_m,
        pixel_m=pixel_m,
        center_px=(shape[0] // 2, shape[1] // 2),
        positions_each=True,
        notes=("positions and geometry are those of info.txt", FAR_FIELD),
    )


def _empty_beam(file: Path) -> NDArray[np.complex64]:
    """The probe from the reference's wave; a magnitude has a flat phase: the sharpest focus."""
    with open_hdf5(file) as opened:
        axes = opened[DATA].ndim if DATA in opened else 0
    stored = Hdf5Frames(file, DATA, 0 if axes == 4 else None)
    wave = stored.read([0], Window.full(stored.shape[1:]))[0]
    return back_to_sample(wave if wave.dtype.kind == "c" else np.sqrt(np.maximum(wave, 0)))
