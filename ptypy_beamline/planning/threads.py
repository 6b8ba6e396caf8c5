"""The threads of a rank."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

LOCAL_RANKS = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE")
"""Environment variables that say how many ranks a node has."""


def available_threads() -> int:
    """Cores of this node over its MPI ranks, at least one."""
    ranks = next((int(os.environ[name]) for name in LOCAL_RANKS if name in os.environ), 1)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(1, min(allowed, (os.cpu_count() or 1) // ranks))


_THIS = threading.local()


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "correct", setattr, (_THIS, "of_pool", True))


def pool(threads: int) -> ThreadPoolExecutor:
    """One pool per size for the life of the process: starting threads for each block is slow.

    A fork leaves the threads behind, so its process gets a pool of its own.
    """
    return _pool(os.getpid(), threads)


def side_by_side() -> bool:
    """Whether this thread is one of a pool, whose others are at work: it needs no helpers."""
    return hasattr(_THIS, "of_pool")


def shares(n: int, count: int) -> list[slice]:
    """``n`` positions in at most ``count`` contiguous, nearly equal parts."""
    edges = np.linspace(0, n, min(count, n) + 1).round().astype(int) if n else np.zeros(1, int)
    return [slice(a, b) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
