"""One page on a scan: frame, mask, centre, positions, beam deflection, findings."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import in_picture
from ..output.figures import save_figure
from ..planning.plan import Plan
from ..planning.sample import Sample
from ..positions import step_m
from ..scan import Scan, Window
from ..units import in_words, length_unit
from .findings import Diagnosis
from .frame_features import FrameFeatures, measure_features, nearest_positions
from .orientation import Ranking
from .scan_sample import ScanSample

CIRCLES = 3
"""Positions in the middle of the scan that are drawn with the probe's circle."""

COUNTS, DECADES = "inferno", 1e-4
"""Colour map of counts, which shows structure in the bright beam, and the lower end of its
logarithmic scale over the upper one: fainter pixels are black."""

THIN = 3
"""Largest aspect ratio of a map of positions."""

USUAL, TIMES_USUAL, LONGEST_STEPS = 0.95, 2.0, 2.0
"""Quantile of the shifts of the centre of mass; the longest arrow shows at most this many times as
much, since that of a bad frame may be far larger; its length in steps of the scan."""

MOST_PX = 1024
"""Pixels on a side of a drawn image, at most; those of a large detector are averaged."""

LINES, WIDTH, GAP = 26, 58, 0.4
"""Lines of findings that fit, characters in a line, and lines between two findings."""

SIZES = (9, 8, 7, 6)
"""Font sizes in points; the first at which all findings fit is used."""

COLOURS = {"error": "#b3261e", "warning": "#a15c00", "note": "#333333"}


def draw(path: Path, diagnosis: Diagnosis) -> None:
    """Draw the data behind a diagnosis; nothing without ``diagnosis.sample``."""
    sample = diagnosis.sample
    if sample is None:
        return
    figure = Figure(figsize=(16, 10), layout="constrained")
    (raw, mask, loaded), (positions, deflection, text) = figure.subplots(2, 3)
    _raw(raw, sample)
    _mask(mask, sample)
    _loaded(loaded, sample)
    _positions(positions, sample)
    draw_deflection(deflection, sample)
    _text(text, diagnosis)
    name = in_picture(Path(sample.settings.file_name).name)
    figure.suptitle(f"{name}: check", x=0.01, ha="left")
    save_figure(path, figure, 110)


def _raw(axes: Axes, sample: ScanSample) -> None:
    """The mean of whole raw frames, with the window and the centres found."""
    show_raw(axes, sample.scan, sample.plan, "raw mean frame, window, beam centre")
    if not sample.totals.any() or not sample.ever_good.any():
        return
    centre = sample.centre
    for name, (y, x), sign in (
        ("used", centre.used_px, "+"),
        ("Friedel", centre.friedel_px, "x"),
        ("mass", centre.mass_px, "o"),
    ):
        axes.plot(
            x,
            y,
            sign,
            markersize=11,
            markerfacecolor="none",
            label=name,
            color="tab:red" if sign == "+" else "white",
            markeredgewidth=1.5,
        )
    axes.legend(loc="lower right", fontsize=8, facecolor="0.4", labelcolor="white")


def _mask(axes: Axes, sample: ScanSample) -> None:
    """Which pixels are good, static and in the sample."""
    level = sample.plan.good.astype(int) + (sample.plan.good & sample.good.all(0))
    colours = ListedColormap(["#b3261e", "#e8a33d", "#dfe7ee"])
    axes.imshow(level, cmap=colours, vmin=0, vmax=2, interpolation="nearest")
    axes.set(
        title=f"good pixels {sample.plan.good.mean():.1%} (red bad, orange bad in some frame)",
        xlabel="column",
        ylabel="row",
    )


def _loaded(axes: Axes, sample: ScanSample) -> None:
    """The mean of the loaded frames."""
    mean = np.where(sample.ever_good, sample.mean, np.nan)
    show_counts(axes, mean, f"as loaded, mean of {int(sample.illuminated.sum())}")
    axes.plot(*sample.plan.geometry.center_px[::-1], "+", color="tab:red", markersize=12)


