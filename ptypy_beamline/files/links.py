"""External links and virtual sources, which are followed only inside the master file's folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from ..errors import FileError, LostFileError, naming
from .hdf5 import check_filters, fresh, open_hdf5

DEPTH = 16
"""Maximum length of a chain of links, as in HDF5 itself."""


def file_and_dataset(text: str) -> tuple[str, str]:
    """The parts of ``file.h5::/path``; the file is "" if only a dataset is named."""
    file, _, dataset = text.rpartition("::")
    return file, dataset


class TooDeepError(FileError):
    """A chain of links is longer than HDF5 follows; it may be circular."""


def lookup(file: h5py.File, path: str, links: str = "inside") -> Any:
    """The group or dataset at ``path``, or None; all links and sources on the way are checked.

    Parameters
    ----------
    file
        The opened master file.
    path
        Absolute path in it.
    links
        ``"inside"``: only files in the master's own directory tree; ``"any"``: any file.

    Raises
    ------
    FileError
        A link, a virtual source or external storage leads outside, or to a missing file, or to a
        dataset whose filter is missing.
    """
    root = Path(file.filename).resolve().parent
    try:
        return fresh(_walk(file, path, root if links == "inside" else None, DEPTH))
    except TooDeepError:
        return None


def present(file: h5py.File, path: str) -> Any:
    """The group or dataset at ``path``, or None, to recognise the kind of file.

    The sources of its data are not checked, but only regular files are opened, never a pipe.
    """
    try:
        return _go(file, path, None, DEPTH)
    except FileError:
        return None


def _walk(file: h5py.File, path: str, allowed: Path | None, depth: int) -> Any:
    """Follow ``path`` link by link, then check the sources of a dataset."""
    node = _go(file, path, allowed, depth)
    if isinstance(node, h5py.Dataset):
        _check_sources(node, allowed, depth - 1)
    return node


def _go(file: h5py.File, path: str, allowed: Path | None, depth: int) -> Any:
    node: Any = file["/"]
    for name in path.split("/"):
        if name in ("", "."):  # as HDF5 reads a path
            continue
        if not isinstance(node, h5py.Group):
            return None
        node = _step(node, name, allowed, depth - 1)
        if node is None:
            return None
    return node


def _step(group: h5py.Group, name: str, allowed: Path | None, depth: int) -> Any:
    """The member ``name`` of a group, or None."""
    if depth < 0:
        raise TooDeepError(
            f"{group.name.rstrip('/')}/{name} leads through more than {DEPTH} links",
            "store what it leads to in the scan's own files",
            group.file.filename,
        )
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if isinstance(link, h5py.ExternalLink):
        owner = Path(group.file.filename)
        target = _target(link.filename, owner, allowed, f"{group.name.rstrip('/')}/{name}")
        return _walk(open_hdf5(target), link.path, allowed, depth)
    if isinstance(link, h5py.SoftLink):
        path = link.path if link.path.startswith("/") else f"{group.name}/{link.path}"
        return _walk(group.file, path, allowed, depth)
    return group[name]


def _check_sources(dataset: h5py.Dataset, allowed: Path | None, depth: int) -> None:
    """Check the files that a virtual or externally stored dataset takes its data from."""
    owner = Path(dataset.file.filename)
    for name, offset, size in dataset.external or ():
        storage = f"{dataset.name} (external storage)"
        target = first_target(name, [Path.cwd() / name], owner, allowed, storage)
        if size != h5py.h5f.UNLIMITED and target.stat().st_size < offset + size:
            raise FileError(
                f"{storage} has {target.stat().st_size} bytes in {name}, of "
                f"{offset + size} that are recorded",
                "copy that file again, whole",
                owner,
            )
    if not dataset.is_virtual:
        return
    if depth < 0:
        raise FileError(
            f"{dataset.name} is virtual, of more than {DEPTH} others one after another",
            "store what it leads to in the scan's own files",
            owner,
        )
    for name, source in sorted({(v.file_name, v.dset_name) for v in dataset.virtual_sources()}):
        if name == ".":
            _check_source(dataset.file, source, allowed, depth)
            continue
        for file_name in _expand(name, owner):
            target = _target(file_name, owner, allowed, f"{dataset.name} (virtual dataset)")
            with open_hdf5(target) as file:
                _check_source(file, source, allowed, depth)


def _check_source(file: h5py.File, source: str, allowed: Path | None, depth: int) -> None:
    """Check a source in ``file``, or all that match a printf-style name."""
    try:
        for path in _paths(file, source, allowed, depth):
            found = _walk(file, path, allowed, depth)
            if isinstance(found, h5py.Dataset):
                check_filters(found, Path(found.file.filename))
    except TooDeepError as error:  # HDF5 may follow it
        raise FileError(error.problem, error.remedy, error.file) from error


def _paths(file: h5py.File, source: str, allowed: Path | None, depth: int) -> Iterator[str]:
    """Paths that match a source's name: ``%b`` is any number, ``%%`` is ``%``."""
    if _pattern(source) is None:
        return iter((_plain(source),))
    parts = [part for part in source.split("/") if part not in ("", ".")]
    return _matching(file["/"], parts, allowed, depth)


