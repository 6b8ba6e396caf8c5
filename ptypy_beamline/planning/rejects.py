"""Reject lists, and checks that a list belongs to the scan."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats, Ints
from ..errors import FileError, SettingsError, shown, warn
from ..files.regular import read_json, read_text
from ..frames.images import existing
from ..frames.npy import load_npy

KINDS = "give a list, a map of booleans, .npy, .json or .csv"
META = "qc_meta.json"
INTENSITY = "beam_intensity.npy"
"""File in which quality control writes its estimate of the beam intensity, for ``monitor``."""
KEPT = {"accept_indices": "that are kept", "mask_indices": "inside the region"}
"""Lists of quality control that name other frames than those to reject."""


@dataclass(frozen=True, eq=False)
class RejectTarget:
    """The scan that a list must fit.

    Attributes
    ----------
    total
        Number of raw frames.
    file
        The file of the scan.
    grid
        (rows, columns) where the positions form a raster.
    exposures
        Exposures per position.
    positions_m
        (total, 2) y, x on the stage, NaN where unknown; None = not compared.
    growing
        More frames may come.
    """

    total: int
    file: Path | None = None
    grid: tuple[int, int] | None = None
    exposures: int = 1
    positions_m: Floats | None = None
    growing: bool = False


@dataclass(frozen=True, eq=False)
class RejectList:
    """A reject list as given.

    Attributes
    ----------
    rejected
        Frame numbers, or a map of booleans or of 0 and 1.
    source
        The list's file, or ``reject``.
    evaluated
        Frames that were evaluated, including those kept; None if unknown.
    origin
        File of the evaluated scan and its number of frames, if known.
    positions_m
        (len(evaluated), 2) y, x, if known.
    """

    rejected: NDArray[Any]
    source: Path | str = "reject"
    evaluated: Ints | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    positions_m: Floats | None = None


def rejected_frames(given: Any, scan: RejectTarget) -> Ints:
    """Raw frames to reject, from a list, a map or any file that quality control writes.

    Warns if the list seems to belong to another scan.

    Raises
    ------
    FileError
        The file is missing, empty or not such a list.
    SettingsError
        It names frames that do not exist, or those to keep, or belongs to a scan of other length.
    """
    found = _read(given)
    named = _indices(found, scan)
    frames = named if found.evaluated is None else np.union1d(named, found.evaluated)
    beyond = frames[(frames < 0) | (frames >= scan.total)]
    if len(beyond) and not (scan.growing and beyond.min() >= 0):
        raise SettingsError(
            f"{found.source} names frame {beyond[-1]}, the scan has frames 0 to {scan.total - 1}"
            + (f" ({len(beyond)} such frames)" if len(beyond) > 1 else ""),
            "give the reject list of this scan",
            scan.file,
        )
    if not scan.growing:
        judged = found.origin.get("frames")
        if isinstance(judged, int) and judged != scan.total:
            raise SettingsError(
                f"{found.source} is for a scan of {judged} frames, this one has {scan.total}",
                "give the reject list of this scan",
                scan.file,
            )
        for doubt in (another_file(found.origin, scan.file), _other_positions(found, scan)):
            if doubt:
                warn(f"{found.source}: {doubt}: its {len(named)} frames are left out nevertheless")
    return named[named < scan.total]


def _read(given: Any) -> RejectList:
    if isinstance(given, np.ndarray | list | tuple):
        return RejectList(np.asarray(given))
    path = existing(given, "reject")
    readers = {".npy": _from_npy, ".json": _from_json, ".csv": _from_csv}
    if path.suffix not in readers:
        raise SettingsError(f"reject={str(given)!r} is of an unknown type", KINDS)
    return readers[path.suffix](path)


def _from_npy(path: Path) -> RejectList:
    values = load_npy(path)
    for name, which in KEPT.items():
        other = path.parent / f"{name}.npy"
        same = other.is_file() and len(values) and np.array_equal(load_npy(other), values)
        if path.stem == name or (same and path.stem != "reject_indices"):
            raise SettingsError(
                f"{path.name} lists the frames {which}, not those to leave out",
                "give reject_indices.npy",
                path,
            )
    return RejectList(values, path, origin=meta_beside(path, "reject_indices.npy"))


def _from_json(path: Path) -> RejectList:
    content = read_json(path, "give ptypy_indices.json")
    if not isinstance(content, dict) or "rejected_indices" not in content:
        raise FileError("Expected a key 'rejected_indices'", "give ptypy_indices.json", path)
    rejected = _listed(content, "rejected_indices", path)
    kept = _listed(content, "accepted_indices", path)
    evaluated = np.union1d(kept, rejected).astype(np.int64) if len(kept) else None
    return RejectList(rejected, path, evaluated, content)


def _listed(content: Mapping[str, Any], name: str, path: Path) -> NDArray[Any]:
    """Frames listed under this name in a JSON file, or a map of them."""
    try:
        values = np.asarray(content.get(name) or [])
    except ValueError as error:  # rows of several lengths
        raise FileError(
            f"{name} is not a list of frames", "give ptypy_indices.json", path
        ) from error
    if values.size and values.dtype.kind not in "biu":
        raise FileError(
            f"Expected whole numbers in {name}. Got {shown(values.ravel()[0])}",
            "give ptypy_indices.json",
            path,
        )
    return values if values.size else np.zeros(0, np.int64)


def _from_csv(path: Path) -> RejectList:
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
    except csv.Error as error:
        raise FileError(f"not readable as CSV ({error})", "give qc_summary.csv", path) from error
    if not rows:
        raise FileError("lists no frame", "give the qc_summary.csv of a finished run", path)
    if not {"index", "rejected"} <= rows[0].keys():
        raise FileError("Expected columns 'index' and 'rejected'", "give qc_summary.csv", path)
    try:
        evaluated = np.array([int(row["index"]) for row in rows])
        positions_m = np.array(
            [[float(row.get(name) or "nan") for name in ("pos_y", "pos_x")] for row in rows]
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise FileError(
            f"Expected whole numbers in column 'index' ({error})", "correct it", path
        ) from error
    marked = np.array([_true(row["rejected"] or "", path) for row in rows])
    return RejectList(
        evaluated[marked], path, evaluated, meta_beside(path, "qc_summary.csv"), positions_m
    )


def meta_beside(path: Path, name: str) -> Mapping[str, Any]:
    """Metadata that quality control wrote beside its file, if that still has its ``name``."""
    meta = path.parent / META
    if path.name != name or not meta.is_file():
        return {}
    try:
        content = read_json(meta, "")
    except FileError:
        return {}
    return content if isinstance(content, dict) else {}


def _true(text: str, path: Path) -> bool:
    known = {"true": True, "yes": True, "false": False, "no": False, "": False}
    word = text.strip().lower()
    if word in known:
        return known[word]
    try:
        return float(word) != 0
    except ValueError as error:
        raise FileError(
            f"Expected 0 or 1 in column 'rejected'. Got {text!r}", "correct it", path
        ) from error


def _indices(found: RejectList, scan: RejectTarget) -> Ints:
    """(m,) increasing frame numbers; from a map, those that are true."""
    values = found.rejected
    if values.size == 0:
        return np.zeros(0, np.int64)
    if values.dtype != np.bool_ and not np.issubdtype(values.dtype, np.integer):
        raise SettingsError(
            f"Expected whole frame indices in {found.source}. Got {values.dtype}",
            "give the numbers of the raw frames to reject",
        )
    # A map of 0 and 1 repeats them, which a list of frame numbers would not.
    repeated = values.size > len(np.unique(values))
    if values.dtype == np.bool_ or (repeated and np.isin(values, (0, 1)).all()):
        return _from_map(values.astype(np.bool_), found.source, scan)
    if values.ndim > 1:
        raise SettingsError(
            f"Expected a list of frames, or a map of 0 and 1, in {found.source}. "
            f"Got {values.shape} whole numbers",
            KINDS,
            scan.file,
        )
    return np.unique(values.astype(np.int64))


def _from_map(rejected: Bools, source: Path | str, scan: RejectTarget) -> Ints:
    grid = scan.grid or (0, 0)
    transposed = rejected.ndim == 2 and rejected.shape == grid[::-1] != grid
    each = scan.exposures if rejected.size * scan.exposures == scan.total else 1
    if transposed or (rejected.size * each != scan.total and not scan.growing):
        wanted = f"{grid[0]} x {grid[1]} positions" if transposed else f"{scan.total} frames"
        raise SettingsError(
            f"{source} is a map of {' x '.join(map(str, rejected.shape))} for a scan of {wanted}",
            "give a value for each raw frame",
            scan.file,
        )
    return np.flatnonzero(np.repeat(rejected.ravel(), each)).astype(np.int64)


def another_file(origin: Mapping[str, Any], file: Path | None) -> str:
    """Why ``file`` is not the one that ``origin`` names, in words; empty if it may be.

    They differ if both exist and are different files, or if their names differ.
    """
    name = origin.get("file")
    if not isinstance(name, str) or file is None:
        return ""
    was, now = Path(name), Path(file)
    try:
        moved = not was.exists() and was.name == now.name
        same = moved or (was.exists() and now.exists() and was.samefile(now))
    except OSError:
        same = was.name == now.name
    return "" if same else f"was made from {was}, not from {now}"


def _other_positions(found: RejectList, scan: RejectTarget) -> str:
    """Why positions or frames of the list are those of another scan; empty if they may not be."""
    if found.evaluated is None:
        return ""
    evaluated = found.evaluated[found.evaluated < scan.total]
    if len(evaluated) < scan.total and np.array_equal(evaluated, np.arange(len(evaluated))):
        return f"covers frames 0 to {len(evaluated) - 1} only, the scan has {scan.total}"
    if found.positions_m is None or scan.positions_m is None:
        return ""
    here_m = scan.positions_m[found.evaluated]
    away_m = np.linalg.norm(here_m - found.positions_m, axis=1)
    known = np.isfinite(away_m)
    number = np.count_nonzero(known)
    if number < 2:
        return ""
    usual_m = float(np.median(np.linalg.norm(np.diff(here_m[known], axis=0), axis=1)))
    other = np.count_nonzero(away_m[known] > 0.5 * usual_m)
    return f"has other positions for {other} of {number} frames" if other > number / 2 else ""
