"""Trees in PtyPy's HDF5 layout, read without PtyPy.

Each item says by its attribute ``type`` what it was (``ptypy.io.h5rw``, version 0.1). Pickled
items are never loaded: whoever wrote the file could run code by them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from ...files.links import open_confined

ESCAPED_SLASH = "_SLASH_"
"""What stands for a slash in a name, where the item has an attribute ``escaped``."""


def read_tree(path: str | Path) -> dict[str, Any]:
    """The whole file as nested dicts, lists, arrays, numbers, texts and None.

    Raises
    ------
    FileError
        The file is missing, damaged, or not HDF5.
    """
    with open_confined(path) as file:
        return _dict(file)


def _dict(group: h5py.Group) -> dict[str, Any]:
    return {_name(name, item): _value(item) for name, item in group.items()}


def _name(name: str, item: h5py.Group | h5py.Dataset) -> str:
    return name.replace(ESCAPED_SLASH, "/") if "escaped" in item.attrs else name


def _value(item: h5py.Group | h5py.Dataset) -> Any:
    kind = item.attrs.get("type")
    kind = kind.decode() if isinstance(kind, bytes) else kind
    if isinstance(item, h5py.Group):
        return [_value(item[name]) for name in sorted(item)] if kind in LISTS else _dict(item)
    if kind in NOTHING:
        return None
    stored = item[()]
    if isinstance(stored, bytes):
        return stored.decode()
    if kind in LISTS:
        return stored.tolist()
    return stored.item() if kind == "scalar" else stored


LISTS = ("list", "tuple", "arraylist", "arraytuple")
NOTHING = ("None", "pickle", "record_array")
