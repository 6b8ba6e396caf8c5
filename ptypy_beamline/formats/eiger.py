"""Dectris Eiger master files: frames in data files that it links to (SIMPLON API, NXmx)."""

from __future__ import annotations

import re
from dataclasses import replace

import h5py
import numpy as np

from ..errors import MissingDataError
from ..files.links import present
from ..frames.wrappers import whole_stack
from ..scan import Scan
from .areadetector import PLACES
from .cxi import NX_DEFINITIONS
from .hdf5 import Hdf5Format, Item
from .quantities import numbers
from .source import Source, definitions, has

DETECTOR = "/entry/instrument/detector"
SPECIFIC = f"{DETECTOR}/detectorSpecific"


def _recognise(file: h5py.File) -> bool:
    group = present(file, "/entry/data")
    names = list(group) if isinstance(group, h5py.Group) else []
    ours = any(re.fullmatch(r"data_\d+", name) for name in names) or (
        "data" in names and has(file, SPECIFIC)
    )
    logged = any(has(file, place) for place in PLACES)
    return ours and not logged and not NX_DEFINITIONS & definitions(file)


def _adapt(source: Source, table: Hdf5Format) -> Hdf5Format:
    """Make sure that there are positions; a master has none."""
    given = source.opening.paths
    if "positions" not in given and not {"x", "y"} <= set(given):
        raise MissingDataError(
            "an Eiger master file records no positions",
            "name them by --path positions=OTHER.h5::/PATH, or --path x=OTHER.h5::/PATH and "
            "--path y=OTHER.h5::/PATH (paths.positions, paths.x, paths.y)",
        )
    return table


def _announced(source: Source) -> int | None:
    """Images of the series."""
    taken = [source.find("", Item((f"{SPECIFIC}/{name}",))) for name in ("nimages", "ntrigger")]
    if taken[0] is None:
        return None
    return int(np.prod([numbers(found).ravel()[0] for found in taken if found is not None]))


def _finish(source: Source, scan: Scan) -> Scan:
    """The number of a pixel without a count, and whether the series is complete."""
    expected = _announced(source)
    if expected is not None and "frames" not in source.opening.paths:
        scan = replace(scan, expected=expected)
        there = whole_stack(scan.frames)[0].shape[0]
        if expected > there:
            source.assume(f"{there} of {expected} images (nimages x ntrigger) are there")
    if scan.frames.dtype.kind != "u":
        return scan
    highest = float(np.iinfo(scan.frames.dtype).max)
    if scan.saturation is None:
        source.notes.append("no saturation_value: the limit is the number of a masked pixel")
    return replace(scan, no_count=highest, saturation=scan.saturation or highest)


EIGER = Hdf5Format(
    name="eiger",
    title="Eiger master: /entry/data/data_000001 and so on; positions from another file",
    recognise=_recognise,
    series="/entry/data/data_*",
    announced=_announced,
    frames=Item(("/entry/data/data",)),
    energy=Item((f"{SPECIFIC}/photon_energy", "/entry/instrument/beam/incident_energy"), "eV"),
    distance=Item((f"{DETECTOR}/detector_distance",), "m"),
    pixel_x=Item((f"{DETECTOR}/x_pixel_size",), "m"),
    pixel_y=Item((f"{DETECTOR}/y_pixel_size",), "m"),
    exposure=Item((f"{DETECTOR}/count_time",)),
    mask=Item((f"{SPECIFIC}/pixel_mask", f"{DETECTOR}/pixel_mask")),
    mask_rule="eiger",
    center_x=Item((f"{DETECTOR}/beam_center_x",)),
    center_y=Item((f"{DETECTOR}/beam_center_y",)),
    saturation=Item((f"{DETECTOR}/saturation_value", f"{SPECIFIC}/saturation_value")),
    adapt=_adapt,
    finish=_finish,
)
