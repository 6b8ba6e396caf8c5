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
from .hdf5 import Hdf5Format, Location
from .hdf5_source import Hdf5Source, has
from .stored_values import numbers

DETECTOR = "/entry/instrument/detector"
SPECIFIC = f"{DETECTOR}/detectorSpecific"


def _recognise(file: h5py.File) -> bool:
    group = present(file, "/entry/data")
    names = list(group) if isinstance(group, h5py.Group) else []
    return any(re.fullmatch(r"data_\d+", name) for name in names) or (
        "data" in names and has(file, SPECIFIC)
    )


def _adapt(source: Hdf5Source, table: Hdf5Format) -> Hdf5Format:
    """Make sure that there are positions; a master has none."""
    if not source.names_positions:
        raise MissingDataError(
            "an Eiger master file records no positions",
            "name them by --path positions=OTHER.h5::/PATH, or --path x=OTHER.h5::/PATH and "
            "--path y=OTHER.h5::/PATH (paths.positions, paths.x, paths.y)",
        )
    return table


def _announced(source: Hdf5Source) -> int | None:
    """Images of the series."""
    images, triggers = (source.at(f"{SPECIFIC}/{name}") for name in ("nimages", "ntrigger"))
    if images is None:
        return None
    each = [numbers(found).ravel()[0] for found in (images, triggers) if found is not None]
    return int(np.prod(each))


def _finish(source: Hdf5Source, scan: Scan) -> Scan:
    """The number of a pixel without a count, and whether the series is complete."""
    expected = _announced(source)
    if expected is not None and "frames" not in source.paths:
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
    frames=Location(("/entry/data/data",)),
    energy=Location((f"{SPECIFIC}/photon_energy", "/entry/instrument/beam/incident_energy"), "eV"),
    distance=Location((f"{DETECTOR}/detector_distance",), "m"),
    pixel_x=Location((f"{DETECTOR}/x_pixel_size",), "m"),
    pixel_y=Location((f"{DETECTOR}/y_pixel_size",), "m"),
    exposure=Location((f"{DETECTOR}/count_time",)),
    mask=Location((f"{SPECIFIC}/pixel_mask", f"{DETECTOR}/pixel_mask")),
    mask_rule="eiger",
    center_x=Location((f"{DETECTOR}/beam_center_x",)),
    center_y=Location((f"{DETECTOR}/beam_center_y",)),
    saturation=Location((f"{DETECTOR}/saturation_value", f"{SPECIFIC}/saturation_value")),
    adapt=_adapt,
    finish=_finish,
)
