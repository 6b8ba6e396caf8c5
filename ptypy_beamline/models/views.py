"""PtyPy's views and pods, many at once."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from ptypy import utils as u
from ptypy.core.classes import POD, Base, Container, Storage, View

from ..arrays import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Views:
    """Views of one storage that were made together.

    Attributes
    ----------
    views
        (n,) of PtyPy's views; the record of each is a row of ``records``.
    records
        (n,) records, of PtyPy's own fields.
    """

    views: list[View]
    records: np.ndarray[Any, Any]

    @property
    def storage(self) -> Storage:
        """That they are on."""
        return self.views[0].storage

    @property
    def active(self) -> list[View]:
        """Views that have data."""
        active = self.records["active"]
        if active.all():
            return self.views
        return [self.views[k] for k in np.flatnonzero(active)]

    def update(self, storage: Storage) -> None:
        """As PtyPy's ``Storage.update_views`` does for each active view."""
        active = self.records["active"]
        some = self.records if active.all() else self.records[active]
        d = storage.ndim
        some["psize"][:, :d] = storage.psize
        pixels = storage._to_pix(some["coord"][:, :d])
        center = np.round(pixels + 0.00001).astype(int)
        shape = some["shape"][:, :d]
        some["dcoord"][:, :d] = center
        some["dlow"][:, :d] = center - shape // 2
        some["dhigh"][:, :d] = center + (shape + 1) // 2
        some["sp"][:, :d] = pixels - center
        if some is not self.records:
            self.records[active] = some

    def representatives(self, dimensions: int) -> list[View]:
        """Active views that reach as far, and have the same layers, as all active ones."""
        active = np.flatnonzero(self.records["active"])
        if not len(active):
            return []
        chosen = set(np.unique(self.records["layer"][active], return_index=True)[1].tolist())
        for d in range(dimensions):
            low, high = (self.records[end][:, d][active] for end in ("dlow", "dhigh"))
            chosen |= {int(low.argmin()), int(high.argmax())}
        return [self.views[active[k]] for k in sorted(chosen)]

    def set_data_layers(self, layermap: Sequence[int]) -> None:
        """Index of each active view's layer in the storage's data."""
        known = np.asarray(layermap)
        order = np.argsort(known)
        active = self.records["active"]
        found = order[np.searchsorted(known, self.records["layer"][active], sorter=order)]
        self.records["dlayer"][active] = found


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """While many objects are made that all stay: Python would scan them again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def make_views(
    container: Container, rule: Mapping[str, Any], layers: Ints, active: Bools, coords_m: Floats
) -> Views:
    """Views (n,) that differ in layer, activity and place, as ``View(container, rule)`` gives each.

    Parameters
    ----------
    rule
        PtyPy's access rule: shape, psize and storageID.
    layers, active, coords_m
        (n,) integers, (n,) bool and (n, d) in metres.
    """
    own = {"layer": layers[0], "coord": coords_m[0], "active": bool(active[0])}
    first = View(container=container, accessrule={**rule, **own})
    storage, d = first.storage, first.ndim
    records = np.zeros(len(layers), first._record.dtype)
    records["active"], records["layer"] = active, layers
    records["shape"][:, :d] = first.shape
    records["psize"][:, :d] = u.expectN(rule["psize"], d)
    records["coord"][:, :d] = coords_m
    made = with_records(first, records)
    records["ID"] = [view.ID for view in made.views]
    made.update(storage)
    return made


def with_records(first: View, records: np.ndarray[Any, Any]) -> Views:
    """``first`` and views like it, registered, of which each has a row of ``records``."""
    views = [first, *(_like(first) for _ in range(len(records) - 1))]
    register(first.owner, View._PREFIX, views[1:])
    first.__class__ = BulkView
    for view, record in zip(views, records, strict=True):
        view._record = record
    return Views(views, records)


MOVED_VIEWS: weakref.WeakSet[Container] = weakref.WeakSet()
"""Containers of which views that were made together have been moved to other storages since."""

_STORAGE_ID = View.storageID
"""PtyPy's attribute."""


