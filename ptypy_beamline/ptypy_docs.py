"""The loader parameters in the grammar of PtyPy's docstrings; needs no PtyPy."""

from __future__ import annotations

from .base_parameters import CHECKED
from .parameters import Parameter
from .settings import parameters

_TYPES = (
    "str, int, float, bool, tuple, list, set, frozenset, range, array, memmap, PosixPath, str_, "
    "bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64"
)
_NO_LIMITS = "lowlim =\nuplim =\n"
"""Those that PtyPy's base class sets compare texts with numbers."""

_BASE_DEFAULTS = {"load_parallel": "'data'", "min_frames": "1", "add_poisson_noise": "False"}
# PtyPy's own type check gives neither the value nor a remedy, so it lets everything pass and
# Settings checks.


def _describe(parameter: Parameter) -> str:
    """One parameter in the grammar of PtyPy's docstrings."""
    types = f"{_TYPES}, Param" if parameter.name == "qc" else _TYPES
    default = (
        repr(parameter.default) if isinstance(parameter.default, str) else str(parameter.default)
    )
    described = f"[{parameter.name}]\ndefault = {default}\ntype = {types}\nhelp = {parameter.help}"
    return f"{described}\n{_NO_LIMITS}"


def _group(name: str) -> str:
    return f"[{name}]\ndefault =\ntype = Param\nhelp = see {name}.*\n"


def _base(name: str) -> str:
    """A parameter of PtyPy's base class, with PtyPy's default."""
    default = _BASE_DEFAULTS.get(name, "None")
    return f"[{name}]\ndefault = {default}\ntype = {_TYPES}\nhelp = as PtyPy has it\n{_NO_LIMITS}"


def defaults_section(name: str) -> str:
    """The ``Defaults:`` section of a loader's docstring, from :class:`Settings`."""
    blocks = [f"[name]\ndefault = {name}\ntype = str\nhelp =\n"]
    blocks += map(_base, CHECKED)
    groups: list[str] = []
    for parameter in parameters():
        group = parameter.name.partition(".")[0]
        if "." in parameter.name and group not in groups:
            groups.append(group)
            blocks.append(_group(group))
        blocks.append(_describe(parameter))
    text = "\n".join(blocks).replace("\n", "\n    ")
    return f"\n\n    Defaults:\n\n    {text}\n    "
