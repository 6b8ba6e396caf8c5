"""Values of loader parameters, as typed on a command line or given from Python."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from .arrays import Ints

_NUMERIC = set("0123456789+-.eE, ")


def numbers(value: Any) -> Any:
    """As :func:`typed`; refuses True, which Python takes for 1.

    Raises
    ------
    ValueError
        It is True or False, or a list with one of them.
    """
    for part in value if isinstance(value, list | tuple) else (value,):
        if isinstance(part, bool):
            raise ValueError(f"expected a number, not {part}")
    return typed(value)


def typed(value: Any) -> Any:
    """``"256,256"`` as typed on a command line → a list of numbers; anything else unchanged."""
    if not isinstance(value, str) or not value.strip() or set(value) - _NUMERIC:
        return value
    parts = [float(part) if set(part) & set(".eE") else int(part) for part in value.split(",")]
    return parts if len(parts) > 1 else parts[0]


def background_value(value: Any) -> Any:
    """A finite number, an image, or the location of one.

    Raises
    ------
    ValueError
        It is True or False, NaN or infinite.
    """
    value = numbers(value)
    try:
        finite = not isinstance(value, str | float) or math.isfinite(float(value))
    except ValueError:  # a file
        return value
    if not finite:
        raise ValueError("expected a finite number, or an image")
    return value


def pair(value: Any) -> Any:
    """One number stands for both axes."""
    value = numbers(value)
    return (value, value) if isinstance(value, int | float) else value


def listed(value: Any) -> Any:
    """``"3"``, ``"3,4"`` and ``"3,6-11"`` are lists; any other text is a file.

    Raises
    ------
    ValueError
        It is neither a list nor a file, or a range runs backwards.
    """
    known = isinstance(value, str | int | float | list | tuple | np.ndarray)
    if not known or isinstance(value, bool) or (isinstance(value, str) and not value.strip()):
        raise ValueError("expected a list of raw frames, or a file")
    if isinstance(value, str) and re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", value):
        runs = [[int(end) for end in run.split("-")] for run in value.split(",")]
        backwards = next((run for run in runs if run[0] > run[-1]), None)
        if backwards:
            low, high = sorted(backwards)
            raise ValueError(f"expected a range as {low}-{high}, not {high}-{low}")
        return [number for run in runs for number in range(run[0], run[-1] + 1)]
    value = typed(value)
    return [value] if isinstance(value, int | float) else value


NAMED = 12
"""Runs of frames that a message names at most."""


def as_listed(frames: Ints) -> str:
    """Raw frames as :func:`listed` takes them, without −1; of many, the first ones and ``…``."""
    known = np.unique(frames[frames >= 0])
    runs = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
    named = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs[:NAMED]]
    return ",".join(named + ["…"] * (len(runs) > NAMED))


def switched(value: Any) -> Any:
    """``True`` is a group of defaults; ``False`` and an empty group are None.

    PtyPy gives every loader an empty group if the user gives none.
    """
    return {} if value is True else value or None


def monitor_value(value: Any) -> Any:
    """``"file"`` stands for the monitor of the file."""
    return True if isinstance(value, str) and value == "file" else value


Pair = Annotated[tuple[float, float], BeforeValidator(pair)]
IntPair = Annotated[tuple[int, int], BeforeValidator(pair)]
Center = Annotated[
    tuple[int | float, int | float] | Literal["fftshift", "geometric"], BeforeValidator(numbers)
]
Orientation = Annotated[
    Annotated[int, Field(ge=0, le=7)] | tuple[bool, bool, bool] | Literal["auto"],
    BeforeValidator(typed),
]


def orientation_flags(code: int) -> tuple[bool, bool, bool]:
    """(transpose, flipud, fliplr) of PtyPy's orientation 0-7."""
    return code >= 4, bool(code & 2), bool(code & 1)


def orientation_code(flags: tuple[bool, bool, bool]) -> int:
    """PtyPy's orientation of (transpose, flipud, fliplr)."""
    return 4 * flags[0] + 2 * flags[1] + flags[2]


Pad = Annotated[
    Annotated[int, Field(ge=0)] | tuple[int, int, int, int] | Literal["square"],
    BeforeValidator(numbers),
]
Limit = Annotated[Annotated[float, Field(gt=0)] | Literal["file"], BeforeValidator(numbers)]
Image = Annotated[Any, Field()]
Index = Annotated[
    str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)
]
"""Dataset of acquisition numbers, or the first number."""


def unit_text(value: Any) -> Any:
    """One or two numbers as text, as on the command line."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    if isinstance(value, list | tuple) and len(value) == 2:
        return ",".join(str(unit_text(part)) for part in value)
    return value


Unit = Annotated[str, BeforeValidator(unit_text)]
