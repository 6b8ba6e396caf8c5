"""Files that random settings name: images, lists, and a scan in an HDF5 file of no known layout."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

from ptypy_beamline.testing.writers import Raw


def store(folder: Path, name: str, value: Any, how: str, frames: int) -> str:
    """Write ``value`` as ``how`` says, and return the value of the parameter ``name``."""
    file = folder / f"{name}.{how}"
    if how == "npy":
        np.save(file, value)
    elif how == "tif":
        image = np.asarray(value)
        tifffile.imwrite(
            file, image.astype(np.uint8) if image.dtype == bool else image, photometric="minisblack"
        )
    elif how == "h5":
        with h5py.File(file, "w") as opened:
            opened["some/place"] = value
        return f"{file}::/some/place"
    elif how == "json":
        content = {
            "accepted_indices": sorted(set(range(frames)) - set(value)),
            "rejected_indices": list(value),
        }
        file.write_text(json.dumps(content))
    else:
        with file.open("w", newline="") as opened:
            table = csv.writer(opened)
            table.writerow(["index", "score", "rejected"])
            rows = sorted({*range(frames), *value})
            table.writerows([i, 0.5, int(i in value)] for i in rows)
    return str(file)


def named_elsewhere(path: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """Write datasets, and the parameters that name them."""
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file[f"of/{name}"] = np.asarray(value)
    return {f"paths.{name}": f"{path}::/of/{name}" for name in values}


UNITS = {
    "positions": {"m": 1.0, "mm": 1e3, "um": 1e6, "nm": 1e9},
    "energy": {"eV": 1.0, "keV": 1e-3},
    "distance": {"m": 1.0, "mm": 1e3},
    "pixel": {"m": 1.0, "um": 1e6},
}
"""Quantity → unit → its number in a metre or an electronvolt."""


def write_generic(path: Path, raw: Raw, seed: int) -> tuple[Path, dict[str, Any]]:
    """A scan whose every dataset must be named; some are in another file.

    Units are stored, or given by the user, or stored wrongly and given.
    """
    rng = np.random.default_rng([seed, 77])
    places: dict[str, Any] = {}
    with h5py.File(path, "w") as file, h5py.File(path.with_name("other.h5"), "w") as other:

        def put(name: str, value: Any, unit: str = "", **attributes: str) -> None:
            if value is None:
                return
            away = rng.random() < 0.3 and name != "frames"
            kept, place = (other if away else file), f"/deep/{name}_of_it"
            kept[place] = value
            kept[place].attrs.update({"units": unit, **attributes} if unit else attributes)
            places[f"paths.{name}"] = f"other.h5::{place}" if away else place

        def unit_of(quantity: str) -> tuple[str, float]:
            """What is stored as the unit, and the number of units in one of SI's."""
            unit = str(rng.choice(list(UNITS[quantity])))
            stored = unit
            if rng.random() < 0.4:
                places[f"units.{quantity}"] = unit
                stored = str(rng.choice(["", *UNITS[quantity]]))
            return stored, UNITS[quantity][unit]

        put("frames", raw.frames)
        unit, factor = unit_of("positions")
        for name, (values, columns) in _columns(raw, rng).items():
            put(name, values * factor, unit, **({"columns": columns} if columns else {}))
        for name, quantity in (
            ("energy", raw.energy_eV),
            ("distance", raw.distance_m),
            ("pixel", raw.pixel_m),
        ):
            unit, factor = unit_of(name)
            put(name, np.asarray(quantity) * factor, unit)
        put("mask", None if raw.bad is None else raw.bad.astype(np.uint16))
        for name, field in (
            ("exposure", "exposure_s"),
            ("dark", "dark"),
            ("flat", "flat"),
            ("center", "center_px"),
            ("monitor", "monitor"),
        ):
            put(name, getattr(raw, field))
    return path, places


def _columns(raw: Raw, rng: np.random.Generator) -> dict[str, tuple[Any, str]]:
    """Positions in one of the ways in which files keep them, and the names of the columns."""
    y, x = raw.positions_m.T
    way = rng.integers(6)
    if way == 0:
        return {"positions": (np.stack([x, y], 1), "")}
    if way == 1:
        return {"positions": (np.stack([y, x], 1), "y,x")}
    if way == 2:
        return {"positions": (np.stack([x, y, 0 * x], 1), "x,y,z")}
    if way == 3:
        return {"positions": (np.stack([x, y]), "")}
    rows = int((x == x[0]).sum())
    grid = raw.positions_m.reshape(rows, -1, 2) if len(x) % rows == 0 else None
    if (
        way == 4
        and grid is not None
        and rows not in (1, len(x))
        and grid.shape[1] != rows
        and (grid[:, :, 0] == grid[:, :1, 0]).all()
        and (grid[:, :, 1] == grid[:1, :, 1]).all()
    ):
        return {"y": (grid[:, 0, 0], ""), "x": (grid[0, :, 1], "")}
    return {"y": (y, ""), "x": (x, "")}
