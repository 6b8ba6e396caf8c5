"""What quality control writes into a folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import FileError
from ..files.regular import read_json
from ..output.files import complete_file, renamed_together, write_text
from ..output.names import SIGNATURE, check_output_name
from ..planning.rejects import INTENSITY, META
from .assessment import Assessment
from .maps import draw_maps
from .report import write_report
from .thumbnails import Pictures, write_thumbnails


@dataclass(frozen=True)
class Folder:
    """The folder of one scan's quality control; an earlier run's files are replaced.

    Raises
    ------
    FileError
        It cannot be written, or contains a file that quality control did not write.
    """

    path: Path

    def __post_init__(self) -> None:
        check_output_name(self.path, folder=True)
        written = [
            self.path / name
            for name in (*_ARRAYS, "qc_summary.csv", "qc_maps.png", "qc_report.html", META)
        ]
        there = [file for file in written if file.exists()]
        if there and not self._is_ours():
            raise FileError(
                "exists and was not written by ptypy-beamline qc",
                "write to another folder (--out)",
                there[0],
            )

    def _is_ours(self) -> bool:
        try:
            known = read_json(self.path / META, "")
        except FileError:
            return False
        return isinstance(known, dict) and known.get(SIGNATURE) == "ptypy_beamline"

    def write(
        self,
        found: Assessment,
        pictures: Pictures,
        meta: Mapping[str, Any],
        title: str,
        thumbs_size: int = 256,
        refresh_s: float | None = None,
    ) -> None:
        """Write everything; ``meta`` goes into ``qc_meta.json`` besides the result.

        ``pictures``: raw frame → corrected frame, of those shown enlarged. ``refresh_s``:
        the report reloads itself at this interval.
        """
        listed = _scan_of_list(found, meta)
        with renamed_together():
            write_text(self.path / META, json.dumps({**_result(found), **meta}, indent=1))
            for name, values in _ARRAYS.items():
                with complete_file(self.path / name, ours=True) as temporary:
                    np.save(temporary, values(found))
            write_text(self.path / "qc_summary.csv", _table(found))
            draw_maps(self.path / "qc_maps.png", found, title)
            write_report(self.path / "qc_report.html", found, title, listed, pictures, refresh_s)
            write_thumbnails(self.path / "thumbs", found, pictures, title=title, size=thumbs_size)


def _features(found: Assessment) -> Floats:
    """(total, features) as measured, NaN where a raw frame was not evaluated."""
    return np.stack([found.per_frame(values) for values in found.features.values()], axis=1)


_ARRAYS: dict[str, Callable[[Assessment], NDArray[Any]]] = {
    "outlier_score.npy": lambda found: found.per_frame(found.score),
    "stxm.npy": lambda found: found.per_frame(found.stxm),
    "dpcx.npy": lambda found: found.per_frame(found.dpcx),
    "dpcy.npy": lambda found: found.per_frame(found.dpcy),
    "accept_indices.npy": lambda found: found.accept_indices,
    "reject_indices.npy": lambda found: found.reject_indices,
    "mask_indices.npy": lambda found: found.frames[found.masked],
    "features.npy": _features,
    INTENSITY: lambda found: found.beam,
}


def _result(found: Assessment) -> dict[str, Any]:
    """Summary in a few numbers."""
    return {
        SIGNATURE: "ptypy_beamline",
        "frames": found.total,
        "evaluated": len(found),
        "accepted": len(found.accept_indices),
        "rejected": len(found.reject_indices),
        "outside_region": int((~found.masked).sum()),
        "events": [one.record() for one in found.events],
        "features": list(found.features),
        "stxm": "log(1 + counts)",
        "positions_unit": found.unit or None,
        "qc": dict(found.settings),
    }


def _table(found: Assessment) -> str:
    """The rows as CSV; stage positions in metres, or as ``positions_unit`` of META says."""
    columns = {
        "index": found.frames,
        "pos_x": found.positions_m[:, 1],
        "pos_y": found.positions_m[:, 0],
        "score": found.score,
        "stxm": found.stxm,
        "dpcx": found.dpcx,
        "dpcy": found.dpcy,
        "label": found.labels,
        "masked": found.masked.astype(int),
        "rejected": found.rejected.astype(int),
    }
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return text.getvalue()


def _scan_of_list(found: Assessment, meta: Mapping[str, Any]) -> dict[str, Any]:
    """The scan to which a list of indices belongs."""
    return {name: meta.get(name) for name in ("file", "format", "paths")} | {"frames": found.total}


def write_indices(path: Path, found: Assessment, meta: Mapping[str, Any]) -> None:
    """The JSON that ``reject`` takes: file, format, paths, accepted and rejected raw frames."""
    content = {
        **_scan_of_list(found, meta),
        "accepted_indices": found.accept_indices.tolist(),
        "rejected_indices": found.reject_indices.tolist(),
    }
    check_indices(path)
    write_text(path, json.dumps(content, indent=1))


def check_indices(path: Path) -> None:
    """Refuse to replace a file that is not such a list.

    Raises
    ------
    FileError
        It exists and is something else.
    """
    if not path.exists():
        return
    try:
        known = read_json(path, "")
    except FileError:
        known = None
    if not isinstance(known, dict) or not {"accepted_indices", "rejected_indices"} <= set(known):
        raise FileError(
            "exists and is not a list of accepted and rejected frames",
            "write to another file (--emit-ptypy-json)",
            path,
        )
