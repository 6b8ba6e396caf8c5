"""Adorym data sets (M. Du et al., Opt. Express 29, 10000 (2021); github.com/mdw771/adorym)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import h5py
import numpy as np

from ..arrays import Floats
from ..errors import MissingDataError, ScanError
from ..files.links import present
from ..scan import Scan
from .hdf5 import Hdf5Format, Location
from .hdf5_source import Hdf5Source, has
from .phantom_info import FAR_FIELD, any_far_field
from .stored_values import numbers

DATA = "/exchange/data"
POSITIONS = "/metadata/probe_pos_px"


def _recognise(file: h5py.File) -> bool:
    data: Any = present(file, DATA)
    if has(file, POSITIONS):
        return isinstance(data, h5py.Dataset)
    return isinstance(data, h5py.Dataset) and data.dtype.kind == "c"


def _number(source: Hdf5Source, name: str) -> float | None:
    """One number of the metadata, if it is there."""
    found = source.at(f"/metadata/{name}")
    values = numbers(found).ravel() if found is not None else np.empty(0)
    return float(values[0]) if values.size else None


def _pixel(source: Hdf5Source) -> float:
    """Pixel of the sample plane in metres."""
    pixel_cm = _number(source, "psize_cm")
    if pixel_cm is None:
        raise MissingDataError(
            "Expected /metadata/psize_cm, the pixel of probe_pos_px. Got none",
            "name positions in metres by --path positions=PATH",
        )
    return pixel_cm * 1e-2


def _top_left(
    source: Hdf5Source, corners: Floats, counts: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Corners (n, 2) of the probe's window as (row, column) in pixels of the sample plane."""
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ScanError(
            f"Expected {POSITIONS} (n,2). Got {corners.shape}",
            "set paths.positions (--path positions=PATH)",
        )
    row, column = corners.T * (1 if "positions" in source.units else _pixel(source))
    return row, column


def _finish(source: Hdf5Source, scan: Scan) -> Scan:
    """What complex frames are, and the geometry of the propagation to the detector."""
    scan = replace(scan, grid=None, **_geometry(source, scan))
    if scan.frames.dtype.kind != "c":
        return scan
    if source.settings.stored_as is None:
        source.notes.append(
            f"{scan.frames.dtype} frames are taken for waves or magnitudes and "
            "squared; stored_as (--stored-as) says otherwise"
        )
    return replace(scan, stored_as="wave")


def _geometry(source: Hdf5Source, scan: Scan) -> dict[str, Any]:
    """Distance and pixel: those of free_prop_cm, or any that give the far field's pixel."""
    named = set(source.settings.overridden) | set(source.paths)
    if {"distance", "pixel"} & named:
        return {}
    propagation, pixel_cm = _number(source, "free_prop_cm"), _number(source, "psize_cm")
    if pixel_cm is None:
        return {}
    pixel_m, energy = pixel_cm * 1e-2, scan.energy_eV
    if propagation is not None and np.isfinite(propagation):
        source.notes.append("free_prop_cm is finite: near field, the detector's pixel is psize_cm")
        return {"distance_m": propagation * 1e-2, "pixel_m": (pixel_m, pixel_m)}
    if energy is None:
        return {}
    source.notes.append(FAR_FIELD)
    distance_m, detector_m = any_far_field(pixel_m, energy, scan.frame_shape)
    return {"distance_m": distance_m, "pixel_m": detector_m}


ADORYM = Hdf5Format(
    name="adorym",
    title="Adorym: /exchange/data (angle, spot, y, x) with /metadata/probe_pos_px",
    recognise=_recognise,
    frames=Location((DATA,)),
    positions=Location((POSITIONS,), "m"),  # in pixels; see _top_left
    energy=Location(("/metadata/energy_ev",), "eV"),
    split=_top_left,
    finish=_finish,
    refines=("exchange",),
)
