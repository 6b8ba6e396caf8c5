"""The ``ptypy-beamline`` command line; one file a command."""

from __future__ import annotations

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
from typing import Annotated

import typer

from .. import __version__
from ..errors import BeamlineError, Stopped, in_short, printable
from ..files.hdf5 import noting_inputs
from ..parallel import several_started
from ..told import TOLD
from .ranks import mpi_rank
from .words import Command, Root

COMMANDS = (
    "demo",
    "formats",
    "info",
    "check",
    "orient",
    "qc",
    "reconstruct",
    "preview",
    "compare",
    "ptyd",
    "standardize",
    "sidecar",
    "run",
    "export",
    "product",
    "plot",
    "tomo",
)
"""Each a module of this package, with its ``command`` and an ``EXAMPLE``."""


def _show_versions(asked: bool) -> None:
    if not asked:
        return
    try:
        ptypy = f"PtyPy {version('ptypy')}"
    except PackageNotFoundError:
        ptypy = "PtyPy is not installed"
    typer.echo(f"ptypy-beamline {__version__}, {ptypy}")
    raise typer.Exit


def root(
    versions: Annotated[
        bool,
        typer.Option(
            "--version", help="the version, and PtyPy's", is_eager=True, callback=_show_versions
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show where an error comes from")] = False,
) -> None:
    """Raw ptychography files straight into PtyPy. Errors are one line."""


def app_of(words: Sequence[str]) -> typer.Typer:
    """The command line: with the one command that ``words`` name, so that no other is imported."""
    app = typer.Typer(
        name="ptypy-beamline",
        cls=Root,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        callback=root,
    )
    first = next((word for word in words if not word.startswith("-")), None)
    for name in [first] if first in COMMANDS else COMMANDS:
        module = import_module(f".{name}", __name__)
        epilog = f"Example: [bold]{module.EXAMPLE}[/bold]"
        app.command(name, cls=Command, epilog=epilog)(module.command)
    return app


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
    _print_any_name()
    try:
        with stoppable(), noting_inputs(), TOLD.command(_show_warning):
            result = app_of(words)(words, prog_name="ptypy-beamline", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, Stopped, typer.Abort) as error:
        return _stopped(error if isinstance(error, Stopped) else Stopped(signal.SIGINT))
    except BrokenPipeError:
        # The reader of a pipe has gone; let the interpreter's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        show = getattr(error, "show", None)
        if show:  # a usage error of click, which some versions of typer bring along themselves
            show()
            return int(getattr(error, "exit_code", 2))
        if debug:
            raise
        return _fail(_in_words(error), 1)


def _print_any_name() -> None:
    """Print what the terminal's encoding does not have, as a file's name may, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # one that was redirected with something in it
                stream.reconfigure(errors="backslashreplace")


def _in_words(error: Exception) -> str:
    """One line: what is wrong, and with which file, where that is known."""
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
    came: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        came.append(number)
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    except Exception as error:
        if came:  # an import, say, that it broke
            raise Stopped(came[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopped(stop: Stopped) -> int:
    if not (stop.number == signal.SIGTERM and several_started()):
        return _fail(str(stop), 128 + stop.number)
    return 128 + stop.number  # whoever ends the ranks says why


def _fail(text: str, code: int) -> int:
    if mpi_rank() == 0:
        sys.stderr.write(f"error: {printable(text)}\n")
    return code


def _show_warning(text: str) -> None:
    if mpi_rank() == 0:
        sys.stderr.write(f"{printable(text)}\n")
