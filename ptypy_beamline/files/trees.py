"""Parameter trees in YAML or JSON: small, not deeply nested, no name repeated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ..errors import FileError, in_short
from .regular import read_json, read_text

MAX_BYTES = 2**20
"""A larger file is not a parameter tree, and PyYAML would take many seconds."""

MAX_VALUES = 100_000
"""Maximum number of values in a tree, including what aliases repeat."""

MAX_DEPTH = 50
"""Maximum nesting of a tree."""

YAML_ERRORS = (
    yaml.YAMLError,
    ValueError,
    RecursionError,
    LookupError,
    AttributeError,
    TypeError,
    OverflowError,
)
"""Exceptions that PyYAML raises for texts that are not YAML, or whose tags do not fit."""


class _TreeLoader(yaml.SafeLoader):
    """Safe YAML that reads ``1e-3`` as a number, as YAML 1.2 does and PyYAML does not.

    Circular or too many aliases, deep nesting and repeated names are refused.
    """

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node, unless it is nested too deeply."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> Any:
        """The whole document, unless it is too large or repeats a name."""
        node = super().get_single_node()
        if node is not None and _values(node, {}) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} values, what aliases repeat included")
        return node

    def construct_yaml_int(self, node: Any) -> int:
        """An integer of at most 64 bits."""
        value: int = super().construct_yaml_int(node)
        if value.bit_length() > 64:
            raise ValueError(f"line {_line(node)}: a whole number of more than 64 bits")
        return value


_TreeLoader.add_constructor("tag:yaml.org,2002:int", _TreeLoader.construct_yaml_int)
_TreeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _values(node: Any, known: dict[int, int]) -> int:
    """Number of values of a node, including what aliases repeat."""
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError(f"line {_line(node)}: an alias inside the value that it repeats")
        return known[id(node)]
    known[id(node)] = 0
    inner: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        _check_names(node)
        inner = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    known[id(node)] = 1 + sum(_values(part, known) for part in inner)
    return known[id(node)]


def _check_names(node: Any) -> None:
    seen: set[Any] = set()
    for name, _ in node.value:
        if isinstance(name, yaml.ScalarNode) and name.value in seen:
            raise ValueError(f"line {_line(name)}: {name.value!r} appears twice")
        seen.add(name.value if isinstance(name, yaml.ScalarNode) else id(name))


def _describe(error: Exception, text: str) -> str:
    """The problem and its line; PyYAML would call the file <unicode string>."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        message = " ".join(filter(None, (error.context, error.problem)))
        return f"line {error.problem_mark.line + 1}: {in_short(ValueError(message))}"
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"line {line}: {error.reason}: #x{ord(text[error.position]):04x}"
    return in_short(error)


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def read_tree(path: str | Path) -> dict[str, Any]:
    """A parameter tree from a YAML or JSON file, also inside PtyPy's ``parameter_tree``.

    Raises
    ------
    FileError
        The file is missing, or not a tree in YAML or JSON.
    """
    path = Path(path)
    remedy = "give a YAML or JSON parameter tree"
    if path.suffix in (".json", ".jsn"):
        tree = read_json(path, remedy, MAX_BYTES)
    else:
        text = read_text(path, remedy, MAX_BYTES)
        try:
            tree = yaml.load(text, _TreeLoader)  # a safe loader
        except YAML_ERRORS as error:
            raise FileError(
                f"not readable as YAML: {_describe(error, text)}", "correct it", path
            ) from error
    if isinstance(tree, dict):
        tree = tree.get("parameter_tree") or tree
    if not isinstance(tree, dict):
        raise FileError("Expected a tree of parameters", "give a tree with scans.NAME.data", path)
    return dict(tree)
