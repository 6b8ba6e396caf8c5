"""Sphinx configuration."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import ptypy_beamline  # noqa: E402

project = "ptypy_beamline"
author = "The ptypy_beamline developers"
copyright = "2026, The ptypy_beamline developers"
version = release = ptypy_beamline.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "layers", "tables"]
exclude_patterns = ["_build", "_ext"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # takes several names at once

smartquotes_action = "D"  # dashes; quotes stay as they are written
html_theme = "furo" if importlib.util.find_spec("furo") else "alabaster"
html_title = "ptypy_beamline"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sourcelink = False


class PtyScan:
    """PtyPy's base class of loaders."""


def _stand_in_for_ptypy() -> None:
    """Document the loaders without PtyPy, and alike where it is installed."""
    for name in (
        "ptypy",
        "ptypy.core",
        "ptypy.core.data",
        "ptypy.experiment",
        "ptypy.utils",
        "ptypy.core.manager",
        "ptypy.utils.verbose",
        "ptypy_beamline.models.scan_models",  # subclasses of PtyPy's, which are not on these pages
    ):
        sys.modules[name] = MagicMock(__path__=[], __spec__=None)
    sys.modules["ptypy.core.data"].PtyScan = PtyScan
    sys.modules["ptypy.experiment"].register = lambda: lambda loader: loader


_stand_in_for_ptypy()


def _tidy(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Leave out a loader's parameters, which have their own page, and keep | as it is written."""
    if "Defaults:" in lines:
        del lines[lines.index("Defaults:") :]
    lines[:] = [re.sub(r"(``.*?``)|\|", lambda m: m[1] or r"\|", line) for line in lines]


def _no_constructor(app: Any, what: str, *_: Any) -> tuple[str, None] | None:
    """Classes without the arguments of their constructor: users do not make them."""
    return ("", None) if what == "class" else None


def setup(app: Any) -> None:
    app.connect("autodoc-process-signature", _no_constructor)
    app.connect("autodoc-process-docstring", _tidy, priority=1)
