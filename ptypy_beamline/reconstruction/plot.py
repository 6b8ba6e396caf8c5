"""A reconstruction as one figure: object, probe, errors, and a heading. Sizes are in inches."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, sqrt
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..arrays import Complex64s
from ..errors import SettingsError, in_picture
from ..output.figures import save_figure
from ..plotting import (
    COLOURS,
    INK,
    LABELS,
    Size,
    colour_limits,
    hide_frame,
    scale_bar,
    show_colour_wheel,
    show_errors,
    show_image,
    show_wave,
)
from ..units import in_words
from .area import pixels_of, scanned
from .model import Reconstruction
from .postprocess import Finished

MAX_MODES = 6
"""Maximum number of modes that are drawn, the strongest first."""

HEAD, TITLE, SCALE, BAR = 0.7, 0.3, 0.25, 0.95
"""Heights of the heading, a panel's title and its scale bar; width of a colour bar with numbers."""

STRIP, LEGEND, CURVE = 3.2, 0.6, (3.4, 3.0)
"""Width of the probe's column, height of its legend; minimum size of the error curve."""

MODE = (2.05, 1.4)
"""Side of a mode in one row of them, and in two."""

MIN_IMAGE, MAX_IMAGES = (1.7, 0.9), (11.0, 9.0)
"""Minimum size of an image, and maximum size of all images together: width and height."""

LANDSCAPE = 0.6
"""Preferred ratio of height to width of the object's panels."""


@dataclass(frozen=True)
class PlotStyle:
    """What a plot shows, and how.

    Attributes
    ----------
    positions
        Mark the scan positions on the phase.
    dpi
        Dots per inch, also of the images in PDF and SVG.
    colours
        Matplotlib colour map of the phase.
    """

    positions: bool = False
    dpi: int = 200
    colours: str = COLOURS["phase"]

    def __post_init__(self) -> None:
        if self.colours not in mpl.colormaps:
            raise SettingsError(
                f"unknown colour map {self.colours!r}",
                "use one of Matplotlib's, such as viridis, cividis, gray or twilight (--cmap)",
            )


Look = PlotStyle  # its former name


def draw(path: str | Path, finished: Finished, style: PlotStyle | None = None) -> Path:
    """Draw a reconstruction as PNG, PDF or SVG, by the suffix of ``path``.

    Each layer's phase and amplitude with colour and scale bars; the strongest modes of the probe
    with their share of its power, cut to where the beam is; the error of each iteration.

    Raises
    ------
    SettingsError
        The suffix is not one of these.
    """
    style = style or PlotStyle()
    figure = compose(finished, style)
    with mpl.rc_context({"pdf.fonttype": 42}):
        return save_figure(Path(path), figure, style.dpi)


def compose(finished: Finished, style: PlotStyle) -> Figure:
    """The figure that :func:`draw` saves."""
    found = finished.reconstruction
    layout = Layout.of(found)
    width, height = layout.size_in
    engine = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06, wspace=0.02, hspace=0.02)
    figure = Figure(figsize=(width, height), layout=engine)
    head, body = below(figure, HEAD, height - HEAD)
    _heading(head, found, width)
    main, probe, errors = layout.divide(body)
    _object(main, finished, layout, style)
    _probe(probe, found, layout)
    curve = errors.subplots()
    show_errors(curve, found.errors)
    if layout.beside:
        curve.set(box_aspect=0.75, anchor="N")
    return figure


def _heading(head: SubFigure, found: Reconstruction, width_in: float) -> None:
    pixel = " × ".join(dict.fromkeys(in_words(p) for p in found.pixel_m))
    facts = [f"{found.energy_eV / 1e3:.5g} keV", found.algorithm, f"object pixel {pixel}"]
    title = in_picture(_shortened(found.scan or "Reconstruction", int(width_in * 7)))
    head.text(0.1 / width_in, 0.85, title, fontsize=15, fontweight="bold", color=INK, va="top")
    line = _shortened(", ".join(filter(None, facts)), int(width_in * 11))
    head.text(0.1 / width_in, 0.36, in_picture(line), fontsize=10, color=INK, va="top")


