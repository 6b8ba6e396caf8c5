"""HERMES (SOLEIL): a scan in three files, found from any one of them.

``EXP_000001.nxs`` has the frames, ``EXP_dark_000001.nxs`` the dark, ``EXP.hdf5`` the positions.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from ..errors import FileError
from ..reading.files import open_hdf5
from ..reading.links import lookup
from ..reading.picked import PickedFrames
from ..scan import Scan
from .hdf5 import Hdf5Format, Item
from .source import Source, expand, has

STACKS = "/*/scan_data/*"
AXES = ("real_sample", "sample")
"""Measured positions come before the axes that were asked for."""


def _recognise(file: h5py.File) -> bool:
    return has(file, STACKS) or any(
        has(file, f"/entry1/camera/{name}_x", f"/entry1/camera/{name}_y") for name in AXES
    )


def _first_stack(file: h5py.File, links: str) -> str:
    """Path of the first three-dimensional dataset; the pattern itself if there is none."""
    for path in expand(file, STACKS):
        dataset = lookup(file, path, links)
        if isinstance(dataset, h5py.Dataset) and dataset.ndim >= 3:
            return path
    return STACKS


def names(path: Path) -> tuple[Path, Path, Path]:
    """The files of frames, dark and positions, from any one of them."""
    found = re.fullmatch(r"(.+?)(?:_dark)?_(\d{6})\.nxs", path.name)
    experiment, number = (found[1], found[2]) if found else (path.stem, "000001")
    return (path.with_name(f"{experiment}_{number}.nxs"),
            path.with_name(f"{experiment}_dark_{number}.nxs"),
            path.with_name(f"{experiment}.hdf5"))  # fmt: skip


def _frames_file(path: Path) -> Path:
    frames = names(Path(path))[0]
    if not frames.is_file():
        raise FileError(f"Expected the frames of this HERMES scan in {frames.name}. Got no such "
                        "file beside it", "copy that file, too", path)  # fmt: skip
    return frames


def _adapt(source: Source, table: Hdf5Format) -> Hdf5Format:
    """Name the three files, and the first stack of frames."""
    _, dark, positions = names(source.path)
    given = source.opening.paths
    if not positions.is_file() and "positions" not in given and not {"x", "y"} <= set(given):
        raise FileError(
            f"Expected the positions of this HERMES scan in {positions.name}. Got no such file "
            "beside it", "copy that file, too, or name positions by paths.x, paths.y "
            "(--path x=PATH --path y=PATH)",
        )  # fmt: skip
    if not dark.is_file() and "dark" not in given:
        source.assume(f"no {dark.name} beside it: no dark is subtracted, unless dark (--dark) "
                      "names one")  # fmt: skip
    return replace(
        table,
        frames=Item((_first_stack(source.file, source.opening.links),)),
        dark=_dark(source, dark),
        x=_named(table.x, positions),
        y=_named(table.y, positions),
        energy=_named(table.energy, positions),
    )


def _named(item: Item, file: Path) -> Item:
    """``EXP.hdf5::/path`` with the file's own name."""
    return replace(item, paths=tuple(path.replace("EXP.hdf5", file.name) for path in item.paths))


def _dark(source: Source, file: Path) -> Item:
    """The first stack of the dark file, if there is one."""
    if not file.is_file():
        return Item()
    opened = source.others.enter_context(open_hdf5(file))
    return Item((f"{file.name}::{_first_stack(opened, source.opening.links)}",))


def _finish(source: Source, scan: Scan) -> Scan:
    """Without the first dark, which the camera exposes otherwise."""
    if scan.dark is None or "dark" in source.opening.paths:
        return scan
    count = scan.dark.shape[0]
    if count < 2:
        source.assume("the dark file has one image only, which is used")
        return scan
    return replace(scan, dark=PickedFrames(scan.dark, np.arange(1, count)))


def _camera(axis: str) -> Item:
    return Item(tuple(f"EXP.hdf5::/entry1/camera/{name}_{axis}" for name in AXES), "um")


HERMES = Hdf5Format(
    name="hermes",
    title="HERMES: EXP_000001.nxs with EXP.hdf5 and EXP_dark_000001.nxs, found from any of them",
    recognise=_recognise,
    frames=Item((STACKS,)),
    x=_camera("x"),
    y=_camera("y"),
    energy=Item(("EXP.hdf5::/entry1/camera/energy",
                 "EXP.hdf5::/entry1/instrument/monochromator/energy"), "eV"),
    dark=Item((f"EXP_dark_000001.nxs::{STACKS}",)),
    adapt=_adapt,
    finish=_finish,
    master=_frames_file,
)  # fmt: skip
