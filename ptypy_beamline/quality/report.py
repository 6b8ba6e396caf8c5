"""The report of quality control: one page in which the decisions can be edited, self-contained."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from zlib import crc32

import numpy as np
from matplotlib.colors import to_hex

from ..errors import MissingDataError
from ..output.files import complete_file
from .assessment import Assessment
from .maps import events_png
from .thumbnails import (
    GENERATOR,
    PALETTE,
    Pictures,
    brightest,
    by_score,
    contact_sheet,
    data_url,
    grey_levels,
    indexed_png,
    written_by_qc,
)

PAGE_BYTES = 9_500_000
PICTURES_BYTES = 2_000_000
SHEET_BYTES = 4_500_000
"""Largest size of the page, of the larger pictures, and of the thumbnails of all frames: a larger
page opens slowly."""
PICTURE_PX = 288


def write_report(
    path: str | Path,
    assessment: Assessment,
    title: str,
    listed: Mapping[str, Any],
    pictures: Pictures,
    refresh_s: float | None = None,
) -> Path:
    """Write the report.

    Parameters
    ----------
    path
        An HTML file; complete or not there. An earlier report is replaced.
    assessment
        At least one frame.
    title
        Heading; any text.
    listed
        Description of the scan for the downloaded list: its ``file`` and more.
    pictures
        Raw frame → corrected counts, of the frames to be shown larger.
    refresh_s
        The browser reloads the page so often; edits are kept.

    Raises
    ------
    MissingDataError
        Bokeh is not installed.
    FileError
        ``path`` cannot be written or is another file.
    """
    page = _page(assessment, title, listed, pictures, refresh_s, Path(path).parent)
    with complete_file(path, ours=written_by_qc(Path(path))) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return Path(path)


def _page(
    assessment: Assessment,
    title: str,
    listed: Mapping[str, Any],
    pictures: Pictures,
    refresh_s: float | None,
    folder: Path,
) -> str:
    try:
        from bokeh.embed import components
        from bokeh.resources import Resources

        from .report_maps import interactive_maps, scales
    except ImportError as error:
        raise MissingDataError("the report needs Bokeh", "pip install bokeh") from error
    order = np.argsort(-assessment.score, kind="stable")
    parts = interactive_maps(assessment, order)
    script, roots = components({"maps": parts.maps, "table": parts.table})
    inline = Resources("inline", components=["bokeh", "bokeh-widgets", "bokeh-tables"])
    library = inline.render()
    data = {
        "pictures": _larger(assessment, pictures),
        "top": brightest(pictures),
        "key": "live" if refresh_s is not None else _key(assessment),
        "scales": scales(assessment),
        "listed": dict(listed),
    }
    room = PAGE_BYTES - len(library) - len(script) - len(json.dumps(data))
    sheet = contact_sheet(assessment.images[order], min(SHEET_BYTES, max(room, 200_000)))
    refresh = f'<meta http-equiv="refresh" content="{refresh_s:g}">' if refresh_s else ""
    return Template(_resource("report.html")).substitute(
        _texts(assessment, title, str(listed.get("file") or "")),
        events=_events(assessment, folder),
        generator=GENERATOR,
        refresh=refresh,
        style=_resource("report.css"),
        library=library,
        script=script,
        maps=roots["maps"],
        table=roots["table"],
        data=json.dumps({**data, "sheet": asdict(sheet)}).replace("<", "\\u003c"),
        ramp=", ".join(to_hex(colour / 255) for colour in PALETTE[::32]),
        behaviour=_resource("report_drawing.js") + _resource("report.js"),
    )


def _key(assessment: Assessment) -> str:
    """Identifies the decisions to which manual edits belong."""
    decided = np.concatenate([assessment.frames, assessment.rejected, assessment.score])
    return f"{crc32(decided.tobytes()):08x}"


def _texts(assessment: Assessment, title: str, source: str) -> dict[str, str]:
    """Texts of the page, as HTML."""
    known, counts = np.unique(assessment.labels[assessment.labels >= 0], return_counts=True)
    choices = [
        f'<option value="{label}">class {label} ({count:,})</option>'
        for label, count in zip(known, counts, strict=True)
    ]
    total = f"{len(assessment):,} frames"
    if assessment.total != len(assessment):
        total += f" of {assessment.total:,}"
    outside = int(np.count_nonzero(~assessment.masked))
    return {
        "title": escape(title),
        "source": escape(source),
        "list": f"reject_{re.sub(r'[^A-Za-z0-9_.-]+', '_', Path(source).stem) or 'scan'}.json",
        "total": total,
        "outside": f" · {outside:,} outside the region (pale)" if outside else "",
        "rule": escape(assessment.settings["rule"]),
        "labels": "".join(choices),
    }


def _events(assessment: Assessment, folder: Path) -> str:
    """Events of the beam or the stage, with a plot of the intensity."""
    if not assessment.events:
        return ""
    lines = [f"<li>{escape(line)}</li>" for line in assessment.remedies(folder)]
    plot = data_url(events_png(assessment))
    picture = f'<img id="strip" alt="Events of the scan" src="{plot}">'
    return f'<ul id="events">{"".join(lines)}</ul>{picture}'


def _larger(assessment: Assessment, pictures: Pictures) -> dict[int, str]:
    """Raw frame → data URL of its picture, by score until the space is used up."""
    top, room, found = brightest(pictures), PICTURES_BYTES, {}
    for row in by_score(assessment, pictures):
        frame = int(assessment.frames[row])
        url = data_url(indexed_png(grey_levels(pictures[frame], top, PICTURE_PX), step=8))
        room -= len(url)
        if room < 0:
            break
        found[frame] = url
    return found


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
