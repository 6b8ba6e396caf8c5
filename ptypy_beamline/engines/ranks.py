"""The MPI ranks that reconstruct together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ranks:
    """The MPI ranks that work together; ``parallel`` is PtyPy's, None where there is but one."""

    parallel: Any = None

    @property
    def first(self) -> bool:
        """Whether this one decides and writes."""
        return self.parallel is None or bool(self.parallel.master)

    def shared(self, value: Any) -> Any:
        """The first rank's ``value``, on every rank."""
        return value if self.parallel is None else self.parallel.bcast(value)


ALONE = Ranks()


@contextmanager
def ranks_started() -> Iterator[Ranks]:
    """The ranks that PtyPy knows; one that fails in the block ends them all.

    Raises
    ------
    BeamlineError
        PtyPy is missing.
    """
    from ..run import import_ptypy

    parallel = import_ptypy().utils.parallel
    from ..ptyscan import together

    with together():
        yield Ranks(parallel)
