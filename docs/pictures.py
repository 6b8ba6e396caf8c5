"""Make the pictures of the README and the documentation: ``python docs/pictures.py``.

It types the commands of the pages in a folder of its own, and leaves small copies in
``docs/_static``. The page of quality control needs Playwright and Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

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


def main() -> None:
    """All of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command in COMMANDS:
            words = [sys.executable, "-m", "ptypy_beamline", *command.split()]
            subprocess.run(words, cwd=folder, check=True)
        photograph(folder / "demo/qc/qc_report.html", folder / "quality.png")
        for made, source in PICTURES.items():
            shrink(folder / source, STATIC / made)


def photograph(page: Path, picture: Path) -> None:
    """The upper part of a page as a browser shows it, without the folder that it is in."""
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


def shrink(source: Path, target: Path) -> None:
    """A copy of fewer pixels and colours."""
    with Image.open(source) as image:
        plain = image.convert("RGB")
        plain.thumbnail((WIDTH_PX, WIDTH_PX * 2))
        plain.quantize(COLOURS).save(target, optimize=True)


if __name__ == "__main__":
    main()
