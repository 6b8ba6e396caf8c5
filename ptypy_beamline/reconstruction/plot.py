"""A reconstruction as one figure for people: object, probe, error, and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..arrays import Complex64s
from ..errors import SettingsError, in_picture
from ..geometry import in_words
from ..output import check_picture, put_figure
from ..plotting import (
    COLOURS,
    INK,
    LABELS,
    bare,
    colour_limits,
    scale_bar,
    show_errors,
    show_image,
    show_wave,
    show_wheel,
)
from .area import pixels_of, scanned
from .arrangement import HEAD, LEGEND, MOST_MODES, Arrangement, below
from .model import Reconstruction
from .postprocess import Finished


@dataclass(frozen=True)
class Look:
    """How it is drawn.

    Attributes
    ----------
    positions
        Mark the scan positions on the phase.
    dpi
        Dots per inch, also of the images in PDF and SVG.
    colours
        Matplotlib's name of the phase's colour map.
    """

    positions: bool = False
    dpi: int = 200
    colours: str = COLOURS["phase"]

    def __post_init__(self) -> None:
        if self.colours not in mpl.colormaps:
            raise SettingsError(
                f"there is no colour map {self.colours!r}",
                "use one of matplotlib's, as viridis, cividis, gray, twilight (--cmap)",
            )


def draw(path: str | Path, finished: Finished, look: Look | None = None) -> Path:
    """Draw a reconstruction as PNG, PDF or SVG, by the suffix of ``path``.

    Each layer's phase and amplitude with colour and scale bars; the strongest modes of the probe
    with their share of its power, cut to where the beam is; the error of each iteration.

    Raises
    ------
    SettingsError
        The suffix is another.
    """
    path, look = Path(path), look or Look()
    check_picture(path)
    figure = compose(finished, look)
    with mpl.rc_context({"pdf.fonttype": 42}):
        return put_figure(path, figure, look.dpi)


def compose(finished: Finished, look: Look) -> Figure:
    """The figure that :func:`draw` saves."""
    found = finished.reconstruction
    plan = Arrangement.of(found)
    width, height = plan.size_in
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06, wspace=0.02, hspace=0.02)
    figure = Figure(figsize=(width, height), layout=layout)
    head, body = below(figure, HEAD, height - HEAD)
    _heading(head, found, width)
    main, probe, errors = plan.divide(body)
    _object(main, finished, plan, look)
    _probe(probe, found, plan)
    curve = errors.subplots()
    show_errors(curve, found.errors)
    if plan.beside:
        curve.set(box_aspect=0.75, anchor="N")
    return figure


def _heading(head: SubFigure, found: Reconstruction, width_in: float) -> None:
    pixel = " × ".join(dict.fromkeys(in_words(p) for p in found.pixel_m))
    facts = [f"{found.energy_eV / 1e3:.5g} keV", found.algorithm, f"object pixel {pixel}"]
    title = in_picture(_short(found.scan or "Reconstruction", int(width_in * 7)))
    head.text(0.1 / width_in, 0.85, title, fontsize=15, fontweight="bold", color=INK, va="top")
    line = _short(", ".join(filter(None, facts)), int(width_in * 11))
    head.text(0.1 / width_in, 0.36, in_picture(line), fontsize=10, color=INK, va="top")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _object(main: SubFigure, finished: Finished, plan: Arrangement, look: Look) -> None:
    found = finished.reconstruction
    area = (slice(None), *scanned(found))
    panels = main.subplots(*plan.panels, squeeze=False).ravel()
    parts = (
        ("phase", finished.phase_rad, look.colours),
        ("amplitude", np.abs(found.object), COLOURS["amplitude"]),
    )
    for part, (name, images, colours) in enumerate(parts):
        limits = colour_limits(images[area])
        for layer, image in enumerate(images):
            axes = panels[plan.place(layer, part)]
            show_image(axes, image, limits, colours, LABELS[name], found.pixel_m, plan.image_in)
            axes.set_title(_named(found, layer, name), loc="left", fontsize=10, color=INK)
            if look.positions and name == "phase":
                _positions(axes, found)


def _named(found: Reconstruction, layer: int, part: str) -> str:
    if len(found.object) == 1:
        return part.capitalize()
    depth_m = sum(found.layer_spacing_m[:layer])
    return f"Layer {layer + 1}, z = {in_words(depth_m) if depth_m else 0}: {part}"


def _positions(axes: Axes, found: Reconstruction) -> None:
    """Dots that are seen on dark and on bright ground, and no larger than need be."""
    rows, columns = pixels_of(found, found.positions_m).T
    size = min(max(60 / sqrt(len(rows) or 1), 1.2), 4.0)
    limits = axes.axis()
    axes.plot(
        columns,
        rows,
        "o",
        markersize=size,
        color="white",
        markeredgecolor="black",
        markeredgewidth=size / 6,
    )
    axes.axis(limits)


def _probe(side: SubFigure, found: Reconstruction, plan: Arrangement) -> None:
    power = (np.abs(found.probe) ** 2).sum(axis=(1, 2), dtype=np.float64)
    share = power / (power.sum() or 1.0)
    strongest = np.argsort(-power, kind="stable")[:MOST_MODES]
    rows, columns = _lit(found.probe[strongest])
    head, body = below(side, LEGEND, plan.modes_in[1] - LEGEND)
    rest = f", {len(strongest)} of {len(power)} modes" if len(power) > MOST_MODES else ""
    _legend(head, f"Probe{rest}", plan.modes_in[0])
    panels = body.subplots(*plan.modes, squeeze=False).ravel()
    for axes, mode in zip(panels, strongest, strict=False):
        show_wave(axes, found.probe[mode, rows, columns], found.pixel_m)
        axes.set_anchor("NW")
        if len(power) > 1:
            percent = f"{share[mode]:.1%}" if share[mode] >= 0.001 else "< 0.1%"
            axes.set_title(percent, fontsize=9, color=INK, loc="left")
    scale_bar(panels[0], (rows.stop - rows.start, columns.stop - columns.start), found.pixel_m)
    for axes in panels[len(strongest) :]:
        axes.set_visible(False)


def _lit(probe: Complex64s) -> tuple[slice, slice]:
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
    show_wheel(wheel)
    words.text(0, 0.75, title, fontsize=10, color=INK, va="center")
    words.text(0, 0.25, "hue: phase, brightness: modulus", fontsize=8, color=INK, va="center")
    bare(words)