class BulkView(View):  # type: ignore[misc]
    """A view that was made with many others, and notes when it is moved to another storage.

    Scripts do so to let scans share a probe or an object.
    """

    __slots__ = ()

    @property
    def storageID(self) -> str:  # noqa: N802 - PtyPy's name
        """Name of the storage."""
        name: str = _STORAGE_ID.__get__(self)
        return name

    @storageID.setter
    def storageID(self, name: str) -> None:  # noqa: N802
        MOVED_VIEWS.add(self.owner)
        _STORAGE_ID.__set__(self, name)


def _like(view: View) -> View:
    """A new view on the same storage, without name and record."""
    new = View.__new__(BulkView)
    new.owner, new._pool, new._recs = view.owner, None, None
    new._ndim, new.storage = view._ndim, view.storage
    _STORAGE_ID.__set__(new, view.storageID)
    new._pod = new._pods = None
    return new


def register(owner: Base, prefix: str, made: Sequence[Any]) -> None:
    """Name objects and add them to their owner's, as ``Base._new_ptypy_object`` does one by one."""
    pool = owner._pool[prefix]
    names, numbers = names_of(prefix, len(pool), len(made))
    if not pool.keys().isdisjoint(names):
        raise RuntimeError(f"names {names[0]} to {names[-1]} are taken already")
    for name, number, one in zip(names, numbers, made, strict=True):
        one.ID, one.numID = name, number
        pool[name] = one
    # PtyPy gives its next object a row here: there must be one. No row is touched before.
    records = owner._recs[prefix]
    if len(records) <= len(pool):
        owner._recs[prefix] = np.zeros(len(pool) + 8192, records.dtype)


@lru_cache(maxsize=1)
def names_of(prefix: str, start: int, count: int) -> tuple[list[str], list[int]]:
    """Of objects that follow ``start`` others, and their numbers.

    The views of probe, object, exit waves, frames and masks have the same ones, which they share.
    """
    return (
        [f"{prefix}{k:04d}" for k in range(start, start + count)],
        list(range(start + 1, start + count + 1)),
    )


VIEW_NAMES = {
    "probe": "pr_view",
    "obj": "ob_view",
    "exit": "ex_view",
    "diff": "di_view",
    "mask": "ma_view",
}
"""Of a pod, and the attribute that has each, too."""


def make_pods(ptycho: Any, geometry: Any, views: Sequence[Sequence[View]]) -> list[POD]:
    """A pod of each probe, object, exit, diff and mask view, as ``POD()`` makes one.

    Parameters
    ----------
    views
        A sequence for each of ``VIEW_NAMES``, in their order.
    """
    joined = zip(*views, strict=True)
    first = POD(
        ptycho=ptycho, views=dict(zip(VIEW_NAMES, next(joined), strict=True)), geometry=geometry
    )
    others = [(k, v) for k, v in vars(first).items() if k != "V" and not isinstance(v, View)]
    pods = [first, *(_joining(views_of_pod, ptycho, others) for views_of_pod in joined)]
    register(ptycho, POD._PREFIX, pods[1:])
    records = np.zeros(len(pods), first._record.dtype)
    records["ID"] = [pod.ID for pod in pods]
    for pod, record in zip(pods, records, strict=True):
        pod._record = record
    for pod in pods[1:]:
        _link_views(pod)
    return pods


def _joining(views: Sequence[View], ptycho: Any, others: list[tuple[str, Any]]) -> POD:
    """A pod of these views with ``others`` of its attributes, without name and record."""
    pod = POD.__new__(POD)
    pod.owner, pod._pool, pod._recs = ptycho, None, None
    pod.V = u.Param.__new__(u.Param)
    dict.update(pod.V, zip(VIEW_NAMES, views, strict=True))
    # One by one, so that the names of the attributes take no memory in each pod.
    for name, value in others:
        setattr(pod, name, value)
    for name, view in zip(VIEW_NAMES.values(), views, strict=True):
        setattr(pod, name, view)
    return pod


def _link_views(pod: POD) -> None:
    """Refer to ``pod`` in its views."""
    reference = weakref.ref(pod)
    for view in pod.V.values():
        if view._pod is None:
            view._pod = reference
            continue
        if view._pods is None:
            view._pods = weakref.WeakValueDictionary({view.pod.ID: view.pod})
        view._pods[pod.ID] = pod
