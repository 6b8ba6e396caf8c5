"""Warnings of this package, shown where the user sees them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import BeamlineWarning


class UserWarnings:
    """Shows the warnings of this package, each once, on the master.

    A command shows them on standard error, each once until it ends; a PtyPy script in PtyPy's log,
    each once in a reconstruction. Importing PtyPy sends all warnings to a log of Python's that
    nothing prints.
    """

    def __init__(self) -> None:
        self._show: Callable[[str], None] = print
        self._comm: Any = None
        self._shown: set[str] = set()
        self._kept: list[str] = []
        self._others: Callable[..., Any] = warnings.showwarning
        self._in_command = False

    def install(self, show: Callable[[str], None], comm: Any = None) -> None:
        """From now on show them; other warnings go where they went before.

        Parameters
        ----------
        show
            Shows a text to the user.
        comm
            MPI communicator; None for a process alone.
        """
        self._show, self._comm = show, comm
        if warnings.showwarning != self._warned:
            self._others, warnings.showwarning = warnings.showwarning, self._warned
        # Not once for all time in each line of code; filters of the user come first.
        warnings.filterwarnings("always", category=BeamlineWarning, append=True)

    @contextmanager
    def command(self, show: Callable[[str], None]) -> Iterator[None]:
        """A command from beginning to end; warnings of other packages are not shown."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", BeamlineWarning)
            warnings.showwarning = lambda *_, **__: None
            before = self._show, self._comm
            self.forget()
            self.install(show)
            self._in_command = True
            try:
                yield
            finally:
                self._in_command = False
                if self._show is show:  # else PtyPy was imported meanwhile
                    self._show, self._comm = before

    def _warned(
        self, message: Warning | str, category: type[Warning], *place: Any, **more: Any
    ) -> None:
        if not issubclass(category, BeamlineWarning):
            self._others(message, category, *place, **more)
        elif self._comm is None or self._comm.Get_rank() == 0:
            self._once(str(message))
        else:
            self._kept.append(str(message))

    def _once(self, text: str) -> None:
        if text not in self._shown:
            self._shown.add(text)
            self._show(f"warning: {text}")

    def gather(self) -> None:
        """Show what other ranks were warned of; every rank calls this."""
        if self._comm is None:
            return
        for texts in self._comm.gather(self._kept) or ():
            for text in texts:
                self._once(text)
        self._kept = []

    def forget(self) -> None:
        """Show again what was shown: another reconstruction begins, if not of the same command."""
        if not self._in_command:
            self._shown.clear()


USER_WARNINGS = UserWarnings()
"""The one of this process."""
