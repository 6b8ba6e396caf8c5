"""Interactive maps and a table of a scan's frames, as Bokeh models: part of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from bokeh import events, models
from bokeh.document import Document
from bokeh.plotting import figure
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import NDArray

from .assessment import Assessment
from .map_areas import MapAreas, length_unit, map_areas
from .maps import BACKGROUND, INK, PANELS, REACH, REJECTED, Panel

SIDE_PX = 340
SHADES = 85
"""Colours of each panel, in three variants: normal, outside the region, not selected."""
PALE, FAINT = 0.75, 0.6
"""Share of the background colour outside the region, and of what is not selected."""
TICK = "return tick.toLocaleString('en', {maximumSignificantDigits: 8}).replace('-', '−')"
"""A number as people write it: 20,000 and 0.0005."""


@dataclass(frozen=True)
class InteractiveMaps:
    """Maps and table, in which selecting and zooming in one acts on all.

    Attributes
    ----------
    document
        Holds ``maps`` and ``table``; starts the page's script when they are loaded.
    maps, table
        Roots.
    """

    document: Document
    maps: models.LayoutDOM
    table: models.DataTable


def interactive_maps(assessment: Assessment, order: NDArray[np.intp]) -> InteractiveMaps:
    """Maps and table of an assessment, with one row of their common source per frame, in ``order``.

    The maps are images that the page's script paints for what is in view: 20 000 rectangles in
    each of four maps would make every movement of the mouse slow.
    """
    areas = map_areas(assessment.positions_m)
    factor, unit = length_unit(float(np.ptp(assessment.positions_m, axis=0).max()), assessment.unit)
    frames = models.ColumnDataSource(_columns(assessment, areas, order, factor))
    blank: dict[str, Any] = {name: [0.0] for name in ("x", "y", "w", "h")}
    blank |= {panel.name: [np.zeros((1, 1), np.uint8)] for panel in PANELS}
    sources: dict[str, Any] = {
        "frames": frames,
        "images": models.ColumnDataSource(blank),
        "rings": models.ColumnDataSource({"x": [], "y": [], "size": []}),
        "current": models.ColumnDataSource({"x": [], "y": []}),
    }
    view = models.CDSView(filter=models.BooleanFilter())
    figures = _figures(areas, factor, unit)
    for panel, plot in zip(PANELS, figures, strict=True):
        _fill_panel(plot, panel, panel.limits(assessment), sources)
    for plot in figures[:2]:
        plot.xaxis.visible = False
    for plot in figures[1::2]:
        plot.yaxis.visible = False
    same = zip(*(plot.tools for plot in figures), strict=True)
    tools = [models.ToolProxy(tools=list(tools)) for tools in same]
    maps = models.GridPlot(
        children=[(plot, *divmod(k, 2)) for k, plot in enumerate(figures)],
        toolbar=models.Toolbar(tools=[*tools, models.SaveTool()], logo=None),
        toolbar_location="above",
    )
    table = _table(frames, view, scales(assessment), bool((assessment.labels >= 0).any()))
    frames.selected.js_on_change("indices", _call("selected()"))
    document = Document()
    document.add_root(maps)
    document.add_root(table)
    document.js_on_event(
        events.DocumentReady,
        models.CustomJS(
            args={**sources, "view": view, "figures": figures, "tools": tools},
            code="window.qcStart({frames, images, rings, current, view, figures, tools})",
        ),
    )
    return InteractiveMaps(document, maps, table)


def scales(assessment: Assessment) -> dict[str, Any]:
    """What the page's script needs to paint the maps: plain numbers in the unit of the maps."""
    areas = map_areas(assessment.positions_m)
    factor, unit = length_unit(float(np.ptp(assessment.positions_m, axis=0).max()), assessment.unit)
    low = (areas.centers - areas.sizes / 2).min(0) * factor
    high = (areas.centers + areas.sizes / 2).max(0) * factor
    return {
        "unit": unit,
        "decimals": int(max(0, 1 - np.floor(np.log10(areas.step.min() * factor)))),
        "reach": REACH,
        "shades": SHADES,
        "step": [float(v) for v in areas.step[::-1] * factor],
        "bounds": [float(v) for v in (low[1], high[1], low[0], high[0])],
        "panels": {panel.name: panel.limits(assessment) for panel in PANELS},
    }


def _call(what: str) -> models.CustomJS:
    """Call the page's script, once it is loaded."""
    return models.CustomJS(code=f"if (window.qc) window.qc.{what}")


def _columns(
    assessment: Assessment, areas: MapAreas, order: NDArray[np.intp], factor: float
) -> dict[str, NDArray[Any] | list[str]]:
    """Typed arrays, which a page holds in few bytes; positions need double precision."""
    y, x = (assessment.positions_m[order] * factor).T
    cy, cx = (areas.centers[order] * factor).T
    h, w = (areas.position_sizes[order] * factor).T.astype(np.float32)
    values = {
        name: getattr(assessment, name)[order].astype(np.float32)
        for name in ("score", "deviation", "stxm", "dpcx", "dpcy")
    }
    return {
        "frame": assessment.frames[order].astype(np.int32),
        "label": assessment.labels[order].astype(np.int32),
        "rejected": assessment.rejected[order].astype(np.uint8),
        "masked": assessment.masked[order].astype(np.uint8),
        "reason": [str(word).replace("_", " ") for word in assessment.reason[order]],
        **values,
        "x": x,
        "y": y,
        "cx": cx,
        "cy": cy,
        "w": w,
        "h": h,
    }


