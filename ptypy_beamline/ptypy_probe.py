"""The first probe, from the data, by name in any PtyPy tree: ``illumination: from_data``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import SettingsError
from .planning.plan import Plan

FAR, NEAR = "from_data", "from_data_nearfield"
"""What ``illumination``, or ``illumination.model``, is called for far-field and near-field frames.

PtyPy looks these up among its resources, and calls them with the shape of the probe alone.
"""


class _PlannedLoader(Protocol):
    @property
    def plan(self) -> Plan: ...


class ProbesFromData:
    """The probes of the scans that are loaded, each made once, by the first rank.

    PtyPy makes the probe of a scan as soon as it has loaded that scan's frames, so that the loader
    that was last used is the right one.
    """

    def __init__(self, parallel: Any) -> None:
        self._parallel = parallel
        self._loader: _PlannedLoader | None = None

    def follow(self, loader: _PlannedLoader) -> None:
        """From now on probes are those of this loader's scan."""
        self._loader = loader

    def named(self) -> dict[str, Callable[[tuple[int, ...]], NDArray[np.complex128]]]:
        """For PtyPy's ``resources.probes``."""
        return {
            FAR: lambda shape: self._of(shape, False),
            NEAR: lambda shape: self._of(shape, True),
        }

    def _of(self, shape: tuple[int, ...], near_field: bool) -> NDArray[np.complex128]:
        """(N, N) the same on every rank."""
        from .reconstruction.preview import probe_of

        if self._loader is None:
            raise SettingsError(
                f"illumination={FAR!r} needs a loader of this package",
                "set scans.NAME.data.name to BeamlineScan",
            )
        probe = None
        if self._parallel.master:
            probe = probe_of(self._loader.plan, near_field=near_field).astype(np.complex128)
        probe = np.asarray(self._parallel.bcast(probe))
        if probe.shape != tuple(shape[-2:]):
            raise SettingsError(
                f"the probe from the data has {probe.shape} pixels, the scan's {tuple(shape[-2:])}",
                "leave out what changes the scan's pixels (resample)",
            )
        return probe
