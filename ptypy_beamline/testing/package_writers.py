"""Writers of reconstruction packages' own files: PtychoPINN, tike, Ptychodus, Adorym."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..geometry import wavelength_m
from .recording import Raw, group, put, put_frames


def write_ptychopinn(
    path: Path, raw: Raw, amplitude: bool = False, frames_last: bool = False
) -> Path:
    """PtychoPINN NPZ: centres in pixels; counts as ``diff3d``, or amplitudes as ``diffraction``."""
    stack: NDArray[Any] = np.sqrt(raw.frames).astype(np.float32) if amplitude else raw.frames
    rows, columns = _pixels(raw).T
    return _save(
        path,
        raw.compression,
        xcoords=columns,
        ycoords=rows,
        scan_index=np.zeros(len(stack), np.int64),
        probeGuess=np.ones(stack.shape[1:], np.complex64),
        **{
            "diffraction" if amplitude else "diff3d": np.moveaxis(stack, 0, -1)
            if frames_last
            else stack
        },
    )


def write_tike(path: Path, raw: Raw) -> Path:
    """Tike NPZ: zero frequency at pixel (0, 0), corners as (row, column) in pixels."""
    stored = np.fft.ifftshift(raw.frames, axes=(1, 2))
    probe = np.ones((1, 1, 1, *stored.shape[1:]), np.complex64)
    return _save(path, raw.compression, data=stored, scan=_pixels(raw), probe=probe)


def write_product(path: Path, raw: Raw, amplitude: bool = False) -> Path:
    """Ptychodus product with ``/raw_data``: attributes at the root, positions in metres."""
    height, width = _resolution(raw)
    stack: NDArray[Any] = np.sqrt(raw.frames).astype(np.float32) if amplitude else raw.frames
    rows, columns = _pixels(raw).T
    with h5py.File(path, "w") as file:
        file.attrs.update(
            name="scan",
            comments="",
            detector_object_distance_m=raw.distance_m,
            photon_energy_eV=raw.energy_eV,
            probe_energy_eV=raw.energy_eV,
            exposure_time_s=raw.exposure_s,
        )
        probe = np.ones((1, 1, *stack.shape[1:]), np.complex64)
        sizes: dict[str, Any] = {"pixel_height_m": height, "pixel_width_m": width}
        for name, array in (("probe", probe), ("object", np.ones((1, 40, 40), np.complex64))):
            put(file, name, array, **sizes)
        put(file, "probe_position_indexes", np.arange(len(stack)))
        put(file, "probe_position_y_m", raw.positions_m[:, 0])
        put(file, "probe_position_x_m", raw.positions_m[:, 1])
        raw_data = group(file, "raw_data")
        put_frames(raw_data, "diffraction", stack, raw.compression)
        put(raw_data, "ycoords", rows)
        put(raw_data, "xcoords", columns)
        put(raw_data, "scan_index", np.arange(len(stack)))
        put(raw_data, "probeGuess", probe[0, 0])
    return path


def write_adorym(path: Path, raw: Raw, wave: bool = False) -> Path:
    """Adorym: (angle, spot, y, x), corners in pixels, centimetres; waves as complex64.

    The far field's pixel, which is the sample's, is that of the rows.
    """
    pixel_m = _resolution(raw)[0]
    stack: NDArray[Any] = np.sqrt(raw.frames).astype(np.complex64) if wave else raw.frames
    with h5py.File(path, "w") as file:
        put_frames(group(file, "exchange"), "data", stack[None], raw.compression)
        metadata = group(file, "metadata")
        put(metadata, "energy_ev", raw.energy_eV)
        put(metadata, "psize_cm", pixel_m * 1e2)
        put(metadata, "free_prop_cm", np.inf)
        put(metadata, "probe_pos_px", raw.positions_m / pixel_m)
        put(metadata, "theta", np.zeros(1))
    return path


def _resolution(raw: Raw) -> tuple[float, float]:
    """Pixel (y, x) of the reconstruction in metres."""
    span = wavelength_m(raw.energy_eV) * raw.distance_m
    _, ny, nx = raw.frames.shape
    return span / ny / raw.pixel_m[0], span / nx / raw.pixel_m[1]


def _pixels(raw: Raw) -> Floats:
    """Positions (row, column) in pixels of the reconstruction."""
    return np.asarray(raw.positions_m / np.array(_resolution(raw)))


def _save(path: Path, compression: str | None, **arrays: Any) -> Path:
    """An NPZ file of just this name."""
    with path.open("wb") as file:
        (np.savez_compressed if compression else np.savez)(file, **arrays)
    return path
