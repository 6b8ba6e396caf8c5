"""Files exactly as the page on ptychography data formats lays them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineWarning
from ptypy_beamline.formats import recognise
from ptypy_beamline.geometry import wavelength_m
from ptypy_beamline.scan import Window

SIDE, N = 32, 20
WHOLE = Window.full((SIDE, SIDE))
RANDOM = np.random.default_rng(3)
FRAMES = RANDOM.poisson(
    1 + 500 * np.exp(-(((np.indices((SIDE, SIDE)) - SIDE / 2) / 4) ** 2).sum(0)), (N, SIDE, SIDE)
).astype(np.uint16)
X, Y = RANDOM.random((2, N)) * 4e-6
PROBE = (np.ones((SIDE, SIDE)) * (1 + 2j)).astype(np.complex64)
VALID = np.ones((SIDE, SIDE), np.uint8)
VALID[3, 4:9] = 0
SOURCE, DETECTOR = "entry_1/instrument_1/source_1", "entry_1/instrument_1/detector_1"

CXI = {
    "entry_1/data_1/data": FRAMES,
    "entry_1/sample_1/geometry_1/translation": np.stack([X, Y, 0 * X], axis=1),
    f"{DETECTOR}/distance": 2.0,
    f"{DETECTOR}/x_pixel_size": 75e-6,
    f"{DETECTOR}/y_pixel_size": 75e-6,
    f"{DETECTOR}/corner_position": np.array([1.2e-3, 1.2e-3, 2.0]),
    f"{DETECTOR}/mask": VALID,
    f"{SOURCE}/energy": 8000,
    f"{SOURCE}/wavelength": wavelength_m(8000),
    "entry_1/instrument_1/illumination_1/probe": PROBE,
}
APS = {
    "exchange/data": FRAMES,
    "exchange/positions_x": X * 1e6,
    "exchange/positions_y": Y * 1e6,
    "exchange/theta": np.zeros(1),
    "instrument/detector/distance": 2.0,
    "instrument/detector/pixel_size": 75e-6,
    "instrument/source/energy": 8.0,
}


def write(path: Path, content: dict[str, Any], **more: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in (content | more).items():
            if value is not None:
                file[name] = value
    return path


@pytest.mark.filterwarnings("ignore::ptypy_beamline.errors.BeamlineWarning")
@pytest.mark.parametrize(("content", "name"), [(CXI, "cxi"), (APS, "exchange")])
def test_the_layout_loads(tmp_path, content, name):
    file = write(tmp_path / "scan.h5", content)
    assert recognise(file).name == name
    scan = open_scan(file)
    assert_allclose(scan.positions_m, np.stack([Y, X], 1))
    assert_array_equal(scan.frames.read(range(N), WHOLE), FRAMES)
    plan = scan.plan()
    assert_allclose(plan.geometry.energy_eV, 8000)
    assert (plan.geometry.distance_m, plan.geometry.pixel_m) == (2.0, (75e-6, 75e-6))
    # The page's own formula.
    assert_allclose(
        plan.geometry.object_pixel_m, 12398.4e-10 / 8000 * 2 / (SIDE * 75e-6), rtol=1e-4
    )


def test_cxi_in_electronvolts_with_a_mask_of_valid_pixels_warns(tmp_path):
    file = write(tmp_path / "scan.cxi", CXI)
    with pytest.warns(BeamlineWarning) as caught:
        scan = open_scan(file)
    messages = " ".join(str(warning.message) for warning in caught)
    assert "8000 cannot be J: taken as eV" in messages
    assert "taken as inverted" in messages
    assert_array_equal(scan.bad, VALID == 0)
    assert_array_equal(scan.probe, PROBE)


def test_cxi_probe_of_another_size_is_left_out(tmp_path):
    small = {
        "entry_1/instrument_1/illumination_1/probe": PROBE[:9, :9],
        f"{DETECTOR}/mask": None,
        f"{SOURCE}/energy": None,
    }
    scan = open_scan(write(tmp_path / "scan.cxi", CXI, **small))
    assert scan.probe is None
    assert "illumination_1/probe is of shape (9, 9)" in " ".join(scan.notes)
    assert_allclose(scan.energy_eV, 8000)
    assert "the energy follows from /entry_1/instrument_1/source_1/wavelength" in scan.notes


def test_cxi_probe_of_several_modes(tmp_path, type_in):
    modes = np.stack([PROBE * 2, PROBE])
    more = {
        "entry_1/instrument_1/illumination_1/probe": modes,
        f"{DETECTOR}/mask": None,
        f"{SOURCE}/energy": None,
    }
    file = write(tmp_path / "scan.cxi", CXI, **more)
    assert_array_equal(open_scan(file).probe, PROBE * 2)
    assert "probe               32, 32" in type_in("info", file)[1]


def test_nxcxi_with_units(tmp_path):
    content = {
        "entry_1/definition": "NXcxi_ptycho",
        "entry_1/data_1/data": FRAMES,
        "entry_1/data_1/x": X,
        "entry_1/data_1/y": Y,
        f"{DETECTOR}/distance": 2000.0,
        f"{DETECTOR}/x_pixel_size": 75.0,
        f"{DETECTOR}/y_pixel_size": 75.0,
        "entry_1/instrument_1/beam_1/energy": 8.0,
    }
    file = write(tmp_path / "scan.nxs", content)
    units = {
        "data_1/x": "metres",
        "data_1/y": "meter",
        "instrument_1/beam_1/energy": "KeV",
        "instrument_1/detector_1/distance": "millimetres",
        "instrument_1/detector_1/x_pixel_size": "micrometres",
        "instrument_1/detector_1/y_pixel_size": "µm",
    }
    with h5py.File(file, "a") as opened:
        for name, unit in units.items():
            opened[f"entry_1/{name}"].attrs["units"] = unit
    geometry = open_scan(file).plan().geometry
    assert_allclose([geometry.energy_eV, geometry.distance_m], [8000, 2])
    assert_allclose(geometry.pixel_m, 75e-6)
