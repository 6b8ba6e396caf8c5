"""The threads that read and decode, and the memory each of them keeps."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

import numpy as np

from ..arrays import Bytes
from ..parallel import available_threads, side_by_side

Job = TypeVar("Job")
Result = TypeVar("Result")


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """Those of one process; at least two, as one may wait for the disk."""
    return ThreadPoolExecutor(max(2, available_threads()), "decode")


def threads() -> ThreadPoolExecutor:
    """The reading threads, also after a fork. What they run must not wait for them in turn."""
    return _threads(os.getpid())


def spread(run: Callable[[Job], Result], jobs: Sequence[Job], at_once: int) -> list[Result]:
    """``run`` every job on so many threads; the results in order, or the first job's error.

    The calling thread is one of them: it has a core already, and need not wait for a thread that
    has other things to do. If its pool has others at work, it does them all.
    """
    at_once = 1 if side_by_side() else at_once
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

    helpers = [threads().submit(work) for _ in range(min(at_once, len(jobs)) - 1)]
    work()
    wait([helper for helper in helpers if not helper.cancel()])
    function.clear()  # a cancelled helper is forgotten later, and must not keep a file open
    if failed:
        raise failed[min(failed)]
    return [done[number] for number in range(len(jobs))]


PADDING = 64
"""Bytes behind what a buffer holds that a compiled decoder may read or write."""

_KEPT = threading.local()


@cache
def _largest() -> int:
    """Bytes of the largest buffer that is kept for the next chunk: 128 MiB for all threads."""
    return min(2**25, 2**27 // available_threads())


def buffer(size: int) -> Bytes:
    """Room for ``size`` bytes, and the padding."""
    return np.empty(size + PADDING, np.uint8)


def scratch(use: str, size: int) -> Bytes:
    """A :func:`buffer` with any content that is this thread's until it asks again for this use."""
    if size > _largest():
        return buffer(size)
    kept: dict[str, Any] = _KEPT.__dict__
    found: Bytes | None = kept.get(use)
    if found is None or len(found) < size + PADDING:
        found = kept[use] = buffer(size)
    return found
