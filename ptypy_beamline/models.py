"""Scan models that make PtyPy's views, pods and storages in bulk.

:class:`BeamlineFull` gives what PtyPy's ``BlockFull`` gives, and :class:`BeamlineGradFull` what
``BlockGradFull`` gives, bit for bit, in a fraction of the time: name one as
``p.scans.x.name``. They rely on how PtyPy 0.9 works inside, which :func:`differences` checks;
where PtyPy is another, or a scan asks for more than they carry, they do as PtyPy does, and say so.
"""

from __future__ import annotations

import hashlib
import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ptypy import defaults_tree
from ptypy import utils as u
from ptypy.core import manager
from ptypy.core.classes import POD, Base, Container, Storage, View
from ptypy.core.manager import BlockFull, BlockGradFull, BlockScanModel, ScanModel
from ptypy.engines.base import BaseEngine
from ptypy.utils import parallel
from ptypy.utils.verbose import log

from .arrays import Bools, Floats, Ints, Numbers
from .ptypy_frames import FramesInOne

STATISTICS_BYTES = 2**20
"""Frames whose statistics are computed in one go: they stay in the processor's cache."""

RELIED_ON = {
    BlockScanModel.new_data: "50a9ff48bb58",
    BlockFull._create_pods: "3997329aa74f",
    ScanModel._initialize_exit: "72abb2c27120",
    ScanModel._update_stats: "6f17bae826fe",
    Base.__init__: "f5ec76dde27d",
    Base._new_ptypy_object: "510addfeeeda",
    Storage.__init__: "b93d53ccc9b3",
    Storage.copy: "c1bafe9cac6e",
    Storage.reformat: "4a154bf4eeed",
    Storage.update_views: "b9fafdc3f1f9",
    View.__init__: "245e16388559",
    View._set: "45c7f5841bb9",
    View.copy: "6e31026c7942",
    POD.__init__: "e89b37e87a9c",
}
"""What is replaced or imitated here, and the start of the SHA-256 of its source in PtyPy 0.9."""


def digest(function: Callable[..., Any]) -> str:
    """Of the source of ``function``; nothing where there is no source."""
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]
    except OSError:
        return ""


def differences() -> list[str]:
    """Names of what this PtyPy does in another way than the one that is imitated."""
    return [f.__qualname__ for f, known in RELIED_ON.items() if digest(f) != known]


@dataclass(frozen=True, eq=False)
class Views:
    """Views of one container that were made together.

    Attributes
    ----------
    views
        (n,) of PtyPy's views; the record of each is a row of ``records``.
    records
        (n,) records, of PtyPy's own fields.
    """

    views: list[View]
    records: np.ndarray[Any, Any]

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
        (active,) = np.nonzero(self.records["active"])
        if not len(active):
            return []
        some = self.records[active]
        chosen = set(np.unique(some["layer"], return_index=True)[1].tolist())
        for d in range(dimensions):
            chosen |= {int(some["dlow"][:, d].argmin()), int(some["dhigh"][:, d].argmax())}
        return [self.views[active[k]] for k in sorted(chosen)]

    def set_data_layers(self, layermap: Sequence[int]) -> None:
        """Index of each active view's layer in the storage's data."""
        known = np.asarray(layermap)
        order = np.argsort(known)
        active = self.records["active"]
        found = order[np.searchsorted(known, self.records["layer"][active], sorter=order)]
        self.records["dlayer"][active] = found


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


def adopt_views(views: Views) -> None:
    """Remember that these are on their storage."""
    storage = views.views[0].storage
    storage.__class__ = BulkStorage
    _BULKS.setdefault(storage, Bulk([])).references.append(weakref.ref(views))


