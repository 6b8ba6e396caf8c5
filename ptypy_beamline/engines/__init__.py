"""Reconstruction of a raw scan by PtyPy, on one MPI rank or several, with its progress.

:mod:`.trees` makes PtyPy's parameter tree from the scan's settings, and saves it;
:mod:`.gpu_memory` estimates the memory that its GPU engines will need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from ..reconstruction.io.ptyr import from_ptycho
from ..reconstruction.model import Reconstruction
from .trees import Chain, parameter_tree

__all__ = ["ALONE", "Chain", "Ranks", "parameter_tree", "ranks_started", "reconstruct"]

Progress = Callable[[int, int, float], None]
"""Called with the number of the engine, the iterations it has done, and the photon error."""


def reconstruct(tree: Mapping[str, Any], progress: Progress | None = None) -> Reconstruction:
    """Run PtyPy on a tree of one scan; every rank calls it.

    Parameters
    ----------
    tree
        As :func:`~ptypy_beamline.engines.trees.parameter_tree` makes it; GPU engines must
        be loaded.
    progress
        Called after each iteration, on the first rank.

    Raises
    ------
    BeamlineError
        PtyPy is missing, or the scan cannot be loaded.
    """
    from ..run import running

    with running(tree, level=4) as ptycho:
        if progress:
            for number, engine in enumerate(ptycho.engines.values()):
                _watch(engine, ptycho, partial(progress, number))
        # Level 5 would print the references to cite, once for each scan.
        ptycho.run()
    return from_ptycho(ptycho)


def _watch(engine: Any, ptycho: Any, progress: Callable[[int, float], None]) -> None:
    """Call ``progress`` after each of PtyPy's blocks of iterations."""
    iterate = engine.iterate

    @wraps(iterate)
    def watched(*given: Any, **named: Any) -> None:
        iterate(*given, **named)
        if ptycho.runtime.get("iter_info"):
            error = float(ptycho.runtime.iter_info[-1]["error"][1])
            progress(int(engine.curiter), error)

    engine.iterate = watched


@dataclass(frozen=True)
class Ranks:
    """The MPI ranks that work together; ``parallel`` is PtyPy's, None where there is only one."""

    parallel: Any = None

    @property
    def first(self) -> bool:
        """Whether this rank decides and writes."""
        return self.parallel is None or bool(self.parallel.master)

    def shared(self, value: Any) -> Any:
        """The first rank's ``value``, on every rank."""
        return value if self.parallel is None else self.parallel.bcast(value)


ALONE = Ranks()


@contextmanager
def ranks_started() -> Iterator[Ranks]:
    """PtyPy's MPI ranks; one that fails in the block ends them all.

    Raises
    ------
    BeamlineError
        PtyPy is missing.
    """
    from ..run import import_ptypy

    parallel = import_ptypy().utils.parallel
    from ..ptyscan import ending_all_ranks

    with ending_all_ranks():
        yield Ranks(parallel)
