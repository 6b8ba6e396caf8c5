"""Parts of figures of reconstructions: images, waves, scale bars, error curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, ScalarFormatter
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from numpy.typing import NDArray

from .arrays import Floats
from .units import in_words

INK, PALE = "#1d2733", "#8793a0"
COLOURS = {"phase": "magma", "amplitude": "gray"}
LEAST_CONTRAST = 1e-3
LABELS = {"phase": "phase (rad)", "amplitude": "amplitude"}

WHEEL = LinearSegmentedColormap.from_list(
    "wheel",
    [
        "#ff8fa4",
        "#f9977e",
        "#e1a463",
        "#bdb35e",
        "#90bd70",
        "#59c493",
        "#00c6bd",
        "#00c4e4",
        "#28bcfd",
        "#88b0ff",
        "#c6a1f0",
        "#ee93ce",
        "#ff8fa4",
    ],
    N=360,
)
"""Hues of equal lightness (CIELAB: L* 72, chroma 45), so that brightness shows the modulus."""

Limits = tuple[float, float]
Pixel = tuple[float, float]
Size = tuple[float, float]


def hue_and_brightness(wave: NDArray[Any]) -> Floats:
    """A complex image as RGB (ny, nx, 3): phase as hue, modulus as brightness."""
    modulus = np.abs(wave)
    top = float(np.percentile(modulus, 99.8)) or 1.0
    hue = (np.angle(wave) / (2 * np.pi)) % 1.0
    rgb: Floats = WHEEL(hue)[..., :3] * (modulus / top).clip(0, 1)[..., None]
    return rgb


def colour_limits(image: NDArray[Any]) -> Limits:
    """Colour limits without the outermost per cent; the noise of a flat image is not amplified."""
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    margin = max(LEAST_CONTRAST - (high - low), 0) / 2
    return float(low - margin), float(high + margin)


def show_image(
    axes: Axes,
    image: NDArray[Any],
    limits: Limits,
    colours: str,
    label: str,
    pixel_m: Pixel,
    size_in: Size = (4.0, 4.0),
) -> None:
    """An image in the proportions of the sample, with colour bar and scale bar.

    ``size_in`` is about its width and height in inches; bars are of the same size beside any.
    """
    drawn = axes.imshow(
        image, cmap=colours, vmin=limits[0], vmax=limits[1], aspect=pixel_m[0] / pixel_m[1]
    )
    axes.set_anchor("NW")
    (width, height), tall = size_in, max(1.0, 0.8 / size_in[1])
    beside = axes.inset_axes((1 + 0.08 / width, (1 - tall) / 2, 0.13 / width, tall))
    bar = axes.figure.colorbar(
        drawn,
        cax=beside,
        format=ScalarFormatter(useOffset=False),
        ticks=MaxNLocator(5 if height > 1.5 else 3),
    )
    bar.set_label(label, color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=9)
    bar.outline.set_visible(False)
    scale_bar(axes, image.shape, pixel_m)
    hide_frame(axes)


def show_wave(axes: Axes, wave: NDArray[Any], pixel_m: Pixel) -> None:
    """A complex image: phase as hue, modulus as brightness."""
    axes.imshow(hue_and_brightness(wave), aspect=pixel_m[0] / pixel_m[1])
    hide_frame(axes)


def show_colour_wheel(axes: Axes) -> None:
    """The colour wheel of a wave: phase 0 to the right, π/2 upwards."""
    y, x = np.mgrid[1:-1:101j, -1:1:101j]
    disc: NDArray[np.complex128] = np.where(np.hypot(x, y) < 1, x + 1j * y, 0)
    axes.imshow(np.dstack([hue_and_brightness(disc), disc != 0]), extent=(-1, 1, -1, 1))
    axes.text(1.2, 0, "0", fontsize=8, color=INK, ha="left", va="center")
    axes.text(-1.2, 0, "π", fontsize=8, color=INK, ha="right", va="center")
    hide_frame(axes)


def hide_frame(axes: Axes) -> None:
    """Remove ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def scale_bar(axes: Axes, shape: tuple[int, ...], pixel_m: Pixel) -> None:
    """A scale bar of a round length below the image.

    It is up to a third of the image's width; in narrow images, up to an eighth of their height.
    """
    height_m, width_m = shape[0] * pixel_m[0], shape[1] * pixel_m[1]
    length_m = round_length_m(max(width_m / 3, height_m / 8))
    bar = AnchoredSizeBar(
        axes.transData,
        length_m / pixel_m[1],
        f" {in_words(length_m)}",
        "upper left",
        pad=0,
        borderpad=0.3,
        sep=2,
        color=INK,
        frameon=False,
        size_vertical=0,
        label_top=False,
        bbox_to_anchor=(0, 0),
        bbox_transform=axes.transAxes,
        fontproperties={"size": 9},
    )
    bar.size_bar.get_children()[0].set(linewidth=2.5, capstyle="butt")
    axes.add_artist(bar)
    bar.set_clip_on(False)


def round_length_m(most_m: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is at most ``most_m``."""
    decade = 10.0 ** np.floor(np.log10(most_m))
    # With a tolerance, as 5 times 100 nm is not exactly 500 nm.
    return float(decade * max(n for n in (1, 2, 5) if n * decade <= most_m * (1 + 1e-9)))


def show_errors(axes: Axes, errors: Floats) -> None:
    """Error of each iteration, on a logarithmic scale."""
    positive = errors[errors > 0]
    axes.plot(np.arange(1, len(errors) + 1), errors, color="#b5367a", linewidth=2)
    axes.set_yscale("log" if positive.size else "linear")
    last = f", last {errors[-1]:.3g}" if len(errors) else ""
    axes.set_title(f"Error per iteration{last}", loc="left", fontsize=10, color=INK)
    axes.set_xlabel("iteration", color=INK, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(plain)
    # Over more than half a decade, labels other than 1, 2 and 5 would overlap.
    if positive.size and np.ptp(np.log10(positive)) > 0.5:
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.grid(True, which="both", color=PALE, alpha=0.25, linewidth=0.6)
    axes.tick_params(which="both", colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