def number(owner: Base, prefix: str, made: Sequence[Any]) -> None:
    """Register objects with their owner, as ``Base._new_ptypy_object`` does one by one."""
    pool = owner._pool[prefix]
    start = len(pool)
    names = [f"{prefix}{start + k:04d}" for k in range(len(made))]
    if not pool.keys().isdisjoint(names):
        raise RuntimeError(f"names {names[0]} to {names[-1]} are taken already")
    for k, (name, one) in enumerate(zip(names, made, strict=True)):
        one.ID, one.numID = name, start + k + 1
        pool[name] = one
    # PtyPy gives its next object a row here: there must be one. No row is touched before.
    records = owner._recs[prefix]
    if len(records) <= len(pool):
        owner._recs[prefix] = np.zeros(len(pool) + 8192, records.dtype)


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
    made = Views(with_records(first, records), records)
    records["ID"] = [view.ID for view in made.views]
    made.update(storage)
    return made


def with_records(first: View, records: np.ndarray[Any, Any]) -> list[View]:
    """``first`` and views like it, registered, of which each has a row of ``records``."""
    views = [first, *(_like(first) for _ in range(len(records) - 1))]
    number(first.owner, View._PREFIX, views[1:])
    for view, record in zip(views, records, strict=True):
        view._record = record
    return views


def _like(view: View) -> View:
    """A new view on the same storage, without name and record."""
    new = View.__new__(View)
    new.owner, new._pool, new._recs = view.owner, None, None
    new._ndim, new.storage, new.storageID = view._ndim, view.storage, view.storageID
    new._pod = new._pods = None
    return new


class Statistics:
    """PtyPy's statistics of a scan, each frame looked at once."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.totals: list[Numbers] = []
        self.max, self.min, self.sum, self.good = (np.zeros(shape) for _ in range(4))

    def add(self, frames: Any, good: Bools) -> None:
        """Frames (n, ny, nx) and their good pixels, in the order in which they are summed."""
        size = max(1, STATISTICS_BYTES // max(frames[:1].nbytes, 1))
        for start in range(0, len(frames), size):
            counts = good[start : start + size] * frames[start : start + size]
            self.totals.append(counts.reshape(len(counts), -1).sum(axis=1))
            np.maximum(self.max, counts.max(axis=0), out=self.max)
            np.minimum(self.min, counts.min(axis=0), out=self.min)
            for frame in counts:  # one after the other: the order decides how the sum is rounded
                self.sum += frame
        if good.strides[0]:
            self.good += np.count_nonzero(good, axis=0)
        elif len(good):
            self.good += len(good) * good[0].astype(float)

    def put(self, diff: Storage, frames: int, label: str) -> None:
        """Reduce over all ranks, and set what PtyPy's ``_update_stats`` sets."""
        maximum, minimum, mean, norm = (
            one.copy() for one in (self.max, self.min, self.sum, self.good)
        )
        parallel.allreduce(mean)
        parallel.allreduce(norm)
        if parallel.MPIenabled:
            parallel.allreduce(maximum, parallel.MPI.MAX)
            parallel.allreduce(minimum, parallel.MPI.MIN)
        mean /= norm + (norm == 0)
        totals = [np.concatenate(self.totals)] if self.totals else []
        pixels = np.prod(diff.shape[1:])
        diff.norm, diff.mean, diff.max, diff.min = norm, mean, maximum, minimum
        diff.max_power, diff.tot_power = parallel.MPImax(totals), parallel.MPIsum(totals)
        diff.mean_power = diff.tot_power / (frames * pixels)
        diff.pbound_stub = diff.max_power / pixels
        diff.label = label
        manager.logger.info(
            f"\n--- Scan {label} photon report ---\n"
            f"Total photons   : {diff.tot_power:.2e} \n"
            f"Average photons : {mean.sum():.2e}\n"
            f"Maximum photons : {diff.max_power:.2e}\n" + "-" * 29
        )