def _shortened(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"


def _object(main: SubFigure, finished: Finished, layout: Layout, style: PlotStyle) -> None:
    found = finished.reconstruction
    area = (slice(None), *scanned(found))
    panels = main.subplots(*layout.panels, squeeze=False).ravel()
    parts = (
        ("phase", finished.phase_rad, style.colours),
        ("amplitude", np.abs(found.object), COLOURS["amplitude"]),
    )
    for part, (name, images, colours) in enumerate(parts):
        limits = colour_limits(images[area])
        for layer, image in enumerate(images):
            axes = panels[layout.panel_of(layer, part)]
            show_image(axes, image, limits, colours, LABELS[name], found.pixel_m, layout.image_in)
            axes.set_title(_panel_title(found, layer, name), loc="left", fontsize=10, color=INK)
            if style.positions and name == "phase":
                _positions(axes, found)


def _panel_title(found: Reconstruction, layer: int, part: str) -> str:
    if len(found.object) == 1:
        return part.capitalize()
    depth_m = sum(found.layer_spacing_m[:layer])
    return f"Layer {layer + 1}, z = {in_words(depth_m) if depth_m else 0}: {part}"


def _positions(axes: Axes, found: Reconstruction) -> None:
    """Dots that show on dark and on bright images, smaller where there are many."""
    rows, columns = pixels_of(found, found.positions_m).T
    size = min(max(60 / sqrt(len(rows) or 1), 1.2), 4.0)
    limits = axes.axis()
    axes.plot(columns, rows, "o", color="white", ms=size, mec="black", mew=size / 6)
    axes.axis(limits)


def _probe(side: SubFigure, found: Reconstruction, layout: Layout) -> None:
    power = (np.abs(found.probe) ** 2).sum(axis=(1, 2), dtype=np.float64)
    share = power / (power.sum() or 1.0)
    strongest = np.argsort(-power, kind="stable")[:MAX_MODES]
    rows, columns = _illuminated(found.probe[strongest])
    head, body = below(side, LEGEND, layout.modes_in[1] - LEGEND)
    rest = f", {len(strongest)} of {len(power)} modes" if len(power) > MAX_MODES else ""
    _legend(head, f"Probe{rest}", layout.modes_in[0])
    panels = body.subplots(*layout.modes, squeeze=False).ravel()
    for axes, mode in zip(panels, strongest, strict=False):
        show_wave(axes, found.probe[mode, rows, columns], found.pixel_m)
        axes.set_anchor("NW")
        if len(power) > 1:
            percent = f"{share[mode]:.1%}" if share[mode] >= 0.001 else "< 0.1%"
            axes.set_title(percent, fontsize=9, color=INK, loc="left")
    scale_bar(panels[0], (rows.stop - rows.start, columns.stop - columns.start), found.pixel_m)
    for axes in panels[len(strongest) :]:
        axes.set_visible(False)


def _illuminated(probe: Complex64s) -> tuple[slice, slice]:
    """The middle square of the probe that holds 99.5 % of its power."""
    power = (np.abs(probe) ** 2).sum(axis=0, dtype=np.float64)
    for half in range(4, max(power.shape) // 2):
        rows, columns = (
            slice(max(n // 2 - half, 0), min(n - n // 2 + half, n)) for n in power.shape
        )
        if power[rows, columns].sum() > 0.995 * power.sum():
            return rows, columns
    return slice(0, power.shape[0]), slice(0, power.shape[1])


def _legend(head: SubFigure, title: str, width_in: float) -> None:
    """The phase wheel, and the probe's title."""
    wheel, words = head.subplots(1, 2, width_ratios=(0.9, width_in - 0.9))
    show_colour_wheel(wheel)
    words.text(0, 0.75, title, fontsize=10, color=INK, va="center")
    words.text(0, 0.25, "hue: phase, brightness: modulus", fontsize=8, color=INK, va="center")
    hide_frame(words)


@dataclass(frozen=True)
class Layout:
    """The object's panels, and beside or below them the probe's modes and the error curve.

    Attributes
    ----------
    panels, modes
        Rows and columns.
    image_in
        Width and height of an object's image.
    beside
        Whether probe and errors are to the right of the object, else below it.
    """

    panels: tuple[int, int]
    modes: tuple[int, int]
    image_in: Size
    beside: bool

    @classmethod
    def of(cls, found: Reconstruction) -> Layout:
        """One layer per row or one per column, whichever fits the page better."""
        layers, ny, nx = found.object.shape
        aspect = (ny * found.pixel_m[0]) / (nx * found.pixel_m[1])
        panels = min(
            ((layers, 2), (2, layers)),
            key=lambda grid: abs(log(aspect * grid[0] / grid[1] / LANDSCAPE)),
        )
        # About half a page for all of them, but none too small or too large.
        width = sqrt(min(max(17 / layers, 7), 17) / aspect)
        rows, columns = panels
        width *= min(1, MAX_IMAGES[0] / (columns * width), MAX_IMAGES[1] / (rows * width * aspect))
        beside = rows * max(width * aspect, 1) > 0.75 * columns * max(width, 1)
        modes = min(len(found.probe), MAX_MODES)
        along, across = (2 if modes > 1 else 1), (2 if modes > 3 else 1)
        grid = (ceil(modes / along), along) if beside else (across, ceil(modes / across))
        return cls(panels, grid, (width, width * aspect), beside)

    @property
    def object_in(self) -> Size:
        """Width and height of all panels with their titles and colour bars."""
        rows, columns = self.panels
        width, height = (max(n, least) for n, least in zip(self.image_in, MIN_IMAGE, strict=True))
        return columns * (width + BAR), rows * (height + TITLE + SCALE)

    @property
    def modes_in(self) -> Size:
        """Width and height of the probe's modes with their titles and the legend."""
        rows, columns = self.modes
        if self.beside:
            return STRIP, LEGEND + rows * (STRIP / columns + TITLE) + SCALE
        side = MODE[rows - 1]
        return max(columns * (side + 0.15), STRIP), LEGEND + rows * (side + TITLE) + SCALE

    @property
    def size_in(self) -> Size:
        """Width and height of the figure."""
        (width, height), modes = self.object_in, self.modes_in
        if self.beside:
            return width + STRIP, HEAD + max(height, modes[1] + CURVE[1])
        return max(width, modes[0] + CURVE[0]), HEAD + height + modes[1]

    def divide(self, body: SubFigure) -> tuple[SubFigure, SubFigure, SubFigure]:
        """The parts of the figure below the heading: for object, probe and error curve."""
        (width, height), modes = self.size_in, self.modes_in
        if self.beside:
            main, strip = beside(body, self.object_in[0], STRIP)
            return main, *below(strip, modes[1], height - HEAD - modes[1])
        main, strip = below(body, self.object_in[1], modes[1])
        return main, *beside(strip, modes[0], width - modes[0])

    def panel_of(self, layer: int, part: int) -> int:
        """Number of the panel of a layer's phase (0) or amplitude (1)."""
        columns = self.panels[1]
        return layer * 2 + part if columns == 2 else part * columns + layer


def beside(figure: FigureBase, *widths: float) -> tuple[SubFigure, SubFigure]:
    """Split a figure into two parts of these widths."""
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=widths).flat
    return left, right


def below(figure: FigureBase, *heights: float) -> tuple[SubFigure, SubFigure]:
    """Split a figure into two parts of these heights."""
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=heights).flat
    return upper, lower
