"""One picture of a reconstruction beside the truth: object, probe, error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike, NDArray

from ...errors import in_picture
from ...output import put_figure
from ...plotting import (
    COLOURS,
    INK,
    LABELS,
    colour_limits,
    hue_and_brightness,
    scale_bar,
    show_errors,
    show_image,
    show_wave,
    show_wheel,
)
from ..phase import flatten_phase

__all__ = ["draw", "hue_and_brightness"]

VIEWS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {"phase": np.angle, "amplitude": np.abs}


def draw(
    path: str | Path,
    object: ArrayLike,
    probe: ArrayLike,
    errors: ArrayLike,
    resolution_m: tuple[float, float],
    truth: ArrayLike | None = None,
    title: str = "",
) -> Path:
    """Draw a reconstruction as a PNG.

    Parameters
    ----------
    path
        The picture; complete or not there.
    object
        (ny, nx) complex transmission, best without its unlit margin. Its phase ramp is
        removed for display.
    probe
        (N, N) or (modes, N, N); the first mode is drawn, phase as hue and modulus as
        brightness.
    errors
        (iterations,).
    resolution_m
        Object pixel (y, x).
    truth
        The true object, registered with ``object``, drawn beside it with the same colours.
    title
        Of the picture.
    """
    rows = [("Reconstruction", np.asarray(object))]
    if truth is not None:
        rows.append(("Truth", np.asarray(truth)))
    shown = [(name, flatten_phase(wave)) for name, wave in rows]
    figure = _figure(len(rows), title)
    wide = 1.0 if truth is not None else 1.25
    grid = figure.add_gridspec(2, 3, width_ratios=(wide, wide, 0.8))
    limits = {part: colour_limits(view(_middle(shown[0][1]))) for part, view in VIEWS.items()}
    for row, (name, wave) in enumerate(shown):
        for column, (part, view) in enumerate(VIEWS.items()):
            place = grid[row, column] if truth is not None else grid[:, column]
            axes = figure.add_subplot(place)
            show_image(axes, view(wave), limits[part], COLOURS[part], LABELS[part], resolution_m)
            axes.set_title(f"{name}: {part}", loc="left")
    _probe(figure.add_subplot(grid[0, 2]), np.asarray(probe), resolution_m)
    show_errors(figure.add_subplot(grid[1, 2]), np.asarray(errors, np.float64))
    return put_figure(Path(path), figure)


def _figure(rows: int, title: str) -> Figure:
    layout = ConstrainedLayoutEngine(w_pad=0.10, h_pad=0.10, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=(14, 8.6 if rows > 1 else 6.2), dpi=120, layout=layout)
    title = in_picture(title or "Reconstruction")
    figure.suptitle(title, x=0.012, ha="left", fontsize=15, color=INK, fontweight="bold")
    return figure


def _middle(image: NDArray[Any]) -> NDArray[Any]:
    """Without its outer eighths."""
    rows, columns = (slice(n // 8, n - n // 8) for n in image.shape)
    return image[rows, columns]


def _probe(axes: Any, probe: NDArray[Any], resolution_m: tuple[float, float]) -> None:
    show_wave(axes, probe if probe.ndim == 2 else probe[0], resolution_m)
    scale_bar(axes, probe.shape[-2:], resolution_m)
    axes.set_title("Probe", loc="left", fontsize=10)
    show_wheel(axes.inset_axes((1.12, 0.8, 0.2, 0.2)))
    axes.text(
        1.02,
        0.77,
        "hue: phase\nbrightness:\nmodulus",
        fontsize=8,
        color=INK,
        va="top",
        transform=axes.transAxes,
    )