class _InBulk(BlockScanModel):  # type: ignore[misc]
    """What the models share; before PtyPy's block model in the order of classes."""

    max_frames_per_block: int

    def __init__(self, ptycho: Any = None, pars: Any = None, label: Any = None) -> None:
        super().__init__(ptycho, pars, label)
        self._statistics: Statistics | None = None
        self._layers: list[_Layers] = []
        self._in_bulk = not _said(self, differences(), "this PtyPy differs in ")
        support_models()

    def new_data(self, max_frames: int) -> Any:
        """The next block: (diff storage, new probes, new objects, new pods), or None."""
        if not self._in_bulk:
            return super().new_data(max_frames)
        if not self.ptyscan.is_initialized:
            self.ptyscan.initialize()
        chunk = self._next_chunk(max_frames)
        if chunk is None:
            return None
        if not self.containers_initialized:
            self._initialize_containers()
        self._insert(chunk)
        del chunk
        pods, probes, objects = self._create_pods()
        for pod in pods:
            if pod.model is None:
                pod.model = self
        return self.diff, probes, objects, pods

    def _next_chunk(self, max_frames: int) -> Any:
        """PtyPy's chunk of frames; its description of each frame is not needed."""
        if hasattr(self.ptyscan, "chunks_only"):  # one of ours
            self.ptyscan.chunks_only = True
        package = self._get_data(max_frames)
        if package is None:
            return None
        if not self.geometries:
            self._initialize_geo(package["common"])
        return package["chunk"]

    def _insert(self, chunk: Any) -> None:
        """Storages and views of the frames and masks of a chunk."""
        own, indices = chunk["indices_node"], np.asarray(chunk["indices"], np.int64)
        shape = (max(len(own), 1), *map(int, self.diff_shape))
        frames = _frames(chunk["data"], own, shape, self.ptycho.FType)
        good = _good(chunk["weights"], own, shape)
        index_of = np.full(int(indices.max(initial=0)) + 1, -1)
        index_of[np.asarray(own, np.intp)] = np.arange(len(own))
        stacked = index_of[indices]
        self.diff, self.new_diff_views = self._stored(
            self.Cdiff, frames, 0.0, own, indices, stacked
        )
        self.mask, self.new_mask_views = self._stored(self.Cmask, good, 1.0, own, indices, stacked)
        self.max_frames_per_block = max(self.diff.nlayers, self.max_frames_per_block)
        self.diff.nlayers = self.mask.nlayers = parallel.MPImax([own] if len(own) else []) + 1
        self.new_positions = chunk["positions"]
        self.positions += list(self.new_positions)
        self.diff_views += self.new_diff_views
        self.mask_views += self.new_mask_views
        if self._statistics is None:
            self._statistics = Statistics(self.diff.shape[1:])
        if len(own):
            self._statistics.add(frames, good)
        self._statistics.put(self.diff, len(self.diff_views), self.label)

    def _stored(
        self,
        container: Container,
        data: Numbers,
        fill: float,
        own: Sequence[int],
        indices: Ints,
        stacked: Ints,
    ) -> tuple[Storage, list[View]]:
        """A storage of ``data``, and a view for each of ``indices``; ``stacked`` < 0 elsewhere."""
        one = (1, *data.shape[1:])
        storage = container.new_storage(
            shape=one, psize=self.psize, padonly=True, fill=fill, layermap=own
        )
        if len(own):
            storage.data, storage.shape = data, data.shape
        rule = {"shape": self.diff_shape, "psize": self.psize, "storageID": storage.ID}
        first = View(container, accessrule={**rule, "coord": 0.0})
        records = np.repeat(np.asarray(first._record)[None], len(indices))
        records["active"], records["layer"] = stacked >= 0, indices
        # A view without data has the layer of the one before, of which PtyPy copies it.
        records["dlayer"] = np.maximum.accumulate(np.maximum(stacked, 0))
        return storage, with_records(first, records)

    def _create_pods(self) -> tuple[list[POD], dict[str, bool], dict[str, bool]]:
        """Views of probe, object and exit wave of the new frames, and the pods that join them."""
        if not self._in_bulk or _said(self, self._asks_for()):
            made_by_ptypy: tuple[list[POD], dict[str, bool], dict[str, bool]] = (
                super()._create_pods()
            )
            return made_by_ptypy
        (geometry,) = self.geometries
        diff_views, self.new_diff_views = self.new_diff_views, []
        mask_views, self.new_mask_views = self.new_mask_views, []
        name = f"S{self.label}G00"
        new = [
            {name: True} if name not in container.storages else {}
            for container in (self.ptycho.probe, self.ptycho.obj)
        ]
        modes = self.p.coherence.num_probe_modes, self.p.coherence.num_object_modes
        probe, obj = (mode.ravel() for mode in np.indices(modes))
        frames, each = len(diff_views), len(probe)
        layer = np.repeat([view.layer for view in diff_views], each)
        active = np.repeat([bool(view.active) for view in diff_views], each)
        probe, obj = np.tile(probe, frames), np.tile(obj, frames)
        exit_layer = (
            layer * (not self._single_exit_buffer_for_all_views) * 10000 + probe * 100 + obj
        )
        here, nowhere = np.ones(len(layer), bool), np.zeros((len(layer), 2))
        coords = np.repeat(np.asarray(self.new_positions, float), each, axis=0)
        size = {"psize": geometry.resolution, "storageID": name}
        exit_name = f"{diff_views[0].storageID}G00"
        made = [
            make_views(
                self.ptycho.probe, {**size, "shape": self.probe_shape}, probe, here, nowhere
            ),
            make_views(self.ptycho.obj, {**size, "shape": self.object_shape}, obj, here, coords),
            make_views(
                self.ptycho.exit,
                {**size, "shape": self.exit_shape, "storageID": exit_name},
                exit_layer,
                active,
                nowhere,
            ),
        ]
        for views in made:
            adopt_views(views)
        complete_exit(made[2])
        self._layers.append(_Layers(*made))
        several = [
            [view for view in views for _ in range(each)] for views in (diff_views, mask_views)
        ]
        pods = make_pods(self.ptycho, geometry, *(views.views for views in made), *several)
        return pods, new[0], new[1]

    def _asks_for(self) -> list[str]:
        """What the scan has that is not made in bulk."""
        positions = np.asarray(self.new_positions, object)
        return [
            what
            for what, asked in (
                ("several energies", len(self.geometries) != 1),
                ("the tag 'empty'", "empty" in self.p.tags),
                ("frames without positions", any(p is None for p in positions.ravel())),
            )
            if asked
        ]

    def _initialize_exit(self, pods: Sequence[POD]) -> None:
        """Exit waves of ``pods``: probe times object."""
        known = sum(len(made.exit.views) for made in self._layers)
        if known != len(pods) or self._single_exit_buffer_for_all_views:
            super()._initialize_exit(pods)
            return
        for made in self._layers:
            made.multiply()


