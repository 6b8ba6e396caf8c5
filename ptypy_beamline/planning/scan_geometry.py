"""Energy, distance, detector pixel and geometry of a scan: from the settings, else the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import GeometryError, MissingDataError
from ..geometry import PHOTON, Geometry, check_plausible, cone_beam, object_pixel_m
from ..quantities import QUANTITIES
from ..scan import Scan
from ..settings import Settings
from .transform import Transform


def make_geometry(
    scan: Scan, settings: Settings, transform: Transform, center_px: tuple[float, float]
) -> Geometry:
    """The geometry of the loaded frames; raises as :func:`quantities`."""
    energy_eV, distance_m, pixel_m = quantities(scan, settings)
    focus_m = focus_to_sample_m(scan, settings)
    if focus_m is not None:
        distance_m, pixel_m = cone_beam(distance_m, pixel_m, focus_m)
    return Geometry(
        energy_eV,
        distance_m,
        transform.pixel(pixel_m),
        transform.shape,
        transform.center(center_px),
        radiation_of(scan, settings),
    )


def focus_to_sample_m(scan: Scan, settings: Settings) -> float | None:
    """Focus-sample distance: from the settings, else the file; None (or 0) = parallel beam.

    Raises
    ------
    GeometryError
        That of the file is negative.
    """
    if settings.focus_to_sample is not None:
        return settings.focus_to_sample or None
    if scan.focus_m is not None and scan.focus_m < 0:
        raise GeometryError(
            f"a focus-sample distance of {scan.focus_m:.6g} m is negative",
            "set focus_to_sample (--focus-to-sample-m) in m downstream of the focus, 0 for a "
            "parallel beam",
            scan.source,
        )
    return scan.focus_m or None


def radiation_of(scan: Scan, settings: Settings) -> str:
    """Photons or electrons: from the settings, else the file, else photons."""
    return settings.radiation or scan.radiation or PHOTON


def quantities(scan: Scan, settings: Settings) -> tuple[float, float, tuple[float, float]]:
    """Energy in eV, distance and raw detector pixel (y, x) in m: from the settings, else the file.

    Raises
    ------
    MissingDataError
        A quantity is neither in the file nor in the settings.
    GeometryError
        A quantity is impossible.
    """
    energy_eV = settings.energy * 1e3 if settings.energy is not None else scan.energy_eV
    distance_m = settings.distance if settings.distance is not None else scan.distance_m
    pixel_m = settings.psize if settings.psize is not None else scan.pixel_m
    if energy_eV is None or distance_m is None or pixel_m is None:
        found = {"energy": energy_eV, "distance": distance_m, "pixel": pixel_m}
        raise _missing([name for name, value in found.items() if value is None], scan)
    given, radiation = settings.overridden, radiation_of(scan, settings)
    check_plausible("energy", energy_eV, radiation, given="energy" in given)
    check_plausible("distance", distance_m, given="distance" in given)
    for pixel in pixel_m:
        check_plausible("pixel", pixel, given="pixel" in given)
    return float(energy_eV), float(distance_m), pixel_m


def in_metres(scan: Scan, settings: Settings) -> Scan:
    """Convert positions that the file gives in pixels to metres.

    The pixel is that of a reconstruction from the whole raw frame, λz/(N·p), whatever window,
    binning and padding are used. A cone beam does not change it: magnification divides z and p
    alike.
    """
    if scan.positions_px is None:
        return scan
    radiation = radiation_of(scan, settings)
    size = object_pixel_m(*quantities(scan, settings), scan.frame_shape, radiation)
    return replace(scan, positions_m=scan.positions_px * size, positions_px=None)


def _missing(paths: Sequence[str], scan: Scan) -> MissingDataError:
    """One error for everything that is missing."""
    noted = {p: [note for note in scan.notes if note.endswith(f"no finite {p}")] for p in paths}
    problems = [note for notes in noted.values() for note in notes]
    absent = [QUANTITIES[path].title for path, notes in noted.items() if not notes]
    if absent:
        problems.append(f"no {_listed(absent)} in the file")
    parameters = _listed([QUANTITIES[path].value_remedy for path in paths])
    datasets = " ".join(f"--path {path}=PATH" for path in paths)
    hint = "" if str(scan.source).endswith(".npz") else f", or datasets by paths ({datasets})"
    return MissingDataError("; ".join(problems), f"set {parameters}{hint}", scan.source)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
