"""Pictures of frames: a folder of the most unusual ones, and small ones of all in one image."""

from __future__ import annotations

import io
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..arrays import Bytes, Float32s
from ..errors import FileError
from ..output.files import complete_folder
from .assessment import Assessment
from .map_areas import length_unit

GENERATOR = '<meta name="generator" content="ptypy_beamline qc">'
THUMBNAIL_FILES = re.compile(r"index\.html|frame_\d{6,}\.png")
Pictures = Mapping[int, Float32s]
"""Raw frame → its corrected counts (ny, nx)."""

PALETTE = np.round(255 * matplotlib.colormaps["inferno"](np.linspace(0, 1, 256))[:, :3])


def write_thumbnails(
    folder: str | Path,
    assessment: Assessment,
    pictures: Pictures,
    size: int = 256,
    title: str = "Frames that stand out",
) -> Path:
    """Write ``folder/index.html`` and one ``frame_000123.png`` for each picture, by score.

    The folder is written completely or not at all, and replaces an earlier one.

    Parameters
    ----------
    folder
        Where to write; missing parent folders are made.
    assessment
        Has a row for each picture.
    pictures
        Raw frame → corrected counts.
    size
        Longest side of a picture, pixels.
    title
        Of the page.

    Raises
    ------
    FileError
        ``folder`` is not one that this function wrote, or cannot be written.
    """
    rows = by_score(assessment, pictures)
    top = brightest(pictures)
    _refuse_foreign(Path(folder).resolve())
    with complete_folder(Path(folder)) as temporary:
        for row in rows:
            frame = int(assessment.frames[row])
            png = indexed_png(grey_levels(pictures[frame], top, size))
            (temporary / _name(frame)).write_bytes(png)
        page = _page(assessment, rows, top, title, size)
        (temporary / "index.html").write_text(page, encoding="utf-8", errors="replace")
    return Path(folder)


def by_score(assessment: Assessment, pictures: Pictures) -> NDArray[np.intp]:
    """Rows of the frames that have a picture, the highest score first."""
    rows = np.flatnonzero(np.isin(assessment.frames, list(pictures)))
    return rows[np.argsort(-assessment.score[rows], kind="stable")]


def brightest(pictures: Pictures) -> float:
    """Counts at the top of the common scale, robust against a few hot pixels."""
    known = [np.nan_to_num(image, posinf=0) for image in pictures.values()]
    return max([1.0, *(float(np.percentile(image, 99.9)) for image in known)])


def grey_levels(counts: Float32s, top: float, size: int) -> Bytes:
    """Counts as 0…255 on a logarithmic scale, the longest side made ``size`` pixels."""
    image = Image.fromarray(np.nan_to_num(counts.astype(np.float32), posinf=top).clip(0))
    scale = size / max(image.size)
    shape = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    logarithm = np.log1p(np.asarray(image.resize(shape, way))) / np.log1p(top)
    found: Bytes = np.round(255 * logarithm.clip(0, 1)).astype(np.uint8)
    return found


