"""A directive that draws the package's layers from the contracts that import-linter enforces."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # Sphinx brings it along

ROOT = Path(__file__).parents[2]
PACKAGE = "ptypy_beamline"

WIDTH, LEFT, NAME, LINE, GAP = 820, 24, 140, 24, 6
"""Of the picture, its margin for the arrow, a name, a module, and between layers; in pixels."""


class Layers(SphinxDirective):
    """The layers, highest first: a band each, with a line for each of its modules."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(ROOT / "pyproject.toml"))
        layers, ptypy, testing = contracts()
        return [nodes.raw("", picture(layers, ptypy, testing), format="html")]


def contracts() -> tuple[list[list[str]], set[str], list[str]]:
    """Modules of each layer, those that may import PtyPy, and those that may import ``testing``."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    by_type = {contract["type"]: contract for contract in linter["contracts"]}
    layers = [re.split(r" [|:] ", layer) for layer in by_type["layers"]["layers"]]
    allowed = by_type["forbidden"]["ignore_imports"]
    ptypy = {line.split(" ")[0].removeprefix(f"{PACKAGE}.").removesuffix(".*") for line in allowed}
    importers = by_type["protected"]["allowed_importers"]
    return layers, ptypy, [name.removeprefix(f"{PACKAGE}.") for name in importers]


def picture(layers: list[list[str]], ptypy: set[str], testing: list[str]) -> str:
    """SVG in the colours of the page around it."""
    marks, top = list(_testing(testing)), LINE + 2 * GAP
    for modules in layers:
        height = LINE * len(modules) + GAP
        marks.append(_band(top, height, "layer"))
        for line, name in enumerate(modules):
            y = top + GAP // 2 + LINE * line
            marks += _module(y, name, _first_line(name), name in ptypy)
        top += height + GAP
    marks.append(
        f'<path class="arrow" d="M10 {LINE + 2 * GAP} V{top - 2 * GAP} m-5 -8 l5 8 l5 -8"/>'
    )
    head = f'<svg class="layers" viewBox="0 0 {WIDTH} {top}" role="img" aria-label="Layers">'
    return head + "".join(marks) + "</svg>"


def _testing(importers: list[str]) -> Iterator[str]:
    yield _band(0, LINE + GAP, "aside")
    yield from _module(GAP // 2, "testing", f"used by tests and {', '.join(importers)} only", False)


def _band(y: int, height: int, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{LEFT}" y="{y + 1}" width="{WIDTH - LEFT - 1}" '
        f'height="{height - 2}" rx="4"/>'
    )


def _module(y: int, name: str, text: str, ptypy: bool) -> Iterator[str]:
    kind = "ptypy" if ptypy else "module"
    shown = f"{name}/" if (ROOT / PACKAGE / name).is_dir() else name
    yield f'<rect class="{kind}" x="{LEFT + 4}" y="{y + 2}" width="{NAME}" height="20" rx="3"/>'
    yield f'<text class="name" x="{LEFT + 12}" y="{y + 16}">{escape(shown)}</text>'
    yield f'<text x="{LEFT + NAME + 16}" y="{y + 16}">{escape(text)}</text>'


def _first_line(name: str) -> str:
    """What a module's docstring begins with, as plain text; the module is not imported."""
    path = ROOT / PACKAGE / name
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text("utf-8")
    line = source.removeprefix('"""').partition("\n")[0].removesuffix('"""')
    return re.sub(r":\w+:`~?([^`]*)`", r"\1", line.replace("``", "")).rstrip(".")


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("layers", Layers)
    return {"parallel_read_safe": True}
