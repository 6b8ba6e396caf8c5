"""One picture of a reconstruction: object, probe, error, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import ArrayLike, NDArray

from ..exports.files import complete
from .phase import flatten_phase

INK, PALE = "#1d2733", "#8793a0"
NICE_UM = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


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
    limits = {part: _limits(view(shown[0][1])) for part, view in VIEWS.items()}
    for row, (name, wave) in enumerate(shown):
        for column, (part, view) in enumerate(VIEWS.items()):
            place = grid[row, column] if truth is not None else grid[:, column]
            axes = figure.add_subplot(place)
            _image(axes, view(wave), limits[part], *STYLE[part])
            axes.set_title(f"{name}: {part}", loc="left")
            _scale_bar(axes, wave.shape, resolution_m)
    _probe(figure.add_subplot(grid[0, 2]), np.asarray(probe), resolution_m)
    _errors(figure.add_subplot(grid[1, 2]), np.asarray(errors, np.float64))
    with complete(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)
    return Path(path)


VIEWS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {"phase": np.angle, "amplitude": np.abs}
STYLE = {"phase": ("magma", "phase (rad)"), "amplitude": ("gray", "amplitude")}


def hue_and_brightness(wave: NDArray[Any]) -> NDArray[np.float64]:
    """A complex image as RGB (ny, nx, 3): phase as hue, modulus as brightness."""
    modulus = np.abs(wave)
    top = float(np.percentile(modulus, 99.8)) or 1.0
    hue = (np.angle(wave) / (2 * np.pi)) % 1.0
    rgb: NDArray[np.float64] = hsv_to_rgb(
        np.stack([hue, np.full(hue.shape, 0.85), (modulus / top).clip(0, 1)], axis=-1)
    )
    return rgb


def _figure(rows: int, title: str) -> Figure:
    layout = ConstrainedLayoutEngine(w_pad=0.10, h_pad=0.10, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=(14, 8.6 if rows > 1 else 6.2), dpi=120, layout=layout)
    figure.suptitle(title or "Reconstruction", x=0.012, ha="left", fontsize=15, color=INK,
                    fontweight="bold")  # fmt: skip
    return figure


def _limits(image: NDArray[Any]) -> tuple[float, float]:
    """Colour limits that leave out the outermost per cent, found in the middle of the image."""
    rows, columns = (slice(n // 8, n - n // 8) for n in image.shape)
    low, high = np.percentile(image[rows, columns], (0.5, 99.5))
    return float(low), float(max(high, low + 1e-6))


def _image(
    axes: Axes, image: NDArray[Any], limits: tuple[float, float], colours: str, label: str
) -> None:
    drawn = axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1])
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.set_label(label, color=INK)
    bar.outline.set_visible(False)
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _scale_bar(axes: Axes, shape: tuple[int, ...], resolution_m: tuple[float, float]) -> None:
    """A bar of a round length, about a quarter of the image, at the lower left."""
    width_um = shape[1] * resolution_m[1] * 1e6
    length_um = max((v for v in NICE_UM if v <= width_um / 3), default=NICE_UM[0])
    length = length_um / (resolution_m[1] * 1e6)
    unit = shape[0] / 100
    left, bottom = 3.5 * unit, shape[0] - 4.5 * unit
    axes.add_patch(Rectangle((left - 2 * unit, bottom - 8.5 * unit), length + 4 * unit, 11 * unit,
                             color="black", alpha=0.55, linewidth=0))  # fmt: skip
    axes.add_patch(Rectangle((left, bottom - unit), length, 1.6 * unit, color="white", linewidth=0))
    axes.text(left + length / 2, bottom - 1.8 * unit, f"{length_um:g} µm", color="white",
              ha="center", va="bottom", fontsize=9)  # fmt: skip


def _probe(axes: Axes, probe: NDArray[Any], resolution_m: tuple[float, float]) -> None:
    mode = probe if probe.ndim == 2 else probe[0]
    axes.imshow(hue_and_brightness(mode))
    axes.set_title("Probe (hue is its phase)", loc="left", fontsize=10)
    _scale_bar(axes, mode.shape, resolution_m)
    _bare(axes)


def _errors(axes: Axes, errors: NDArray[np.float64]) -> None:
    axes.semilogy(np.arange(1, len(errors) + 1), errors, color="#b5367a", linewidth=2)
    last = f", last {errors[-1]:.3g}" if len(errors) else ""
    axes.set_title(f"Error per iteration{last}", loc="left", fontsize=10)
    axes.set_xlabel("iteration", color=INK)
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(plain)
    # Over more than a decade labels at 1, 2 and 5 are enough, more would overlap.
    if len(errors) and np.ptp(np.log10(errors[errors > 0])) > 0.5:
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.grid(True, which="both", color=PALE, alpha=0.25, linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
