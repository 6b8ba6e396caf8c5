"""Read HDF5 files in a separate process first: libhdf5 crashes or hangs on some damaged ones.

A job that processes many files, or waits for one, would lose all its work.
``python -m ptypy_beamline.files.crashcheck FILE…`` is that process: it reads each file as loaders
do, and writes a dot after each. Errors that HDF5 itself reports are ignored.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import h5py

from ..errors import DamagedFileError
from .hdf5 import being_written
from .regular import FileState

LIMIT_S = 60.0
"""After this time without progress, libhdf5 is assumed to hang on the file."""

FILES_PER_PROCESS = 200
"""Maximum number of files per process."""
WALK = (sys.executable, "-m", "ptypy_beamline.files.crashcheck")
SIGNATURE = b"\x89HDF\r\n\x1a\n"
REMEDY = "the file is damaged: copy it again, or leave it out"
_checked: set[tuple[int, FileState]] = set()


def check_for_crashes(
    paths: Iterable[str | Path], limit_s: float | None = None, walk: Sequence[str] = WALK
) -> None:
    """Check that libhdf5 can read HDF5 files; a file that has not changed is checked once.

    Parameters
    ----------
    paths
        Files; those that are missing or not HDF5 are skipped.
    limit_s
        Time limit for each file; default: ``LIMIT_S``.
    walk
        The command of the process, which writes a byte after each file.

    Raises
    ------
    DamagedFileError
        The process crashed or hung on one of the files.
    """
    present = [path for path in map(Path, paths) if _is_hdf5(path)]
    new = [path for path in present if _state(path) not in _checked]
    for start in range(0, len(new), FILES_PER_PROCESS):
        _check(new[start : start + FILES_PER_PROCESS], limit_s or LIMIT_S, walk)
    _checked.update(map(_state, new))


def _check(paths: Sequence[Path], limit_s: float, walk: Sequence[str]) -> None:
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
    """Check the exit code of a process that ended before it was done."""
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


SMALL_BYTES = 2**23
"""Datasets up to this size are read completely, of others only the first and last frame."""


def _main() -> None:
    for path in [Path(name).resolve() for name in sys.argv[1:]]:
        _walk(path, path.parent, set())
        os.write(1, b".")


def _walk(path: Path, inside: Path, seen: set[Path]) -> None:
    """Read a file, and files below the same folder that it links to."""
    if path in seen or not path.is_file() or not path.is_relative_to(inside):
        return
    seen.add(path)
    others: list[str] = []
    with (
        suppress(Exception),  # the loader gives a better message
        h5py.File(path, "r", swmr=being_written(path), locking=False) as file,
    ):
        _attributes(file)
        for name in _names(file):
            with suppress(Exception):
                others += _node(file, name)
    for other in others:
        _walk((path.parent / other).resolve(), inside, seen)


def _names(group: h5py.Group, above: str = "", depth: int = 0) -> Iterator[str]:
    for key in group:
        name = f"{above}/{key}"
        yield name
        link = group.get(key, getlink=True)
        if isinstance(link, h5py.HardLink) and depth < 20:
            inner = group.get(key)
            if isinstance(inner, h5py.Group):
                yield from _names(inner, name, depth + 1)


def _node(file: h5py.File, name: str) -> list[str]:
    """Read what a loader may read of an object; return the files that it links to."""
    link = file.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return [link.filename]
    node = file[name]
    _attributes(node)
    if isinstance(node, h5py.Dataset):
        if node.is_virtual:
            return [source.file_name for source in node.virtual_sources()]
        _numbers(node)
    return []


def _attributes(node: h5py.Group | h5py.Dataset) -> None:
    for name in node.attrs:
        with suppress(Exception):
            node.attrs[name]


def _numbers(dataset: h5py.Dataset) -> None:
    if dataset.external:
        return
    if dataset.chunks is not None:
        dataset.id.get_num_chunks()
    if dataset.shape is None or dataset.nbytes <= SMALL_BYTES:
        dataset[()]
    elif dataset.nbytes // dataset.shape[0] <= 8 * SMALL_BYTES:
        dataset[0], dataset[-1]


if __name__ == "__main__":
    _main()
