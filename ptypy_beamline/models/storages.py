"""PtyPy's storages whose views were all made in bulk; exit waves are computed when needed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray
from ptypy.core.classes import Base, Container, Storage, View

from ..arrays import Complexes, Ints, Numbers
from .views import MOVED_VIEWS, Views


@dataclass
class Bulk:
    """The views of a storage, and which of them PtyPy sees for a while, if not all.

    The scan model owns the views: they hold their storage, which would never be freed.

    Attributes
    ----------
    pending
        What writes the data that the storage is still to have into an array.
    """

    references: list[weakref.ref[Views]]
    reduced: list[View] | None = None
    pending: Callable[[Any], None] | None = None

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

    def fits(self, storage: Storage) -> bool:
        """Whether the data hold the layers of the active views, which cover them, and no others."""
        each = [part.records["layer"][part.records["active"]] for part in self.views]
        layers = np.unique(np.concatenate(each))
        shape = (len(layers), *self.views[0].views[0].shape)
        return (
            np.array_equal(layers, storage.layermap)
            and vars(storage)["data"].shape == shape  # does not compute what is put off
            and not storage.padding
        )

    def is_all(self, storage: Storage) -> bool:
        """Whether all views of the storage are known."""
        container = storage.owner
        if container not in MOVED_VIEWS and _MADE[container] == len(container.V):
            return True  # of all its storages; quick, where there are many
        known = {id(view) for part in self.views for view in part.views}
        return known == set(map(id, container.views_in_storage(storage, active_only=False)))


_MADE: weakref.WeakKeyDictionary[Container, int] = weakref.WeakKeyDictionary()
"""How many views of a container were made in bulk."""

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
        if bulk.is_all(self):
            return [view for part in bulk.views for view in part.active]
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

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """PtyPy's, of what is computed now; a copy or pickle is an ordinary storage."""
        _ = self.data
        slots = {name: getattr(self, name) for name in Base.__slots__ if hasattr(self, name)}
        return object.__new__, (Storage,), (vars(self), slots)

    def reformat(self, newID: str | None = None, update: bool = True) -> Storage | None:
        """PtyPy's, with few views instead of all."""
        bulk = _BULKS[self]
        if newID is not None or not bulk.is_all(self):
            return super().reformat(newID, update)
        if self._is_scattered:  # its views are all at one place, and have a layer each
            if not bulk.fits(self):
                return super().reformat(newID, update)
            self.nlayers = len(self.layermap)
            return None
        for part in bulk.views:
            part.update(self)
        some = [view for part in bulk.views for view in part.representatives(self.ndim)]
        result = bulk.reformat(self, some, update)
        for part in bulk.views:
            part.set_data_layers(self.layermap)
        return result


class PendingStorage(BulkStorage):
    """A storage whose data are computed when something asks for them, which may be never."""

    @property
    def data(self) -> Numbers:
        """(n, ny, nx); the storage is an ordinary one afterwards."""
        self.__class__ = BulkStorage
        bulk = _BULKS[self]
        write, bulk.pending = bulk.pending, None
        if write is not None:
            write(self.data)
        computed: Numbers = self.data
        return computed

    @data.setter
    def data(self, instead: Numbers) -> None:
        self.__class__, _BULKS[self].pending = BulkStorage, None
        self.data = instead

    def copy(
        self, owner: Container | None = None, ID: str | None = None, fill: Any = None
    ) -> Storage:
        """PtyPy's, of what is computed now."""
        _ = self.data
        return self.copy(owner, ID, fill)

    def _to_dict(self) -> dict[str, Any]:
        """PtyPy's, of what is computed now."""
        _ = self.data
        result: dict[str, Any] = self._to_dict()
        return result

    def formatted_report(self, *args: Any, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        """PtyPy's, which asks how large the data are."""
        self.__class__ = BulkStorage
        try:
            report: tuple[str, dict[str, Any]] = self.formatted_report(*args, **kwargs)
            return report
        finally:
            self.__class__ = PendingStorage


def adopt(views: Views) -> None:
    """Make their storage one whose views were made in bulk, these among them."""
    storage = views.storage
    storage.__class__ = BulkStorage
    _BULKS.setdefault(storage, Bulk([])).references.append(weakref.ref(views))
    _MADE[storage.owner] = _MADE.get(storage.owner, 0) + len(views.views)


def put_off(storage: Storage, write: Callable[[Any], None]) -> None:
    """Let ``write`` put the data of a storage made in bulk into its array when they are needed."""
    _BULKS[storage].pending = write
    storage.__class__ = PendingStorage


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


@dataclass(frozen=True, eq=False)
class ExitWaves:
    """Probes times parts of objects, as they were when PtyPy would have multiplied them.

    Attributes
    ----------
    probe, object
        (layers, ny, nx).
    where
        (7, n) layer, row and column in the probe, the same in the object, and layer of the result.
    """

    probe: Complexes
    object: Complexes
    where: NDArray[np.int32]

    def write(self, out: Complexes) -> None:
        """Into ``out``, (n, ny, nx)."""
        ny, nx = out.shape[1:]
        for p, py, px, o, oy, ox, e in zip(*self.where.tolist(), strict=True):
            np.multiply(
                self.probe[p, py : py + ny, px : px + nx],
                self.object[o, oy : oy + ny, ox : ox + nx],
                out=out[e],
            )


def put_off_exit_waves(blocks: Sequence[PodViews]) -> None:
    """Let the exit waves of these pods be computed when something asks for them: ML never does."""
    probe, obj = (kept(views.storage.data) for views in (blocks[0].probe, blocks[0].object))
    for views in blocks:
        (active,) = np.nonzero(views.exit.records["active"])
        if len(active):
            where = [
                *_places(views.probe.records, active),
                *_places(views.object.records, active),
                views.exit.records["dlayer"][active],
            ]
            waves = ExitWaves(probe, obj, np.array(where, np.int32))
            put_off(views.exit.storage, waves.write)


def kept(data: Complexes) -> Complexes:
    """(layers, ny, nx) that stay as they are; without memory of their own if all are the same."""
    bits = data.view(np.uint64).reshape(*data.shape, -1)
    first = np.broadcast_to(data[0, 0, 0].copy(), data.shape)
    return first if (bits == bits[0, 0, 0]).all() else data.copy()


def _places(records: np.ndarray[Any, Any], active: Ints) -> Iterator[Ints]:
    """Layer, first row and first column of each active view."""
    yield records["dlayer"][active]
    for d in range(2):
        yield records["dlow"][:, d][active]
