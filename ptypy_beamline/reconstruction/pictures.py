"""Simple figures: a reconstruction, alone or beside the truth, and a comparison of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from ..arrays import Complexes, Floats
from ..errors import in_picture
from ..output.figures import save_figure
from ..plotting import (
    COLOURS,
    INK,
    LABELS,
    colour_limits,
    scale_bar,
    show_colour_wheel,
    show_errors,
    show_image,
    show_wave,
)
from ..units import in_words, length_unit
from .comparison.phantom import PhantomComparison
from .phase import flatten_phase

VIEWS: dict[str, Callable[[Complexes], NDArray[Any]]] = {"phase": np.angle, "amplitude": np.abs}

COMPARISON_IMAGE_IN = (2.7, 2.7)
"""Approximate width and height of an image in a comparison, in inches."""


def draw_beside_truth(
    path: str | Path,
    object: Complexes,
    probe: Complexes,
    errors: Floats,
    pixel_m: tuple[float, float],
    truth: Complexes | None = None,
    title: str = "",
) -> Path:
    """Draw a reconstruction as a PNG.

    Parameters
    ----------
    path
        The PNG file; written completely or not at all.
    object
        (ny, nx) complex transmission, preferably without the margin outside the beam. Its phase
        ramp is removed for display.
    probe
        (modes, N, N); the first mode is drawn, phase as hue and modulus as brightness.
    errors
        (iterations,).
    pixel_m
        Object pixel (y, x).
    truth
        The true object, registered with ``object``, drawn beside it with the same colours.
    title
        Title of the figure.
    """
    flattened = {"Reconstruction": flatten_phase(object)}
    if truth is not None:
        flattened["Truth"] = flatten_phase(truth)
    layout = ConstrainedLayoutEngine(w_pad=0.10, h_pad=0.10, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=(14, 8.6 if truth is not None else 6.2), dpi=120, layout=layout)
    title = in_picture(title or "Reconstruction")
    figure.suptitle(title, x=0.012, ha="left", fontsize=15, color=INK, fontweight="bold")
    width = 1.0 if truth is not None else 1.25
    grid = figure.add_gridspec(2, 3, width_ratios=(width, width, 0.8))
    # Without an eighth at each edge.
    inner = tuple(slice(n // 8, n - n // 8) for n in object.shape)
    middle = flattened["Reconstruction"][inner]
    limits = {part: colour_limits(view(middle)) for part, view in VIEWS.items()}
    for row, (name, wave) in enumerate(flattened.items()):
        for column, (part, view) in enumerate(VIEWS.items()):
            cell = grid[row, column] if truth is not None else grid[:, column]
            axes = figure.add_subplot(cell)
            show_image(axes, view(wave), limits[part], COLOURS[part], LABELS[part], pixel_m)
            axes.set_title(f"{name}: {part}", loc="left")
    _probe(figure.add_subplot(grid[0, 2]), probe[0], pixel_m)
    show_errors(figure.add_subplot(grid[1, 2]), errors)
    return save_figure(Path(path), figure)


def _probe(axes: Axes, probe: Complexes, pixel_m: tuple[float, float]) -> None:
    show_wave(axes, probe, pixel_m)
    scale_bar(axes, probe.shape, pixel_m)
    axes.set_title("Probe", loc="left", fontsize=10)
    show_colour_wheel(axes.inset_axes((1.12, 0.8, 0.2, 0.2)))
    legend = "hue: phase\nbrightness:\nmodulus"
    axes.text(1.02, 0.77, legend, fontsize=8, color=INK, va="top", transform=axes.transAxes)


def draw_comparison(path: str | Path, comparison: PhantomComparison, title: str = "") -> Path:
    """Draw the comparison as a PNG; both amplitudes on the reconstruction's range."""
    rows, columns = comparison.obj.shape
    height = 3.8 + 3.8 * min(1.0, rows / columns)
    figure = Figure(figsize=(15, height), dpi=110, layout="constrained")
    title = in_picture(title or "Reconstruction and truth")
    figure.suptitle(title, x=0.012, ha="left", fontweight="bold")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.1), wspace=0.15, hspace=0.1)
    pixel_m = comparison.pixel_m, comparison.pixel_m
    phase_zero = np.exp(-1j * np.angle(comparison.truth.mean()))
    errors = (("δ", comparison.delta_error), ("β", comparison.beta_error))
    for row, ((name, part), (symbol, error)) in enumerate(zip(VIEWS.items(), errors, strict=True)):
        images = [part(image * phase_zero) for image in (comparison.obj, comparison.truth)]
        limits = colour_limits(images[0 if name == "amplitude" else 1])
        most = float(np.percentile(np.abs(error), 99.5)) or 1e-12
        panels = (
            (f"reconstruction: {name}", images[0], limits, COLOURS[name], LABELS[name]),
            (f"truth: {name}", images[1], limits, COLOURS[name], LABELS[name]),
            (f"error of {symbol}, rms {error.std():.3g}", error, (-most, most), "RdBu_r", symbol),
        )
        for column, (heading, image, ends, colours, label) in enumerate(panels):
            axes = figure.add_subplot(grid[row, column])
            show_image(axes, image, ends, colours, label, pixel_m, COMPARISON_IMAGE_IN)
            axes.set_title(heading, loc="left", fontsize=10)
    _frc(figure.add_subplot(grid[:, 3]), comparison)
    return save_figure(Path(path), figure)


def _frc(axes: Axes, comparison: PhantomComparison) -> None:
    frc = comparison.frc
    factor, unit = length_unit(comparison.pixel_m)
    frequency = frc.frequency / (comparison.pixel_m * factor)
    axes.plot(frequency, frc.correlation, color="#1f6f8b", label="reconstruction and truth")
    axes.plot(frequency, frc.threshold, "--", color="#8793a0", label="half bit")
    axes.axvline(
        1 / (comparison.resolution_m * factor),
        color="#c0392b",
        lw=1,
        label=f"full period {in_words(comparison.resolution_m, 3)}",
    )
    axes.set(
        xlabel=f"spatial frequency (1/{unit})",
        ylabel="Fourier ring correlation",
        ylim=(-0.05, 1.05),
    )
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.1), borderaxespad=0)
    axes.set_title(f"correlation {comparison.correlation:.3f}", loc="left", fontsize=10)
