"""What the tests need of the machine, with a summary of what was missing."""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest
from folders import REAL_DATA

from ptypy_beamline.cli import main

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

NEEDS = {
    "ptypy": (lambda: importlib.util.find_spec("ptypy") is not None, "PtyPy is not installed"),
    "mpi": (
        lambda: bool(shutil.which("mpirun") and importlib.util.find_spec("mpi4py")),
        "mpirun or mpi4py is not installed",
    ),
    "real": (REAL_DATA.is_file, "the measured data are not beside the project"),
    "browser": (
        lambda: bool(CHROMIUM and importlib.util.find_spec("playwright")),
        "Chromium or Playwright is not installed",
    ),
    "tomo": (
        lambda: importlib.util.find_spec("skimage") is not None,
        "scikit-image is not installed",
    ),
    **{
        client: (
            lambda client=client: importlib.util.find_spec(client) is not None,
            f"{client} is not installed",
        )
        for client in ("ptychodus", "cdtools", "silx")
    },
    "ptychopinn": (
        lambda: importlib.util.find_spec("ptycho") is not None,
        "PtychoPINN is not installed",
    ),
}
"""Mark → (whether the machine has it, what to say where it has not)."""

# Several processes share the cores of the machine that tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def type_in(capsys):
    """Run a command line; exit code, output and errors."""

    def run(*words):
        code = main([str(word) for word in words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture(scope="module")
def ptyscan():
    """The module of the loaders; PtyPy prints errors only."""
    module = pytest.importorskip("ptypy_beamline.ptyscan")
    from ptypy import utils as u

    u.verbose.set_level("ERROR")
    return module


LONG_TIMEOUT_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here; long tests may take long."""
    missing = {mark: reason for mark, (present, reason) in NEEDS.items() if not present()}
    for item in items:
        if "long" in item.keywords and "timeout" not in item.keywords:
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT_S))
        for mark, reason in missing.items():
            if mark in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped for want of what."""
    reasons = [
        str(report.longrepr[2])
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    ]
    for mark, (_, reason) in NEEDS.items():
        count = sum(reason in text for text in reasons)
        if count:
            terminalreporter.write_line(f"{count} tests marked '{mark}' were skipped: {reason}")
