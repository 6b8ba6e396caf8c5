"""The angles of a series: the scan at each, and how well they cover 180 degrees.

A parallel beam needs only 180 degrees.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ..arrays import Bools, Floats, Ints
from ..errors import FileError, MissingDataError, ScanError, SettingsError, warn
from ..files.crashcheck import check_for_crashes
from ..files.filelist import expand as expand_files
from ..files.filelist import natural
from ..files.links import open_confined
from ..files.regular import read_text
from ..formats.hdf5_source import expand, text

TABLE = "theta.csv"
SUFFIXES = (".h5", ".hdf5", ".hdf", ".nxs", ".cxi", ".ptyr")
ANGLE_PATHS = (
    "/exchange/theta",
    "/entry*/sample*/rotation_angle",
    "/entry/tomography_angle_deg",
    "/provenance/theta_deg",
)
"""Paths of one angle, or of the angles of all projections: Data Exchange, NXtomo, this package."""

JITTER_DEG = 0.05
"""Angles that are logged for each frame of a scan at one angle differ by less than this."""

ATTRIBUTE = "tomography_angle_deg"
"""The angle as an attribute of the root group, as in Ptychodus products."""

MIN_SPAN_DEG = 10.0
WEDGE_DEG = 10.0
"""A gap between angles is a missing wedge if it is wider than this and than three median gaps."""


@dataclass(frozen=True)
class Angle:
    """A scan at one angle.

    Attributes
    ----------
    number
        Number in the series, counting skipped ones.
    theta_deg
        Rotation angle.
    file
        File with the scan or its reconstruction.
    outer_index
        Which of the file's projections; None for a file with one.
    """

    number: int
    theta_deg: float
    file: Path
    outer_index: int | None = None

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"angle_{self.number:03d}"


def find_angles(names: Sequence[str | Path], theta: str | None = None) -> tuple[Angle, ...]:
    """The angles of files, or of all files in a folder, in natural order.

    Parameters
    ----------
    names
        Files, globs, lists of files, or one folder.
    theta
        Angles in degrees, separated by commas, or a table of them, ``name,theta_deg`` or one
        per line. Default: ``theta.csv`` beside the files, else the angle in each file.

    Raises
    ------
    FileError, MissingDataError, SettingsError
        There are no files, no angles, or not as many as scans; or libhdf5 crashes on a file.
    """
    files = _files(names)
    check_for_crashes(files)
    table = files[0].parent / TABLE
    if theta is None and table.is_file():
        theta = str(table)
    scans = _of_table(files, read_theta(theta), theta) if theta else _of_files(files)
    return tuple(Angle(number, *scan) for number, scan in enumerate(scans))


def without_skipped(angles: Sequence[Angle], skip: Sequence[int]) -> tuple[Angle, ...]:
    """The angles whose numbers are not in ``skip``.

    Raises
    ------
    SettingsError
        There is no angle of such a number.
    """
    unknown = sorted(set(skip) - {angle.number for angle in angles})
    if unknown:
        raise SettingsError(
            f"no angle {unknown[0]} to skip among {len(angles)}",
            "they are numbered from 0 (--skip)",
        )
    return tuple(angle for angle in angles if angle.number not in set(skip))


def read_theta(theta: str | Path) -> list[tuple[str, float]]:
    """Names (empty where there are none) and angles in degrees, from a table or from text.

    Raises
    ------
    FileError, SettingsError
        The angles are not numbers.
    """
    path = Path(theta)
    if path.suffix.lower() not in (".csv", ".txt"):
        try:
            return [("", float(word)) for word in str(theta).split(",")]
        except ValueError as error:
            raise SettingsError(
                f"theta={str(theta)!r}",
                "give degrees separated by commas, or a table name,theta_deg (--theta)",
            ) from error
    table = read_text(path, "give a table name,theta_deg (--theta)")
    reader = csv.reader(table.splitlines())
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise FileError(
            f"line {reader.line_num}: not readable as CSV ({error})", "correct that line", path
        ) from error
    head = 1 if rows and not _is_number(rows[0][1][-1]) else 0
    for line, row in rows[head:]:
        if len(row) > 2 or not _is_number(row[-1]):
            raise FileError(
                f"line {line}: Expected name,theta_deg. Got {','.join(row)[:60]!r}",
                "correct that line",
                path,
            )
    if len(rows) == head:
        raise FileError("Expected name,theta_deg. Got no line", "give each angle a line", path)
    return [(row[0].strip() if len(row) > 1 else "", float(row[-1])) for _, row in rows[head:]]


def stored_theta_deg(path: Path) -> Floats:
    """(n,) angles in degrees that an HDF5 file has; empty where it has none."""
    if not h5py.is_hdf5(path):
        return np.empty(0)
    with open_confined(path) as file:
        if ATTRIBUTE in file.attrs:
            return np.atleast_1d(np.asarray(file.attrs[ATTRIBUTE], np.float64))
        for path_in_file in (p for pattern in ANGLE_PATHS for p in expand(file, pattern)):
            found = file.get(path_in_file)
            if isinstance(found, h5py.Dataset) and found.size:
                values = np.ravel(np.asarray(found[()], np.float64))
                unit = text(found.attrs.get("units")).lower()
                degrees = np.rad2deg(values) if unit.startswith("rad") else values
                return (
                    degrees if np.ptp(degrees) > JITTER_DEG else np.median(degrees, keepdims=True)
                )
    return np.empty(0)


def _files(names: Sequence[str | Path]) -> list[Path]:
    folder = Path(names[0]) if len(names) == 1 else None
    if folder is None or not folder.is_dir():
        return list(expand_files(names))
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    if not files:
        raise FileError(f"no file in it ends in {', '.join(SUFFIXES)}", "name the files", folder)
    return sorted(files, key=lambda path: natural(path.name))


def _of_table(
    files: list[Path], rows: list[tuple[str, float]], origin: str
) -> list[tuple[float, Path, int | None]]:
    """Angles of a table, matched by file name, else in order; then file and ``outer_index``."""
    degrees, named = [value for _, value in rows], {name: value for name, value in rows if name}
    if len(files) == 1:
        stored = stored_theta_deg(files[0]).size
        if stored > 1 and stored != len(rows):
            raise SettingsError(f"{len(rows)} angles of {stored} scans", "give one each", origin)
        numbers = range(len(rows)) if len(rows) > 1 else [None]
        return [(value, files[0], k) for value, k in zip(degrees, numbers, strict=True)]
    if named:
        absent = [p.name for p in files if p.name not in named and p.stem not in named]
        if absent:
            raise MissingDataError(
                f"no line of {absent[0]}",
                "add it, or name only the files that are in the table",
                origin,
            )
        degrees = [named[p.name if p.name in named else p.stem] for p in files]
    elif len(rows) != len(files):
        raise SettingsError(f"{len(rows)} angles of {len(files)} files", "give one each", origin)
    return [(value, path, None) for value, path in zip(degrees, files, strict=True)]


def _of_files(files: list[Path]) -> Iterator[tuple[float, Path, int | None]]:
    """Angles stored in the files; then file and ``outer_index``."""
    for path in files:
        degrees = stored_theta_deg(path)
        if not degrees.size or not np.isfinite(degrees).all():
            raise MissingDataError(
                f"no angle at {' or '.join(ANGLE_PATHS)}, nor an attribute {ATTRIBUTE}",
                f"write {TABLE} (name,theta_deg) in its folder, or give --theta",
                path,
            )
        stacked = degrees.size > 1
        yield from ((float(value), path, k if stacked else None) for k, value in enumerate(degrees))


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def distinct(angles_deg: Floats) -> tuple[Floats, Ints, Ints]:
    """Angles modulo 180 in rising order, the index of each projection's, and their counts."""
    half = np.mod(np.asarray(angles_deg, np.float64), 180.0).round(6) % 180.0
    return np.unique(half, return_inverse=True, return_counts=True)


