"""Lists of parameters, made from the classes of settings, and checks of given values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ValidationError

from .errors import SettingsError, shown, suggestion


@dataclass(frozen=True)
class Parameter:
    """One parameter, as PtyPy, the command line and the documentation see it."""

    name: str
    default: Any
    help: str
    flag: str
    kind: str
    choices: tuple[str, ...] = ()
    """Words it may be; other values, too, unless ``kind`` is ``choice``."""

    @property
    def metavar(self) -> str:
        """Placeholder for a value in the help of its flag."""
        other = {"tuple": "N[,N]", "int": "N", "float": "N", "choice": ""}.get(self.kind, "VALUE")
        return "|".join(filter(None, (*self.choices, other)))


def parameters_of(model: type[BaseModel], group: str = "") -> Iterator[Parameter]:
    """The parameters of a model in order; those of groups in it as ``group.parameter``."""
    for name, info in model.model_fields.items():
        full = f"{group}.{name}" if group else name
        if isinstance(info.default, BaseModel):
            yield from parameters_of(type(info.default), full)
        else:
            yield _parameter(full, info)


def _parameter(name: str, info: Any) -> Parameter:
    flag = (info.json_schema_extra or {}).get("flag", "")
    choices, others = _choices(info.annotation)
    kind = _kind(others) if others else "choice"
    return Parameter(name, info.default, info.description or "", flag, kind, choices)


def _choices(annotation: Any) -> tuple[tuple[str, ...], list[Any]]:
    """Words that an annotation lists, and types of other values, without ``None``."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]
    literals = [part for part in parts if get_origin(part) is Literal]
    words = [str(word) for part in literals for word in get_args(part)]
    return tuple(words), [p for p in parts if p not in literals and p is not type(None)]


def _kind(types: list[Any]) -> str:
    if types == [bool]:
        return "bool"
    text = str(types)
    return next((word for word in ("tuple", "int", "float") if word in text), "str")


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested plain dictionaries, without None and with NumPy scalars as Python numbers."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        head, _, tail = str(name).partition(".")
        inner = {tail: value} if tail else value
        if isinstance(inner, Mapping):
            tree.setdefault(head, {}).update(nested(inner))
        elif inner is not None:
            tree[head] = _plain_input(inner)
    return tree


def _plain_input(value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.ndarray) and value.size <= 4 and value.ndim == 1:
        return value.tolist()
    if isinstance(value, list | tuple | range | set | frozenset):
        value = sorted(value) if isinstance(value, set | frozenset) else value
        return [_plain_input(v) for v in value]
    return value


def given_of(group: BaseModel) -> dict[str, Any]:
    """The parameters of a group that were set, as plain values and shapes of arrays."""
    return {
        name: _plain(value)
        for name, value in group
        if name in group.model_fields_set and value is not None
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return given_of(value)
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    return list(value) if isinstance(value, tuple) else value


def check_names(tree: Mapping[str, Any], known: Sequence[Parameter]) -> None:
    """Refuse names of unknown parameters.

    Raises
    ------
    SettingsError
        Suggests the nearest name, or that of the parameter with such a flag.
    """
    names = [parameter.name for parameter in known]
    groups = {name.partition(".")[0] for name in names}
    given = [f"{a}.{b}" for a, v in tree.items() if isinstance(v, dict) for b in v]
    given += [a for a, v in tree.items() if not isinstance(v, dict)]
    given += [a for a, v in tree.items() if isinstance(v, dict) and not v and a not in groups]
    of_flags = {parameter.flag: parameter.name for parameter in known if parameter.flag}
    for name in given:
        if name in names:
            continue
        flag = f"--{name.replace('_', '-')}"
        of_flag = of_flags.get(flag)
        hint = (
            f"the parameter of {flag} is called {of_flag}" if of_flag else suggestion(name, names)
        )
        if "wavelength" in name:
            hint = "give the energy, E = hc/wavelength: 12.39842 keV at 1 angstrom"
        raise SettingsError(f"unknown parameter {name!r}", hint)


def check_numbers(tree: Mapping[str, Any], known: Sequence[Parameter]) -> None:
    """Refuse True where a number is expected, though Python takes it for 1.

    Raises
    ------
    SettingsError
        Says what the parameter means.
    """
    for parameter in known:
        value: Any = tree
        for part in parameter.name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, bool) and parameter.kind in ("int", "float", "tuple"):
            raise SettingsError(f"{parameter.name}={value}: expected a number", parameter.help)


EXPECTED = {
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "int_type": "expected a whole number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "tuple_type": "expected numbers, separated by commas",
}
"""Types of pydantic's errors → our message."""


def first_error(error: ValidationError, known: Sequence[Parameter]) -> SettingsError:
    """The first problem, in one line."""
    first = error.errors()[0]
    parts = {part for parameter in known for part in parameter.name.split(".")}
    name = ".".join(str(p) for p in first["loc"] if isinstance(p, str) and p.islower())
    name = ".".join(part for part in name.split(".") if part in parts)
    message = EXPECTED.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    if not name:
        return SettingsError(message)
    parameter = next((one for one in known if one.name == name), None)
    meaning = f"{name}: {parameter.help}" if parameter else name
    got = shown(first["input"])
    return SettingsError(f"{name}={got}: {message[0].lower()}{message[1:]}", meaning)