def indexed_png(values: Bytes, step: int = 1) -> bytes:
    """(ny, nx) values as a PNG in false colours; ``step`` > 1 keeps fewer colours and bytes."""
    image = Image.fromarray(np.ascontiguousarray(values // step))
    colours = PALETTE[:: max(step, 1)]
    colours = PALETTE[np.linspace(0, 255, len(colours)).round().astype(int)]
    image.putpalette(colours.astype(np.uint8).tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=9, bits=max(1, (len(colours) - 1).bit_length()))
    return file.getvalue()


def written_by_qc(page: Path) -> bool:
    """Whether an HTML file is a page that quality control wrote."""
    try:
        with page.open("rb") as file:
            return GENERATOR.encode() in file.read(4096)
    except OSError:
        return False


def _name(frame: int) -> str:
    return f"frame_{frame:06d}.png"


STYLE = """
body { margin: 24px; font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #1d2733; }
h1 { font-size: 20px; margin: 0 0 4px; }
p { margin: 0 0 18px; color: #4d5a68; }
main { display: flex; flex-wrap: wrap; gap: 18px; }
figure { margin: 0; border: 2px solid #d5dce3; border-radius: 6px; padding: 8px; width: SIZEpx; }
figure.rejected { border-color: #d4003c; }
img { display: block; width: 100%; image-rendering: pixelated; background: #000; }
figcaption { margin-top: 6px; font-size: 13px; }
.badge { float: right; color: #fff; background: #d4003c; border-radius: 3px; padding: 0 6px; }
.kept { background: #4d5a68; }
"""


def _page(assessment: Assessment, rows: NDArray[np.intp], top: float, title: str, size: int) -> str:
    extent = float(np.ptp(assessment.positions_m, axis=0).max())
    unit = length_unit(extent, assessment.unit)
    figures = "\n".join(_figure(assessment, int(row), unit) for row in rows)
    summary = (
        f"{len(rows)} of {len(assessment):,} frames, the highest score first. "
        f"Corrected counts, the same logarithmic colours for all: 0 to {top:,.0f}."
    )
    style = STYLE.replace("SIZE", str(min(max(size, 160), 512)))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{GENERATOR}\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{summary}</p>\n<main>\n{figures}\n</main>\n</body>\n</html>\n"
    )


def _figure(assessment: Assessment, row: int, unit: tuple[float, str]) -> str:
    frame, rejected = int(assessment.frames[row]), bool(assessment.rejected[row])
    y, x = assessment.positions_m[row] * unit[0]
    badge = ("badge", "rejected") if rejected else ("badge kept", "accepted")
    return (
        f'<figure class="{"rejected" if rejected else "accepted"}">'
        f'<img src="{_name(frame)}" alt="frame {frame}">'
        f'<figcaption><span class="{badge[0]}">{badge[1]}</span><b>frame {frame}</b><br>'
        f"score {assessment.score[row]:.4f}<br>"
        f"deviation {assessment.deviation[row]:.1f}{':' if rejected else ', nearest to'} "
        f"{escape(str(assessment.reason[row]).replace('_', ' '))}<br>"
        f"x {x:.6g} {unit[1]}, y {y:.6g} {unit[1]}</figcaption></figure>"
    )


def _refuse_foreign(target: Path) -> None:
    """Refuse to replace anything that this module did not write."""
    if not target.exists():
        return
    found = list(target.iterdir()) if target.is_dir() else [target]
    strange = [item for item in found if not THUMBNAIL_FILES.fullmatch(item.name)]
    if found and (strange or not written_by_qc(target / "index.html")):
        raise FileError(
            "exists and was not written by ptypy_beamline",
            "write to another folder, or remove it first",
            target,
        )


TILE_SIDES = (64, 48, 40, 32, 28, 24, 20, 16, 12, 8)
TILE_STEP = 16
"""Values that share a colour: 16 colours take half the bytes of 256, and suffice for thumbnails."""
TILE_SAMPLE = 300
"""Tiles from which the size of all is estimated."""


@dataclass(frozen=True)
class ContactSheet:
    """One PNG of square tiles in reading order, and how to find them.

    Attributes
    ----------
    url
        The image itself, as a data URL.
    side
        Of a tile, pixels.
    columns
        Tiles in a row.
    count
        Tiles.
    """

    url: str
    side: int
    columns: int
    count: int


def contact_sheet(images: Bytes, budget: int) -> ContactSheet:
    """The largest tiles whose PNG fits ``budget`` bytes as a data URL.

    Where even the smallest are too many, the last ones are left out.

    Parameters
    ----------
    images
        (n, s, s), the most important first.
    budget
        Bytes.
    """
    sides = [side for side in TILE_SIDES if side < images.shape[1]]
    sides = [images.shape[1], *sides] if images.shape[1] <= TILE_SIDES[0] else sides
    sample = images[:: max(1, len(images) // TILE_SAMPLE)]
    cost = 0.0
    for side in sides:
        cost = len(_sheet(shrink(sample, side)).url) / len(sample)
        if cost * len(images) > budget:
            continue
        sheet = _sheet(shrink(images, side))
        if len(sheet.url) <= budget:
            return sheet
    return _sheet(shrink(images[: max(1, int(0.9 * budget / cost))], sides[-1]))


def shrink(images: Bytes, side: int) -> Bytes:
    """(n, s, s) as (n, side, side): each value is the mean over the area it covers."""
    old = images.shape[1]
    if side == old:
        return images
    edges = np.arange(side + 1) * old / side
    low = np.maximum(edges[:-1, None], np.arange(old))
    high = np.minimum(edges[1:, None], np.arange(1, old + 1))
    weights = ((high - low).clip(0) * side / old).astype(np.float32)
    small = np.empty((len(images), side, side), np.uint8)
    for start in range(0, len(images), 2048):  # as floats all of them may not fit the memory
        part = images[start : start + 2048].astype(np.float32)
        small[start : start + 2048] = np.round(weights @ part @ weights.T)
    return small


def _sheet(tiles: Bytes) -> ContactSheet:
    """The tiles in one image."""
    count, side = tiles.shape[:2]
    columns = max(1, int(np.ceil(np.sqrt(count))))
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, side, side), np.uint8)
    sheet[:count] = tiles
    image = sheet.reshape(rows, columns, side, side).swapaxes(1, 2)
    png = indexed_png(image.reshape(rows * side, columns * side), TILE_STEP)
    return ContactSheet(data_url(png), side, columns, count)


def data_url(png: bytes) -> str:
    """A PNG as text that a page can hold."""
    return "data:image/png;base64," + b64encode(png).decode()
