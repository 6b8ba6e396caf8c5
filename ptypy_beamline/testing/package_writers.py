"""Writers of the files of other packages: PtyPy, PtychoPINN, tike, Ptychodus, Adorym; phantoms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..arrays import Complex64s, Floats
from ..geometry import wavelength_m
from ..output.hdf5 import nexus_group
from .raw import Raw, put, put_frames
from .simulate import sample


def write_ptychopinn(
    path: Path, raw: Raw, amplitude: bool = False, frames_last: bool = False
) -> Path:
    """PtychoPINN NPZ: centres in pixels; counts as ``diff3d``, or amplitudes as ``diffraction``."""
    stack: NDArray[Any] = np.sqrt(raw.frames).astype(np.float32) if amplitude else raw.frames
    rows, columns = _pixels(raw).T
    name = "diffraction" if amplitude else "diff3d"
    return _save(
        path,
        raw.compression,
        xcoords=columns,
        ycoords=rows,
        scan_index=np.zeros(len(stack), np.int64),
        probeGuess=np.ones(stack.shape[1:], np.complex64),
        **{name: np.moveaxis(stack, 0, -1) if frames_last else stack},
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
        raw_data = nexus_group(file, "raw_data")
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
        put_frames(nexus_group(file, "exchange"), "data", stack[None], raw.compression)
        metadata = nexus_group(file, "metadata")
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


CHUNK = 7
"""Frames in a chunk."""


def write_ptyd(
    path: Path,
    raw: Raw,
    *,
    save: str = "append",
    good: NDArray[Any] | None = None,
    folder: str = "",
) -> Path:
    """Prepared frames in chunks, energy in keV, positions (row, column) in metres.

    Parameters
    ----------
    save
        ``append``: one file. ``link``: a part for each chunk, beside the master.
    good
        (n, ny, nx) weights, where frames have defects of their own; else those of ``raw.bad``.
    folder
        Folder before a part's name in the links; PtyPy uses that of ``dfile`` as given.
    """
    n, shape = len(raw.frames), raw.frames.shape[1:]
    if good is None:
        good = np.broadcast_to(np.ones(shape, bool) if raw.bad is None else ~raw.bad, (n, *shape))
    with h5py.File(path, "w") as file:
        for name in ("chunks", "info", "meta"):
            file.create_group(name).attrs["type"] = "dict"
        _meta(file["meta"], raw, shape)
        for number, start in enumerate(range(0, n, CHUNK)):
            part = slice(start, start + CHUNK)
            if save == "append":
                _chunk(file.create_group(f"chunks/{number}"), raw, good, part)
                continue
            name = f"{path.name}.part{number:03d}"
            with h5py.File(path.with_name(name), "w") as other:
                _chunk(other, raw, good, part)
            file[f"chunks/{number}"] = h5py.ExternalLink(folder + name, "/")
    return path


def _meta(group: h5py.Group, raw: Raw, shape: tuple[int, ...]) -> None:
    known = {
        "version": 0.1,
        "num_frames": len(raw.frames),
        "label": None,
        "shape": np.array(shape),
        "psize": np.array(raw.pixel_m),
        "energy": None if raw.energy_eV is None else raw.energy_eV / 1e3,
        "distance": raw.distance_m,
        "center": None if raw.center_px is None else np.array(raw.center_px),
    }
    for name, value in known.items():
        group[name] = np.zeros(1) if value is None else value
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        group[name].attrs["type"] = "None" if value is None else kind


def _chunk(group: h5py.Group, raw: Raw, good: NDArray[Any], part: slice) -> None:
    put_frames(group, "data", raw.frames[part], raw.compression)
    group["weights"] = good[part]
    group["positions"] = raw.positions_m[part]
    group["indices"] = np.arange(len(raw.frames))[part]
    for name in group:
        group[name].attrs["type"] = "arraylist" if name == "indices" else "array"


def write_phantom(path: Path, raw: Raw) -> Path:
    """A directory NAME with a ground truth and the measured frames in NAME/NAME.h5."""
    folder = path.with_suffix("")
    write_grids(folder, np.zeros((8, 8, 1)), np.zeros((8, 8, 1)))
    write_adorym(folder / f"{folder.name}.h5", raw)
    return folder


def write_grids(folder: Path, delta: NDArray[Any], beta: NDArray[Any]) -> None:
    """δ and β (y, x, z)."""
    (folder / "phantom").mkdir(parents=True, exist_ok=True)
    np.save(folder / "phantom/grid_delta.npy", delta)
    np.save(folder / "phantom/grid_beta.npy", beta)


def write_simulation(  # noqa: PLR0913  a phantom and its illumination
    folder: Path,
    size: int = 168,
    *,
    slices: int = 1,
    n: int = 64,
    scan: tuple[int, int] = (16, 16),
    step_px: int = 8,
    photons: str = "1e6",
    energy_eV: float = 5000.0,
    voxel_m: float = 10e-9,
    seed: int = 0,
) -> Complex64s:
    """A phantom whose projection has the test sample's phase and amplitude, and its info.txt.

    Returns
    -------
    truth
        (size, size) transmission of the projection.
    """
    truth = sample((size, size), np.random.default_rng(seed))
    k = 2 * np.pi / wavelength_m(energy_eV)
    depth = k * voxel_m * slices
    share = np.ones((1, 1, slices))
    write_grids(
        folder,
        -np.angle(truth)[:, :, None] / depth * share,
        -np.log(np.abs(truth))[:, :, None] / depth * share,
    )
    (folder / "info.txt").write_text(
        f"probe {n}×{n}\n{scan[0]}×{scan[1]} positions, step {step_px} px\n"
        f"energy {energy_eV:g} eV\npixel {voxel_m * 1e2:g} cm\nn{photons}\n",
        encoding="utf-8",
    )
    return truth
