"""Make the pictures of the README and the documentation: ``python docs/pictures.py``.

It runs the commands of the pages in a temporary folder, and puts small copies of their pictures
into ``docs/_static``. The page of quality control needs Playwright and Chromium; ``python
docs/pictures.py axes`` draws the picture of axes and signs alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import TextPath
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from PIL import Image

from ptypy_beamline.parameter_values import orientation_flags
from ptypy_beamline.positions import to_image_axes

STATIC = Path(__file__).resolve().parent / "_static"
WIDTH_PX, COLOURS = 1000, 256
SCAN = "demo/raw_scan.h5 --frames-per-pos 3 --roi 128 --sat file --hot-sigma 6"
REJECT = "--reject demo/qc/reject_indices.npy"

COMMANDS = (
    "demo",
    f"info {SCAN} {REJECT} --plan --plot plan.png",
    f"check {SCAN} {REJECT} --plot check.png",
    f"reconstruct {SCAN} {REJECT} -o reconstruction",
    "tomo demo/files/series.h5 -o tomo",
)
PICTURES = {
    "demo.png": "demo/reconstruction.png",
    "plan.png": "plan.png",
    "check.png": "check.png",
    "reconstruct.png": "reconstruction/reconstruction.png",
    "alignment.png": "tomo/alignment.png",
    "quality.png": "quality.png",
}


AXES = ("yx", "-yx", "y-x", "-y-x", "xy", "-xy", "x-y", "-x-y")
SCANNED = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [1.0, 2.0], [1.0, 1.0], [1.0, 0.0]])
"""(n, 2) stage (y, x) of a scan of two rows, x fast."""

FLAGS = {
    0: "--rotate 0",
    1: "--flip h",
    2: "--flip v",
    3: "--rotate 180",
    4: "--rotate 90 --flip h",
    5: "--rotate 90",
    6: "--rotate 270",
    7: "--rotate 90 --flip v",
}
"""What ``--orientation`` N is in other words."""


def main() -> None:
    """All of them."""
    draw_axes(STATIC / "axes.png")
    if sys.argv[1:] == ["axes"]:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command in COMMANDS:
            words = [sys.executable, "-m", "ptypy_beamline", *command.split()]
            subprocess.run(words, cwd=folder, check=True)
        photograph(folder / "demo/qc/qc_report.html", folder / "quality.png")
        for made, source in PICTURES.items():
            shrink(folder / source, STATIC / made)


def draw_axes(picture: Path) -> None:
    """Stage axes, ``--axes``, ``--orientation``, and the twin."""
    figure = Figure(figsize=(10, 10.5), layout="constrained")
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1, 1.9, 1.9))
    _draw_twin(top)
    middle.suptitle("--axes: the same stage positions on the image axes (1 = first position)")
    for axes, name in zip(middle.subplots(2, 4).flat, AXES, strict=True):
        _draw_positions(axes, to_image_axes(SCANNED, name), "column", "row")
        axes.set_title(f"--axes={name}", fontsize=10, family="monospace")
    bottom.suptitle("--orientation, or --rotate and then --flip: the same raw frame")
    frame = _letter()
    for axes, (code, flags) in zip(bottom.subplots(2, 4).flat, FLAGS.items(), strict=True):
        transpose, up_down, left_right = orientation_flags(code)
        turned = frame.T if transpose else frame
        turned = turned[::-1] if up_down else turned
        _draw_image(axes, turned[:, ::-1] if left_right else turned)
        axes.set_title(f"--orientation {code}\n{flags}", fontsize=9, family="monospace")
    unreduced = picture.with_suffix(".full.png")
    figure.savefig(unreduced, dpi=100)
    shrink(unreduced, picture, colours=64)
    unreduced.unlink()


def _draw_twin(figure: Figure) -> None:
    """Image axes, an object, and its twin."""
    stage, right, twin = figure.subplots(1, 3, width_ratios=(1, 1.2, 1.2))
    _draw_positions(stage, SCANNED, "x, column", "y, row")
    stage.set_title("positions: y downwards,\nx to the right")
    phase = -_letter().astype(float)
    for axes, values, title in (
        (right, phase, "both signs right:\nthe object, phase −φ"),
        (twin, -phase[::-1, ::-1], "both signs wrong: the twin,\nrotated by 180°, phase +φ"),
    ):
        _draw_image(axes, values, limits=(-1.0, 1.0), colours="RdBu_r")
        axes.set_title(title)


def _draw_positions(axes: Axes, points: NDArray[np.float64], right: str, down: str) -> None:
    """A path of positions (n, 2) down and to the right, their first one marked."""
    axes.plot(points[:, 1], points[:, 0], "-", color="0.7", zorder=1)
    axes.scatter(points[1:, 1], points[1:, 0], color="tab:blue", zorder=2)
    axes.scatter(*points[0, ::-1], color="tab:red", zorder=2)
    axes.annotate("1", points[0, ::-1], (5, 5), textcoords="offset points", color="tab:red")
    y, x = points.mean(axis=0)
    axes.set(xlim=(x - 1.7, x + 1.7), ylim=(y + 1.7, y - 1.7), aspect="equal", xticks=[], yticks=[])
    axes.set_xlabel(f"{right} →")
    axes.set_ylabel(f"← {down}")


def _draw_image(
    axes: Axes,
    values: NDArray[Any],
    limits: tuple[float, float] = (0.0, 1.0),
    colours: str = "gray_r",
) -> None:
    axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1])
    axes.set(xticks=[], yticks=[])


def _letter() -> NDArray[np.bool_]:
    """(60, 60) an F, which no rotation and no mirror image leaves unchanged."""
    outline = TextPath((0, 0), "F", size=60)
    box = outline.get_extents()
    centred = Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
    rows, columns = np.indices((60, 60))
    points = np.column_stack([columns.ravel() - 29.5, 29.5 - rows.ravel()])
    inside: NDArray[np.bool_] = outline.transformed(centred).contains_points(points)
    return inside.reshape(60, 60)


def photograph(page: Path, picture: Path) -> None:
    """The upper part of a page as a browser shows it, without the folder that it is in."""
    from playwright.sync_api import sync_playwright

    shown = page.with_name("shown.html")
    shown.write_text(page.read_text().replace(f"{page.parents[2]}/", ""))
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": 1400, "height": 1000})
        tab.goto(shown.as_uri())
        tab.wait_for_timeout(2000)
        tab.screenshot(path=picture)
        browser.close()


def shrink(source: Path, target: Path, colours: int = COLOURS) -> None:
    """A copy of fewer pixels and colours."""
    with Image.open(source) as image:
        plain = image.convert("RGB")
        plain.thumbnail((WIDTH_PX, WIDTH_PX * 2))
        plain.quantize(colours).save(target, optimize=True)


if __name__ == "__main__":
    main()
