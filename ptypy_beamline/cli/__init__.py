"""The ``ptypy-beamline`` command line: commands, one in each module, imported when called."""

from __future__ import annotations

import copy
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from .. import __version__
from ..errors import BeamlineError, Stopped, in_short, printable
from ..files.regular import noting_inputs
from ..parallel import mpi_rank, several_started
from ..user_warnings import USER_WARNINGS

__all__ = ["COMMANDS", "app", "load", "main", "stoppable"]

COMMANDS = {
    "demo": "Process a simulated raw scan from start to finish, and check the result.",
    "formats": "List the known file formats.",
    "info": "Show what a scan file contains, and how it would be loaded.",
    "check": "Check a scan file and its physics for problems.",
    "orient": "Find the detector orientation from the data.",
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
    "plot": "Plot a reconstruction: phase, amplitude, probe, errors.",
    "tomo": "Reconstruct a volume from scans at many angles.",
    "warm": "Compile the functions that loading needs, for a node's image.",
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

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command; a file in its place gets the name of one."""
        if args[0] not in self.commands and os.path.exists(args[0]):
            ctx.fail(f"{args[0]!r} is not a command; did you mean 'info {args[0]}'?")
        return super().resolve_command(ctx, args)

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
    """A command whose flags have aliases, which its help does not show."""

    def make_parser(self, ctx: Any) -> Any:
        """A parser that accepts the aliases, too."""
        parser = super().make_parser(ctx)
        for option, aliases in self._aliases():
            alias = copy.copy(option)
            alias.opts, alias.secondary_opts = sorted(aliases), []
            alias.add_to_parser(parser, ctx)
        return parser

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Refuse two names of the same flag, as the last would win; explain unquoted patterns.

        Raises
        ------
        typer.BadParameter
            Two names of the same flag are given.
        """
        typed = {word.partition("=")[0] for word in args}
        for option, aliases in self._aliases():
            both = sorted(typed & {*option.opts, *aliases})
            if len(both) > 1 and not option.multiple:
                raise typer.BadParameter(
                    f"{' and '.join(both)} are the same flag: give only one of them"
                )
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            message = getattr(error, "message", "")
            if "unexpected extra argument" in message:
                quoted = "put a pattern for several files in quotes: 'scan_*.tif'"
                vars(error)["message"] = f"{message}; {quoted}"
            raise

    def _aliases(self) -> Iterator[tuple[Any, set[str]]]:
        """Options and their aliases, except those that are another option's name."""
        options = [param for param in self.params if param.param_type_name == "option"]
        taken = {word for one in options for word in (*one.opts, *one.secondary_opts)}
        for option in options:
            aliases = {word for flag in option.opts for word in _aliases(flag)} - taken
            if aliases:
                yield option, aliases

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Help with values named as in :data:`VALUES`."""
        _name_values(self.get_params(ctx), ctx)
        super().format_help(ctx, formatter)


def _aliases(flag: str) -> set[str]:
    from ..settings import other_names  # takes half a second, too long for --help

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
            help="show the versions of this package and of PtyPy",
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns
    -------
    int
        0 done, 1 ``error: …`` in one line on standard error, 2 usage, 130 or 143 interrupted or
        terminated, with nothing half written.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    _escape_unprintable()
    try:
        with stoppable(), noting_inputs(), USER_WARNINGS.command(_say):
            result = app(words, prog_name="ptypy-beamline", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, Stopped, typer.Abort) as error:
        return _stopped(error if isinstance(error, Stopped) else Stopped(signal.SIGINT))
    except BrokenPipeError:
        # The reader of the pipe has gone: discard what the interpreter flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        show = getattr(error, "show", None)
        if show:  # a usage error of click, which some versions of typer bundle
            show()
            return int(getattr(error, "exit_code", 2))
        if debug:
            raise
        return _fail(_describe(error), 1)


def _escape_unprintable() -> None:
    """Print characters that the terminal's encoding lacks, say in a file name, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # redirected, and something was written already
                stream.reconfigure(errors="backslashreplace")


def _describe(error: Exception) -> str:
    """One line: what is wrong, and with which file if that is known."""
    if isinstance(error, BeamlineError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {in_short(error)}; check the path"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "standard output cannot be written: no space left on the device"
    if isinstance(error, MemoryError):
        return (
            f"too little memory: {in_short(error)}; check the file's shapes, or read less "
            "(--roi, --num-frames)"
        )
    return f"{type(error).__name__}: {error} (--debug shows where)"


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM raise in the block, so that what is half written is removed."""
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    except Exception as error:
        if received:  # e.g. an import that the signal broke
            raise Stopped(received[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopped(stop: Stopped) -> int:
    code = 128 + stop.number
    if stop.number == signal.SIGTERM and several_started():
        return code  # the rank that ended the others says why
    return _fail(str(stop), code)


def _fail(text: str, code: int) -> int:
    _say(f"error: {text}")
    return code


def _say(text: str) -> None:
    """Print a line on standard error, on the first rank."""
    if mpi_rank() == 0:
        sys.stderr.write(f"{printable(text)}\n")
