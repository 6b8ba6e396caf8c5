"""Measured frames of a phantom, with the empty beam's wave as the probe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..arrays import Complex64s
from ..errors import MissingDataError
from ..files.hdf5 import open_hdf5
from ..frames.hdf5 import Hdf5Frames
from ..frames.simulated import back_to_sample
from ..opening import Opening
from ..scan import Scan, Window, sample_indices
from .adorym import ADORYM
from .layout import leading_axis
from .phantom_info import Info, corners
from .phantom_truth import FAR_FIELD, far_field_geometry, phantom_of

DATA = "/exchange/data"
METADATA = ("/metadata/probe_pos_px", "/metadata/psize_cm")
REFERENCES = 64
"""Frames of a reference that are looked at for one with a wave."""


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
        scan = _recorded(Hdf5Frames(file, DATA, angle), info)
    reference = file.with_name(f"{file.stem}_ref.h5")
    corner = opening.zero_frequency == "corner"
    probe, notes = (
        _empty_beam(reference, scan.frame_shape, corner) if reference.is_file() else (None, ())
    )
    return replace(
        scan, probe=probe, format="phantom", source=info.directory, notes=(*scan.notes, *notes)
    )


def _recorded(frames: Hdf5Frames, info: Info) -> Scan:
    """Frames whose file has no metadata; waves and magnitudes are squared."""
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
        stored_as="wave" if frames.dtype.kind == "c" else None,
        notes=("positions and geometry are those of info.txt", FAR_FIELD),
    )


def _empty_beam(
    file: Path, shape: tuple[int, int], corner: bool
) -> tuple[Complex64s | None, tuple[str, ...]]:
    """The probe from the reference's wave, and what was made of it.

    A magnitude has a flat phase: the sharpest focus. References may be of zeros, all or in part.
    """
    with open_hdf5(file) as opened:
        axes = opened[DATA].ndim if DATA in opened else 0
    if axes not in (3, 4):
        return None, (f"{file.name} has no frames in {DATA}: it gives no probe",)
    stored = Hdf5Frames(file, DATA, 0 if axes == 4 else None)
    if stored.shape[1:] != shape:
        found = "x".join(map(str, stored.shape[1:]))
        return None, (f"{file.name} has frames of {found}: it gives no probe",)
    for index in sample_indices(stored.shape[0], REFERENCES):
        wave = stored.read([index], Window.full(shape))[0]
        if np.isfinite(wave).all() and np.any(wave):
            wave = wave if wave.dtype.kind == "c" else np.sqrt(np.maximum(wave, 0))
            wave = np.fft.fftshift(wave) if corner else wave
            return back_to_sample(wave), (f"the probe is that of {file.name}",)
    return None, (f"{file.name} is all zero: it gives no probe",)
