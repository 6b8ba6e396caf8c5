"""Opening HDF5 files and datasets, with a clear one-line error if that fails."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters of areaDetector and Eiger files

from ..errors import DamagedFileError, FileError, UnreadableError, in_short
from .handles import OPEN_FILES, most_open
from .regular import check_file, note_input

WRITING, SWMR = 1, 5
"""Consistency flags of a file that is open for writing, without and with SWMR mode."""

AGAIN_S = 0.01
"""Time between two looks at a file: a writer may close it for a moment after each frame."""

CACHE_LIMIT = 2**29
"""Maximum size of a dataset's chunk cache, in bytes."""

OPEN_FOR_WRITING = "the file is open for writing, not in SWMR mode: HDF5 refuses to read it"
DEAD = (
    "if its writer died, copy what h5py.File(open(NAME, 'rb')) reads of it into a new file (see "
    "the documentation of live scans), or clear the mark by h5clear -s NAME"
)

COPY = "copy it again, or wait until it is complete"
UNLOCK = "set HDF5_USE_FILE_LOCKING=FALSE"
CLOSE = f"wait until it is closed; {DEAD}"
PROBLEMS: dict[str, tuple[type[FileError], str, str]] = {
    "truncated file": (DamagedFileError, "truncated HDF5 file", COPY),
    "signature not found": (DamagedFileError, "not an HDF5 file", "check the path"),
    "already open for write": (UnreadableError, OPEN_FOR_WRITING, CLOSE),
    "unable to lock": (FileError, "the file is locked by its writer", UNLOCK),
}
"""Part of HDF5's message → our error, its message, and the remedy."""


_locking: ContextVar[bool] = ContextVar("locking", default=True)


@contextmanager
def unlocked() -> Iterator[None]:
    """Open files in the block without a lock, as those of a scan that is being written.

    While a reader holds a lock, HDF5 refuses to open the file for writing: a writer that reopens
    its file, as PtyPy does for each chunk of a ``.ptyd``, would fail.
    """
    before = _locking.set(False)
    try:
        yield
    finally:
        _locking.reset(before)


def locking() -> bool:
    """Whether files are opened with a lock, see :func:`unlocked`."""
    return _locking.get()


