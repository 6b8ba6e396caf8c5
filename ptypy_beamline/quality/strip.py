"""The intensity of the beam during a scan, with what happened to it and to the stage."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..statistics.events import intensity
from .assessment import Assessment

INK, DOTS, SHADES = "#1d2733", "#9aa7b4", ("#d4003c", "#e08a00", "#0072b2", "#7a4fa3")
WHOLE = 0.95
"""An event of a larger part of the scan is not shaded: it is named only."""


def draw_strip(axes: Axes, assessment: Assessment) -> None:
    """Counts of each frame and the intensity that the events give, against the frame's number."""
    counts = np.expm1(assessment.stxm)
    lit = counts[counts > 0]
    usual = float(np.median(lit)) if len(lit) else 1.0
    axes.plot(
        assessment.frames,
        counts / usual,
        ".",
        color=DOTS,
        markersize=3,
        label="counts of the frame / median (beam and sample)",
    )
    beam = intensity(assessment.events, assessment.total)
    axes.plot(
        np.nan_to_num(beam),
        color=INK,
        linewidth=1.3,
        drawstyle="steps-mid",
        label="intensity of the beam by these events",
    )
    for number, event in enumerate(assessment.events):
        colour, length = SHADES[number % len(SHADES)], event.last - event.first + 1
        shaded = length < WHOLE * assessment.total
        if shaded:
            axes.axvspan(event.first - 0.5, event.last + 0.5, color=colour, alpha=0.18, linewidth=0)
        axes.plot([], [], color=colour, linewidth=7 if shaded else 0, alpha=0.4, label=event.what)
    axes.set_xlim(-0.5, assessment.total - 0.5)
    axes.set_ylim(0, 1.1 * float(np.percentile(counts / usual, 99.5)) + 0.1)
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


def strip_png(assessment: Assessment) -> bytes:
    """The same as a picture of its own."""
    figure = Figure(figsize=(13, 2.9), dpi=100, layout="constrained")
    draw_strip(figure.add_subplot(), assessment)
    out = BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()
