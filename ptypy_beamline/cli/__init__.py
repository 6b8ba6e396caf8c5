"""The ``ptypy-beamline`` command line; one file for each command."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import typer

from ..errors import BeamlineError, Stopped, in_short, printable
from ..files.regular import noting_inputs
from ..parallel import mpi_rank, several_started
from ..user_warnings import USER_WARNINGS
from .app import COMMANDS, app

__all__ = ["COMMANDS", "app", "main", "stoppable"]


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
        with stoppable(), noting_inputs(), USER_WARNINGS.command(_show_warning):
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
    if not (stop.number == signal.SIGTERM and several_started()):
        return _fail(str(stop), 128 + stop.number)
    return 128 + stop.number  # the rank that ended the others says why


def _fail(text: str, code: int) -> int:
    if mpi_rank() == 0:
        sys.stderr.write(f"error: {printable(text)}\n")
    return code


def _show_warning(text: str) -> None:
    if mpi_rank() == 0:
        sys.stderr.write(f"{printable(text)}\n")
