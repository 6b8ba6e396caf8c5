"""Flags that name what a command writes, looked at before it begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ..errors import FileError
from ..output import check_name


def file_option(*flags: str, help: str, **more: Any) -> Any:
    """A flag that names a file."""
    return typer.Option(*flags, help=help, parser=_named(flags[0]), metavar="FILE", **more)


def folder_option(*flags: str, help: str, **more: Any) -> Any:
    """A flag that names a folder."""
    return typer.Option(*flags, help=help, parser=_named(flags[0], True), metavar="DIR", **more)


def _named(flag: str, folder: bool = False) -> Callable[[str], Path]:
    return lambda name: checked(flag, name, folder)


def checked(flag: str, name: str, folder: bool = False) -> Path:
    """A name that something can be written by.

    Raises
    ------
    FileError
        As :func:`.output.check_name`; or it is empty, and would be the current folder.
    """
    if not str(name):
        raise FileError(f"{flag} has no name", "check the shell variable that it is from")
    return check_name(name, folder)
