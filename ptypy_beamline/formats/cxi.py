"""CXI 1.6 (F. R. N. C. Maia, Nature Methods 9, 854 (2012); cxidb.org)."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np

from ..arrays import Floats
from ..errors import ScanError
from ..geometry import HC_EV_M
from ..scan import Scan
from .hdf5 import Hdf5Format, Location
from .hdf5_source import Hdf5Source, has
from .stored_values import constant, numbers, si

DETECTOR = "/entry_1/instrument_1/detector_1"
DATA = "/entry_1/data_1"
SOURCE = "/entry_1/instrument_1/source_1"
TRANSLATIONS = (
    "/entry_1/sample_1/geometry_1/translation",
    f"{DATA}/translation",
    f"{DETECTOR}/translation",
)


def _recognise(file: h5py.File) -> bool:
    if has(file, "/cxi_version"):
        return True
    # Without a version, the frames where Diamond has them are CXI's only with its translations.
    frames = any(has(file, f"{place}/data") for place in (DATA, DETECTOR))
    placed = any(has(file, path) for path in TRANSLATIONS)
    return frames and (placed or not has(file, "/entry_1/data/data"))


def _detector(source: Hdf5Source, name: str) -> Floats | None:
    """A dataset of the detector, or None."""
    found = source.at(f"{DETECTOR}/{name}")
    return None if found is None else numbers(found)


def _basis(source: Hdf5Source) -> Floats:
    """(2, 3): the steps of a row and of a column in the lab frame, in metres.

    The lab frame has y up and z along the beam; by default rows go down and columns to -x.
    """
    basis = _detector(source, "basis_vectors")
    if basis is None:
        return np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
    basis = np.squeeze(basis)
    basis = basis.T if basis.shape == (3, 2) else basis
    if basis.shape != (2, 3) or not np.linalg.norm(basis, axis=1).all():
        raise ScanError(
            f"Expected basis_vectors (2,3). Got {basis.tolist()}",
            "correct them, or remove them for the default ones",
        )
    return basis


def _illumination(
    source: Hdf5Source, translation: Floats, counts: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Where the beam hits the sample, on the detector's axes: minus the sample's translation."""
    stored = translation.shape
    translation = np.atleast_2d(np.squeeze(translation))
    down = translation.shape[0] == 3 and translation.shape[1] in counts
    if translation.shape[-1] != 3 or (down and 3 not in counts):
        translation = translation.T
    if translation.ndim != 2 or translation.shape[1] != 3:
        raise ScanError(
            f"Expected translation (N,3) or (3,N). Got {stored}",
            "set paths.positions (--path positions=PATH)",
        )
    basis = _basis(source)
    unit = basis / np.linalg.norm(basis, axis=1, keepdims=True)
    row, column = -(unit @ translation.T)
    return row, column


def _finish(source: Hdf5Source, scan: Scan) -> Scan:
    """Pixel size, distance and centre from the detector's vectors, where not given directly."""
    scan = _by_wavelength(source, scan)
    basis, corner = _detector(source, "basis_vectors"), _detector(source, "corner_position")
    given, paths = source.settings.overridden, source.paths
    if basis is not None and scan.pixel_m is None and "pixel" not in given:
        height, width = np.linalg.norm(_basis(source), axis=1)
        scan = replace(scan, pixel_m=(float(height), float(width)))
    if corner is None or corner.size != 3:
        return scan
    corner = corner.ravel()
    if scan.distance_m is None and "distance" not in given and np.isfinite(corner[2]):
        source.notes.append("distance is the z of corner_position")
        scan = replace(scan, distance_m=abs(float(corner[2])))
    if basis is not None and scan.center_px is None and "center" not in paths:
        scan = replace(scan, center_px=_center(source, corner, scan.frame_shape))
    return scan


def _by_wavelength(source: Hdf5Source, scan: Scan) -> Scan:
    """The energy that belongs to a wavelength in metres, where the file has that instead."""
    found = source.at(f"{SOURCE}/wavelength", unit="m")
    if scan.energy_eV is not None or "energy" in source.settings.overridden or found is None:
        return scan
    values = si(source, found, "distance")  # a length
    wavelength = constant(values.ravel(), "distance", found.name, (None, 0))
    if not wavelength or wavelength < 0:
        return scan
    source.notes.append(f"the energy follows from {found.name}")
    return replace(scan, energy_eV=HC_EV_M / wavelength)


def _center(
    source: Hdf5Source, corner: Floats, shape: tuple[int, int]
) -> tuple[float, float] | None:
    """The pixel on the beam axis: corner + row·b₀ + column·b₁ has no transverse part.

    The corner is taken as the centre of pixel (0, 0).
    """
    across = _basis(source)[:, :2].T
    if not corner[:2].any() or abs(np.linalg.det(across)) == 0:  # never filled in
        return None
    row, column = np.linalg.solve(across, -corner[:2])
    if 0 <= row <= shape[0] - 1 and 0 <= column <= shape[1] - 1:
        return float(row), float(column)
    source.notes.append(
        f"corner_position puts the beam at ({row:.1f}, {column:.1f}), outside the "
        f"{shape[0]}x{shape[1]} detector: not used"
    )
    return None


CXI = Hdf5Format(
    name="cxi",
    title="CXI 1.6: entry_1/data_1/data with sample_1/geometry_1/translation",
    recognise=_recognise,
    frames=Location((f"{DATA}/data", f"{DETECTOR}/data")),
    positions=Location(TRANSLATIONS, "m"),
    energy=Location((f"{SOURCE}/energy",), "J"),
    distance=Location((f"{DETECTOR}/distance",), "m"),
    pixel_x=Location((f"{DETECTOR}/x_pixel_size",), "m"),
    pixel_y=Location((f"{DETECTOR}/y_pixel_size",), "m"),
    exposure=Location((f"{DETECTOR}/count_time", f"{DETECTOR}/exposure_time")),
    mask=Location((f"{DETECTOR}/frame_mask", f"{DETECTOR}/mask", f"{DATA}/mask")),
    mask_rule="cxi",
    dark=Location((f"{DETECTOR}/data_dark", f"{DETECTOR}/dark")),
    flat=Location((f"{DETECTOR}/data_white", f"{DETECTOR}/flat")),
    monitor=Location(
        ("/entry_1/instrument_1/monitor/data", "/entry_1/instrument_1/monitor_1/data")
    ),
    saturation=Location((f"{DETECTOR}/saturation_value",)),
    probe=Location(("/entry_1/instrument_1/illumination_1/probe",)),
    split=_illumination,
    finish=_finish,
)
