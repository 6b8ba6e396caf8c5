"""Scan models that make PtyPy's views, pods and storages in bulk.

:class:`BeamlineFull` gives what PtyPy's ``BlockFull`` gives, and :class:`BeamlineGradFull` what
``BlockGradFull`` gives, bit for bit, in a fraction of the time: name one as
``p.scans.x.name``. They rely on how PtyPy 0.9 works inside, which
:func:`~ptypy_beamline.models.relied_on.differences` checks; with another PtyPy, or a scan that
needs more than they support, they fall back on PtyPy's own way, and log it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from ptypy import defaults_tree
from ptypy.core import manager
from ptypy.core.classes import POD, Container, Storage, View
from ptypy.core.manager import BlockFull, BlockGradFull, BlockScanModel
from ptypy.utils import parallel
from ptypy.utils.verbose import log

from ..arrays import Bools, Ints, Numbers
from ..ptypy_frames import FramesInOne, check_object
from .relied_on import differences
from .statistics import Statistics
from .storages import PodViews, adopt, put_off, put_off_exit_waves
from .views import Views, make_pods, make_views, with_records, without_garbage_collection


class _InBulk(BlockScanModel):  # type: ignore[misc]
    """What the models share; before PtyPy's block model in the order of classes."""

    max_frames_per_block: int

    def __init__(self, ptycho: Any = None, pars: Any = None, label: Any = None) -> None:
        super().__init__(ptycho, pars, label)
        self._statistics: Statistics | None = None
        self._frame_views: list[Views] = []
        self._pod_views: list[PodViews] = []
        self._without_exit_waves: list[PodViews] = []
        self._in_bulk = not _report_fallback(self, differences(), "this PtyPy differs in ")

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
        with without_garbage_collection():
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
            # Engines are slow where the layers of masks have no stride.
            storage.data = data if data.strides[0] else np.empty(data.shape, data.dtype)
            storage.shape = data.shape
        rule = {"shape": self.diff_shape, "psize": self.psize, "storageID": storage.ID}
        first = View(container, accessrule={**rule, "coord": 0.0})
        records = np.repeat(np.asarray(first._record)[None], len(indices))
        records["active"], records["layer"] = stacked >= 0, indices
        # A view without data has the layer of the one before, of which PtyPy copies it.
        records["dlayer"] = np.maximum.accumulate(np.maximum(stacked, 0))
        made = with_records(first, records)
        adopt(made)
        self._frame_views.append(made)
        if not data.strides[0] and len(own):
            put_off(storage, partial(np.copyto, src=data))
        return storage, list(made.views)  # PtyPy's own way empties the list

    def _create_pods(self) -> tuple[list[POD], dict[str, bool], dict[str, bool]]:
        """Views of probe, object and exit wave of the new frames, and the pods that join them."""
        if not self._in_bulk or _report_fallback(self, self._asks_for()):
            made_by_ptypy: tuple[list[POD], dict[str, bool], dict[str, bool]] = (
                super()._create_pods()
            )
            return made_by_ptypy
        diff, self.new_diff_views = self.new_diff_views, []
        mask, self.new_mask_views = self.new_mask_views, []
        name = f"S{self.label}G00"
        new_probes, new_objects = (
            {} if name in container.storages else {name: True}
            for container in (self.ptycho.probe, self.ptycho.obj)
        )
        coherence = self.p.coherence
        modes = np.indices((coherence.num_probe_modes, coherence.num_object_modes)).reshape(2, -1)
        made = self._make_pod_views(name, modes, diff)
        made.adopt()
        self._pod_views.append(made)
        self._without_exit_waves.append(made)
        frames = [[view for view in views for _ in modes.T] for views in (diff, mask)]
        views = [made.probe.views, made.object.views, made.exit.views, *frames]
        return make_pods(self.ptycho, self.geometries[0], views), new_probes, new_objects

    def _make_pod_views(self, name: str, modes: Ints, diff: Sequence[View]) -> PodViews:
        """Views of all pods of the frames ``diff``, each with all modes.

        Parameters
        ----------
        name
            Of the storages of probe and object.
        modes
            (2, n): layer of the probe, and of the object, in each mode.
        """
        ptycho, each = self.ptycho, modes.shape[1]
        probe, obj = np.tile(modes, len(diff))
        frame = np.repeat([view.layer for view in diff], each)
        active = np.repeat([bool(view.active) for view in diff], each)
        positions_m = np.asarray(self.new_positions, float)
        rows, columns = np.ptp(positions_m, axis=0) / self.geometries[0].resolution
        height, width = self.object_shape
        check_object(math.ceil(rows) + height, math.ceil(columns) + width, f"scan {self.label}")
        coords_m = np.repeat(positions_m, each, axis=0)
        here, nowhere = np.ones(len(frame), bool), np.zeros((len(frame), 2))
        exit_layer = (0 if self._single_exit_buffer_for_all_views else frame) * 10000
        exit_layer = exit_layer + probe * 100 + obj
        rule = {"psize": self.geometries[0].resolution, "storageID": name}
        exit_rule = {**rule, "shape": self.exit_shape, "storageID": f"{diff[0].storageID}G00"}
        return PodViews(
            make_views(ptycho.probe, {**rule, "shape": self.probe_shape}, probe, here, nowhere),
            make_views(ptycho.obj, {**rule, "shape": self.object_shape}, obj, here, coords_m),
            make_views(ptycho.exit, exit_rule, exit_layer, active, nowhere),
        )

    def _asks_for(self) -> list[str]:
        """Features of the scan that are not supported in bulk."""
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

    def _initialize_object(self, object_ids: Mapping[str, Any]) -> None:
        """PtyPy's, of storages whose zeros, which it replaces, take no memory meanwhile."""
        storages = self.ptycho.obj.S
        for storage in (storages[name] for name in object_ids if name in storages):
            if not storage.data.any():
                storage.data = np.zeros(storage.data.shape, storage.data.dtype)
        super()._initialize_object(object_ids)

    def _initialize_exit(self, pods: Sequence[POD]) -> None:
        """Exit waves of ``pods``: probe times object."""
        new, self._without_exit_waves = self._without_exit_waves, []
        if self._single_exit_buffer_for_all_views:  # the last one stays
            last = {(pod.ex_view.storageID, pod.ex_view.layer): pod for pod in pods if pod.active}
            super()._initialize_exit(list(last.values()))
        elif sum(len(made.exit.views) for made in new) != len(pods):
            super()._initialize_exit(pods)
        elif new:
            put_off_exit_waves(new)


