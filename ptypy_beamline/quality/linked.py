"""Linked maps and a table of a scan's frames, as Bokeh models: the live part of the report."""

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
from .cells import Cells, cells, length_unit
from .maps import BACKGROUND, INK, PANELS, REACH, REJECTED, Panel

SIDE_PX = 340
SHADES = 85
"""Of the colour of each panel, three times: as it is, outside the region, not selected."""
PALE, FAINT = 0.75, 0.6
"""How much background the second and the third have."""
TICK = "return tick.toLocaleString('en', {maximumSignificantDigits: 8}).replace('-', '−')"
"""A number as people write it: 20,000 and 0.0005."""


@dataclass(frozen=True)
class Linked:
    """The parts of the report that follow each other.

    Attributes
    ----------
    document
        Holds ``maps`` and ``table``; tells the page's script when they are there.
    maps, table
        Roots.
    """

    document: Document
    maps: models.LayoutDOM
    table: models.DataTable


def link(assessment: Assessment, order: NDArray[np.intp]) -> Linked:
    """Maps and table of an assessment, one row of their common source a frame, in ``order``.

    The maps are images that the page's script paints for what is in view: 20 000 patches drawn
    one by one four times over would make every movement of the mouse slow.
    """
    found = cells(assessment.positions_m)
    factor, unit = length_unit(float(np.ptp(assessment.positions_m, axis=0).max()), assessment.unit)
    frames = models.ColumnDataSource(_columns(assessment, found, order, factor))
    blank: dict[str, Any] = {name: [0.0] for name in ("x", "y", "w", "h")}
    blank |= {panel.name: [np.zeros((1, 1), np.uint8)] for panel in PANELS}
    sources: dict[str, Any] = {
        "frames": frames,
        "images": models.ColumnDataSource(blank),
        "rings": models.ColumnDataSource({"x": [], "y": [], "size": []}),
        "current": models.ColumnDataSource({"x": [], "y": []}),
    }
    view = models.CDSView(filter=models.BooleanFilter())
    figures = _figures(assessment, found, factor, unit)
    for panel, plot in zip(PANELS, figures, strict=True):
        _draw(plot, panel, panel.limits(assessment), sources)
    for plot in figures[:2]:
        plot.xaxis.visible = False
    for plot in figures[1::2]:
        plot.yaxis.visible = False
    tools = _together(figures)
    maps = models.GridPlot(
        children=[(plot, *divmod(k, 2)) for k, plot in enumerate(figures)],
        toolbar=models.Toolbar(tools=[*tools, models.SaveTool()], logo=None),
        toolbar_location="above",
    )
    table = _table(frames, view, scales(assessment), bool((assessment.labels >= 0).any()))
    frames.selected.js_on_change("indices", _tell("selected()"))
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
    return Linked(document, maps, table)


def scales(assessment: Assessment) -> dict[str, Any]:
    """What the page's script needs to paint the maps: plain numbers in the unit of the maps."""
    found = cells(assessment.positions_m)
    factor, unit = length_unit(float(np.ptp(assessment.positions_m, axis=0).max()), assessment.unit)
    low = (found.centers - found.sizes / 2).min(0) * factor
    high = (found.centers + found.sizes / 2).max(0) * factor
    return {
        "unit": unit,
        "decimals": int(max(0, 1 - np.floor(np.log10(found.step.min() * factor)))),
        "reach": REACH,
        "shades": SHADES,
        "step": [float(v) for v in found.step[::-1] * factor],
        "bounds": [float(v) for v in (low[1], high[1], low[0], high[0])],
        "panels": {panel.name: panel.limits(assessment) for panel in PANELS},
    }


def _tell(what: str) -> models.CustomJS:
    """Call the page's script, once it is there."""
    return models.CustomJS(code=f"if (window.qc) window.qc.{what}")


def _columns(
    assessment: Assessment, found: Cells, order: NDArray[np.intp], factor: float
) -> dict[str, NDArray[Any] | list[str]]:
    """Typed arrays, which a page holds in few bytes; positions need double precision."""
    y, x = (assessment.positions_m[order] * factor).T
    cy, cx = (found.centers[order] * factor).T
    h, w = (found.place_sizes[order] * factor).T.astype(np.float32)
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


