"""Findings that propose settings: how these are written, applied and tried."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from .. import formats
from ..options import Group
from ..parameters import Parameter
from ..planning.make_plan import make_plan
from ..planning.plan import Plan
from ..scan import Scan
from ..settings import Settings, parameters
from ..summary import Finding


def finding(
    level: str,
    what: str,
    cause: str = "",
    settings: Mapping[str, Any] | None = None,
    remedy: str = "",
) -> Finding:
    """A finding; with ``settings`` the remedy says what to set, on the command line too."""
    text = ", ".join(filter(None, (as_typed(settings or {}), remedy)))
    return Finding(level, what, text, cause, settings or {})


def only_orientation(code: int) -> dict[str, Any]:
    """Settings of an orientation, which replace a rotation and a flip."""
    return {"orientation": code, "rotate": None, "flip": None}


def as_typed(settings: Mapping[str, Any]) -> str:
    """``set units.positions='um' (--unit positions=um)``; empty for nothing."""
    if not settings:
        return ""
    parts = [
        f"{name}={_short(value)!r} ({_flag(name, _short(value))})"
        for name, value in settings.items()
    ]
    return "set " + ", ".join(parts)


def _flag(name: str, value: Any) -> str:
    group, _, leaf = name.partition(".")
    if group in ("units", "paths"):
        return f"--{group[:-1]} {leaf}={value}"
    known = _known()[name]
    if value is False:
        return f"no {known.flag}"
    if known.kind == "bool":
        return known.flag
    plain = ",".join(map(str, value)) if isinstance(value, tuple | list) else value
    return f"{known.flag} {plain}"


def _short(value: Any) -> Any:
    """Six digits are enough to read; whole numbers keep theirs."""
    if isinstance(value, tuple | list):
        return tuple(_short(v) for v in value)
    return exactly(value) if isinstance(value, float) else value


def exactly(value: float) -> float | int:
    """A whole number as it is, another one to six digits."""
    short = float(f"{value:.6g}")
    return int(value) if value.is_integer() and short != value else short


@cache
def _known() -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters()}


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """``settings`` with some parameters set, dotted names included."""
    given: dict[str, Any] = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if isinstance(value, Group):
            given |= {f"{name}.{leaf}": getattr(value, leaf) for leaf in value.model_fields_set}
        else:
            given[name] = value
    return Settings.of({**given, **changes})


def planned(settings: Settings) -> tuple[Scan, Plan]:
    """The scan and the plan that ``settings`` make, even where the geometry is implausible."""
    scan = formats.open_with(settings)
    return scan, make_plan(scan, settings, allow_no_good_pixels=True)
