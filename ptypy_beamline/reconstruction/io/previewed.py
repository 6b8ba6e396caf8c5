"""A :class:`Reconstruction` from the embedded engine's result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...planning.plan import Plan
from ..loading import described
from ..model import Reconstruction
from ..preview.rpie import Reconstruction as Previewed


def from_preview(
    found: Previewed, plan: Plan, provenance: Mapping[str, Any] | None = None
) -> Reconstruction:
    """What the preview found of ``plan``.

    The engine puts a view's pixel N//2 on a position rounded to whole pixels, and so are the
    positions here.

    Parameters
    ----------
    found
        Of :func:`ptypy_beamline.reconstruction.preview.preview`.
    plan
        That was reconstructed.
    provenance
        ``source`` (the raw file), ``settings``, and what else is known.
    """
    pixel, n = np.array(found.resolution_m), found.probe.shape[-1]
    origin, half = np.array(found.object_origin_m), (np.array(found.object.shape) - 1) / 2
    y, x = origin + (half + n // 2 - (n - 1) / 2) * pixel  # as in storages
    positions_m = origin + (found.positions_px + n // 2) * pixel
    result = Reconstruction(
        object=found.object[None],
        probe=found.probe,
        pixel_m=found.resolution_m,
        center_m=(float(y), float(x)),
        positions_m=positions_m,
        indices=np.arange(len(positions_m)),
        energy_eV=plan.geometry.photon_energy_eV,
        distance_m=plan.geometry.distance_m,
        errors=found.errors,
        algorithm=f"preview {found.algorithm} {len(found.errors)}",
        provenance=dict(provenance or {}),
        held_out_error=found.held_out_error if np.isfinite(found.held_out_error) else None,
    )
    return described(result, plan)
