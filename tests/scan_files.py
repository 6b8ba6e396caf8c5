"""Files that random settings name: images, lists, and a scan in an HDF5 file of no known layout."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

from ptypy_beamline.testing.writers import Raw


def store(folder: Path, name: str, value: Any, how: str, frames: int) -> str:
    """Write ``value`` as ``how`` says, and what the parameter ``name`` is then."""
    file = folder / f"{name}.{how}"
    if how == "npy":
        np.save(file, value)
    elif how == "tif":
        image = np.asarray(value)
        tifffile.imwrite(file, image.astype(np.uint8) if image.dtype == bool else image,
                         photometric="minisblack")  # fmt: skip
    elif how == "h5":
        with h5py.File(file, "w") as opened:
            opened["some/place"] = value
        return f"{file}::/some/place"
    elif how == "json":
        content = {"accepted_indices": sorted(set(range(frames)) - set(value)),
                   "rejected_indices": list(value)}  # fmt: skip
        file.write_text(json.dumps(content))
    else:
        with file.open("w", newline="") as opened:
            table = csv.writer(opened)
            table.writerow(["index", "score", "rejected"])
            table.writerows([i, 0.5, int(i in value)] for i in range(frames))
    return str(file)


UNITS = {"positions": {"m": 1.0, "mm": 1e3, "um": 1e6, "nm": 1e9},
         "energy": {"eV": 1.0, "keV": 1e-3}, "distance": {"m": 1.0, "mm": 1e3},
         "pixel": {"m": 1.0, "um": 1e6}}  # fmt: skip
"""Quantity → unit → its number in a metre or an electronvolt."""


def write_generic(path: Path, raw: Raw, seed: int) -> tuple[Path, dict[str, Any]]:
    """A scan whose every dataset must be named; its units are given, stored, or given instead.

    Some datasets are in another file.
    """
    rng = np.random.default_rng([seed, 77])
    other = path.with_name("other.h5")
    places: dict[str, Any] = {}
    with h5py.File(path, "w") as file, h5py.File(other, "w") as elsewhere:

        def put(name: str, value: Any, quantity: str = "") -> None:
            if value is None:
                return
            away = rng.random() < 0.3 and name != "frames"
            place = f"/deep/{name}_of_it"
            unit = ""
            if quantity:
                unit = str(rng.choice(list(UNITS[quantity])))
                value = np.asarray(value) * UNITS[quantity][unit]
            (elsewhere if away else file)[place] = value
            stored = (elsewhere if away else file)[place]
            given = bool(quantity) and f"units.{quantity}" in places
            if quantity and not given:
                stored.attrs["units"] = unit
            places[f"paths.{name}"] = f"other.h5::{place}" if away else place

        put("frames", raw.frames)
        unit = str(rng.choice(list(UNITS["positions"])))
        known = raw.positions_m * UNITS["positions"][unit]
        if rng.random() < 0.5:
            places["units.positions"] = unit
        together = rng.random() < 0.5
        columns = {"positions": known[:, ::-1]} if together else {"y": known[:, 0], "x": known[:, 1]}
        for name, values in columns.items():
            put(name, values)
            if "units.positions" not in places:
                place = places[f"paths.{name}"]
                inside = elsewhere if "::" in place else file
                inside[place.split("::")[-1]].attrs["units"] = unit
        put("energy", raw.energy_eV, "energy")
        put("distance", raw.distance_m, "distance")
        put("pixel", raw.pixel_m, "pixel")
        put("exposure", raw.exposure_s)
        put("mask", None if raw.bad is None else raw.bad.astype(np.uint16))
        for name in ("dark", "flat", "center", "monitor"):
            put(name, getattr(raw, {"center": "center_px"}.get(name, name)))
    return path, places
