"""One picture of a comparison: object, truth, what is between them, and the ring correlation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...arrays import Complexes, Floats, Reals
from ...errors import in_picture
from ...geometry import in_words, length_unit
from ...output import put_figure
from ...plotting import COLOURS, LABELS, colour_limits, show_image
from .likeness import Likeness

SIZE_IN = (2.7, 2.7)
"""About the width and height of an image."""

View = Callable[[Complexes], NDArray[Any]]

VIEWS: tuple[tuple[str, View], ...] = (("phase", np.angle), ("amplitude", np.abs))


def draw(path: str | Path, likeness: Likeness, title: str = "") -> Path:
    """Draw the comparison as a PNG; both amplitudes on the reconstruction's range."""
    rows, columns = likeness.obj.shape
    height = 3.8 + 3.8 * min(1.0, rows / columns)
    figure = Figure(figsize=(15, height), dpi=110, layout="constrained")
    title = in_picture(title or "Reconstruction and truth")
    figure.suptitle(title, x=0.012, ha="left", fontweight="bold")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.1), wspace=0.15, hspace=0.1)
    upright = np.exp(-1j * np.angle(likeness.truth.mean()))
    errors = (("δ", likeness.delta_error), ("β", likeness.beta_error))
    for row, ((name, part), error) in enumerate(zip(VIEWS, errors, strict=True)):
        images = [part(image * upright) for image in (likeness.obj, likeness.truth)]
        limits = colour_limits(images[0 if name == "amplitude" else 1])
        for column, whose in enumerate(("reconstruction", "truth")):
            axes = figure.add_subplot(grid[row, column])
            _image(
                axes,
                images[column],
                f"{whose}: {name}",
                (COLOURS[name], LABELS[name]),
                limits,
                likeness.pixel_m,
            )
        _error(figure.add_subplot(grid[row, 2]), *error, likeness.pixel_m)
    _rings(figure.add_subplot(grid[:, 3]), likeness)
    return put_figure(Path(path), figure)


def _image(
    axes: Axes,
    image: Reals,
    title: str,
    look: tuple[str, str],
    limits: tuple[float, float],
    pixel_m: float,
) -> None:
    show_image(axes, image, limits, *look, (pixel_m, pixel_m), SIZE_IN)
    axes.set_title(title, loc="left", fontsize=10)


def _error(axes: Axes, name: str, error: Floats, pixel_m: float) -> None:
    top = float(np.percentile(np.abs(error), 99.5)) or 1e-12
    _image(
        axes,
        error,
        f"error of {name}, rms {error.std():.3g}",
        ("RdBu_r", name),
        (-top, top),
        pixel_m,
    )


def _rings(axes: Axes, likeness: Likeness) -> None:
    rings = likeness.rings
    factor, unit = length_unit(likeness.pixel_m)
    frequency = rings.frequency / (likeness.pixel_m * factor)
    axes.plot(frequency, rings.correlation, color="#1f6f8b", label="reconstruction and truth")
    axes.plot(frequency, rings.threshold, "--", color="#8793a0", label="half bit")
    axes.axvline(
        1 / (likeness.resolution_m * factor),
        color="#c0392b",
        lw=1,
        label=f"full period {in_words(likeness.resolution_m, 3)}",
    )
    axes.set(
        xlabel=f"spatial frequency (1/{unit})",
        ylabel="Fourier ring correlation",
        ylim=(-0.05, 1.05),
    )
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.1), borderaxespad=0)
    axes.set_title(f"correlation {likeness.correlation:.3f}", loc="left", fontsize=10)
