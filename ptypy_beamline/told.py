"""Warnings of this package where the user of PtyPy sees them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .errors import BeamlineWarning


class Told:
    """Says the warnings of this package, each once, on the master.

    Importing PtyPy sends all warnings to a log of Python's that nothing prints.

    Parameters
    ----------
    say
        Shows a text to the user.
    comm
        MPI communicator; None for a process alone.
    """

    def __init__(self, say: Callable[[str], None], comm: Any = None) -> None:
        self._say, self._comm = say, comm
        self._master = comm is None or comm.Get_rank() == 0
        self._said: set[str] = set()
        self._kept: list[str] = []
        self._others: Callable[..., Any] = warnings.showwarning

    def install(self) -> None:
        """From now on say them; other warnings go where they went before."""
        self._others, warnings.showwarning = warnings.showwarning, self._show
        # Not once for all time in each line of code; filters of the user come first.
        warnings.filterwarnings("always", category=BeamlineWarning, append=True)

    def _show(
        self, message: Warning | str, category: type[Warning], *place: Any, **more: Any
    ) -> None:
        if not issubclass(category, BeamlineWarning):
            self._others(message, category, *place, **more)
        elif self._master:
            self._tell(str(message))
        else:
            self._kept.append(str(message))

    def _tell(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(f"warning: {text}")

    def gather(self) -> None:
        """Say what other ranks were warned of; every rank calls this."""
        if self._comm is None:
            return
        for texts in self._comm.gather(self._kept) or ():
            for text in texts:
                self._tell(text)
        self._kept = []

    def forget(self) -> None:
        """Say again what was said: another reconstruction begins."""
        self._said.clear()
