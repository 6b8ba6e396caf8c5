"""The ``ptypy-beamline`` application: commands, imported when called, and their help."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from .. import __version__

COMMANDS = {
    "demo": "Process a simulated raw scan from start to finish, and check the result.",
    "formats": "List the known file formats.",
    "info": "Show what a scan file contains, and how it would be loaded.",
    "check": "Look for problems in a scan file and in its physics.",
    "orient": "Find the orientation of the detector from the data.",
    "qc": "Find bad frames, and list them for --reject.",
    "reconstruct": "Reconstruct a raw scan with PtyPy.",
    "preview": "Reconstruct a raw scan quickly, without PtyPy.",
    "compare": "Compare a reconstruction with a phantom.",
    "ptyd": "Write prepared data for PtyPy's PtydScan.",
    "standardize": "Write the corrected scan as a standardized HDF5 file.",
    "sidecar": "Write the sidecar of TIFF frames from a CSV log.",
    "run": "Run PtyPy on a parameter tree, with the beamline loaders.",
    "export": "Write a reconstruction for other programs.",
    "product": "Convert a PtychoPINN NPZ file to a Ptychodus product.",
    "plot": "Draw a reconstruction: phase, amplitude, probe, errors.",
    "tomo": "Reconstruct a volume from scans at many angles.",
    "warm": "Compile ahead what loading needs, for the image of a node.",
}
"""Command → the first line of its help. Each is a module here, with ``command`` and ``EXAMPLE``."""

OUTPUT_FLAGS = ("--output", "--out", "-o")
VALUES = {"bool": "", "int": "N", "float": "N", "str": "TEXT", "path": "FILE"}
"""Typer's name of a type → what the help shows for the value; choices are shown as they are."""
MARKUP: Final = "rich"


class Commands(TyperGroup):
    """All commands, of which only the one that is called is imported."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: _Deferred(name, help=line) for name, line in COMMANDS.items()}

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Help with values named as in :data:`VALUES`."""
        _name_values(self.get_params(ctx), ctx)
        super().format_help(ctx, formatter)


class _Deferred(TyperCommand):
    """A command's name and help line, until it is called."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """The context of the command itself."""
        return load(str(self.name)).make_context(*arguments, **more)


def load(name: str) -> Any:
    """Import a command, with its options."""
    module = import_module(f".{name}", __package__)
    single = typer.Typer(add_completion=False, rich_markup_mode=MARKUP)
    epilog = f"Example: [bold]{module.EXAMPLE}[/bold]"
    single.command(name, cls=Command, epilog=epilog)(module.command)
    return typer.main.get_command(single)


class Command(TyperCommand):
    """A command whose flags have further names, which its help does not show."""

    def make_parser(self, ctx: Any) -> Any:
        """A parser that takes the further names, too."""
        parser = super().make_parser(ctx)
        for option, others in self._other_names():
            alias = copy.copy(option)
            alias.opts, alias.secondary_opts = sorted(others), []
            alias.add_to_parser(parser, ctx)
        return parser

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Refuse two names of one flag, of which the last would win; explain unquoted patterns.

        Raises
        ------
        typer.BadParameter
            Two names of one flag are given.
        """
        typed = {word.partition("=")[0] for word in args}
        for option, others in self._other_names():
            both = sorted(typed & {*option.opts, *others})
            if len(both) > 1 and not option.multiple:
                raise typer.BadParameter(f"{' and '.join(both)} are one flag: give one of them")
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            message = getattr(error, "message", "")
            if "unexpected extra argument" in message:
                quoted = "a pattern of several files is given in quotes: 'scan_*.tif'"
                vars(error)["message"] = f"{message}; {quoted}"
            raise

    def _other_names(self) -> Iterator[tuple[Any, set[str]]]:
        """Options, and the further names of each that are not another option's."""
        options = [one for one in self.params if one.param_type_name == "option"]
        taken = {word for one in options for word in (*one.opts, *one.secondary_opts)}
        for option in options:
            others = {word for flag in option.opts for word in _other_names(flag)} - taken
            if others:
                yield option, others

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Help with values named as in :data:`VALUES`."""
        _name_values(self.get_params(ctx), ctx)
        super().format_help(ctx, formatter)


def _other_names(flag: str) -> set[str]:
    from ..settings import other_names  # takes half a second, which --help does without

    if flag in OUTPUT_FLAGS:
        return set(OUTPUT_FLAGS)
    return {f"{flag}s"} if flag in ("--path", "--unit") else other_names(flag)


def _name_values(params: Sequence[Any], ctx: Any) -> None:
    """Show N and FILE for typer's ``<int>`` and ``<path>``, and nothing for switches."""
    for param in params:
        shown = getattr(param, "display_type_rich", lambda ctx: None)(ctx)
        if shown is None:
            continue  # an older typer
        kind = shown.removeprefix("<").removesuffix(">").removesuffix(" range")
        argument = param.param_type_name == "argument"  # its name is shown already
        vars(param)["display_type_rich"] = _always("" if argument else VALUES.get(kind, kind))


def _always(text: str) -> Any:
    return lambda ctx: text


def _show_versions(asked: bool) -> None:
    if not asked:
        return
    try:
        ptypy = f"PtyPy {version('ptypy')}"
    except PackageNotFoundError:
        ptypy = "PtyPy is not installed"
    typer.echo(f"ptypy-beamline {__version__}, {ptypy}")
    raise typer.Exit


def _root(
    versions: Annotated[
        bool,
        typer.Option(
            "--version",
            help="show the version, and that of PtyPy",
            is_eager=True,
            callback=_show_versions,
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show where an error comes from")] = False,
) -> None:
    """Load raw ptychography scans straight into PtyPy."""


app = typer.Typer(
    name="ptypy-beamline",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
    callback=_root,
)
