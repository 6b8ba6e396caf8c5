"""Progress on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

# rich is imported only on a terminal: importing it takes as long as a small command.


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of items done since the last call."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


def working(label: str) -> AbstractContextManager[Any]:
    """A spinner on a terminal while the block runs."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(label)


@contextmanager
def progress_of_engines(
    names: Sequence[str], iterations: Sequence[int]
) -> Iterator[Callable[[int, int, float], None]]:
    """A function to call with an engine's number, the iterations it has done, and its error.

    A bar for each engine on a terminal, with the time left; some ten lines each in a pipe.
    """
    if not sys.stderr.isatty():
        yield lambda k, done, error: _line(names[k], done, iterations[k], error)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("error {task.fields[error]}"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = [
            bar.add_task(name, total=count, error="-", start=False)
            for name, count in zip(names, iterations, strict=True)
        ]

        def advance(number: int, done: int, error: float) -> None:
            bar.start_task(tasks[number])
            bar.update(tasks[number], completed=done, error=f"{error:.4g}")

        yield advance


def _line(engine: str, done: int, total: int, error: float) -> None:
    if done == total or done % max(total // 10, 1) == 0:
        sys.stderr.write(f"{engine} {done} of {total}, error {error:.4g}\n")
        sys.stderr.flush()