@dataclass(frozen=True, eq=False)
class _Layers:
    """Views of the pods of a block."""

    probe: Views
    object: Views
    exit: Views

    def multiply(self) -> None:
        """Each active exit wave: its probe times its part of the object."""
        (active,) = np.nonzero(self.exit.records["active"])
        probe, obj, exit_ = (
            views.views[0].storage.data for views in (self.probe, self.object, self.exit)
        )
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


def complete_exit(views: Views) -> None:
    """Give the storage of exit waves all its layers, at once."""
    storage = views.views[0].storage
    (active,) = np.nonzero(views.records["active"])
    if len(active):
        bulk = _BULKS[storage]
        bulk.reformat(storage, [views.views[active[0]]])  # all are at one place
        layers = np.unique(views.records["layer"][active])
        storage.layermap, storage.nlayers = list(layers), len(layers)
        storage.data = np.zeros((len(layers), *storage.shape[1:]), storage.dtype)
        storage.shape = storage.data.shape
        views.set_data_layers(storage.layermap)


def make_pods(
    ptycho: Any,
    geometry: Any,
    probe: Sequence[View],
    obj: Sequence[View],
    exit_: Sequence[View],
    diff: Sequence[View],
    mask: Sequence[View],
) -> list[POD]:
    """A pod of each probe, object, exit, diff and mask view, as ``POD()`` makes one."""
    joined = zip(probe, obj, exit_, diff, mask, strict=True)
    names = ("probe", "obj", "exit", "diff", "mask")
    first = POD(
        ptycho=ptycho, ID=None, views=dict(zip(names, next(joined), strict=True)), geometry=geometry
    )
    template = {k: v for k, v in vars(first).items() if not isinstance(v, View)}
    pods = [first]
    for views in joined:
        pod = POD.__new__(POD)
        pod.owner, pod._pool, pod._recs = ptycho, None, None
        inside = pod.__dict__
        inside.update(template)
        inside["V"] = V = u.Param.__new__(u.Param)
        dict.update(V, zip(names, views, strict=True))
        (
            inside["pr_view"],
            inside["ob_view"],
            inside["ex_view"],
            inside["di_view"],
            inside["ma_view"],
        ) = views
        pods.append(pod)
    number(ptycho, POD._PREFIX, pods[1:])
    records = np.zeros(len(pods), first._record.dtype)
    records["ID"] = [pod.ID for pod in pods]
    for pod, record in zip(pods, records, strict=True):
        pod._record = record
    for pod in pods[1:]:
        reference = weakref.ref(pod)
        for view in pod.V.values():
            if view._pod is None:
                view._pod = reference
                continue
            if view._pods is None:
                view._pods = weakref.WeakValueDictionary({view.pod.ID: view.pod})
            view._pods[pod.ID] = pod
    return pods


