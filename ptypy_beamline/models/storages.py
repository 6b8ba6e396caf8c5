"""PtyPy's storages, where all their views were made in bulk."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ptypy.core.classes import Container, Storage, View

from ..arrays import Ints
from .views import Views


@dataclass
class Bulk:
    """The views of a storage, and which of them PtyPy sees for a while, if not all.

    The scan model owns the views: they hold their storage, which would never be freed.
    """

    references: list[weakref.ref[Views]]
    reduced: list[View] | None = None

    @property
    def views(self) -> list[Views]:
        """Of scans that still exist."""
        return [views for reference in self.references if (views := reference()) is not None]

    def reformat(self, storage: Storage, some: list[View], update: bool = True) -> Storage | None:
        """PtyPy's, of a storage that has only ``some`` views as far as it can see."""
        self.reduced = some
        try:
            result: Storage | None = Storage.reformat(storage, None, update)
        finally:
            self.reduced = None
        for part in self.views:
            part.update(storage)
        return result

    def has_all_layers(self, storage: Storage) -> bool:
        """Whether the data hold the layers of the active views, and no others."""
        layers = [part.records["layer"][part.records["active"]] for part in self.views]
        return np.array_equal(np.unique(np.concatenate(layers)), storage.layermap)


_BULKS: weakref.WeakKeyDictionary[Storage, Bulk] = weakref.WeakKeyDictionary()


class BulkStorage(Storage):  # type: ignore[misc]
    """A storage all of whose views were made in bulk; everything else is PtyPy's.

    A storage becomes one by assignment of its class: PtyPy chooses names by exact classes.
    """

    @property
    def views(self) -> list[View]:
        """Active views; while PtyPy reformats, such as stand for all."""
        bulk = _BULKS[self]
        if bulk.reduced is not None:
            return bulk.reduced
        all_of_them: list[View] = super().views
        return all_of_them

    def copy(
        self, owner: Container | None = None, ID: str | None = None, fill: Any = None
    ) -> Storage:
        """PtyPy's; the copy is an ordinary storage."""
        self.__class__ = Storage
        try:
            return Storage.copy(self, owner, ID, fill)
        finally:
            self.__class__ = BulkStorage

    def reformat(self, newID: str | None = None, update: bool = True) -> Storage | None:
        """PtyPy's, with few views instead of all."""
        bulk = _BULKS[self]
        known = sum(len(part.views) for part in bulk.views)
        if newID is not None or known != len(self.owner.views_in_storage(self, active_only=False)):
            return super().reformat(newID, update)
        if self._is_scattered:  # its views are all at one place, and have a layer each
            return None if bulk.has_all_layers(self) else super().reformat(newID, update)
        for part in bulk.views:
            part.update(self)
        some = [view for part in bulk.views for view in part.representatives(self.ndim)]
        result = bulk.reformat(self, some, update)
        for part in bulk.views:
            part.set_data_layers(self.layermap)
        return result


def adopt(views: Views) -> None:
    """Make their storage one whose views were made in bulk, these among them."""
    storage = views.storage
    storage.__class__ = BulkStorage
    _BULKS.setdefault(storage, Bulk([])).references.append(weakref.ref(views))


@dataclass(frozen=True, eq=False)
class PodViews:
    """Views of the pods of a block."""

    probe: Views
    object: Views
    exit: Views

    def adopt(self) -> None:
        """Make their storages such as know their views; that of exit waves gets all its layers."""
        for views in (self.probe, self.object, self.exit):
            adopt(views)
        storage, records = self.exit.storage, self.exit.records
        if records["active"].any():
            _BULKS[storage].reformat(storage, self.exit.active[:1])  # all are at one place
            layers = np.unique(records["layer"][records["active"]])
            storage.layermap, storage.nlayers = list(layers), len(layers)
            storage.data = np.zeros((len(layers), *storage.shape[1:]), storage.dtype)
            storage.shape = storage.data.shape
            self.exit.set_data_layers(storage.layermap)

    def multiply(self) -> None:
        """Each active exit wave: its probe times its part of the object."""
        (active,) = np.nonzero(self.exit.records["active"])
        probe, obj, exit_ = (views.storage.data for views in (self.probe, self.object, self.exit))
        columns = [
            *_bounds(self.probe.records[active]),
            *_bounds(self.object.records[active]),
            self.exit.records["dlayer"][active],
        ]
        for p, py, pY, px, pX, o, oy, oY, ox, oX, e in zip(
            *(c.tolist() for c in columns), strict=True
        ):
            np.multiply(probe[p, py:pY, px:pX], obj[o, oy:oY, ox:oX], out=exit_[e])


def _bounds(records: np.ndarray[Any, Any]) -> Iterator[Ints]:
    """Layer, first and last row, first and last column of each view."""
    yield records["dlayer"]
    for d in range(2):
        yield records["dlow"][:, d]
        yield records["dhigh"][:, d]
