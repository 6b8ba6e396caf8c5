"""Warnings of this package, shown where the user sees them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import BeamlineWarning


class UserWarnings:
    """Shows the warnings of this package, each once, on the first rank.

    A command shows each once on standard error; a PtyPy script shows each once per reconstruction
    in PtyPy's log. Importing PtyPy redirects all warnings to a Python log that nobody prints.
    """

    def __init__(self) -> None:
        self._show: Callable[[str], None] = print
        self._comm: Any = None
        self._shown: set[str] = set()
        self._kept: list[str] = []
        self._others: Callable[..., Any] = warnings.showwarning
        self._in_command = False

    def install(self, show: Callable[[str], None], comm: Any = None) -> None:
        """Start showing them; other warnings go where they went before.

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
        # Python would show each line's warning once per process; the user's filters come first.
        warnings.filterwarnings("always", category=BeamlineWarning, append=True)

    @contextmanager
    def command(self, show: Callable[[str], None]) -> Iterator[None]:
        """Show warnings during a command; those of other packages are hidden."""
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
        """Show the warnings of other ranks; every rank calls this."""
        if self._comm is None:
            return
        for texts in self._comm.gather(self._kept) or ():
            for text in texts:
                self._once(text)
        self._kept = []

    def forget(self) -> None:
        """Show warnings again that were shown: a new reconstruction begins, unless in a command."""
        if not self._in_command:
            self._shown.clear()


USER_WARNINGS = UserWarnings()
"""That of this process."""