def _report_fallback(model: Any, reasons: Sequence[str], because: str = "it has ") -> bool:
    """Whether there are reasons to fall back on PtyPy's own way, which are logged."""
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

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """That which engines look for among the models that they support."""
        return BlockFull  # type: ignore[no-any-return]


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

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """That which engines look for among the models that they support."""
        return BlockGradFull  # type: ignore[no-any-return]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Of the class that engines take for PtyPy's, whose name they ask for."""
        return super().__new__(_NamedBlockGradFull)


_NamedBlockGradFull = type("BlockGradFull", (BeamlineGradFull,), {})


def register_models() -> None:
    """Make the models known to PtyPy, which looks up names in a module of its own."""
    for ours, theirs in ((BeamlineFull, BlockFull), (BeamlineGradFull, BlockGradFull)):
        ours.DEFAULT = theirs.DEFAULT.copy(99)
        ours.DEFAULT.name = ours.__name__
        setattr(manager, ours.__name__, ours)
    described = defaults_tree["scan.BeamlineFull"]
    for part in (manager.illumination.illumination_desc, manager.sample.sample_desc):
        described.add_child(part, copy=True)


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
    every = np.ones(shape[1:], bool)
    each = [weights.get(index, every) for index in own]
    if each and all(one is each[0] for one in each):
        return np.broadcast_to(np.asarray(each[0]).astype(bool), shape)
    good = np.ones(shape, bool)
    for k, one in enumerate(each):
        good[k] = one
    return good
