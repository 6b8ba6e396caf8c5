"""Frames in TIFF files; positions and everything else in a standardized HDF5 file, the sidecar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py

from ..errors import BeamlineError, MissingDataError, ScanError, SettingsError
from ..files.filelist import expand, first_file, odd_names
from ..frames.tiff import TiffFrames
from ..frames.tiffpages import is_tiff
from ..quantities import of_kind
from ..scan import Scan
from ..settings import Settings
from .acquisition_numbers import ORDER, AcquisitionNumbers, is_number, whole
from .hdf5_source import NOWHERE, Hdf5Source, Location, open_source, text
from .matching import Sides
from .standard import STANDARD
from .stored_values import as_stored

NAMES = "the numbers in the file names"

SIDECAR = "sidecar.h5"
"""Used if none is named and it is in the folder of the list or of the first frame."""

FRAME_INDEX = Location(("/entry/frame_index",))
"""Which frame each position belongs to: its number in the names of the files, or, counted from 0,
its place among all pages of all files; the attribute ``counted`` says which."""

INDICES = of_kind("numbers")
"""Paths that may be a number instead of a dataset."""

BY_NAME, BY_ORDER = "file names", "order"
"""What ``counted`` may be."""


@dataclass(frozen=True)
class TiffFormat:
    """TIFF files and a sidecar."""

    name: str = "tiff"
    title: str = "TIFF frames (a glob or files.txt) with positions in a sidecar HDF5 (--sidecar)"
    family: str = "TIFF"
    refines: tuple[str, ...] = ()

    def understands(self, path: Path, _: Any = None) -> bool:
        """Whether the first file of ``path`` is a TIFF."""
        try:
            return is_tiff(first_file(path))
        except BeamlineError:
            return False

    def open(self, path: Path, settings: Settings) -> Scan:
        """The scan; of the frames only the first file's tags are read."""
        if "frames" in settings.paths.given:
            raise SettingsError("paths.frames is given with TIFF frames", "leave it out", path)
        files = expand((path, *settings.files[1:]))
        frames, sidecar = TiffFrames(files), find_sidecar(path, files, settings.sidecar)
        if sidecar is None:
            _need_positions(settings, files[0], frames)
        # Without a sidecar, paths are found beside the frames.
        empty = None if sidecar else h5py.File("none", "w", driver="core", backing_store=False)
        with open_source(sidecar or files[0], settings, empty) as source:
            if sidecar and not settings.sidecar:
                source.notes.append(f"positions and metadata are from {sidecar}")
            table = replace(STANDARD, name=self.name, frames=NOWHERE, position_index=FRAME_INDEX)
            scan = table.read(source, frames, frame_numbers(source, frames))
        return replace(scan, source=path.absolute() if path.is_file() else files[0])


def find_sidecar(path: Path, files: Sequence[Path], given: str | None) -> Path | None:
    """The sidecar that is named, else that in the folder of the list or the first file, if any."""
    if given is not None:
        return Path(given).expanduser()
    beside = (path if path.is_file() else files[0]).parent / SIDECAR
    return beside if beside.is_file() else None


def reads(names: Sequence[str], sidecar: str | None) -> tuple[Path, ...]:
    """Every file that opening ``names`` reads, if they are TIFF frames."""
    if not names or not TIFF.understands(Path(names[0])):
        return ()
    files = expand(names)
    beside = find_sidecar(Path(names[0]), files, sidecar)
    return (*files, beside) if beside else files


def _need_positions(settings: Settings, file: Path, frames: TiffFrames) -> None:
    """Make sure that the user's paths replace the sidecar."""
    inside = [
        f"{name}={path}"
        for name, path in settings.paths.given.items()
        if "::" not in path and not (name in INDICES and is_number(path))
    ]
    if inside:
        raise SettingsError(
            f"{inside[0]} names a dataset, but there is no sidecar to have it",
            "give sidecar (--sidecar), or OTHER.h5::/PATH",
            file,
        )
    if "positions" not in settings.paths.given and not {"x", "y"} <= set(settings.paths.given):
        raise MissingDataError(
            f"Expected positions of {frames.shape[0]} TIFF frames. Got no sidecar",
            "give an HDF5 file that has them by sidecar (--sidecar), written by ptypy-beamline "
            "sidecar from a log, or set paths.positions (--path positions=OTHER.h5::/PATH)",
            file,
        )


def numbers_by_name(frames: TiffFrames, in_order: str = ORDER) -> AcquisitionNumbers | None:
    """The numbers in the names of the files; None if they have none that counts frames.

    Raises
    ------
    ScanError
        Some are named differently, or have other pages; ``in_order``: how to set that
        numbers do not count.
    """
    _refuse_odd(frames, odd_names(frames.files), "numbered", "named otherwise", in_order)
    _refuse_odd(frames, frames.odd_pages, "of as many pages", "of others", in_order)
    named = frames.numbers
    if named is None:
        return None
    name, row = NAMES, named.columns or 1
    if named.columns:
        first = f" - {named.first_column}" if named.first_column else ""
        name += f" (row x {named.columns} + column{first})"
    return AcquisitionNumbers(named.values, name, per_step=row * named.pages, columns=named.columns)


def _refuse_odd(
    frames: TiffFrames, odd: tuple[Path, ...], what: str, otherwise: str, in_order: str
) -> None:
    if not odd:
        return
    usual = next(file for file in frames.files if file not in odd)
    raise ScanError(
        f"Expected {len(frames.files)} files {what} as {usual.name}. Got {len(odd)} {otherwise}: "
        f"{', '.join(file.name for file in odd[:4])}{', …' if odd[4:] else ''}",
        "leave out what is no frame of the scan by a narrower pattern or a list (files.txt), "
        f"or remove it{in_order}",
        odd[0],
    )


def frame_numbers(source: Hdf5Source, frames: TiffFrames) -> AcquisitionNumbers | None:
    """What the frames are numbered by: their files' names, else their order; None if by neither."""
    if "frame_index" in source.paths:
        return None  # the user's are taken
    n, given = frames.shape[0], "position_index" in source.paths
    found = None if given else source.find("position_index", FRAME_INDEX)
    counted = text(found.dataset.attrs.get("counted", "")) if found else ""
    by_name = None if counted == BY_ORDER else numbers_by_name(frames)
    if found is None:
        return by_name
    if by_name is None:
        return AcquisitionNumbers.counting(n, 0 if counted == BY_ORDER else None)
    if counted == BY_NAME:
        return replace(by_name, literal=True)
    index = whole(as_stored(found).ravel(), found.name)
    rows = AcquisitionNumbers(index, found.name)
    by_order = AcquisitionNumbers.counting(n)
    lost = [
        Sides(numbers, rows, source.exposures, each=False).least_unmatched()[0]
        for numbers in (by_order, by_name)
    ]
    return by_order if lost[0] < lost[1] else by_name


TIFF = TiffFormat()
