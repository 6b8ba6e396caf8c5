"""From PtyPy's storages to a :class:`Reconstruction`, whether live or from a ``.ptyr``.

A view of N pixels at coordinate c shows the storage's pixels round((c - origin)/psize) - N//2 and
on (``ptypy.core.classes.Storage.update_views``): its pixel N//2 lies at c. Here its middle,
(N - 1)/2, does; hence the object is moved by the difference, and the positions stay as they are.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Complex64s, Floats
from ...errors import BeamlineWarning, MissingDataError, ScanError, SettingsError
from ...planning.plan import Plan
from ..loading import check_count, described
from ..model import Reconstruction
from .history import algorithm_of, errors_of, provenance_of, were_refined
from .layers import Layers, layers_of

Tree = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Content:
    """What PtyPy's ``save_run`` saves, in the same structure.

    Attributes
    ----------
    obj, probe
        ID of a storage → its attributes, of which ``data``, ``_origin``, ``_psize`` and
        ``_energy`` (keV) are used.
    pars
        The parameter tree.
    runtime
        With ``iter_info``, a record of each iteration.
    positions
        ID of the object's storage → (n, 2) coordinates of its views, where they are recorded.
    """

    obj: Tree
    probe: Tree
    pars: Tree
    runtime: Tree
    positions: Mapping[str, Floats] = field(default_factory=dict)


def scan_names(content: Content) -> list[str]:
    """Scans of the parameter tree that have an object of their own."""
    return [str(name) for name in content.pars.get("scans", {}) if _ids(content.obj, str(name))]


def choose(content: Content, scan: str) -> str:
    """``scan``, or the only one there is.

    Raises
    ------
    SettingsError
        It is not there, or there are several to choose from.
    """
    names = scan_names(content)
    if scan in names or (not scan and len(names) == 1):
        return scan or names[0]
    asked = f"Expected one scan. Got {len(names)}" if not scan else f"no scan {scan!r}"
    raise SettingsError(asked, f"choose by --scan (scan=): {', '.join(names) or 'none is there'}")


def assemble(
    content: Content,
    scan: str,
    plan: Plan | None = None,
    distance_m: float | None = None,
    folder: Path | None = None,
) -> Reconstruction:
    """The reconstruction of one scan.

    Parameters
    ----------
    content
        What PtyPy holds or saved.
    scan
        Its name in the parameter tree, see :func:`choose`.
    plan
        How the frames were loaded: gives the distance, raw frames, and positions where
        they are not recorded.
    distance_m
        From the sample to the detector, where nothing else tells.
    folder
        Where a file of slices may be, see :func:`.layers_of`.

    Raises
    ------
    ScanError
        No export can hold what is there: modes or energies of the object, orthogonal
        probes, three-dimensional storages.
    MissingDataError
        Positions or the distance are not known.
    SettingsError
        The distance is not positive.
    """
    coherence = content.pars["scans"][scan].get("coherence", {})
    _refuse_spectrum(coherence, scan)
    key, obj = _storage(content.obj, scan, "object")
    _, probe = _storage(content.probe, scan, "probe")
    waves = _planes(probe["data"], "probe")
    _refuse_opr(coherence, scan, len(waves))
    layers = layers_of(content.pars, _planes(obj["data"], "object"), folder)
    positions = _positions(content, key, plan)
    pixel = np.asarray(obj["_psize"], np.float64)
    records = content.runtime.get("iter_info", [])
    found = Reconstruction(
        object=layers.object,
        probe=waves,
        pixel_m=_pair(pixel),
        center_m=_middle(obj, layers, pixel, waves.shape[-1]),
        positions_m=positions,
        indices=np.arange(len(positions)),
        energy_eV=_energy(obj, content.pars, scan, plan),
        distance_m=_distance_m(content.pars, scan, plan, distance_m),
        errors=errors_of(records),
        algorithm=algorithm_of(records),
        layer_spacing_m=layers.spacing_m,
        scan=scan,
        provenance=provenance_of(content.pars, content.runtime, scan),
    )
    return found if plan is None else described(found, check_count(plan, len(positions)))


def _ids(storages: Tree, scan: str) -> list[str]:
    """Storages of a scan: ``S<scan>`` of the simple models, ``S<scan>G00`` … of the full ones."""
    return sorted(ID for ID in storages if re.fullmatch(rf"S{re.escape(scan)}(G\d\d)?", ID))


def _storage(storages: Tree, scan: str, what: str) -> tuple[str, Tree]:
    ids = _ids(storages, scan)
    if len(ids) != 1:
        raise ScanError(
            f"Expected one {what} of scan {scan!r}. Got {', '.join(ids) or 'none'}",
            "reconstruct it with one",
        )
    return ids[0], storages[ids[0]]


def _planes(data: Any, what: str) -> Complex64s:
    planes = np.asarray(data)
    if planes.ndim != 3:
        raise ScanError(
            f"Expected a {what} (layers, rows, columns). Got {planes.shape}",
            "three-dimensional (Bragg) storages have no export",
        )
    return planes.astype(np.complex64)


def _refuse_spectrum(coherence: Tree, scan: str) -> None:
    energies = coherence.get("energies")
    if energies is not None and len(energies) > 1:
        raise ScanError(
            f"scan {scan!r} has {len(energies)} energies, and no export holds more than one",
            "reconstruct it with one (coherence.energies)",
        )


def _refuse_opr(coherence: Tree, scan: str, count: int) -> None:
    modes = coherence.get("num_probe_modes") or 1
    if count != modes:
        raise ScanError(
            f"Expected {modes} probe modes of scan {scan!r}. Got {count}: a probe for "
            "each position (OPR)",
            "no export holds these: keep the .ptyr",
        )


def _positions(content: Content, key: str, plan: Plan | None) -> Floats:
    recorded = content.positions.get(key)
    if recorded is not None:
        return np.asarray(recorded, np.float64)
    if plan is not None:
        if were_refined(content.pars, content.runtime.get("iter_info", [])):
            warnings.warn(
                "positions were refined, but not recorded: the raw file's are taken; "
                "set position_refinement.record, or export the live Ptycho (PtyPy's "
                "engine ML never records)",
                BeamlineWarning,
                stacklevel=2,
            )
        return plan.positions_m
    raise MissingDataError(
        "positions are recorded only where they were refined",
        "give the raw file (--raw; plan=) they came from",
    )


def _middle(obj: Tree, layers: Layers, pixel: Floats, n: int) -> tuple[float, float]:
    """Coordinate of the object's pixel ((ny - 1)/2, (nx - 1)/2), see the module's docstring."""
    half = (np.array(layers.object.shape[-2:]) - 1) / 2
    return _pair(np.asarray(obj["_origin"]) + (half + n // 2 - (n - 1) / 2) * pixel)


def _energy(obj: Tree, pars: Tree, scan: str, plan: Plan | None) -> float:
    """In eV; PtyPy's simplest models do not note it with the storage."""
    noted = obj.get("_energy") or (plan and plan.geometry.ptypy_energy_keV)
    energy_keV = noted or pars["scans"][scan].get("data", {}).get("energy")
    if not energy_keV:
        raise MissingDataError(
            f"the photon energy of scan {scan!r} is not recorded",
            "give the raw file (--raw; plan=)",
        )
    return float(np.ravel(energy_keV)[0]) * 1e3


def _distance_m(pars: Tree, scan: str, plan: Plan | None, given: float | None) -> float:
    loading = pars["scans"][scan].get("data", {})
    # Of a cone beam only the plan knows the effective distance.
    cone = loading.get("focus_to_sample") or (loading.get("paths") or {}).get("focus")
    stated = None if cone else loading.get("distance")
    distance_m = given or (plan.geometry.distance_m if plan else stated)
    if not distance_m:
        raise MissingDataError(
            "the distance from sample to detector is not recorded",
            "set --distance-m (distance_m=), or give the raw file (--raw; plan=)",
        )
    if not 0 < distance_m < np.inf:
        raise SettingsError(
            f"Expected a positive distance. Got {distance_m}", "set --distance-m (distance_m=)"
        )
    return float(distance_m)


def _pair(values: Floats) -> tuple[float, float]:
    y, x = values
    return float(y), float(x)
