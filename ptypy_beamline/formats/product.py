"""Ptychodus product files with the raw data beside the reconstruction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import h5py
import numpy as np

from ..arrays import Ints
from ..errors import MissingDataError, ScanError
from ..geometry import object_pixel_m
from ..scan import SQUARED, Scan
from .hdf5 import Hdf5Format, Location
from .hdf5_source import NOWHERE, Hdf5Source, has

RAW = "/raw_data"
POSITIONS = ("/probe_position_x_m", "/probe_position_y_m")
PIXELS = (f"{RAW}/xcoords", f"{RAW}/ycoords")


def _recognise(file: h5py.File) -> bool:
    return has(file, *POSITIONS, "/object") or has(file, f"{RAW}/diffraction", *PIXELS)


def _adapt(source: Hdf5Source, table: Hdf5Format) -> Hdf5Format:
    """Make sure that there are frames; take positions in pixels where there are no others."""
    if "frames" not in source.paths and not has(source.file, f"{RAW}/diffraction"):
        raise MissingDataError(
            f"a product without {RAW}/diffraction holds a reconstruction, and no frames",
            "open the raw scan, or name its frames by --path frames=OTHER.h5::/PATH (paths.frames)",
        )
    if "frames" in source.paths:  # mask and centre are those of the frames in the product
        table = replace(table, mask=NOWHERE, center=NOWHERE)
    if has(source.file, *POSITIONS):
        return table
    x, y = (Location((path,), "px") for path in PIXELS)
    return replace(table, x=x, y=y)


def _number(source: Hdf5Source, place: str, *names: str) -> float | None:
    """The first of some attributes that exists and is positive."""
    attributes = source.file[place].attrs if has(source.file, place) else {}
    values = (float(attributes[name]) for name in names if name in attributes)
    return next((value for value in values if np.isfinite(value) and value > 0), None)


def _finish(source: Hdf5Source, scan: Scan) -> Scan:
    """Geometry from the attributes, counts from amplitudes."""
    given = source.settings.overridden
    energy = _number(source, "/", "photon_energy_eV", "probe_energy_eV")
    distance = _number(source, "/", "detector_object_distance_m")
    seconds = _number(source, "/", "exposure_time_s")
    height, width = (_number(source, "/object", f"pixel_{side}_m") for side in ("height", "width"))
    found: dict[str, Any] = {}
    if scan.energy_eV is None and "energy" not in given:
        found["energy_eV"] = energy
    if scan.distance_m is None and "distance" not in given:
        found["distance_m"] = distance
    if scan.exposure_s is None and seconds is not None:
        found["exposure_s"] = np.asarray(seconds)
    wanted = scan.pixel_m is None and "pixel" not in given
    if wanted and energy and distance and height and width:
        # λz/(N·p) with the object's pixel for p: the two pixels swap roles in the formula.
        found["pixel_m"] = object_pixel_m(energy, distance, (height, width), scan.frame_shape)
        source.notes.append("the detector's pixel follows from the object's")
    amplitude = scan.frames.dtype.kind in "fc" and "frames" not in source.paths
    if amplitude and source.settings.stored_as is None:
        source.notes.append(f"{RAW}/diffraction {SQUARED}")
    found["stored_as"] = "magnitude" if amplitude else None
    return _placed(source, replace(scan, **found))


def _placed(source: Hdf5Source, scan: Scan) -> Scan:
    """Positions in the frames' own order."""
    if {"positions", "x", "y"} & set(source.paths) or not has(source.file, *POSITIONS):
        return scan
    frames, positions = (
        _indices(source, path) for path in (f"{RAW}/scan_index", "/probe_position_indexes")
    )
    if frames is None or positions is None or np.array_equal(frames, positions):
        return scan
    if len(frames) == len(positions) and len(np.unique(frames)) < len(frames):
        return scan  # scan_index distinguishes several scans, and does not number frames
    if not np.array_equal(np.sort(frames), np.sort(positions)):
        raise ScanError(
            f"Expected {RAW}/scan_index and /probe_position_indexes of the same frames. "
            f"Got {len(frames)} and {len(positions)}, which differ",
            "write the product again, or name positions by --path",
        )
    order = np.argsort(positions)[np.argsort(np.argsort(frames))]
    pixels = None if scan.positions_px is None else scan.positions_px[order]
    return replace(scan, positions_m=scan.positions_m[order], positions_px=pixels)


def _indices(source: Hdf5Source, path: str) -> Ints | None:
    found = source.at(path)
    return None if found is None else np.asarray(found.dataset[()], np.int64).ravel()


PRODUCT = Hdf5Format(
    name="product",
    title="Ptychodus product with the frames in /raw_data/diffraction",
    recognise=_recognise,
    frames=Location((f"{RAW}/diffraction",)),
    x=Location(POSITIONS[:1], "m"),
    y=Location(POSITIONS[1:], "m"),
    mask=Location((f"{RAW}/mask",)),
    center=Location((f"{RAW}/center_px",)),
    probe=Location(("/probe", f"{RAW}/probeGuess")),
    adapt=_adapt,
    finish=_finish,
)
