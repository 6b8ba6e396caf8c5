"""HDF5 groups and datasets with the attributes by which NeXus programs find and plot them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py


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
