"""Small files of each HDF5 format, with datasets changed, added or left out."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ptypy_beamline import open_scan
from ptypy_beamline.scan import Window
from ptypy_beamline.units import EV_J

FULL = Window(0, 0, 4, 5)


def stack(*axes: int) -> np.ndarray:
    shape = (*axes, 4, 5)
    return np.arange(np.prod(shape), dtype="u2").reshape(shape)


def write(path: Path, **content) -> Path:
    """Write path → array, (array, unit) or (array, attributes); ``/`` in names as ``__``."""
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            data, attributes = value if isinstance(value, tuple) else (value, {})
            file[name.replace("__", "/")] = data
            if isinstance(attributes, str):
                attributes = {"units": attributes}
            file[name.replace("__", "/")].attrs.update(attributes)
    return path


def standard(path: Path, **changes) -> Path:
    """A standardized file of 6 frames, with some datasets changed, added, or (None) left out."""
    content = {
        "entry__data": stack(6).astype("f4"),
        "entry__pos": (np.arange(12.0).reshape(6, 2) * 1e-6, {"columns": "x,y"}),
        "entry__energy_eV": 8000.0,
        "entry__det_dist_m": 2.0,
        "entry__pixel_m": 75e-6,
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


X, Y = np.arange(6) * 1e-6, np.array([0, 1, 2, 3, 5, 4]) * 1e-7  # no diagonal: that is a raster


def cxi(path: Path, **changes) -> Path:
    content = {
        "cxi_version": 160,
        "entry_1__data_1__data": stack(6),
        "entry_1__instrument_1__source_1__energy": 8000 * EV_J,
        "entry_1__instrument_1__detector_1__distance": 2.0,
        "entry_1__instrument_1__detector_1__x_pixel_size": 75e-6,
        "entry_1__instrument_1__detector_1__y_pixel_size": 50e-6,
        "entry_1__sample_1__geometry_1__translation": np.stack([X, Y, 0 * X], 1),
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


def nxcxi(path: Path, **changes) -> Path:
    content = {
        "cxi_version": 160,
        "entry_1__definition": "NXcxi_ptycho",
        "entry_1__data_1__data": stack(6),
        "entry_1__data_1__x": (X * 1e3, "mm"),
        "entry_1__data_1__y": (Y * 1e6, "um"),
        "entry_1__instrument_1__source_1__energy": (6.0, "GeV"),
        "entry_1__instrument_1__beam_1__energy": (8.0, "keV"),
        "entry_1__instrument_1__detector_1__distance": (2000.0, "mm"),
        "entry_1__instrument_1__detector_1__x_pixel_size": (75.0, "um"),
        "entry_1__instrument_1__detector_1__y_pixel_size": (50e-6, "m"),
        "entry_1__instrument_1__detector_1__beam_center_x": 2.5,
        "entry_1__instrument_1__detector_1__beam_center_y": 1.5,
        "entry_1__instrument_1__detector_1__pixel_mask": np.eye(4, 5, dtype="u4") * 2,
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


def diamond(path: Path, **changes) -> Path:
    content = {
        "entry_1__data__data": stack(2, 3),
        "entry_1__data__x": X[:3],
        "entry_1__data__y": Y[:2],
        "entry_1__instrument_1__beam_1__energy": (8000.0, "eV"),
        "entry_1__instrument_1__detector_1__distance": 2.0,
        "entry_1__instrument_1__detector_1__x_pixel_size": 75e-6,
        "entry_1__instrument_1__detector_1__y_pixel_size": 50e-6,
        "entry_1__instrument_1__detector_1__darkfield": stack(),
        "entry_1__instrument_1__detector_1__flatfield": stack(3),
        "entry_1__instrument_1__monitor__data": np.arange(6.0),
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


ND = "entry__instrument__NDAttributes__"


def areadetector(path: Path, **changes) -> Path:
    content = {
        "entry__data__data": stack(6),
        ND + "posx_m": X,
        ND + "posy_m": Y,
        ND + "energy_eV": np.full(6, 8000.0),
        ND + "det_dist_m": np.full(6, 2.0),
        ND + "pixel_m": np.full(6, 75e-6),
        ND + "exposure_s": np.full(6, 0.1),
        ND + "I0": np.arange(6.0),
        ND + "NDArrayUniqueId": np.arange(1, 7),
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


def exchange(path: Path, **changes) -> Path:
    content = {
        "exchange__data": stack(6),
        "exchange__positions_x": X * 1e6,
        "exchange__positions_y": Y * 1e6,
        "exchange__data_white": stack(2),
        "exchange__data_dark": stack(3),
        "instrument__detector__distance": (2000.0, "mm"),
        "instrument__detector__pixel_size": (75.0, "um"),
        "instrument__source__energy": 8.0,
        **changes,
    }
    return write(path, **{k: v for k, v in content.items() if v is not None})


def close(scan, y, x) -> None:
    """Positions are these, relative to a nanometre's thousandth."""
    np.testing.assert_allclose(scan.positions_m, np.stack([y, x], 1), atol=1e-12)


GRID_Y, GRID_X = (g.ravel() for g in np.meshgrid([0, 1e-6], [0, 2e-6, 4e-6], indexing="ij"))


def generic(path: Path, frames, x, y, **settings):
    write(path, d=frames, x_m=x, y_m=y)
    return open_scan(path, paths={"frames": "/d", "x": "/x_m", "y": "/y_m"}, **settings)


def mask_of(scan) -> list[tuple[int, int]]:
    return [tuple(map(int, p)) for p in np.argwhere(scan.bad)]


def spots(**values) -> np.ndarray:
    """A mask with a few pixels set: p12=4 puts 4 at row 1, column 2."""
    mask = np.zeros((4, 5), "u4")
    for name, value in values.items():
        mask[int(name[1]), int(name[2])] = value
    return mask


def padded(values, fill) -> np.ndarray:
    return np.concatenate([values, np.full(4, fill)])
