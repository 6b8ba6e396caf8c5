"""The MPI ranks that reconstruct together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
"""Environment variables that say how many ranks were started."""


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


def several_started() -> bool:
    """Whether this process is one of several ranks."""
    return any(int(os.environ.get(name) or 1) > 1 for name in SIZES)


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