def _figures(assessment: Assessment, found: Cells, factor: float, unit: str) -> list[Any]:
    """One empty figure a panel, moving together."""
    left, right, bottom, top = (edge * factor for edge in found.window())
    x_range = models.Range1d(left, right)
    y_range = models.Range1d(bottom, top)  # rows run downwards, as in pictures
    for both in (x_range, y_range):
        both.js_on_change("start", _tell("moved()"))
        both.js_on_change("end", _tell("moved()"))
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


def _draw(plot: Any, panel: Panel, limits: tuple[float, float], sources: dict[str, Any]) -> None:
    """Image, marks, colour bar and tools of one panel."""
    ramp = matplotlib.colormaps[panel.colours](np.linspace(0, 1, SHADES))[:, :3]
    ground = np.array(to_rgb(BACKGROUND))
    palette = [BACKGROUND]
    for amount in (0.0, PALE, FAINT):
        palette += [to_hex(colour) for colour in ramp * (1 - amount) + ground * amount]
    plot.image(
        panel.name,
        "x",
        "y",
        "w",
        "h",
        source=sources["images"],
        level="image",
        color_mapper=_mapper(palette, 0, len(palette)),
    )
    for colour, width in (("white", 2.4), (REJECTED, 1.4)):
        plot.scatter(
            "x",
            "y",
            source=sources["rings"],
            size="size",
            fill_color=None,
            line_color=colour,
            line_width=width,
        )
    for colour, width in (("white", 5), (INK, 2.5)):
        plot.scatter(
            "x",
            "y",
            source=sources["current"],
            size=17,
            marker="square",
            fill_color=None,
            line_color=colour,
            line_width=width,
        )
    bar = models.ColorBar(
        color_mapper=_mapper(palette[1 : SHADES + 1], *limits),
        width=10,
        title=panel.unit,
        padding=4,
        bar_line_color=None,
        major_tick_line_color=None,
        title_text_font_style="normal",
        formatter=models.CustomJSTickFormatter(code=TICK),
    )
    plot.add_layout(bar, "right")
    _tools(plot)
    _plain(plot)


def _mapper(palette: list[str], low: float, high: float) -> models.LinearColorMapper:
    return models.LinearColorMapper(palette=palette, low=low, high=high)


def _tools(plot: Any) -> None:
    """The page's script selects: there is nothing drawn that Bokeh could find."""
    plot.add_tools(
        models.BoxSelectTool(renderers=[]),
        models.LassoSelectTool(renderers=[]),
        models.PanTool(),
        models.WheelZoomTool(),
        models.BoxZoomTool(match_aspect=True),
        models.ResetTool(),
    )
    plot.js_on_event(events.SelectionGeometry, _tell("within(cb_obj)"))
    for event in (events.Tap, events.DoubleTap):  # two clicks close in time are a double one
        plot.js_on_event(event, _tell("tap(cb_obj)"))
    plot.js_on_event(events.MouseMove, _tell("point(cb_obj)"))
    plot.js_on_event(events.MouseLeave, _tell("point(null)"))


def _together(figures: list[Any]) -> list[models.ToolProxy]:
    """One button for the same tool of all figures."""
    alike = zip(*(plot.tools for plot in figures), strict=True)
    return [models.ToolProxy(tools=list(tools)) for tools in alike]


def _plain(plot: Any) -> None:
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
    """All frames; the order of the source, by score, until a heading is clicked."""

    def number(form: str) -> models.NumberFormatter:
        return models.NumberFormatter(format=form, text_align="right")

    mark = models.HTMLTemplateFormatter(
        template=f'<b style="color:{REJECTED}"><%= value ? "yes" : "" %></b>'
    )
    place = number("0." + "0" * scale["decimals"] if scale["decimals"] else "0")
    columns = [
        ("frame", "frame", 52, number("0")),
        ("score", "score", 54, number("0.0000")),
        ("deviation", "deviation", 74, number("0.0")),
        ("reason", "nearest to", 150, models.StringFormatter()),
        ("label", "label", 44, number("0")),
        ("x", f"x ({scale['unit']})", 70, place),
        ("y", f"y ({scale['unit']})", 70, place),
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
