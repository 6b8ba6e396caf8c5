"""Lists of frames to leave out, and whether they are of the scan that they are given for."""

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
"""What quality control writes of the intensity of the beam, for ``monitor``."""
KEPT = {"accept_indices": "that are kept", "mask_indices": "inside the region"}
"""Lists of quality control that name other frames than those to leave out."""


@dataclass(frozen=True, eq=False)
class ListedFrames:
    """What a list must fit.

    Attributes
    ----------
    total
        Raw frames of the files.
    file
        The scan's.
    grid
        (rows, columns) where the positions form a raster.
    exposures
        Of each position.
    positions_m
        (total, 2) y, x on the stage, NaN where unknown; None where they are not to be compared.
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
    """What a list says.

    Attributes
    ----------
    rejected
        Whole numbers, or a map: booleans or 0 and 1.
    source
        The list's file, or ``reject``.
    judged
        Frames that were judged, those that are kept included; None where it is not said.
    made_of
        The scan's file and its number of frames, where that is known.
    positions_m
        (len(judged), 2) y, x, where they are said.
    """

    rejected: NDArray[Any]
    source: Path | str = "reject"
    judged: Ints | None = None
    made_of: Mapping[str, Any] = field(default_factory=dict)
    positions_m: Floats | None = None


def rejected_frames(given: Any, of: ListedFrames) -> Ints:
    """Raw frames to leave out, from a list, a map or any file that quality control writes.

    Warns where the list seems to be another scan's.

    Raises
    ------
    FileError
        The file is missing, empty or no such list.
    SettingsError
        It names frames that are not there, or those to keep, or is of a scan of another length.
    """
    found = _read(given)
    named = _indices(found, of)
    frames = named if found.judged is None else np.union1d(named, found.judged)
    beyond = frames[(frames < 0) | (frames >= of.total)]
    if len(beyond) and not (of.growing and beyond.min() >= 0):
        raise SettingsError(
            f"{found.source} names frame {beyond[-1]}, the scan has frames 0 to {of.total - 1}"
            + (f" ({len(beyond)} such frames)" if len(beyond) > 1 else ""),
            "give the reject list of this scan",
            of.file,
        )
    if not of.growing:
        _check_length(found, of)
        for doubt in (another_file(found.made_of, of.file), _other_positions(found, of)):
            if doubt:
                warn(f"{found.source}: {doubt}: its {len(named)} frames are left out nevertheless")
    return named[named < of.total]


def _read(given: Any) -> RejectList:
    if isinstance(given, set | frozenset | range):
        given = sorted(given)
    if isinstance(given, np.ndarray | list | tuple):
        return RejectList(np.asarray(given))
    if not isinstance(given, str | Path):
        raise SettingsError(f"reject={shown(given)} is of an unknown kind", KINDS)
    path = existing(given, "reject")
    readers = {".npy": _of_npy, ".json": _of_json, ".csv": _of_csv}
    if path.suffix not in readers:
        raise SettingsError(f"reject={str(given)!r} is of an unknown kind", KINDS)
    return readers[path.suffix](path)


def _of_npy(path: Path) -> RejectList:
    values = load_npy(path)
    for name, which in KEPT.items():
        other = path.parent / f"{name}.npy"
        same = other.is_file() and other != path and len(values) and _same(load_npy(other), values)
        if path.stem == name or (same and path.stem != "reject_indices"):
            raise SettingsError(
                f"{path.name} lists the frames {which}, not those to leave out",
                "give reject_indices.npy",
                path,
            )
    return RejectList(values, path, made_of=meta_beside(path, "reject_indices.npy"))


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return bool(np.array_equal(one, other))


def _of_json(path: Path) -> RejectList:
    content = read_json(path, "give ptypy_indices.json")
    if not isinstance(content, dict) or "rejected_indices" not in content:
        raise FileError("Expected a key 'rejected_indices'", "give ptypy_indices.json", path)
    rejected, kept = (
        _listed(content, name, path) for name in ("rejected_indices", "accepted_indices")
    )
    judged = np.union1d(kept, rejected).astype(np.int64) if len(kept) else None
    return RejectList(rejected, path, judged, content)


def _listed(content: Mapping[str, Any], name: str, path: Path) -> NDArray[Any]:
    """The frames that a JSON file lists by this name, or a map of them."""
    try:
        values = np.asarray(content.get(name) or [])
    except ValueError as error:  # rows of several lengths
        raise FileError(f"{name} is no list of frames", "give ptypy_indices.json", path) from error
    if values.size and values.dtype.kind not in "biu":
        raise FileError(
            f"Expected whole numbers in {name}. Got {shown(values.ravel()[0])}",
            "give ptypy_indices.json",
            path,
        )
    return values if values.size else np.zeros(0, np.int64)


def _of_csv(path: Path) -> RejectList:
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
    except csv.Error as error:
        raise FileError(f"not readable as CSV ({error})", "give qc_summary.csv", path) from error
    if not rows:
        raise FileError("lists no frame", "give the qc_summary.csv of a finished run", path)
    if not {"index", "rejected"} <= rows[0].keys():
        raise FileError("Expected columns 'index' and 'rejected'", "give qc_summary.csv", path)
    try:
        judged = np.array([int(row["index"]) for row in rows])
        places = np.array(
            [[float(row.get(name) or "nan") for name in ("pos_y", "pos_x")] for row in rows]
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise FileError(
            f"Expected whole numbers in column 'index' ({error})", "correct it", path
        ) from error
    marked = np.array([_true(row["rejected"] or "", path) for row in rows])
    return RejectList(judged[marked], path, judged, meta_beside(path, "qc_summary.csv"), places)


def meta_beside(path: Path, name: str) -> Mapping[str, Any]:
    """What quality control says of the scan, beside a file of its that still has its ``name``."""
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


def _indices(found: RejectList, of: ListedFrames) -> Ints:
    """(m,) increasing; of a map those that are true."""
    values = found.rejected
    if values.size == 0:
        return np.zeros(0, np.int64)
    if values.dtype != np.bool_ and not np.issubdtype(values.dtype, np.integer):
        raise SettingsError(
            f"Expected whole frame indices in {found.source}. Got {values.dtype}",
            "give the indices of the raw frames to leave out",
        )
    if _is_map(values):
        return _of_map(values.astype(np.bool_), found.source, of)
    if values.ndim > 1:
        raise SettingsError(
            f"Expected a list of frames, or a map of 0 and 1, in {found.source}. "
            f"Got {values.shape} whole numbers",
            KINDS,
            of.file,
        )
    return np.unique(values.astype(np.int64))


def _is_map(values: NDArray[Any]) -> bool:
    """Booleans, or nothing but 0 and 1 more often than a list of frames would name them."""
    return values.dtype == np.bool_ or bool(
        np.isin(values, (0, 1)).all() and values.size > len(np.unique(values))
    )


def _of_map(out: Bools, source: Path | str, of: ListedFrames) -> Ints:
    turned = of.grid is not None and out.ndim == 2 and out.shape == of.grid[::-1] != of.grid
    each = of.exposures if out.size * of.exposures == of.total else 1
    if turned or (out.size * each != of.total and not of.growing):
        wanted = f"{of.grid[0]} x {of.grid[1]} positions" if turned and of.grid else ""
        wanted = wanted or f"{of.total} frames"
        raise SettingsError(
            f"{source} is a map of {' x '.join(map(str, out.shape))} for a scan of {wanted}",
            "give a value for each raw frame",
            of.file,
        )
    return np.flatnonzero(np.repeat(out.ravel(), each)).astype(np.int64)


def _check_length(found: RejectList, of: ListedFrames) -> None:
    frames = found.made_of.get("frames")
    if isinstance(frames, int) and frames != of.total:
        raise SettingsError(
            f"{found.source} is of a scan of {frames} frames, this one has {of.total}",
            "give the reject list of this scan",
            of.file,
        )


def another_file(made_of: Mapping[str, Any], file: Path | None) -> str:
    """What speaks against ``file`` being the one of :func:`meta_beside`: both are there, or names
    differ.
    """
    name = made_of.get("file")
    if not isinstance(name, str) or file is None:
        return ""
    was, now = Path(name), Path(file)
    try:
        moved = not was.exists() and was.name == now.name
        same = moved or (was.exists() and now.exists() and was.samefile(now))
    except OSError:
        same = was.name == now.name
    return "" if same else f"was made of {was}, not of {now}"


def _other_positions(found: RejectList, of: ListedFrames) -> str:
    """Whether most frames were taken elsewhere than the list says, or it ends before the scan."""
    if found.judged is None:
        return ""
    judged = found.judged[found.judged < of.total]
    if len(judged) < of.total and np.array_equal(judged, np.arange(len(judged))):
        return f"judges frames 0 to {len(judged) - 1} only, the scan has {of.total}"
    if found.positions_m is None or of.positions_m is None:
        return ""
    here_m = of.positions_m[found.judged]
    away_m = np.linalg.norm(here_m - found.positions_m, axis=1)
    known = np.isfinite(away_m)
    if np.count_nonzero(known) < 2:
        return ""
    step_m = float(np.median(np.linalg.norm(np.diff(here_m[known], axis=0), axis=1)))
    other = int(np.count_nonzero(away_m[known] > 0.5 * step_m))
    if other <= np.count_nonzero(known) / 2:
        return ""
    return f"has other positions for {other} of {np.count_nonzero(known)} frames"
