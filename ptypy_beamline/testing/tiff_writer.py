"""TIFF frames as EPICS areaDetector leaves them, with a sidecar."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import tifffile

from .recording import Raw, bits, put

CODECS = {"gzip": "zlib", "lzf": "lzw", "bitshuffle": "zstd"}
"""HDF5 compression → one that TIFF has."""


def write_tiff(path: Path, raw: Raw) -> Path:
    """A folder of TIFF files, half of them with one page and half with two; returns its list."""
    folder = path.with_suffix("")
    folder.mkdir()
    options = {"compression": CODECS.get(raw.compression or ""), "photometric": "minisblack"}
    single = len(raw.frames) // 2
    for number, frame in enumerate(raw.frames[:single]):
        tifffile.imwrite(folder / f"img_{number}.tif", frame, rowsperstrip=7, **options)
    for number in range(single, len(raw.frames), 2):
        tifffile.imwrite(folder / f"pair_{number}.tif", raw.frames[number : number + 2], **options)
    write_sidecar(folder / "sidecar.h5", raw)
    listed = folder / "files.txt"
    listed.write_text("# frames in the order of the scan\nimg_*.tif\n\npair_*.tif\n")
    return listed


def write_sidecar(path: Path, raw: Raw) -> Path:
    """The standardized layout, but for the frames; lengths in m, energy in eV; mask 1 = bad."""
    known = {
        "posx_m": raw.positions_m[:, 1],
        "posy_m": raw.positions_m[:, 0],
        "energy_eV": raw.energy_eV,
        "det_dist_m": raw.distance_m,
        "pixel_m": np.array(raw.pixel_m),
        "exposure_s": raw.exposure_s,
        "mask": bits(raw.bad, np.uint8),
        "dark": raw.dark,
        "flat": raw.flat,
        "monitor": raw.monitor,
        "center_px": raw.center_px,
        "saturation": raw.saturation,
    }
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        for name, value in known.items():
            put(entry, name, value)
    return path
