"""HERMES (SOLEIL): a scan, or a stack of several energies, in files found from any one of them.

A scan has ``EXP_000001.nxs`` (frames), ``EXP_dark_000001.nxs`` (dark) and ``EXP.hdf5`` (positions).
A stack has ``EXP_nrj01_000001.nxs`` and so on, one for each energy that ``EXP.hdf5`` lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import FileError, ScanError
from ..files.hdf5 import open_hdf5
from ..files.links import file_and_dataset, lookup, present
from ..frames.wrappers import PickedFrames
from ..scan import Scan
from ..settings import Settings
from .frame_axes import chosen_scan
from .hdf5 import Hdf5Format, Location
from .hdf5_source import Hdf5Source, expand, has

STACKS = "/*/scan_data/*"
CAMERA = "/entry1/camera"
AXES = ("real_sample", "sample")
"""Measured positions are preferred to requested ones."""


@dataclass(frozen=True)
class Files:
    """The files that belong together, by their names.

    Attributes
    ----------
    folder, experiment, run
        ``EXP`` and the six digits; 000001 where only ``EXP.hdf5`` is known.
    energy
        Number after ``_nrj`` in the name of the file that was given.
    """

    folder: Path
    experiment: str
    run: str = "000001"
    energy: int | None = None

    @classmethod
    def of(cls, path: Path) -> Files:
        """From the name of any one of them."""
        found = re.fullmatch(r"(.+?)(?:_dark|_nrj(\d+))?_(\d{6})\.nxs", path.name)
        if found is None:
            return cls(path.parent, path.stem)
        return cls(path.parent, found[1], found[3], int(found[2]) if found[2] else None)

    @property
    def frames(self) -> Path:
        """Frames of a single scan."""
        return self.folder / f"{self.experiment}_{self.run}.nxs"

    @property
    def dark(self) -> Path:
        """Dark frames of a scan or stack."""
        return self.folder / f"{self.experiment}_dark_{self.run}.nxs"

    @property
    def positions(self) -> Path:
        """Positions of a scan or stack."""
        return self.folder / f"{self.experiment}.hdf5"

    @cached_property
    def energies(self) -> dict[int, Path]:
        """Number after ``_nrj`` → file of a stack's frames; empty for a single scan."""
        named = re.compile(rf"{re.escape(self.experiment)}_nrj(\d+)_{self.run}\.nxs")
        names = sorted(path.name for path in self.folder.glob("*_nrj*.nxs"))
        found = [(match, name) for name in names if (match := named.fullmatch(name))]
        return {int(match[1]): self.folder / name for match, name in found}

    @property
    def first(self) -> int:
        """The first energy's number."""
        return min(1, *self.energies, 1)

    def count(self) -> int:
        """Energies that ``EXP.hdf5`` lists, else those that have frames."""
        if self.positions.is_file():
            with open_hdf5(self.positions) as file:
                listed = present(file, f"{CAMERA}/energy")
                if isinstance(listed, h5py.Dataset):
                    return int(listed.size)
        return max(self.energies, default=0) + 1 - self.first


def _recognise(file: h5py.File) -> bool:
    """By the positions, in the file or beside it: files of all SOLEIL beamlines have scan_data."""
    path = Path(file.filename).absolute()
    if _has_positions(file):
        return True
    positions = Files.of(path).positions
    if not has(file, STACKS) or positions.name == path.name or not h5py.is_hdf5(positions):
        return False
    with open_hdf5(positions) as beside:
        return _has_positions(beside)


def _has_positions(file: h5py.File) -> bool:
    return any(has(file, f"{CAMERA}/{name}_x", f"{CAMERA}/{name}_y") for name in AXES)


def _nearly(file: h5py.File) -> str:
    """What is missing beside a file of frames."""
    wanted = Files.of(Path(file.filename)).positions
    if not has(file, STACKS) or wanted.name == Path(file.filename).name:
        return ""
    found = "one without positions" if wanted.is_file() else "no such file in its folder"
    return (
        f"it has the scan_data of SOLEIL's beamlines; for a scan of HERMES, expected its "
        f"positions in {wanted.name}. Got {found}"
    )


def _first_stack(file: h5py.File, links: str) -> str:
    """Path of the first three-dimensional dataset; the pattern itself if there is none."""
    for path in expand(file, STACKS):
        dataset = lookup(file, path, links)
        if isinstance(dataset, h5py.Dataset) and dataset.ndim >= 3:
            return path
    return STACKS