def _positions(axes: Axes, sample: ScanSample) -> None:
    """Positions in the order they were visited, a few with circles as wide as the probe."""
    factor = show_positions(axes, sample.plan.positions_m)
    if sample.probe_share is None:
        return
    width = sample.probe_share * sample.field_m
    points_m = sample.plan.positions_m
    some = points_m[nearest_positions(points_m, np.median(points_m, axis=0), CIRCLES)] * factor
    size = np.full(len(some), width * factor)
    axes.add_collection(
        EllipseCollection(
            size,
            size,
            np.zeros(len(some)),
            units="xy",
            offsets=some[:, ::-1],
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors="black",
            linewidths=1.2,
            zorder=3,
        )
    )
    rim = size[0] / 2
    limit_axes(axes, np.concatenate([points_m * factor, some - rim, some + rim]))
    axes.set_title(f"positions in image axes, probe about {in_words(width, 3)}")


def show_positions(axes: Axes, positions_m: Floats) -> float:
    """Positions in the order they were visited; the factor from metres they are drawn with."""
    factor, unit = length_unit(float(np.ptp(positions_m, axis=0).max()))
    points = positions_m * factor
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    if len(steps) and np.median(steps) < 3 * factor * step_m(positions_m):  # not bidirectional
        axes.plot(points[:, 1], points[:, 0], "-", linewidth=0.4, color="0.6")
    area = min(9, 9 * 2500 / len(points))
    shown = axes.scatter(
        points[:, 1], points[:, 0], s=area, c=np.arange(len(points)), cmap="plasma", linewidths=0
    )
    axes.figure.colorbar(shown, ax=axes, shrink=0.8, label="position, in the order visited")
    axes.set(
        title="positions in image axes",
        xlabel=f"column, {unit}",
        ylabel=f"row, {unit}",
        aspect="equal",
    )
    limit_axes(axes, points)
    return factor


def limit_axes(axes: Axes, points: Floats) -> None:
    """Limits with a margin around (n, 2) row, column; rows run downwards."""
    low, high = points.min(0), points.max(0)
    size = np.maximum(high - low, max((high - low).max() / THIN, 1e-12)) * 1.1
    (y, x), (height, width) = (low + high) / 2, size / 2
    axes.set(xlim=(x - width, x + width), ylim=(y + height, y - height))


def draw_deflection(axes: Axes, sample: ScanSample) -> None:
    """Differential phase contrast: the shift of each frame's centre of mass."""
    factor, unit = length_unit(float(np.ptp(sample.plan.positions_m, axis=0).max()))
    axes.set(
        title="shift of the centre of mass (DPC)",
        xlabel=f"column, {unit}",
        ylabel=f"row, {unit}",
        aspect="equal",
    )
    if not sample.totals.any():
        return
    features = measure_features(sample.plan)
    points, (arrows, shift_px, longest_px) = features.positions_m * factor, _arrows(features)
    row, column = arrows.T * factor
    shown = axes.quiver(
        *points.T[::-1],
        column,
        row,
        shift_px,
        angles="xy",
        scale_units="xy",
        scale=1,
        cmap=colormaps["viridis"].with_extremes(over="tab:red"),
        norm=Normalize(0, longest_px),
        width=0.004,
    )
    larger = int((shift_px > longest_px).sum())
    label, extend = "shift, detector pixels", "max" if larger else "neither"
    axes.figure.colorbar(shown, ax=axes, shrink=0.8, label=label, extend=extend)
    title = f"{axes.get_title()}\nlongest arrow {longest_px:.2g} px"
    axes.set_title(f"{title}; {larger} larger shifts in red" if larger else title)
    limit_axes(axes, points)


def _arrows(features: FrameFeatures) -> tuple[Floats, Floats, float]:
    """(n, 2) arrows in metres, (n,) the shifts of the centre of mass in pixels, and the longest.

    Larger shifts, those of bad frames, have arrows of that length, too.
    """
    shift = features.com_px - np.nanmedian(features.com_px, axis=0)
    shift_px = np.hypot(shift[:, 0], shift[:, 1])
    usual_px, most_px = np.nanquantile(shift_px, (USUAL, 1)).tolist()
    longest_px = max(min(TIMES_USUAL * usual_px, most_px), 1e-6)
    longest_m = LONGEST_STEPS * step_m(np.unique(features.positions_m, axis=0))
    return shift * (longest_m / np.maximum(shift_px, longest_px))[:, None], shift_px, longest_px


