"""Every loader flag, generated from :class:`Settings`, for the commands that load."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..beamlines import names, with_defaults
from ..errors import SettingsError
from ..files.links import file_and_dataset
from ..formats import open_with
from ..options import Units
from ..output.names import refuse_foreign, refuse_inputs
from ..parameters import Parameter
from ..planning.plan import Plan
from ..scan import Scan
from ..settings import Settings
from ..settings import parameters as loader_parameters
from .flags import keyword, own_flags, set_flags

PANELS = {
    "File": "sidecar format stored_as zero_frequency outer_index links live",
    "Geometry": "energy distance psize radiation focus_to_sample rotate flip orientation",
    "Window": "shape center rebin pad",
    "Corrections": "dark flat mask mask_values background threshold saturation hot_sigma monitor",
    "Exposures": "frames_per_position grouping align",
    "Positions": "positions frame_order",
    "Selection": "reject select num_frames step",
    "Speed": "threads",
    "Simulation of a phantom": "simulate",
}
"""Panel of the help → its parameters and groups of parameters, in this order."""
EXAMPLES = {
    "paths": ("--path", "frames=/entry/data/data"),
    "units": ("--unit", "positions=um"),
}
"""Group of parameters → its flag, and an example of what follows it."""
FILE = "raw scan file; for TIFF a quoted pattern, or a list of files (files.txt)"


def loading(command: Callable[..., Any], file: str = FILE) -> Callable[..., Any]:
    """Give a command every loader flag; it gets them as its first argument, a ``Settings``.

    Parameters
    ----------
    command
        Takes the settings as its first argument.
    file
        Help text of FILE.
    """
    panels = list(PANELS)
    flagged = sorted(
        (parameter for parameter in loader_parameters() if parameter.flag),
        key=lambda parameter: panels.index(_panel(parameter)),
    )

    @functools.wraps(command)
    def wrapped(**given: Any) -> Any:
        values = {parameter.name: given.pop(_python(parameter.flag)) for parameter in flagged}
        values = {name: value for name, value in values.items() if value not in (None, False)}
        values |= pairs("paths", given.pop("path")) | pairs("units", given.pop("unit"))
        values["file"] = str(given.pop("file"))
        settings = Settings.of(with_defaults(given.pop("beamline"), values))
        return command(settings, **given)

    *units, last_unit = Units.model_fields
    beamline = f"defaults of a beamline ({', '.join(names())}, or a file); flags take precedence"
    path = "dataset path, instead of the format's; OTHER.h5::/PATH is in another file"
    unit = f"unit of {', '.join(units)} or {last_unit}, instead of the file's"
    argument = Annotated[str, typer.Argument(metavar="FILE", help=file)]
    parameters = [
        keyword("file", argument, inspect.Parameter.empty),
        *own_flags(command, first=1),
        _flag("--beamline", "NAME|FILE.yaml", beamline, "File"),
        _flag("--path", "NAME=PATH", path, "File", list[str] | None),
        _flag("--unit", "NAME=UNIT", unit, "File", list[str] | None),
        *map(_loader_flag, flagged),
    ]
    set_flags(wrapped, parameters)
    return wrapped


def plan_with(settings: Settings) -> tuple[Scan, Plan]:
    """Open and plan the scan that the flags specify."""
    if settings.live.timeout_s:
        from ..live import Follower

        plan = Follower(settings).wait_until_complete()
        return open_with(settings), plan
    from ..plans import open_and_plan

    return open_and_plan(settings)


def refuse_input(output: Path, settings: Settings, ours: bool = False) -> None:
    """Refuse to overwrite an input file.

    ``ours``: skip the check that it was written by this package.

    Raises
    ------
    SettingsError, FileError
        ``output`` is one of the files that the flags name, or not this package's own.
    """
    from ..formats.tiff import reads

    named = [
        settings.file,
        settings.dark,
        settings.flat,
        settings.mask,
        settings.background,
        settings.reject,
        settings.monitor,
        settings.sidecar,
        settings.frame_order,
        *map(str, reads((settings.file_name,), settings.sidecar)),
        *settings.paths.model_dump().values(),
    ]
    refuse_inputs(
        output, (file_and_dataset(name)[0] or name for name in named if isinstance(name, str))
    )
    if not ours:
        refuse_foreign(output)


def _panel(parameter: Parameter) -> str:
    group = parameter.name.partition(".")[0]
    return next(panel for panel, names in PANELS.items() if group in names.split())


def _python(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _flag(
    flag: str, metavar: str | None, help: str, panel: str, kind: Any = str | None
) -> inspect.Parameter:
    option = typer.Option(flag, help=help, metavar=metavar, rich_help_panel=panel)
    return keyword(_python(flag), Annotated[kind, option], False if kind is bool else None)


def _loader_flag(parameter: Parameter) -> inspect.Parameter:
    panel = _panel(parameter)
    if parameter.kind == "bool":
        return _flag(parameter.flag, None, parameter.help, panel, bool)
    return _flag(parameter.flag, parameter.metavar, parameter.help, panel)


def pairs(group: str, given: list[str] | None) -> dict[str, str]:
    """``["x=/entry/x"]`` → ``{"paths.x": "/entry/x"}``."""
    values = {}
    for word in given or []:
        name, equals, value = word.partition("=")
        if not (equals and value):
            flag, example = EXAMPLES[group]
            raise SettingsError(
                f"Expected {flag} NAME=VALUE. Got {word!r}", f"write, for example, {flag} {example}"
            )
        values[f"{group}.{name}"] = value
    return values
