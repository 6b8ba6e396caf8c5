"""Pictures of a volume and of the alignment it rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..arrays import Reals
from ..errors import in_picture
from ..files.links import open_confined
from ..output.figures import save_figure
from ..plotting import INK, hide_frame, scale_bar
from .volume import Projections

COLOURS = ("#b5367a", "#1f77b4")
DENSITY = "electron density (e/Å³)"
VIEWS = (
    ("z = 0: x to the right, y down", 1, 2),
    ("y = 0: x to the right, z down", 0, 2),
    ("x = 0: y to the right, z down", 0, 1),
)
"""Title of each slice, and the volume's axes that run down and across it."""


def draw_volume(volume: Path, picture: Path) -> Path:
    """Draw the three orthogonal slices through the middle of ``/volume``.

    Parameters
    ----------
    volume
        ``reconstructed_3d.h5``; three slices of it are read.
    picture
        PNG, PDF or SVG by its suffix; complete or not there.
    """
    with open_confined(volume) as file:
        stored, voxel = file["volume"], file["voxel_m"][()]
        # The rotation axis passes through voxel n // 2.
        z, y, x = (n // 2 for n in stored.shape)
        planes = stored[z], stored[:, y], stored[:, :, x]
    low = min(0.0, float(np.percentile(planes[0], 0.5)))
    high = max(float(np.percentile(plane, 99.8)) for plane in planes)
    widths = [
        float(plane.shape[1] * voxel[across])
        for plane, (*_, across) in zip(planes, VIEWS, strict=True)
    ]
    figure, axes = _figure(widths, volume.name)
    for ax, plane, (name, down, across) in zip(axes, planes, VIEWS, strict=True):
        drawn = ax.imshow(
            plane, cmap="inferno", vmin=low, vmax=high, aspect=voxel[down] / voxel[across]
        )
        ax.set_title(name, loc="left", fontsize=10, color=INK)
        scale_bar(ax, plane.shape, (voxel[down], voxel[across]))
        hide_frame(ax)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.03, pad=0.01)
    bar.set_label(DENSITY, color=INK)
    bar.outline.set(visible=False)
    return save_figure(picture, figure)


def draw_alignment(found: Projections, picture: Path) -> Path:
    """Draw the shifts, the mass of each row at each angle, and a sinogram.

    When aligned, the mass of a row is constant, and traces in the sinogram are sine curves.
    """
    order = np.argsort(found.angles_deg)
    angles, shifts, phase = found.angles_deg[order], found.shifts_px[order], found.phase[order]
    figure, (left, middle, right) = _figure([1, 1, 1], f"Alignment of {len(angles)} angles")
    for shift, name, colour in zip(shifts.T, ("vertical", "horizontal"), COLOURS, strict=True):
        left.plot(angles, shift, ".-", linewidth=0.8, label=name, color=colour)
    left.set_xlabel("angle (°)")
    left.set_ylabel("moved by (pixels)")
    left.legend(frameon=False)
    _map(middle, -phase.sum(axis=2).T, "mass of each row, −Σφ (rad)", "row")
    _map(right, -phase[:, phase.shape[1] // 2].T, "sinogram of the middle row, −φ (rad)", "column")
    return save_figure(picture, figure)


def _map(axes: Axes, image: Reals, label: str, rows: str) -> None:
    drawn = axes.imshow(image, aspect="auto", cmap="inferno", interpolation="nearest")
    axes.set_xlabel("projection, by angle")
    axes.set_ylabel(rows)
    axes.figure.colorbar(drawn, ax=axes, label=label)


def _figure(widths: list[float], title: str) -> tuple[Figure, list[Axes]]:
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(15, 5.2), dpi=120, layout=layout)
    figure.suptitle(
        in_picture(title), x=0.012, ha="left", fontsize=13, color=INK, fontweight="bold"
    )
    return figure, list(figure.subplots(1, len(widths), width_ratios=widths))
