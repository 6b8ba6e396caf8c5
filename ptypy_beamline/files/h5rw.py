"""Trees in PtyPy's HDF5 layout, read and written without PtyPy.

The attribute ``type`` of each item gives its Python type (``ptypy.io.h5rw``, version 0.1). Pickled
items are never loaded: they could execute code.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .links import open_confined

VERSION = "0.1"
ESCAPED_SLASH = "_SLASH_"
"""Stands for a slash in the name of an item that has an attribute ``escaped``."""

LISTS = ("list", "tuple", "arraylist", "arraytuple")
NOTHING = ("None", "pickle", "record_array")
"""Values of ``type``: of lists, and of what is read as None."""


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


def stamp(file: h5py.File) -> None:
    """Mark a file as having this layout."""
    file.attrs["h5rw_version"] = VERSION
    file.attrs["ctime"] = file.attrs["mtime"] = time.asctime()


def dict_group(group: h5py.Group, name: str) -> h5py.Group:
    """Add a group that PtyPy reads as a dict."""
    made = group.create_group(name)
    made.attrs["type"] = "dict"
    return made


def store(group: h5py.Group, name: str, value: Any) -> None:
    """Store a plain value with the ``type`` that PtyPy's reader needs."""
    if isinstance(value, Mapping):
        inner = dict_group(group, name)
        for key, item in value.items():
            store(inner, str(key), item)
    elif value is None:
        group.create_dataset(name, data=np.zeros(1)).attrs["type"] = "None"
    elif isinstance(value, str):
        storable = value.encode(errors="backslashreplace").decode()  # with lone surrogates
        text = group.create_dataset(name, data=storable, dtype=h5py.string_dtype())
        text.attrs["type"] = "string"
    elif isinstance(value, list | tuple):
        inner = group.create_group(name)
        inner.attrs["type"] = "list"
        for number, item in enumerate(value):
            store(inner, f"{number:05d}", item)
    elif isinstance(value, np.ndarray):
        store_array(group, name, value)
    else:
        group.create_dataset(name, data=value).attrs["type"] = "scalar"


def store_array(group: h5py.Group, name: str, value: Any, kind: str = "array") -> None:
    """Store an array, or a list as an array (``kind`` arraylist)."""
    group.create_dataset(name, data=value).attrs["type"] = kind
