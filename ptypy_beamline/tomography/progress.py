"""How long work is shown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(label, total) → a context whose function is called with each number of things done."""


def silent(label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """No progress."""
    return nullcontext(lambda done: None)
