"""One picture of a comparison: object, truth, what is between them, and the ring correlation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..exports.files import complete
from .likeness import Array, Complex, Likeness

View = Callable[[Complex], NDArray[Any]]

VIEWS: tuple[tuple[str, str, View], ...] = (
    ("phase (rad)", "magma", np.angle),
    ("amplitude", "gray", np.abs),
)


def draw(path: str | Path, likeness: Likeness, title: str = "") -> Path:
    """Draw the comparison as a PNG."""
    figure = Figure(figsize=(15, 7.6), dpi=110, layout="constrained")
    figure.suptitle(title or "Reconstruction and truth", x=0.012, ha="left", fontweight="bold")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.1))
    upright = np.exp(-1j * np.angle(likeness.truth.mean()))
    errors = (("δ", likeness.delta_error), ("β", likeness.beta_error))
    for row, (view, error) in enumerate(zip(VIEWS, errors, strict=True)):
        label, colours, part = view
        images = [part(image * upright) for image in (likeness.obj, likeness.truth)]
        limits = _limits(images[1])
        for column, name in enumerate(("reconstruction", "truth")):
            axes = figure.add_subplot(grid[row, column])
            _image(axes, images[column], f"{name}, {label}", colours, limits)
        _error(figure.add_subplot(grid[row, 2]), *error)
    _rings(figure.add_subplot(grid[:, 3]), likeness)
    with complete(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)
    return Path(path)


def _limits(image: Array) -> tuple[float, float]:
    low, high = np.percentile(image, (0.5, 99.5))
    return float(low), float(max(high, low + 1e-12))


def _image(
    axes: Axes, image: NDArray[np.floating], title: str, colours: str, limits: tuple[float, float]
) -> None:
    drawn = axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1])
    axes.figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])


def _error(axes: Axes, name: str, error: Array) -> None:
    top = float(np.percentile(np.abs(error), 99.5)) or 1e-12
    _image(axes, error, f"error of {name}, rms {error.std():.3g}", "RdBu_r", (-top, top))


def _rings(axes: Axes, likeness: Likeness) -> None:
    rings, pixel_nm = likeness.rings, likeness.pixel_m * 1e9
    frequency = rings.frequency / pixel_nm
    axes.plot(frequency, rings.correlation, color="#1f6f8b", label="Fourier ring correlation")
    axes.plot(frequency, rings.threshold, "--", color="#8793a0", label="half bit")
    axes.axvline(1 / (rings.period_px * pixel_nm), color="#c0392b", lw=1,
                 label=f"full period {rings.period_px * pixel_nm:.3g} nm")  # fmt: skip
    axes.set_xlabel("spatial frequency (1/nm)")
    axes.set_ylim(-0.05, 1.05)
    axes.legend(frameon=False, loc="lower left")
    axes.set_title(f"correlation {likeness.correlation:.3f}", loc="left", fontsize=10)