def _text(axes: Axes, diagnosis: Diagnosis) -> None:
    """The findings, as many as fit, worst first."""
    axes.set_axis_off()
    ranking = _ranking(diagnosis.ranking)
    axes.text(0, 0, "\n".join(ranking), va="bottom", fontsize=9, family="monospace")
    room = LINES - 1.2 * len(ranking)
    for size in SIZES:
        scale = SIZES[0] / size
        blocks = [
            textwrap.wrap(in_picture(str(finding)), int(WIDTH * scale))
            for finding in diagnosis.findings
        ]
        if sum(len(block) + GAP for block in blocks) <= room * scale:
            break
    row = 0.0
    for finding, block in zip(diagnosis.findings, blocks, strict=True):
        whole = row + len(block) <= room * scale
        for line in block if whole else ["… more are printed"]:
            axes.text(
                0,
                1 - row / (LINES * scale),
                line,
                va="top",
                fontsize=size,
                color=COLOURS[finding.level],
            )
            row += 1
        if not whole:
            return
        row += GAP


def _ranking(ranking: Ranking | None) -> list[str]:
    """How well each pair of orientations predicts held-out frames; nothing without a ranking."""
    if ranking is None:
        return []
    rows = [
        f"  {p.orientation} or {p.conjugate_twin}: validation error {p.error:.3f}, "
        f"DPC curl {p.curl:.2f}"
        for p in ranking.pairs
    ]
    sure = f"confidence {ranking.confidence:.3f}" if ranking.decided else "not decided"
    return [f"orientations, best first ({sure})", *rows]


def show_raw(axes: Axes, scan: Scan, plan: Plan, title: str) -> None:
    """The mean of some whole raw frames, and the window."""
    raw, window = Sample(scan.frames, Window.full(scan.frame_shape)), plan.window
    steps = block_size(scan.frame_shape)
    mean = sum(block_means(frame, steps) for frame in raw) / len(raw)
    show_counts(axes, np.asarray(mean), title, steps)
    axes.add_patch(
        Rectangle(
            (window.left - 0.5, window.top - 0.5),
            window.width,
            window.height,
            fill=False,
            edgecolor="tab:red",
            linewidth=2,
            clip_on=False,
            zorder=3,
        )
    )


def block_size(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns that make one of a drawn image."""
    return -(-shape[0] // MOST_PX), -(-shape[1] // MOST_PX)


def block_means(image: NDArray[Any], steps: tuple[int, int]) -> Floats:
    """Means of blocks of ``steps`` pixels; what is left over at the end is left out."""
    (down, across), (rows, columns) = steps, image.shape
    cut = image[: rows // down * down, : columns // across * across]
    blocks = cut.reshape(rows // down, down, columns // across, across)
    return np.asarray(blocks.mean((1, 3), dtype=np.float64))


def show_counts(
    axes: Axes, image: NDArray[Any], title: str, steps: tuple[int, int] = (1, 1)
) -> None:
    """An image of counts on a logarithmic scale; NaN stays empty.

    ``steps``: detector pixels that a pixel of the image stands for.
    """
    positive = image[np.isfinite(image) & (image > 0)]
    low, high = (positive.min(), positive.max()) if positive.size else (0.1, 1.0)
    norm = LogNorm(max(low, high * DECADES), max(high, low * 1.01), clip=True)
    bottom, right = (n * step - 0.5 for n, step in zip(image.shape, steps, strict=True))
    extent = (-0.5, right, bottom, -0.5)
    shown = axes.imshow(image, norm=norm, cmap=COUNTS, interpolation="nearest", extent=extent)
    axes.figure.colorbar(shown, ax=axes, shrink=0.8, label="mean counts per frame")
    axes.set(title=title, xlabel="column", ylabel="row")