def gaps_deg(half_deg: Floats) -> tuple[Floats, Bools]:
    """Gap from each distinct angle to the next, and whether it is a missing wedge."""
    gaps = np.diff(half_deg, append=half_deg[0] + 180.0)
    return gaps, np.asarray(gaps > max(WEDGE_DEG, 3 * float(np.median(gaps))))


def angle_weights(angles_deg: Floats) -> Floats:
    """(n,) weights of projections in a back-projection that assumes evenly spaced angles.

    Each weight is the part of the 180 degrees nearest to the angle; next to a missing wedge, a part
    of median width.
    """
    half, index, count = distinct(angles_deg)
    gaps, missing = gaps_deg(half)
    steps = np.where(missing, np.median(gaps), gaps)
    share = (steps + np.roll(steps, 1)) / 2
    return np.asarray((share / count)[index] * len(index) / 180.0)


def check_coverage(angles_deg: Floats) -> None:
    """Refuse angles that cover too small a range for a volume, and warn of a missing wedge.

    Raises
    ------
    ScanError
        Fewer than three angles, or all within 10 degrees.
    """
    half, _, _ = distinct(angles_deg)
    gaps, missing = gaps_deg(half)
    span = 180.0 - gaps.max()
    if len(half) < 3 or span < MIN_SPAN_DEG:
        raise ScanError(
            f"{len(half)} angles over {span:.3g} degrees are too few for a volume",
            "are they radians? Give degrees (--theta)",
        )
    if missing.any():
        warn(
            f"no angle within {gaps.max():.3g} degrees: along this missing wedge the "
            "volume is smeared, and its density too low"
        )