def _matching(
    group: Any, parts: list[str], allowed: Path | None, depth: int, head: str = ""
) -> Iterator[str]:
    """Paths that match the parts of a printf-style name such as ``/frames_%b``."""
    if not parts:
        yield head
        return
    first, *rest = parts
    pattern = _pattern(first)
    for name in [_plain(first)] if pattern is None else list(filter(pattern.fullmatch, group)):
        node = _step(group, name, allowed, depth - 1) if rest else None
        if isinstance(node, h5py.Group) or not rest:
            yield from _matching(node, rest, allowed, depth, f"{head}/{name}")


def _plain(name: str) -> str:
    return name.replace("%%", "%")


def _pattern(name: str) -> re.Pattern[str] | None:
    """A pattern of a printf-style name; None if the name has no ``%b``."""
    pieces = re.split("(%%|%b)", name)
    if "%b" not in pieces:
        return None
    words = {"%b": r"\d+", "%%": "%"}
    return re.compile("".join(words.get(piece, re.escape(piece)) for piece in pieces))


@contextmanager
def open_confined(path: str | Path) -> Iterator[h5py.File]:
    """Open a file of results after checking that none of its links leads out of its folder.

    Such files are small, so all links are followed.

    Raises
    ------
    FileError
        As :func:`.files.open_hdf5` and :func:`lookup`.
    """
    with naming(path), open_hdf5(path) as file:
        root = Path(file.filename).resolve().parent
        seen: set[Any] = set()
        waiting: list[h5py.Group] = [file["/"]]
        while waiting:
            group = waiting.pop()
            for name in group:
                node = _step(group, name, root, DEPTH)
                if isinstance(node, h5py.Dataset):
                    _check_sources(node, root, DEPTH)
                elif isinstance(node, h5py.Group):
                    identity = node.file.filename, h5py.h5o.get_info(node.id).addr
                    if identity not in seen:
                        seen.add(identity)
                        waiting.append(node)
        yield file


def _expand(name: str, owner: Path) -> list[str]:
    """Files that match a printf-style source name, ``frames_%b.h5``; other names unchanged."""
    if _pattern(name) is None:
        return [_plain(name)]
    folders = dict.fromkeys((owner.parent, owner.resolve().parent))
    found = [str(path) for folder in folders for path in _files(folder, Path(name).parts)]
    return found or [_plain(name.replace("%b", "0"))]


def _files(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Files below a folder that match the parts of a printf-style name."""
    if not parts:
        yield folder.absolute()
        return
    pattern, rest = _pattern(parts[0]), parts[1:]
    if pattern is None:
        yield from _files(folder / _plain(parts[0]), rest)
    elif folder.is_dir():
        for name in filter(pattern.fullmatch, sorted(os.listdir(folder))):
            yield from _files(folder / name, rest)


def _target(name: str, owner: Path, allowed: Path | None, link: str) -> Path:
    """The file that HDF5 opens for ``name``, searched for in HDF5's order, and checked.

    Source: ``H5F_prefix_open_file`` of HDF5 1.14, without prefixes: the folder of ``owner`` as it
    was opened, the current folder, and that of ``owner`` with links resolved. A file with an
    absolute name is searched for at that path first, then by its last part.
    """
    absolute = Path(name).is_absolute()
    bare = Path(name).name if absolute else name
    tries = [folder / bare for folder in (owner.parent, Path.cwd(), owner.resolve().parent)]
    return first_target(name, [Path(name), *tries] if absolute else tries, owner, allowed, link)


def first_target(
    name: str, tries: Sequence[Path], owner: Path, allowed: Path | None, link: str
) -> Path:
    """The first existing file of ``tries``, checked."""
    for found in tries:
        if not os.path.lexists(found):
            continue
        if allowed is not None and not found.resolve().is_relative_to(allowed):
            raise FileError(
                f"{link} links to {name}, outside {allowed}",
                "if you trust this file, set links='any' (--links any) where frames "
                "are loaded; else copy its target into this folder",
                owner,
            )
        if found.is_file():
            return found
        if found.exists():
            raise FileError(
                f"{link} links to {name}, which is no regular file",
                "copy its target into this folder",
                owner,
            )
    raise LostFileError(
        f"{link} links to {name}, which does not exist",
        "copy that file, too, into this folder",
        owner,
    )
