"""A first look at files, in a process of its own: libhdf5 crashes or hangs on some damaged ones.

A job that goes over many files, or waits for one, would be lost with all that it has done.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import DamagedFileError
from .regular import FileState

LIMIT_S = 60.0
"""Without a word for so long, a file counts as one on which libhdf5 hangs."""

AT_ONCE = 200
WALK = (sys.executable, "-m", "ptypy_beamline.files.walk")
SIGNATURE = b"\x89HDF\r\n\x1a\n"
REMEDY = "the file is damaged: copy it again, or leave it out"
_looked_at: set[tuple[int, FileState]] = set()


def check_for_crashes(
    paths: Iterable[str | Path], limit_s: float | None = None, walk: Sequence[str] = WALK
) -> None:
    """Make sure that HDF5 files can be gone through; each is looked at once as it is.

    Parameters
    ----------
    paths
        Files; others than HDF5 files, and what is not there, are passed over.
    limit_s
        For each; default: ``LIMIT_S``.
    walk
        The command that does it: writes a byte when it is through with a file.

    Raises
    ------
    DamagedFileError
        The process crashed or hung on one of them.
    """
    there = [path for path in map(Path, paths) if _is_hdf5(path)]
    new = [path for path in there if _state(path) not in _looked_at]
    for start in range(0, len(new), AT_ONCE):
        _look(new[start : start + AT_ONCE], limit_s or LIMIT_S, walk)
    _looked_at.update(map(_state, new))


def _look(paths: Sequence[Path], limit_s: float, walk: Sequence[str]) -> None:
    home = str(Path(__file__).parents[2])
    around = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [*walk, *map(str, paths)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": around},
    )
    assert process.stdout is not None
    try:
        done, since = 0, time.monotonic()
        while done < len(paths):
            if not select.select([process.stdout], [], [], since + limit_s - time.monotonic())[0]:
                problem = f"libhdf5 hangs on it (for {limit_s:g} s)"
                raise DamagedFileError(problem, REMEDY, paths[done])
            dots = os.read(process.stdout.fileno(), len(paths))
            if not dots:
                _check_end(process, paths[done])
                return
            done, since = done + len(dots), time.monotonic()
    finally:
        process.kill()
        process.stdout.close()
        with suppress(subprocess.TimeoutExpired):  # it waits for a file server
            process.wait(5)


def _check_end(process: subprocess.Popen[bytes], path: Path) -> None:
    """Of a process that has closed its output before it was through."""
    code = process.wait()
    if code < 0 and -code not in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        name = signal.Signals(-code).name
        raise DamagedFileError(f"libhdf5 crashes on it ({name})", REMEDY, path)


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.is_file() and file.read(8) == SIGNATURE
    except OSError:
        return False


def _state(path: Path) -> tuple[int, FileState]:
    found = path.stat()
    return found.st_dev, FileState.of(found)