def _master(path: Path, settings: Settings) -> tuple[Path, Settings]:
    """The file of the frames; of a stack those of one energy, which ``outer_index`` chooses."""
    files = Files.of(Path(path))
    frames = files.frames
    if files.energies and (files.energy is not None or not frames.is_file()):
        index = _index(files, settings.outer_index)
        number = index + files.first
        name = f"{files.experiment}_nrj{number:02d}_{files.run}.nxs"
        frames = files.energies.get(number, files.folder / name)
        settings = settings.model_copy(update={"outer_index": None})
    if not frames.is_file():
        raise FileError(
            f"Expected the frames of this HERMES scan in {frames.name}. Got no such file in its "
            "folder",
            "copy that file, too",
            path,
        )
    return frames, settings


def _index(files: Files, asked: int | None) -> int:
    """Which energy, from 0: that of the file that was given, else as asked, else the only one."""
    named = None if files.energy is None else files.energy - files.first
    if asked is not None and named is not None and asked != named:
        raise ScanError(
            f"outer_index {asked} is not the energy of this file, {named}",
            f"leave outer_index (--outer-index) out, or give {files.positions.name}",
        )
    index = asked if named is None else named
    return chosen_scan(index, files.count(), "the stack holds", "energies")


def _adapt(source: Hdf5Source, table: Hdf5Format) -> Hdf5Format:
    """Name the files, the first stack of frames, and the energy's part of what all share."""
    files = Files.of(source.path)
    if not files.positions.is_file() and not source.names_positions:
        raise FileError(
            f"Expected the positions of this HERMES scan in {files.positions.name}. Got no such "
            "file in its folder",
            "copy that file, too, or name positions by paths.x, paths.y "
            "(--path x=PATH --path y=PATH)",
        )
    if not files.dark.is_file() and "dark" not in source.paths:
        source.assume(
            f"no {files.dark.name} in its folder: no dark is subtracted, unless dark (--dark) is "
            "set"
        )
    shared: dict[str, Any] = {
        name: _shared(source, getattr(table, name), files)
        for name in ("x", "y", "energy", "distance")
    }
    frames = Location((_first_stack(source.file, source.settings.links),))
    return replace(table, frames=frames, dark=_dark(source, files.dark), **shared)


def _shared(source: Hdf5Source, item: Location, files: Files) -> Location:
    """The first of the item's datasets that ``EXP.hdf5`` has, and its part for the energy."""
    paths = [file_and_dataset(path)[1] for path in item.paths]
    if not files.positions.is_file():
        return Location()
    file = source.others.enter_context(open_hdf5(files.positions))
    path = next((path for path in paths if has(file, path)), paths[0])
    entry = None
    if files.energy is not None and isinstance(present(file, path), h5py.Dataset):
        shape, count = file[path].shape, files.count()
        each = len(shape) > 1 or (path in SCALARS and len(shape) == 1)
        entry = files.energy - files.first if each and shape[0] == count else None
    return replace(item, paths=(f"{files.positions.name}::{path}",), entry=entry)


def _dark(source: Hdf5Source, file: Path) -> Location:
    """The first stack of the dark file, if there is one."""
    if not file.is_file():
        return Location()
    opened = source.others.enter_context(open_hdf5(file))
    return Location((f"{file.name}::{_first_stack(opened, source.settings.links)}",))


def _finish(source: Hdf5Source, scan: Scan) -> Scan:
    """Without the first dark, which the camera exposes otherwise."""
    if scan.dark is None or "dark" in source.paths:
        return scan
    count = scan.dark.shape[0]
    if count < 2:
        source.assume("the dark file has one image only, which is used")
        return scan
    return replace(scan, dark=PickedFrames(scan.dark, np.arange(1, count)))


def _camera(axis: str) -> Location:
    return Location(tuple(f"EXP.hdf5::{CAMERA}/{name}_{axis}" for name in AXES), "um")


SCALARS = (
    f"{CAMERA}/energy",
    "/entry1/instrument/monochromator/energy",
    "/entry1/scanArgs/SDDistance",
)
"""What a stack has one number of for each energy."""

HERMES = Hdf5Format(
    name="hermes",
    title="HERMES: EXP_000001.nxs, or EXP_nrj01_000001.nxs and so on, with EXP.hdf5 and "
    "EXP_dark_000001.nxs, found from any of them",
    recognise=_recognise,
    nearly=_nearly,
    frames=Location((STACKS,)),
    x=_camera("x"),
    y=_camera("y"),
    energy=Location(tuple(f"EXP.hdf5::{path}" for path in SCALARS[:2]), "eV"),
    distance=Location((f"EXP.hdf5::{SCALARS[2]}",), "um"),
    dark=Location((f"EXP_dark_000001.nxs::{STACKS}",)),
    adapt=_adapt,
    finish=_finish,
    master=_master,
)