def open_hdf5(path: str | Path, lock: bool | None = None, noted: bool = True) -> h5py.File:
    """Open an HDF5 file for reading, also one that a writer has open in SWMR mode.

    A file that this process already has open is not opened again, see :mod:`.handles`.

    Parameters
    ----------
    path
        The file.
    lock
        Prevent writers from opening it meanwhile; None = :func:`locking`.
    noted
        Whether it is an input, see :func:`noting_inputs`.

    Raises
    ------
    FileError
        The file is missing, a directory, truncated, locked, or not HDF5.
    """
    path = Path(path)
    check_file(path)
    if noted:
        note_input(path)
    lock = locking() if lock is None else lock
    known = OPEN_FILES.reopen(path.absolute()) if lock else None
    if known is not None:
        return known
    try:
        file = _open_in_mode(path.absolute(), being_written(path), lock)
    except OSError as error:
        for words, (kind, problem, remedy) in PROBLEMS.items():
            if words in str(error):
                raise kind(problem, remedy, path) from error
        raise UnreadableError(
            f"cannot be opened ({in_short(error)})", "check the file", path
        ) from error
    if lock and not file.swmr_mode:
        OPEN_FILES.add(path.absolute(), file)
        kept = _kept.get()
        if kept is not None and (again := OPEN_FILES.reopen(path.absolute())):
            kept.append(again)
    return file


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5; one that this process has open is not read."""
    return OPEN_FILES.is_open(path.absolute()) or bool(h5py.is_hdf5(path))


_kept: ContextVar[deque[h5py.File] | None] = ContextVar("kept", default=None)


@contextmanager
def files_kept_open() -> Iterator[None]:
    """Keep files that are opened in the block open until its end, so that each is opened once."""
    kept: deque[h5py.File] = deque(maxlen=most_open() // 2)
    before = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(before)
        for file in kept:
            file.close()


def _open_in_mode(path: Path, swmr: bool, lock: bool) -> h5py.File:
    flags = {"swmr": swmr, "locking": None if lock else False}  # None: HDF5's default
    try:
        return h5py.File(path, "r", **flags)
    except OSError as error:
        if "flag not the same" in str(error):
            # This process has it open in the other mode: its writer has closed it since then.
            return h5py.File(path, "r", **flags | {"swmr": not swmr})
        if "unable to lock" in str(error):  # a writer holds it, without SWMR
            return h5py.File(path, "r", locking=False)
        if "locking flag values" in str(error):  # this process has it open with the other flag
            return h5py.File(path, "r", **flags | {"locking": False if lock else None})
        raise


def is_locked(file: h5py.File) -> bool:
    """Whether a file could not be locked because a writer has it open without SWMR.

    If HDF5 does not lock files here, that is unknown: False.
    """
    off = os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() in ("FALSE", "0")
    locks: bool = h5py.h5p.create(h5py.h5p.FILE_ACCESS).get_file_locking()[0] and not off
    return locking() and locks and not file.id.get_access_plist().get_file_locking()[0]


def fresh(node: Any) -> Any:
    """A dataset in its present state; HDF5 otherwise keeps the length that it saw first."""
    if isinstance(node, h5py.Dataset) and node.file.swmr_mode:
        node.refresh()
    return node


def being_written(path: Path) -> bool:
    """Whether a writer has the file open in SWMR mode, or died while it had."""
    return _open_flags(path) == SWMR


def stays_open_for_writing(path: Path, for_s: float) -> bool:
    """Whether a writer without SWMR keeps the file open, or died while it had.

    One that closes it after each frame does not.
    """
    until = time.monotonic() + for_s
    while _open_flags(path) == WRITING:
        if time.monotonic() > until:
            return True
        time.sleep(AGAIN_S)
    return False


def _open_flags(path: Path) -> int:
    """The consistency flags of a file; 0 if its version has none.

    Source: HDF5 File Format Specification 3.0, section II.A, superblock version 3, "File
    Consistency Flags": bit 0 open for writing, bit 2 for SWMR writing.
    """
    with path.open("rb") as file:
        head = file.read(12)
    known = head[:4] == b"\x89HDF" and len(head) == 12 and head[8] >= 3
    return head[11] & SWMR if known else 0


def check_filters(dataset: h5py.Dataset, path: Path) -> None:
    """Check that the dataset's chunks can be decoded here.

    Raises
    ------
    FileError
        The plugin of a compression filter is missing.
    """
    created = dataset.id.get_create_plist()
    for number in range(created.get_nfilters()):
        code, _, _, name = created.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            label = f"{code} ({name.decode(errors='replace')})" if name else f"{code}"
            raise FileError(
                f"{dataset.name} is compressed with HDF5 filter {label}, which is not installed",
                "install its plugin and set HDF5_PLUGIN_PATH to the plugin's folder",
                path,
            )


def open_dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Open a dataset; if frames share chunks, with a chunk cache for the chunks of one frame."""
    try:
        dataset = file[name]
    except KeyError as error:
        raise FileError(f"no dataset {name}", "check the path", path) from error
    if not isinstance(dataset, h5py.Dataset):
        raise FileError(f"{name} is a group, not a dataset", "check the path", path)
    fresh(dataset)
    if dataset.chunks is None or math.prod(dataset.chunks[:-2]) == 1:
        return dataset
    per_frame = math.prod(
        -(-n // c) for n, c in zip(dataset.shape[-2:], dataset.chunks[-2:], strict=True)
    )
    size = per_frame * math.prod(dataset.chunks) * dataset.dtype.itemsize
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(10 * per_frame + 1, min(size + 2**20, CACHE_LIMIT), 1.0)
    del dataset  # else HDF5 keeps the cache of the first opening
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(), access))
