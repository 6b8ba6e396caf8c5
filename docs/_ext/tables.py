"""Directives that write tables from the package itself, so that they cannot be out of date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from ptypy_beamline import formats
from ptypy_beamline.cli import load
from ptypy_beamline.formats import areadetector
from ptypy_beamline.formats.hdf5 import Hdf5Format, Location
from ptypy_beamline.parameters import Parameter
from ptypy_beamline.quantities import TITLES, UNITS, unit_of_name
from ptypy_beamline.settings import all_parameters


class MarkdownTable(SphinxDirective):
    """A table of Markdown cells."""

    header: tuple[str, ...] = ()
    style = "names"
    has_content = True
    optional_arguments = 1

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Cells of each row."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        lines = [_row(self.header), _row(["---"] * len(self.header))]
        lines += [_row(cells) for cells in self.rows()]
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, "tables.py"), self.content_offset, parent)
        for table in parent.findall(nodes.table):
            table["classes"].append(self.style)
        return parent.children


def _row(cells: Any) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class Parameters(MarkdownTable):
    """Parameters whose names match the patterns in the content."""

    header = ("Parameter", "Flag", "Default", "Meaning")

    def rows(self) -> Iterator[tuple[str, ...]]:
        patterns = " ".join(self.content).split()
        for parameter in all_parameters():
            if any(fnmatchcase(parameter.name, pattern) for pattern in patterns):
                yield (
                    f"`{parameter.name}`",
                    _flag(parameter),
                    f"`{parameter.default}`",
                    parameter.help,
                )


def _flag(parameter: Parameter) -> str:
    group, _, inner = parameter.name.partition(".")
    named = {"file": "`FILE`", "paths": f"`--path {inner}=`", "units": f"`--unit {inner}=`"}
    return f"`{parameter.flag}`" if parameter.flag else named.get(group, "")


class Formats(MarkdownTable):
    """Every known format."""

    header = ("Name", "What it is")

    def rows(self) -> Iterator[tuple[str, ...]]:
        for name in formats.names():
            yield (
                f"`{name}`",
                re.sub(
                    r"--path \S+[A-Z]|[^\s,(]*/[^\s]*[^\s,]", r"`\g<0>`", formats.get(name).title
                ),
            )


class FormatPaths(MarkdownTable):
    """Where one HDF5 format keeps things."""

    style = "places"
    header = ("What", "Where", "Unit")
    required_arguments = 1

    def rows(self) -> Iterator[tuple[str, ...]]:
        table = formats.get(self.arguments[0])
        if not isinstance(table, Hdf5Format):
            raise ExtensionError(f"{self.arguments[0]} is not a table of paths")
        for name, title in TITLES.items():
            item: Location = getattr(table, name)
            if item.paths:
                unit = item.unit or _unit_of_name(name, item.paths[0])
                yield title, ", ".join(f"`{path}`" for path in item.paths), unit


def _unit_of_name(thing: str, path: str) -> str:
    """The unit that the name of a dataset ends in."""
    quantity = "positions" if thing in "xy" else thing.partition("_")[0]
    return (unit_of_name(quantity, path) if quantity in UNITS else None) or ""


class NDAttributes(MarkdownTable):
    """The NDAttributes an areaDetector file is searched for."""

    style = "places"
    header = ("What", "NDAttribute, in any case")

    def rows(self) -> Iterator[tuple[str, ...]]:
        pairs = ", ".join(f"`{x}` and `{y}`" for x, y in areadetector.PAIRS)
        yield "positions (x, y)", pairs
        for name, known in areadetector.NAMES.items():
            yield TITLES[name], ", ".join(f"`{word}`" for word in known)


class Options(MarkdownTable):
    """A command's own options, without those of loading."""

    header = ("Option", "Default", "Meaning")
    required_arguments = 1

    def rows(self) -> Iterator[tuple[str, ...]]:
        for option in load(self.arguments[0]).params:
            if getattr(option, "rich_help_panel", None) == "Loading" or option.name == "help":
                continue
            shown = option.opts if option.param_type_name == "option" else [option.metavar]
            default = "" if option.default in (None, False) or option.required else option.default
            cell = f"`{default}`" if default != "" else ""
            yield ", ".join(f"`{word}`" for word in shown), cell, option.help or ""


def setup(app: Any) -> dict[str, bool]:
    for name, directive in (
        ("parameters", Parameters),
        ("formats", Formats),
        ("format-paths", FormatPaths),
        ("ndattributes", NDAttributes),
        ("options", Options),
    ):
        app.add_directive(name, directive)
    return {"parallel_read_safe": True}
