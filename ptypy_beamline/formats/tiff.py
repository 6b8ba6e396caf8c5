"""Frames in TIFF files; positions and all else in a standardized HDF5 file beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from ..errors import BeamlineError, MissingDataError, ScanError, SettingsError
from ..reading.filelist import expand, first_file
from ..reading.picked import PickedFrames
from ..reading.tiff import TiffFrames
from ..reading.tiffpages import is_tiff
from ..scan import Frames, Scan
from .opening import AS_STORED, Opening
from .quantities import numbers
from .source import NOWHERE, Item, Source, open_source
from .standard import STANDARD

SIDECAR = "sidecar.h5"
"""Taken where none is named, if it lies beside the list or the first frame."""

FRAME_INDEX = Item(("/entry/frame_index",))
"""Which frame each position belongs to, counted from 0 over all pages of all files."""


@dataclass(frozen=True)
class TiffFormat:
    """TIFF files and a sidecar."""

    name: str = "tiff"
    title: str = "TIFF frames (a glob or files.txt) with positions in a sidecar HDF5 (--sidecar)"
    family: str = "TIFF"

    def understands(self, path: Path) -> bool:
        """Whether the first file of ``path`` is a TIFF."""
        try:
            return is_tiff(first_file(path))
        except BeamlineError:
            return False

    def open(self, path: Path, opening: Opening = AS_STORED) -> Scan:
        """The scan; of the frames only the first file's tags are read.

        Raises
        ------
        FileError, MissingDataError, ScanError, SettingsError
            Each names the file and the remedy.
        """
        if "frames" in opening.paths:
            raise SettingsError("paths.frames is given with TIFF frames", "leave it out", path)
        files = expand((path, *opening.also))
        frames, sidecar = TiffFrames(files), find_sidecar(path, files, opening.sidecar)
        if sidecar is None:
            _need_positions(opening, files[0], frames)
        # Without a sidecar, paths are found beside the frames.
        empty = None if sidecar else h5py.File("none", "w", driver="core", backing_store=False)
        with open_source(sidecar or files[0], opening, empty) as source:
            if sidecar and not opening.sidecar:
                source.notes.append(f"positions and metadata are from {sidecar}")
            table = replace(STANDARD, name=self.name, frames=NOWHERE)
            scan = table.read(source, _picked(source, frames))
        return replace(scan, source=path.absolute() if path.is_file() else files[0])


def find_sidecar(path: Path, files: Sequence[Path], given: str | None) -> Path | None:
    """The sidecar that is named, else the one beside the list or the first file, if any."""
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


def _need_positions(opening: Opening, file: Path, frames: TiffFrames) -> None:
    """Make sure that the user's paths stand in for the sidecar."""
    inside = [f"{name}={path}" for name, path in opening.paths.items() if "::" not in path]
    if inside:
        raise SettingsError(f"{inside[0]} names a dataset, but there is no sidecar to have it",
                            "give sidecar (--sidecar), or OTHER.h5::/PATH", file)  # fmt: skip
    if "positions" not in opening.paths and not {"x", "y"} <= set(opening.paths):
        raise MissingDataError(
            f"Expected positions of {frames.shape[0]} TIFF frames. Got no sidecar",
            "give an HDF5 file that has them by sidecar (--sidecar), written by ptypy-beamline "
            "sidecar from a log, or set paths.positions (--path positions=OTHER.h5::/PATH)", file,
        )  # fmt: skip


def _picked(source: Source, frames: Frames) -> Frames:
    """The frames that have a position, in the order of the positions.

    Raises
    ------
    ScanError
        ``frame_index`` does not name frames.
    """
    found = source.find("", FRAME_INDEX)
    if found is None:
        return frames
    n, stored = frames.shape[0], numbers(found).ravel()
    index = np.nan_to_num(stored, nan=-1).astype(np.int64)
    if (index != stored).any() or (index < 0).any() or len(np.unique(index)) != len(index):
        raise ScanError(f"Expected different whole numbers from 0 on in {found.name}. Got "
                        f"{stored[:6]}", "write the sidecar again", found.file)  # fmt: skip
    if (np.diff(index) > 0).all():
        index = index[index < n]  # a scan that was stopped
    if not len(index) or index.max() >= n:
        raise ScanError(f"{found.name} names frame {int(stored.max())}, there are {n}, the first "
                        "is 0", "give all frames, or write the sidecar again",
                        found.file)  # fmt: skip
    if np.array_equal(index, np.arange(n)):
        return frames
    source.notes.append(f"{len(index)} of {n} frames have a position and come in the order of "
                        f"{found.name}; reject lists count all frames")  # fmt: skip
    return PickedFrames(frames, index)


TIFF = TiffFormat()
