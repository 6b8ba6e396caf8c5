"""Flags of post-processing, for the commands that show or export a reconstruction."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..reconstruction.area import Rectangle
from ..reconstruction.postprocess import Postprocess, Where

PANEL = "Post-processing"


def _option(flags: str, help: str, **more: Any) -> Any:
    return typer.Option(flags, help=help, rich_help_panel=PANEL, **more)


FLAGS: dict[str, Any] = {
    "crop": Annotated[bool, _option("--crop/--no-crop", "cut to the scanned area")],
    "margin_m": Annotated[
        float, _option("--margin-m", "cut that much outside of it, in metres", min=0)
    ],
    "normalise": Annotated[
        bool, _option("--normalise/--no-normalise", "mean amplitude 1 and mean phase 0")
    ],
    "flatten": Annotated[
        str,
        _option(
            "--flatten",
            "remove phase ramp and offset over an empty region: auto finds one, Y0,X0,H,W names it "
            "in pixels or as 1.5,-2,0.5,0.5um; whole takes the scanned area",
            metavar="auto|whole|Y0,X0,H,W|none",
        ),
    ],
    "unwrap": Annotated[bool, _option("--unwrap/--no-unwrap", "phases beyond ±π")],
}


def finishing(**defaults: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of post-processing; it gets them as ``asked``, a ``Postprocess``.

    Parameters
    ----------
    defaults
        What this command does unasked, as ``crop=True`` or ``flatten="whole"``.
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
            flags = {name: given.pop(name) for name in FLAGS}
            return command(**given, asked=postprocess(**flags))

        own = [
            p
            for p in inspect.signature(command, eval_str=True).parameters.values()
            if p.name != "asked"
        ]
        flags = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=preset[name], annotation=annotation
            )
            for name, annotation in FLAGS.items()
        ]
        parameters = [*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *flags]
        # Typer reads these to make the flags.
        vars(wrapped)["__signature__"] = inspect.Signature(parameters)
        wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
        del vars(wrapped)["__wrapped__"]
        return wrapped

    return with_flags


def postprocess(flatten: str, **flags: Any) -> Postprocess:
    """The steps that the flags name.

    Raises
    ------
    SettingsError
        ``flatten`` is neither a word it knows nor a rectangle.
    """
    words: dict[str, Where | None] = {"auto": "auto", "whole": "whole", "none": None}
    where = words[flatten] if flatten in words else Rectangle.parse(flatten)
    return Postprocess(flatten=where, **flags)
