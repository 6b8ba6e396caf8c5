"""The PtyPy internals that the models replace or imitate, and a check that they are unchanged."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from ptypy.core.classes import POD, Base, Storage, View
from ptypy.core.manager import BlockFull, BlockScanModel, ScanModel

RELIED_ON = {
    BlockScanModel.new_data: "50a9ff48bb58",
    BlockFull._create_pods: "3997329aa74f",
    ScanModel._initialize_exit: "72abb2c27120",
    ScanModel._update_stats: "6f17bae826fe",
    Base.__init__: "f5ec76dde27d",
    Base._new_ptypy_object: "510addfeeeda",
    Storage.__init__: "b93d53ccc9b3",
    Storage.copy: "c1bafe9cac6e",
    Storage.reformat: "4a154bf4eeed",
    Storage.update_views: "b9fafdc3f1f9",
    View.__init__: "245e16388559",
    View._set: "45c7f5841bb9",
    View.copy: "6e31026c7942",
    POD.__init__: "e89b37e87a9c",
}
"""What is replaced or imitated here, and the start of the SHA-256 of its source in PtyPy 0.9."""


@cache
def digest(function: Callable[..., Any]) -> str:
    """Digest of the source of ``function``; empty if there is no source."""
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]
    except OSError:
        return ""


def differences() -> list[str]:
    """Names of the functions whose source differs in this PtyPy."""
    return [f.__qualname__ for f, known in RELIED_ON.items() if digest(f) != known]
