"""NanoMAX (MAX IV): frames of one detector, and the piezo's positions.

From the source of public readers (PtyPy, nmutils, PyNX), older files' layout and today's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import h5py
import numpy as np

from ..arrays import Floats
from ..errors import MissingDataError
from ..files.links import lookup, present
from ..scan import Scan
from .hdf5 import Hdf5Format, Location
from .hdf5_source import Hdf5Source, expand, has, in_groups
from .stored_values import numbers, si

MEASURED = "/entry/measurement"
FRAMES = (f"{MEASURED}/*/frames", f"{MEASURED}/*/data", "/entry/instrument/*/data")
"""Paths of a detector's frames; the first that exists counts."""

LINES = f"{MEASURED}/*/000000"
"""The first of several datasets, of a line each."""

NO_CAMERA = re.compile(r"/(xspress3|panda|alba|ni|adlink)", re.IGNORECASE)
"""Devices whose numbers are no images."""

PIEZO = f"{MEASURED}/npoint_buff"
SNAPSHOTS = ("/entry/snapshot", "/entry/snapshots/pre_scan", "/entry/snapshots/post_scan")


def _recognise(file: h5py.File) -> bool:
    group = present(file, MEASURED)
    if not isinstance(group, h5py.Group):
        return False
    devices = [group.get(name, getlink=True) for name in group]
    # A detector may be a link to another file, which recognition does not need.
    linked = any(isinstance(device, h5py.ExternalLink) for device in devices)
    piezo = has(file, f"{MEASURED}/pseudo") or has(file, PIEZO)
    return piezo and (linked or any(has(file, path) for path in (*FRAMES, LINES)))


def _adapt(source: Hdf5Source, table: Hdf5Format) -> Hdf5Format:
    """Choose the only detector; several are refused."""
    if "frames" in source.paths:
        return table
    for place in (*FRAMES[:2], LINES, FRAMES[2]):
        found = list(_images(source, place))
        if len(found) > 1:
            raise MissingDataError(
                f"Expected one detector with frames. Got {', '.join(found)}",
                "name one by paths.frames (--path frames=PATH)",
            )
        if found and place == LINES:
            return replace(table, series=re.sub(r"\d+$", "*", found[0]))
        if found:
            return replace(table, frames=Location((found[0],)))
    return table


def _images(source: Hdf5Source, place: str) -> Iterator[str]:
    """The datasets at ``place`` that may be frames; a line may have a single one."""
    for path in expand(source.file, place):
        if NO_CAMERA.search(path):
            continue
        dataset = lookup(source.file, path, source.settings.links)
        if isinstance(dataset, h5py.Dataset) and dataset.ndim >= (2 if place == LINES else 3):
            yield path


def _finish(source: Hdf5Source, scan: Scan) -> Scan:
    """With the coarse stage's offsets, and the energy after the scan checked."""
    _compare_energies(source, scan)
    own = {"positions", "x", "y"} & set(source.paths)
    if own or scan.positions_px is not None or has(source.file, f"{MEASURED}/pseudo/x"):
        return scan
    offsets = [_offset(source, axis, len(scan.positions_m)) for axis in "yx"]
    return replace(scan, positions_m=scan.positions_m + np.stack(offsets, axis=1))


def _offset(source: Hdf5Source, axis: str, count: int) -> Floats:
    """Position of the stage under the piezo, in metres: of each position, or one of all."""
    found = source.at(*in_groups((MEASURED, *SNAPSHOTS), f"base{axis}"), unit="um")
    if found is None:
        return np.zeros(count)
    values = si(source, found, "positions").ravel()
    if not values.size or not np.isfinite(values).all():
        source.assume(f"{found.name} holds no finite numbers: no offset is added")
        return np.zeros(count)
    return np.repeat(values, -(-count // len(values)))[:count]


def _compare_energies(source: Hdf5Source, scan: Scan) -> None:
    """The energy is that before the scan."""
    found = source.at(f"{SNAPSHOTS[2]}/energy")
    if found is None or scan.energy_eV is None or "energy" in source.paths:
        return
    after = numbers(found).ravel()
    if after.size and abs(after[0] - scan.energy_eV) > 1e-3 * scan.energy_eV:
        source.assume(
            f"the energy is {scan.energy_eV:g} eV before the scan and {after[0]:g} eV "
            "after it: the first is taken"
        )


NANOMAX = Hdf5Format(
    name="nanomax",
    title="NanoMAX: entry/measurement/DETECTOR/frames with entry/measurement/pseudo or npoint_buff",
    recognise=_recognise,
    frames=Location(FRAMES),
    x=Location((f"{MEASURED}/pseudo/x", f"{PIEZO}/x"), "um"),
    y=Location((f"{MEASURED}/pseudo/y", f"{PIEZO}/y"), "um"),
    energy=Location(in_groups(SNAPSHOTS, "energy"), "eV"),
    bursts=True,
    adapt=_adapt,
    finish=_finish,
)