def _figures(areas: MapAreas, factor: float, unit: str) -> list[Any]:
    """One empty figure per panel, with common axes."""
    left, right, bottom, top = (edge * factor for edge in areas.window())
    x_range = models.Range1d(left, right)
    y_range = models.Range1d(bottom, top)  # rows run downwards, as in pictures
    for axis in (x_range, y_range):
        axis.js_on_change("start", _call("moved()"))
        axis.js_on_change("end", _call("moved()"))
    shape = (bottom - top) / (right - left)
    size = (SIDE_PX, round(SIDE_PX * shape)) if shape < 1 else (round(SIDE_PX / shape), SIDE_PX)
    return [
        figure(
            title=panel.title,
            x_range=x_range,
            y_range=y_range,
            frame_width=size[0],
            frame_height=size[1],
            toolbar_location=None,
            tools="",
            x_axis_label=f"x ({unit})",
            y_axis_label=f"y ({unit})",
            background_fill_color=BACKGROUND,
            min_border=4,
        )
        for panel in PANELS
    ]


def _fill_panel(
    plot: Any, panel: Panel, limits: tuple[float, float], sources: dict[str, Any]
) -> None:
    """Image, marks, colour bar and tools of one panel."""
    palette = _palette(panel)
    image = sources["images"]
    mapper = models.LinearColorMapper(palette=palette, low=0, high=len(palette))
    plot.image(panel.name, "x", "y", "w", "h", source=image, level="image", color_mapper=mapper)
    for name, colour, width, how in (
        ("rings", "white", 2.4, {"size": "size"}),
        ("rings", REJECTED, 1.4, {"size": "size"}),
        ("current", "white", 5, {"size": 17, "marker": "square"}),
        ("current", INK, 2.5, {"size": 17, "marker": "square"}),
    ):
        line = {"fill_color": None, "line_color": colour, "line_width": width}
        plot.scatter("x", "y", source=sources[name], **line, **how)
    bar = models.ColorBar(
        color_mapper=models.LinearColorMapper(
            palette=palette[1 : SHADES + 1], low=limits[0], high=limits[1]
        ),
        width=10,
        title=panel.unit,
        padding=4,
        bar_line_color=None,
        major_tick_line_color=None,
        title_text_font_style="normal",
        formatter=models.CustomJSTickFormatter(code=TICK),
    )
    plot.add_layout(bar, "right")
    _add_tools(plot)
    _style(plot)


def _palette(panel: Panel) -> list[str]:
    """Background, then the shades of a panel, paler outside the region, fainter unselected."""
    shades = matplotlib.colormaps[panel.colours](np.linspace(0, 1, SHADES))[:, :3]
    background = np.array(to_rgb(BACKGROUND))
    palette = [BACKGROUND]
    for share in (0.0, PALE, FAINT):
        palette += [to_hex(colour) for colour in shades * (1 - share) + background * share]
    return palette


def _add_tools(plot: Any) -> None:
    """Tools; the page's script does the selecting, as Bokeh draws no selectable items."""
    plot.add_tools(
        models.BoxSelectTool(renderers=[]),
        models.LassoSelectTool(renderers=[]),
        models.PanTool(),
        models.WheelZoomTool(),
        models.BoxZoomTool(match_aspect=True),
        models.ResetTool(),
    )
    plot.js_on_event(events.SelectionGeometry, _call("within(cb_obj)"))
    for event in (events.Tap, events.DoubleTap):  # two clicks close in time are a double one
        plot.js_on_event(event, _call("tap(cb_obj)"))
    plot.js_on_event(events.MouseMove, _call("point(cb_obj)"))
    plot.js_on_event(events.MouseLeave, _call("point(null)"))


def _style(plot: Any) -> None:
    plot.grid.grid_line_color = None
    plot.outline_line_color = None
    plot.title.text_color = INK
    plot.title.text_font_size = "13px"
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_standoff = 2
    plot.axis.minor_tick_line_color = None
    plot.axis.ticker = models.BasicTicker(desired_num_ticks=5)
    plot.axis.formatter = models.CustomJSTickFormatter(code=TICK)


def _table(source: Any, view: Any, scale: dict[str, Any], labelled: bool) -> models.DataTable:
    """All frames, by score as in the source until a heading is clicked."""

    def number(form: str) -> models.NumberFormatter:
        return models.NumberFormatter(format=form, text_align="right")

    mark = models.HTMLTemplateFormatter(
        template=f'<b style="color:{REJECTED}"><%= value ? "yes" : "" %></b>'
    )
    position = number("0." + "0" * scale["decimals"] if scale["decimals"] else "0")
    columns = [
        ("frame", "frame", 52, number("0")),
        ("score", "score", 54, number("0.0000")),
        ("deviation", "deviation", 74, number("0.0")),
        ("reason", "nearest to", 150, models.StringFormatter()),
        ("label", "label", 44, number("0")),
        ("x", f"x ({scale['unit']})", 70, position),
        ("y", f"y ({scale['unit']})", 70, position),
        ("rejected", "rejected", 58, mark),
    ]
    return models.DataTable(
        source=source,
        view=view,
        index_position=None,
        row_height=23,
        sizing_mode="stretch_both",
        min_height=180,
        autosize_mode="force_fit",
        reorderable=False,
        stylesheets=[".slick-cell.selected { background-color: #cfe0f3 !important; }"],
        columns=[
            models.TableColumn(field=field, title=title, width=width, formatter=formatter)
            for field, title, width, formatter in columns
            if labelled or field != "label"
        ],
    )
