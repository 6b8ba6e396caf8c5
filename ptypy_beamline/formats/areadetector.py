"""EPICS areaDetector NDFileHDF5: motors and energies are NDAttributes, one value a frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import h5py

from ..errors import MissingDataError
from ..files.links import lookup
from ..quantities import unit_of_name
from .acquisition_numbers import count_written
from .hdf5 import Hdf5Format, Location
from .hdf5_source import Hdf5Source, has
from .stored_values import numbers

FRAMES = ("/entry/data/data", "/entry/instrument/detector/data")
NDATTRIBUTES = ("/entry/instrument/NDAttributes", "/entry/instrument/detector/NDAttributes")
DETECTOR = "/entry/instrument/detector"

PAIRS = (
    ("posx", "posy"),
    ("samplex", "sampley"),
    ("sample_x", "sample_y"),
    ("pos_x", "pos_y"),
    ("stagex", "stagey"),
    ("stage_x", "stage_y"),
    ("sx", "sy"),
)
"""NDAttributes of positions (x, y), in any case, with or without a unit as in ``_um``."""

NAMES = {
    "energy": ("energy", "photonenergy"),
    "distance": ("det_dist", "detdist", "detectordistance", "distance"),
    "pixel": ("pixel", "pixelsize"),
    "exposure": ("exposure", "counttime", "exposuretime", "acquiretime"),
    "monitor": ("monitor", "i0", "ic0"),
}
"""Names of NDAttributes of other quantities, in the same way."""


def _recognise(file: h5py.File) -> bool:
    return any(has(file, path) for path in FRAMES) and any(has(file, path) for path in NDATTRIBUTES)


def attributes(source: Hdf5Source) -> dict[str, str]:
    """The file's NDAttributes: name in lower case, without its unit → path."""
    found: dict[str, str] = {}
    for place in NDATTRIBUTES:
        group = lookup(source.file, place, source.settings.links)
        for name in sorted(group) if isinstance(group, h5py.Group) else ():
            found.setdefault(_bare(name), f"{place}/{name}")
    return found


def _bare(name: str) -> str:
    units = (unit_of_name(quantity, name) for quantity in ("positions", "energy", "exposure"))
    unit = next((u for u in units if u), None)
    return (name[: -len(unit) - 1] if unit else name).lower()


def _adapt(source: Hdf5Source, table: Hdf5Format) -> Hdf5Format:
    """Fill in the NDAttributes that this file has."""
    known = attributes(source)
    pair = next((p for p in PAIRS if p[0] in known and p[1] in known), None)
    if pair is None and not source.names_positions:
        names = ", ".join(path.rsplit("/", 1)[1] for path in known.values()) or "none"
        raise MissingDataError(
            f"Expected positions among the NDAttributes. Got {names}",
            "name them by --path x=... --path y=... (paths.x, paths.y)",
        )
    items = {
        name: replace(getattr(table, name), paths=_paths(known, names))
        for name, names in NAMES.items()
    }
    if pair is not None:
        items |= {"x": Location((known[pair[0]],)), "y": Location((known[pair[1]],))}
        source.notes.append(f"positions are the NDAttributes {known[pair[0]]} and {known[pair[1]]}")
    ids = items["frame_index"] = Location(_paths(known, ("ndarrayuniqueid",)))
    stored = source.at(*ids.paths)
    if stored and ("frame_index" not in source.paths or source.settings.growing):
        # NDArrayUniqueId is flushed last.
        items["count"] = count_written(numbers(stored).ravel()) or None
    return replace(table, **items)


def _paths(known: dict[str, str], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(known[name] for name in names if name in known)


AREADETECTOR = Hdf5Format(
    name="areadetector",
    title="areaDetector NDFileHDF5: /entry/data/data with NDAttributes",
    recognise=_recognise,
    frames=Location(FRAMES),
    mask=Location((f"{DETECTOR}/mask", f"{DETECTOR}/pixel_mask")),
    dark=Location((f"{DETECTOR}/dark", f"{DETECTOR}/darkfield")),
    flat=Location((f"{DETECTOR}/flat", f"{DETECTOR}/flatfield")),
    saturation=Location((f"{DETECTOR}/saturation_value",)),
    center_x=Location((f"{DETECTOR}/beam_center_x",)),
    center_y=Location((f"{DETECTOR}/beam_center_y",)),
    per_frame=True,
    first_number=1,
    adapt=_adapt,
    refines=("eiger",),
)
