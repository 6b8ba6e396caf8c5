"""Maps of a scan: what was measured of each frame, drawn where it was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..arrays import Floats
from ..errors import in_picture
from ..output import put_figure
from .assessment import Assessment
from .cells import Cells, cells, length_unit
from .strip import draw_strip

INK, BACKGROUND, REJECTED = "#1d2733", "#e9edf1", "#d4003c"
SIDE_PX, STRIP_INCHES = 520, 2.5
REACH = 0.95
"""How far a cell reaches from its centre, in steps: leaves no holes between jittered positions."""


@dataclass(frozen=True)
class Panel:
    """One of the maps: an attribute of :class:`Assessment` and how it is shown."""

    name: Literal["deviation", "stxm", "dpcx", "dpcy"]
    title: str
    unit: str
    colours: str

    def limits(self, assessment: Assessment) -> tuple[float, float]:
        """Colour limits that neither the outermost values nor rejected frames stretch.

        Deviations end where frames are rejected; both shifts have one range.
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


def draw_maps(
    path: str | Path, assessment: Assessment, title: str = "", ours: bool = False
) -> Path:
    """Draw deviation, STXM and differential phase contrast as a PNG.

    Rows run downwards, as in pictures of the reconstruction. Rejected frames are ringed, those
    outside the region are pale.

    Parameters
    ----------
    path
        The picture; complete or not there.
    assessment
        At least one frame.
    title
        Of the picture.
    ours
        The caller knows that what is there was written by this package.
    """
    found = cells(assessment.positions_m)
    left, right, bottom, top = found.window()
    factor, unit = length_unit(right - left, assessment.unit)
    window = (left * factor, right * factor, bottom * factor, top * factor)
    nearest = _nearest(found)
    shape = (bottom - top) / (right - left)
    rows = 1 if shape > 1.7 else 2
    figure = _figure(shape, rows, title, assessment)
    maps: Figure | SubFigure = figure
    if assessment.events:
        height = figure.get_figheight()
        figure.set_figheight(height + STRIP_INCHES)
        parts: Any = figure.subfigures(2, 1, height_ratios=[height, STRIP_INCHES])
        maps = parts[0]
        draw_strip(parts[1].add_subplot(), assessment)
    for number, panel in enumerate(PANELS, 1):
        axes = maps.add_subplot(rows, 4 // rows, number)
        _map(axes, panel, assessment, nearest, window)
        _rings(axes, found, assessment, factor)
        axes.set_xlabel(f"x ({unit})", color=INK)
        axes.set_ylabel(f"y ({unit})", color=INK)
    return put_figure(Path(path), figure, ours=ours)


def _nearest(found: Cells) -> NDArray[np.intp]:
    """(rows, columns) image of the frame that is nearest, −1 where none is near."""
    left, right, bottom, top = found.window()
    pixel = max(right - left, bottom - top) / SIDE_PX
    rows = np.linspace(top, bottom, round((bottom - top) / pixel), endpoint=False) + pixel / 2
    columns = np.linspace(left, right, round((right - left) / pixel), endpoint=False) + pixel / 2
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1) / found.step
    reach = REACH * (found.place_sizes / found.step).max(1)
    distance, frame = cKDTree(found.centers / found.step).query(
        points, distance_upper_bound=reach.max()
    )
    near = distance <= np.append(reach, 0)[frame]
    for axis in (0, 1):  # straight edges for straight scans
        low = (found.centers - found.sizes / 2)[:, axis].min() / found.step[axis]
        high = (found.centers + found.sizes / 2)[:, axis].max() / found.step[axis]
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


def _rings(axes: Axes, found: Cells, assessment: Assessment, factor: float) -> None:
    """Ring the rejected frames, white beneath so that they show on any colour."""
    y, x = (found.centers[assessment.rejected] * factor).T
    left, right = axes.get_xlim()
    points = 400 * float(np.median(found.sizes)) * factor / (right - left)
    size = float(np.clip(1.1 * points, 6, 18))
    for colour, width in (("white", 2.2), (REJECTED, 1.1)):
        axes.scatter(x, y, s=size**2, facecolors="none", edgecolors=colour, linewidths=width)
