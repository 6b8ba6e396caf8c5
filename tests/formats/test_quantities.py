"""The table of dataset quantities: each row is followed from its path to the scan."""

from __future__ import annotations

from dataclasses import fields

import h5py
import numpy as np
import pytest
from folders import ROOT

from ptypy_beamline import Scan, open_scan
from ptypy_beamline.formats.hdf5 import Hdf5Format
from ptypy_beamline.quantities import QUANTITIES, TITLES
from ptypy_beamline.scan import Frames, Window
from ptypy_beamline.settings import Settings, parameters

N, SHAPE = 6, (8, 10)
ROWS = [row for row in QUANTITIES.values() if row.path_help]
STEPS = np.arange(N) * 1e-6
ONE = np.ones(SHAPE)
BAD = (np.arange(80) % 7 == 0).reshape(SHAPE)

STORED = {
    "frames": np.full((N, *SHAPE), 7, np.uint16),
    "x": STEPS,
    "y": 2 * STEPS,
    "positions": np.stack([3 * STEPS, 4 * STEPS], axis=1),
    "energy": 8.0,
    "distance": 2000.0,
    "pixel": 75.0,
    "focus": 3.0,
    "exposure": 20.0,
    "mask": BAD.astype(np.uint8),
    "dark": 2 * ONE,
    "flat": 3 * ONE,
    "monitor": np.arange(N) + 1.0,
    "center": [4.0, 5.0],
    "frame_index": np.arange(N)[::-1].copy(),
    "position_index": np.arange(N)[::-1].copy(),
}
UNITS = {
    **dict.fromkeys(("x", "y", "positions"), "m"),
    **{"energy": "keV", "distance": "mm", "pixel": "um", "focus": "mm", "exposure": "ms"},
}
READ = {
    "frames": STORED["frames"],
    "x": np.stack([2 * STEPS, STEPS], axis=1),
    "y": np.stack([2 * STEPS, STEPS], axis=1),
    "positions": np.stack([4 * STEPS, 3 * STEPS], axis=1),
    "energy": 8000.0,
    "distance": 2.0,
    "pixel": (75e-6, 75e-6),
    "focus": 3e-3,
    "exposure": 0.02,
    "mask": BAD,
    "dark": 2 * ONE[None],
    "flat": 3 * ONE[None],
    "monitor": STORED["monitor"],
    "center": (4.0, 5.0),
    "frame_index": np.arange(N)[::-1],
    "position_index": np.stack([2 * STEPS, STEPS], axis=1)[::-1],
}


def loaded(value):
    """All of a stack of images; anything else as it is."""
    if isinstance(value, Frames):
        return value.read(range(value.shape[0]), Window.full(value.shape[1:]))
    return value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_explicit_path_is_read(tmp_path, row):
    stored = {"frames": STORED["frames"], row.name: STORED[row.name]}
    if row.name != "positions":
        stored |= {"x": STORED["x"], "y": STORED["y"]}
    if row.kind == "numbers":  # they are numbers of one list in another
        stored = {"frame_index": np.arange(N), "position_index": np.arange(N)} | stored
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        for name, values in stored.items():
            file[f"odd/{name}_here"] = values
            if name in UNITS:
                file[f"odd/{name}_here"].attrs["units"] = UNITS[name]
    paths = {name: f"/odd/{name}_here" for name in stored}
    scan = open_scan(tmp_path / "scan.h5", format="hdf5", paths=paths)
    got = loaded(getattr(scan, row.scan_field))
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(READ[row.name], float))


@pytest.mark.parametrize("row", QUANTITIES.values(), ids=lambda row: row.name)
def test_a_row_has_its_field_flag_and_line_of_the_documentation(row):
    known = {parameter.name: parameter for parameter in parameters()}
    assert row.scan_field in {field.name for field in fields(Scan)}
    assert {row.name, *row.parts} <= {field.name for field in fields(Hdf5Format)}
    assert {row.name, *row.parts} <= set(TITLES)
    assert (f"paths.{row.name}" in known) == bool(row.path_help)
    assert (f"units.{row.name}" in known) == bool(row.unit_help)
    if row.path_help:
        assert known[f"paths.{row.name}"].help == row.path_help
    if row.parameter:
        assert known[row.parameter].flag == row.flag
        assert hasattr(Settings(), row.parameter)


def test_the_documentation_lists_all_paths_and_units():
    page = (ROOT / "docs" / "parameters.md").read_text("utf-8")
    assert "\npaths.*\n" in page
    assert "\nunits.*\n" in page


def test_every_quantity_with_a_path_is_walked_through():
    assert set(STORED) == set(READ) == {row.name for row in ROWS}
