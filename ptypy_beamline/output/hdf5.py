"""HDF5 files that survive a full disk, and groups that NeXus programs find and plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py

from .files import complete_file
from .names import CREATOR, SIGNATURE


@contextmanager
def complete_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """As :func:`.files.complete_file`, an HDF5 file open for writing, signed as this package's.

    Raises
    ------
    FileError
        As :func:`.files.complete_file`, or the disk is full.
    """
    with complete_file(path) as temporary, create_hdf5(temporary) as file:
        yield file


@contextmanager
def create_hdf5(path: Path, signed: bool = True, **flags: Any) -> Iterator[h5py.File]:
    """A new HDF5 file, signed, flushed and closed when the block ends well.

    libhdf5 crashes when it cannot write what it buffers, and h5py loses some of its failures. So
    the first failure is kept, to be raised at the end of the block or by
    :func:`stop_on_full_disk`, and everything after it is discarded. ``flags`` are those of
    :class:`h5py.File`.
    """
    with _DiscardingFile(path) as disk:
        file = h5py.File(disk, "w", **flags)
        try:
            yield file
            if signed:
                file.attrs[SIGNATURE] = CREATOR
            file.flush()
        except BaseException as error:
            disk.discarding = True
            with suppress(Exception):
                file.close()
            if disk.failed and isinstance(error, Exception):  # HDF5 may read what is lost
                raise disk.failed from error
            raise
        file.close()
        if disk.failed:
            raise disk.failed


def stop_on_full_disk() -> None:
    """Raise the failure of a file that is being written, if any; for use in long loops."""
    for disk in _writing:
        if disk.failed:
            raise disk.failed


_writing: list[_DiscardingFile] = []


class _DiscardingFile:
    """The file object that HDF5 writes to; once ``discarding``, it writes nothing more."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self.discarding = False
        self.failed: OSError | None = None
        _writing.append(self)

    def __enter__(self) -> _DiscardingFile:
        return self

    def __exit__(self, *_: object) -> None:
        _writing.remove(self)
        self._file.close()

    def write(self, data: Any) -> int:
        """Write all; a failure is kept, as no exception may reach HDF5."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and not self.discarding:
            try:
                done += self._file.write(view[done:])
            except OSError as error:
                self.discarding, self.failed = True, error
        return len(view)

    def read(self, size: int = -1) -> bytes:
        """As of any file; HDF5 uses :meth:`readinto`."""
        return self._file.read(size) or b""

    def readinto(self, data: Any) -> int:
        """Read; zeros beyond the end."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            some = self._file.readinto(view[done:])
            if not some:
                view[done:] = bytes(len(view) - done)
                break
            done += some
        return len(view)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """As of any file; growing it may fail, too."""
        if not self.discarding:
            try:
                return self._file.truncate(size)
            except OSError as error:
                self.discarding, self.failed = True, error
        return self.tell()

    def flush(self) -> None:
        """Nothing is buffered."""


def put_dataset(group: h5py.Group, name: str, value: Any, **attributes: Any) -> None:
    """A new dataset with attributes, ``units`` for one."""
    group[name] = value
    group[name].attrs.update(attributes)


def nexus_group(parent: h5py.Group, name: str, nx_class: str = "", **attributes: str) -> h5py.Group:
    """A new group, with its NeXus class and attributes; no class: a plain group."""
    group = parent.create_group(name)
    group.attrs.update({**({"NX_class": nx_class} if nx_class else {}), **attributes})
    return group


def linked_plot(
    parent: h5py.Group, name: str, dataset: str, axes: Sequence[str] = (), **attributes: str
) -> h5py.Group:
    """A new NXdata group that plots a dataset elsewhere in the file.

    Parameters
    ----------
    parent
        What names it as its ``default``.
    name
        Of the group.
    dataset
        Full path of what is plotted; its last part is the name of the signal.
    axes
        Names of the axes, which the caller adds to the group.
    attributes
        Further ones of the group, ``interpretation`` for one.
    """
    signal = dataset.rpartition("/")[2]
    group = nexus_group(parent, name, "NXdata", signal=signal, **attributes)
    group[signal] = h5py.SoftLink(dataset)
    if axes:
        group.attrs["axes"] = list(axes)
    return group
