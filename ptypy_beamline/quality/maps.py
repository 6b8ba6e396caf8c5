"""Maps of what was measured of each frame, and the events of a scan against time."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..arrays import Floats
from ..errors import in_picture
from ..output.figures import save_figure
from ..statistics.events import intensity
from .assessment import Assessment
from .map_areas import MapAreas, length_unit, map_areas

INK, BACKGROUND, REJECTED = "#1d2733", "#e9edf1", "#d4003c"
SIDE_PX, EVENTS_INCHES = 520, 2.5
REACH = 0.95
"""How far the area of a frame reaches from its position, in steps, to leave no holes with jitter.
"""


@dataclass(frozen=True)
class Panel:
    """One of the maps: an attribute of :class:`Assessment` and how it is shown."""

    name: Literal["deviation", "stxm", "dpcx", "dpcy"]
    title: str
    unit: str
    colours: str

    def limits(self, assessment: Assessment) -> tuple[float, float]:
        """Colour limits that ignore outliers and rejected frames.

        Deviations end where frames are rejected; both shifts share one range.
        """
        if self.name == "deviation":
            return 0.0, 1.0
        names = ("dpcx", "dpcy") if self.name != "stxm" else ("stxm",)
        kept = ~assessment.rejected & assessment.masked
        values = np.concatenate([getattr(assessment, name)[kept] for name in names])
        if not np.isfinite(values).any():
            values = np.concatenate([getattr(assessment, name) for name in names])
        values = values[np.isfinite(values)]
        if not len(values):
            return 0.0, 1.0
        low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
        if self.name != "stxm":
            high = max(abs(low), abs(high), 1e-6)
            return -high, high
        margin = 1e-6 * max(abs(high), 1.0) if high <= low else 0.0
        return low - margin, high + margin


PANELS = (
    Panel("deviation", "Deviation, 1 is rejected", "of the limit", "viridis"),
    Panel("stxm", "STXM, transmitted", "log(1 + counts)", "cividis"),
    Panel("dpcx", "DPC-X, shift along columns", "pixels", "gray"),
    Panel("dpcy", "DPC-Y, shift along rows", "pixels", "gray"),
)


def draw_maps(path: Path, assessment: Assessment, title: str = "") -> None:
    """Draw deviation, STXM and differential phase contrast as a PNG.

    Rows run downwards, as in pictures of the reconstruction. Rejected frames are ringed; frames
    outside the region are pale.

    Parameters
    ----------
    path
        The picture; complete or not there. An existing one is replaced.
    assessment
        At least one frame.
    title
        Of the picture.
    """
    areas = map_areas(assessment.positions_m)
    left, right, bottom, top = areas.window()
    factor, unit = length_unit(right - left, assessment.unit)
    window = (left * factor, right * factor, bottom * factor, top * factor)
    nearest = nearest_frames(areas)
    shape = (bottom - top) / (right - left)
    rows = 1 if shape > 1.7 else 2
    figure = _figure(shape, rows, title, assessment)
    maps: Figure | SubFigure = figure
    if assessment.events:
        height = figure.get_figheight()
        figure.set_figheight(height + EVENTS_INCHES)
        parts: Any = figure.subfigures(2, 1, height_ratios=[height, EVENTS_INCHES])
        maps = parts[0]
        draw_events(parts[1].add_subplot(), assessment)
    for number, panel in enumerate(PANELS, 1):
        axes = maps.add_subplot(rows, 4 // rows, number)
        _map(axes, panel, assessment, nearest, window)
        _ring_rejected(axes, areas, assessment, factor)
        axes.set_xlabel(f"x ({unit})", color=INK)
        axes.set_ylabel(f"y ({unit})", color=INK)
    save_figure(path, figure, ours=True)


def nearest_frames(areas: MapAreas) -> NDArray[np.intp]:
    """(rows, columns) image of the frame that is nearest, −1 where none is near."""
    left, right, bottom, top = areas.window()
    pixel = max(right - left, bottom - top) / SIDE_PX
    rows = np.linspace(top, bottom, round((bottom - top) / pixel), endpoint=False) + pixel / 2
    columns = np.linspace(left, right, round((right - left) / pixel), endpoint=False) + pixel / 2
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1) / areas.step
    reach = REACH * (areas.position_sizes / areas.step).max(1)
    distance, frame = cKDTree(areas.centers / areas.step).query(
        points, distance_upper_bound=reach.max()
    )
    near = distance <= np.append(reach, 0)[frame]
    for axis in (0, 1):  # straight edges for straight scans
        low = (areas.centers - areas.sizes / 2)[:, axis].min() / areas.step[axis]
        high = (areas.centers + areas.sizes / 2)[:, axis].max() / areas.step[axis]
        near &= (points[..., axis] >= low) & (points[..., axis] <= high)
    image: NDArray[np.intp] = np.where(near, frame, -1)
    return image


def _figure(shape: float, rows: int, title: str, assessment: Assessment) -> Figure:
    height = float(np.clip(12 * shape if rows > 1 else 2.6 * shape, 5, 13)) + 1.2
    figure = Figure(figsize=(14, height), dpi=100, layout="constrained")
    title = in_picture(title or "Quality control")
    figure.suptitle(title, x=0.012, ha="left", fontsize=15, color=INK, fontweight="bold")
    words = f"{len(assessment):,} frames, {np.count_nonzero(assessment.rejected):,} rejected"
    outside = np.count_nonzero(~assessment.masked)
    if outside:
        words += f", {outside:,} outside the region (pale)"
    ring = Line2D(
        [],
        [],
        marker="o",
        linestyle="",
        markersize=9,
        markeredgecolor=REJECTED,
        markerfacecolor="none",
        markeredgewidth=1.1,
        label=words,
    )
    figure.legend(handles=[ring], loc="upper right", frameon=False, fontsize=11, labelcolor=INK)
    return figure


def _map(
    axes: Axes,
    panel: Panel,
    assessment: Assessment,
    nearest: NDArray[np.intp],
    window: tuple[float, float, float, float],
) -> None:
    values = getattr(assessment, panel.name)
    low, high = panel.limits(assessment)
    ramp = matplotlib.colormaps[panel.colours].with_extremes(bad=BACKGROUND)
    colours = ScalarMappable(Normalize(low, high), ramp)
    shown = colours.to_rgba(np.ma.masked_invalid(values))
    shown[~assessment.masked, :3] = 0.25 * shown[~assessment.masked, :3] + 0.75
    axes.imshow(np.vstack([shown, (0, 0, 0, 0)])[nearest], extent=window, interpolation="nearest")
    axes.set_facecolor(BACKGROUND)
    axes.set_title(panel.title, loc="left", fontsize=12, color=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4 if nearest.shape[1] < SIDE_PX / 1.7 else 6))
        axis.set_major_formatter(ScalarFormatter(useOffset=False))
    axes.tick_params(colors=INK, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
    tall = max(nearest.shape[0] / nearest.shape[1], 1)
    bar = axes.figure.colorbar(
        colours,
        ax=axes,
        fraction=0.046,
        pad=0.02,
        aspect=20 * tall,
        extend=_beyond(values, low, high),
        format=ScalarFormatter(useMathText=True),
    )
    bar.set_label(panel.unit, color=INK)
    bar.outline.set_visible(False)


def _beyond(values: Floats, low: float, high: float) -> str:
    """On which sides the colour bar ends in an arrow."""
    under, over = bool(np.any(values < low)), bool(np.any(values > high))
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[under, over]


def _ring_rejected(axes: Axes, areas: MapAreas, assessment: Assessment, factor: float) -> None:
    """Ring the rejected frames, with white underneath to show on any colour."""
    y, x = (areas.centers[assessment.rejected] * factor).T
    left, right = axes.get_xlim()
    points = 400 * float(np.median(areas.sizes)) * factor / (right - left)
    size = float(np.clip(1.1 * points, 6, 18))
    for colour, width in (("white", 2.2), (REJECTED, 1.1)):
        axes.scatter(x, y, s=size**2, facecolors="none", edgecolors=colour, linewidths=width)


DOTS, EVENT_COLOURS = "#9aa7b4", ("#d4003c", "#e08a00", "#0072b2", "#7a4fa3")
WHOLE = 0.95
"""An event that covers more of the scan is not shaded, only named."""


def draw_events(axes: Axes, assessment: Assessment) -> None:
    """Counts of each frame, and the intensity according to the events, against frame number."""
    counts = np.expm1(assessment.stxm)
    positive = counts[counts > 0]
    relative = counts / (float(np.median(positive)) if len(positive) else 1.0)
    label = "counts of the frame / median (beam and sample)"
    axes.plot(assessment.frames, relative, ".", color=DOTS, markersize=3, label=label)
    beam = np.nan_to_num(intensity(assessment.events, assessment.total))
    label = "beam intensity according to these events"
    axes.plot(beam, color=INK, linewidth=1.3, drawstyle="steps-mid", label=label)
    for number, event in enumerate(assessment.events):
        colour, length = EVENT_COLOURS[number % len(EVENT_COLOURS)], event.last - event.first + 1
        shaded = length < WHOLE * assessment.total
        if shaded:
            axes.axvspan(event.first - 0.5, event.last + 0.5, color=colour, alpha=0.18, linewidth=0)
        axes.plot([], [], color=colour, linewidth=7 if shaded else 0, alpha=0.4, label=event.what)
    axes.set_xlim(-0.5, assessment.total - 0.5)
    axes.set_ylim(0, 1.1 * float(np.percentile(relative, 99.5)) + 0.1)
    axes.set_xlabel("raw frame number", color=INK)
    axes.set_ylabel("intensity, relative", color=INK)
    axes.set_title("Events of the scan", loc="left", fontsize=12, color=INK)
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.3),
        ncols=2,
        fontsize=8.5,
        labelcolor=INK,
        frameon=False,
        borderaxespad=0,
    )


def events_png(assessment: Assessment) -> bytes:
    """The same as a picture of its own."""
    figure = Figure(figsize=(13, 2.9), dpi=100, layout="constrained")
    draw_events(figure.add_subplot(), assessment)
    out = BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()
