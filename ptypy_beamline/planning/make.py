"""Settings and a scan become a plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import MissingDataError, SettingsError
from ..geometry import Geometry, check_plausible, cone_beam
from ..scan import Scan, Window
from ..settings import Settings
from .calibration import calibrate
from .plan import Plan
from .sample import Sample, find_center
from .selection import select
from .transform import Transform, make_transform


def make_plan(scan: Scan, settings: Settings) -> Plan:
    """Compile ``settings`` for ``scan``; only a small sample of frames is read, if any.

    Raises
    ------
    BeamlineError
        One line that names what is wrong and the remedy.
    """
    selection = select(scan, settings)
    center = beam_center(scan, settings)
    window = make_window(settings.shape, center, scan.frame_shape)
    inside = window.inside(scan.frame_shape)
    if 0 in inside.shape:
        raise SettingsError(
            f"the window {window.height}x{window.width} around {_pixel(center)} lies outside the "
            f"{scan.frame_shape[0]}x{scan.frame_shape[1]} frame", "set center (--roi-center) to a "
            "raw detector pixel", scan.source,
        )  # fmt: skip
    transform = make_transform(settings, window.shape)
    in_window = (center[0] - window.top, center[1] - window.left)
    return Plan(
        scan.frames, selection, window, in_window, calibrate(scan, settings, inside), transform,
        make_geometry(scan, settings, transform, in_window), settings.threads,
    )  # fmt: skip


def beam_center(scan: Scan, settings: Settings) -> tuple[float, float]:
    """Beam centre (row, column) on the raw detector: given, else the file's, else found."""
    shape = scan.frame_shape
    given = settings.center
    if given == "fftshift":
        return shape[0] // 2, shape[1] // 2
    if given is not None:
        fractions = all(isinstance(c, float) and 0 <= c < 1 for c in given)
        center = tuple(c * n // 1 if fractions else c for c, n in zip(given, shape, strict=True))
        whose = "center (--roi-center)"
    elif scan.center_px is not None:
        center, whose = scan.center_px, "the file's beam centre"
    else:
        return find_center(Sample(scan.frames, Window.full(shape)), scan.bad)
    if not all(0 <= c < n for c, n in zip(center, shape, strict=True)):
        raise SettingsError(
            f"{whose} {_pixel(center)} lies outside the {shape[0]}x{shape[1]} detector",
            "set center (--roi-center) to a raw pixel (row, column)", scan.source,
        )  # fmt: skip
    return float(center[0]), float(center[1])


def make_window(
    shape: tuple[int, int] | None, center: tuple[float, float], frame_shape: tuple[int, int]
) -> Window:
    """The window of ``shape`` whose pixel N//2 is the one nearest to ``center``."""
    if shape is None:
        return Window.full(frame_shape)
    top, left = (int(np.floor(c + 0.5)) - n // 2 for c, n in zip(center, shape, strict=True))
    return Window(top, left, *shape)


def make_geometry(
    scan: Scan, settings: Settings, transform: Transform, center_px: tuple[float, float]
) -> Geometry:
    """The geometry of the frames that come out.

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
    if energy_eV is None:
        raise _missing("photon energy", "energy in keV (--energy-kev)", "energy", scan)
    if distance_m is None:
        raise _missing("detector distance", "distance in m (--distance-m)", "distance", scan)
    if pixel_m is None:
        raise _missing("detector pixel size", "psize in m (--pixel-m)", "pixel", scan)
    check_plausible("energy", energy_eV)
    check_plausible("distance", distance_m)
    for pixel in pixel_m:
        check_plausible("pixel", pixel)
    focus_m = settings.focus_to_sample
    if focus_m is not None:
        distance_m, pixel_m = cone_beam(distance_m, pixel_m, focus_m)
    return Geometry(float(energy_eV), float(distance_m), transform.pixel(pixel_m),
                    transform.shape, transform.center(center_px))  # fmt: skip


def _missing(what: str, parameter: str, path: str, scan: Scan) -> MissingDataError:
    return MissingDataError(
        f"no {what} in the file", f"set {parameter} or paths.{path} (--path {path}=PATH)",
        scan.source,
    )  # fmt: skip


def _pixel(center: Sequence[float]) -> str:
    return f"({center[0]:.1f}, {center[1]:.1f})"
