"""Flags that several commands share: output files and post-processing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import FileError
from ..output.names import check_output_name
from ..reconstruction.area import Rectangle
from ..reconstruction.postprocess import Postprocess, Where

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
ReconstructionFile = Annotated[
    Path, typer.Argument(metavar="RECON", help=".ptyr, reconstruction.h5, or a product")
]
ScanName = Annotated[
    str, typer.Option(metavar="NAME", help="name of the scan, if there are several")
]
RawFile = Annotated[Path | None, typer.Option(help="the raw file, if it has been moved")]
DistanceM = Annotated[
    float | None, typer.Option(help="sample-detector distance, if the raw file is gone")
]


def _output_option(folder: bool, *flags: str, help: str, **more: Any) -> Any:
    def parser(name: str) -> Path:  # click needs __name__: not a partial
        return output_name(flags[0], name, folder)

    metavar = "DIR" if folder else "FILE"
    return typer.Option(*flags, help=help, parser=parser, metavar=metavar, **more)


file_option, folder_option = partial(_output_option, False), partial(_output_option, True)
"""A flag that names a file, or a folder, to write."""


def output_name(flag: str, name: str, folder: bool = False) -> Path:
    """The output that a flag names, checked before the command begins.

    Raises
    ------
    FileError
        As :func:`.names.check_output_name`; or the name is empty.
    """
    if not str(name):
        raise FileError(f"{flag} is empty", "check the shell variable that sets it")
    return check_output_name(name, folder)


def keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """A parameter that Typer turns into a flag."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def own_flags(command: Callable[..., Any], first: int = 0) -> list[inspect.Parameter]:
    """Parameters of a command from the ``first`` on, as keywords."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    return [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in list(parameters)[first:]]


def set_flags(wrapped: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> None:
    """Let Typer make flags of ``parameters`` instead of the function's own."""
    vars(wrapped)["__signature__"] = inspect.Signature(parameters)
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    del vars(wrapped)["__wrapped__"]


_option = partial(typer.Option, rich_help_panel="Post-processing")
POSTPROCESSING: dict[str, Any] = {
    "crop": Annotated[bool, _option("--crop/--no-crop", help="crop to the scanned area")],
    "margin_m": Annotated[
        float,
        _option("--margin-m", help="margin to keep around the scanned area, in metres", min=0),
    ],
    "normalise": Annotated[
        bool,
        _option("--normalise/--no-normalise", help="scale to mean amplitude 1 and mean phase 0"),
    ],
    "flatten": Annotated[
        str,
        _option(
            "--flatten",
            help="subtract the phase ramp and offset of a vacuum region: auto finds one, "
            "Y0,X0,H,W gives it in pixels or as 1.5,-2,0.5,0.5um; whole uses the scanned area",
            metavar="auto|whole|Y0,X0,H,W|none",
        ),
    ],
    "unwrap": Annotated[bool, _option("--unwrap/--no-unwrap", help="unwrap the phase")],
}
"""Parameter of :class:`Postprocess` → its flag."""


def postprocessing(**defaults: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of post-processing; it gets them as ``asked``, a ``Postprocess``.

    Parameters
    ----------
    defaults
        The command's defaults, such as ``crop=True`` or ``flatten="whole"``.
    """
    preset = {
        "crop": False,
        "margin_m": 0.0,
        "normalise": False,
        "flatten": "none",
        "unwrap": False,
        **defaults,
    }

    def with_flags(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(**given: Any) -> Any:
            flags = {name: given.pop(name) for name in POSTPROCESSING}
            return command(**given, asked=postprocess(**flags))

        own = [p for p in own_flags(command) if p.name != "asked"]
        shared = [keyword(name, flag, preset[name]) for name, flag in POSTPROCESSING.items()]
        set_flags(wrapped, [*own, *shared])
        return wrapped

    return with_flags


def postprocess(flatten: str, **flags: Any) -> Postprocess:
    """The post-processing that the flags ask for.

    Raises
    ------
    SettingsError
        ``flatten`` is neither a known word nor a rectangle.
    """
    words: dict[str, Where | None] = {"auto": "auto", "whole": "whole", "none": None}
    where = words[flatten] if flatten in words else Rectangle.parse(flatten)
    return Postprocess(flatten=where, **flags)
