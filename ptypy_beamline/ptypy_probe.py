"""The initial probe estimated from the data, for any PtyPy tree: ``illumination: from_data``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SettingsError
from .planning.plan import Plan

FAR, NEAR = "from_data", "from_data_nearfield"
"""Values of ``illumination``, or ``illumination.model``, for far-field and near-field frames.

PtyPy looks these up among its resources, and calls them with the shape of the probe only.
"""


class ProbesFromData:
    """Probes of the loaded scans, each estimated once, by the first rank.

    PtyPy makes the probe of a scan right after loading its frames.

    Attributes
    ----------
    plan
        Of the scan that was loaded last.
    """

    plan: Plan | None = None

    def __init__(self, parallel: Any) -> None:
        self._parallel = parallel

    def named(self) -> dict[str, Callable[[tuple[int, ...]], NDArray[np.complex128]]]:
        """Functions for PtyPy's ``resources.probes``, by name."""
        return {
            FAR: lambda shape: self._of(shape, False),
            NEAR: lambda shape: self._of(shape, True),
        }

    def _of(self, shape: tuple[int, ...], near_field: bool) -> NDArray[np.complex128]:
        """(N, N) the same on every rank."""
        from .reconstruction.preview import probe_of

        if self.plan is None:
            raise SettingsError(
                f"illumination={FAR!r} needs a loader of this package",
                "set scans.NAME.data.name to BeamlineScan",
            )
        probe = None
        if self._parallel.master:
            probe = probe_of(self.plan, near_field=near_field).astype(np.complex128)
        probe = np.asarray(self._parallel.bcast(probe))
        if probe.shape != tuple(shape[-2:]):
            raise SettingsError(
                f"the probe from the data has {probe.shape} pixels, the scan's {tuple(shape[-2:])}",
                "leave out what changes the scan's pixels (resample)",
            )
        return probe
