"""Where the parts of a reconstruction's picture go, and how large they are, in inches."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, sqrt

from matplotlib.figure import FigureBase, SubFigure

from .model import Reconstruction

MOST_MODES = 6
"""Modes that are drawn, the strongest first."""

HEAD, TITLE, SCALE, BAR = 0.7, 0.3, 0.25, 0.95
"""Heights of the heading, a panel's title and its scale bar; width of a colour bar with numbers."""

STRIP, LEGEND, CURVE = 3.2, 0.6, (3.4, 3.0)
"""Width of the probe's column, height of its legend; least width and height of the error curve."""

MODE = (2.05, 1.4)
"""Side of a mode in one row of them, and in two."""

LEGIBLE, LARGEST = (1.7, 0.9), (11.0, 9.0)
"""Least room for an image, and the most that all images together take, wide and high."""

LANDSCAPE = 0.6
"""Height over width that the object's panels come closest to."""

Size = tuple[float, float]


@dataclass(frozen=True)
class Arrangement:
    """The object's panels, and beside or below them the probe's modes and the error curve.

    Attributes
    ----------
    panels, modes
        Rows and columns of them.
    image_in
        Width and height of an object's image.
    beside
        Probe and errors stand at the right of the object; else below.
    """

    panels: tuple[int, int]
    modes: tuple[int, int]
    image_in: Size
    beside: bool

    @classmethod
    def of(cls, found: Reconstruction) -> Arrangement:
        """A layer a row or a layer a column, whichever makes the better page."""
        layers, ny, nx = found.object.shape
        slim = (ny * found.pixel_m[0]) / (nx * found.pixel_m[1])
        panels = min(
            ((layers, 2), (2, layers)),
            key=lambda grid: abs(log(slim * grid[0] / grid[1] / LANDSCAPE)),
        )
        # About half a page for all of them, though none too small and none too large.
        width = sqrt(min(max(17 / layers, 7), 17) / slim)
        rows, columns = panels
        width *= min(1, LARGEST[0] / (columns * width), LARGEST[1] / (rows * width * slim))
        beside = rows * max(width * slim, 1) > 0.75 * columns * max(width, 1)
        modes = min(len(found.probe), MOST_MODES)
        along, across = (2 if modes > 1 else 1), (2 if modes > 3 else 1)
        grid = (ceil(modes / along), along) if beside else (across, ceil(modes / across))
        return cls(panels, grid, (width, width * slim), beside)

    @property
    def object_in(self) -> Size:
        """Width and height of all panels with their titles and colour bars."""
        rows, columns = self.panels
        width, height = (max(n, least) for n, least in zip(self.image_in, LEGIBLE, strict=True))
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

    def place(self, layer: int, part: int) -> int:
        """Number of the panel of a layer's phase (0) or amplitude (1)."""
        columns = self.panels[1]
        return layer * 2 + part if columns == 2 else part * columns + layer


def beside(figure: FigureBase, *widths: float) -> tuple[SubFigure, SubFigure]:
    """A figure in two parts of these widths."""
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=widths).flat
    return left, right


def below(figure: FigureBase, *heights: float) -> tuple[SubFigure, SubFigure]:
    """A figure in two parts of these heights."""
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=heights).flat
    return upper, lower