def _frames(
    data: Mapping[int, Numbers], own: Sequence[int], shape: Sequence[int], dtype: Any
) -> Numbers:
    """(n, ny, nx) frames of this rank, without a copy where they lie in one array already."""
    if isinstance(data, FramesInOne) and data.array.dtype == dtype and list(data) == list(own):
        return data.array
    frames = np.zeros(shape, dtype)
    for k, index in enumerate(own):
        frames[k] = data[index]
    return frames


def _good(weights: Mapping[int, Numbers], own: Sequence[int], shape: Sequence[int]) -> Bools:
    """(n, ny, nx) good pixels of this rank; one image, with stride 0, where all frames share it."""
    different = {id(weights[index]): weights[index] for index in own}
    if len(different) == 1:
        (weight,) = different.values()
        return np.broadcast_to(np.asarray(weight).astype(bool), shape)
    good = np.ones(shape, bool)
    for k, index in enumerate(own):
        good[k] = weights[index]
    return good


def _said(model: Any, reasons: Sequence[str], because: str = "it has ") -> bool:
    """Whether there are reasons to do as PtyPy does, which are said."""
    if reasons:
        name = type(model).__name__
        log(
            "CITATION",
            f"{name}: scan {model.label} is made ready by PtyPy: {because}{', '.join(reasons)}",
        )
    return bool(reasons)


@defaults_tree.parse_doc("scan.BeamlineFull")
class BeamlineFull(_InBulk, BlockFull):  # type: ignore[misc]
    """BlockFull, made ready in bulk.

    Defaults:

    [name]
    default = BeamlineFull
    type = str
    help =
    doc =
    """


@defaults_tree.parse_doc("scan.BeamlineGradFull")
class BeamlineGradFull(_InBulk, BlockGradFull):  # type: ignore[misc]
    """BlockGradFull, made ready in bulk: one buffer for all exit waves.

    Defaults:

    [name]
    default = BeamlineGradFull
    type = str
    help =
    doc =
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Of the class that engines take for PtyPy's, whose name they ask for."""
        return super().__new__(_NamedBlockGradFull)


_NamedBlockGradFull = type("BlockGradFull", (BeamlineGradFull,), {})

STANDS_FOR = {BeamlineFull: BlockFull, _NamedBlockGradFull: BlockGradFull}


def support_models() -> None:
    """Tell every engine that is known that it supports these models."""
    for engine in u.all_subclasses(BaseEngine):
        supported = getattr(engine, "SUPPORTED_MODELS", [])
        for ours, theirs in STANDS_FOR.items():
            if theirs in supported and ours not in supported:
                supported.append(ours)


def register_models() -> None:
    """Make the models known to PtyPy, which looks up names in a module of its own."""
    for ours, theirs in ((BeamlineFull, BlockFull), (BeamlineGradFull, BlockGradFull)):
        ours.DEFAULT = theirs.DEFAULT.copy(99)
        ours.DEFAULT.name = ours.__name__
        setattr(manager, ours.__name__, ours)
    described = defaults_tree["scan.BeamlineFull"]
    for part in (manager.illumination.illumination_desc, manager.sample.sample_desc):
        described.add_child(part, copy=True)
