"""MPI ranks that end together."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from .errors import BeamlineError, Stopped, printable

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
"""Environment variables that say how many ranks were started."""


def several_started() -> bool:
    """Whether this process is one of several ranks."""
    return any(int(os.environ.get(name) or 1) > 1 for name in SIZES)


@contextmanager
def ending_all(comm: Any) -> Iterator[None]:
    """End every rank when this one fails, with its message: the others would wait for ever.

    A :class:`BeamlineError` that all ranks agreed on is raised on each of them as it is.

    Parameters
    ----------
    comm
        MPI communicator; None for a process alone.
    """
    try:
        yield
    except BaseException as error:  # of KeyboardInterrupt and SystemExit others know nothing either
        if comm is not None and not getattr(error, "agreed", False):
            if isinstance(error, Stopped) and error.number == signal.SIGTERM:
                _end_all(comm, 128 + signal.SIGTERM)  # whoever ends the ranks says why
            say_and_end(comm, error)
        raise


def say_and_end(comm: Any, error: BaseException) -> None:
    """Print ``error: …`` in one line, and end all ranks where there are several."""
    plain = isinstance(error, BeamlineError | Stopped)
    text = f"{'' if plain else f'{type(error).__name__}: '}{printable(str(error))}"
    if comm is None:
        sys.stderr.write(f"error: {text}\n")
        return
    time.sleep(0.3 * min(comm.rank, 1))  # where all fail alike, the first says so
    rank = "" if getattr(error, "agreed", False) else f"rank {comm.rank}: "
    sys.stderr.write(f"error: {rank}{text}\n")
    _end_all(comm)


def hook_all(comm: Any) -> None:
    """An exception that ends a script on one rank ends it on all, wherever it comes from."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        before(kind, error, trace)
        _end_all(comm)

    sys.excepthook = hook


def _end_all(comm: Any, code: int = 1) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    comm.Abort(code)
