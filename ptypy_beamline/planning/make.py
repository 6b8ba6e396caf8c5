"""Settings and a scan become a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import (
    GeometryError,
    MissingDataError,
    ScanError,
    SettingsError,
    naming,
    silenced_warnings,
    warn,
)
from ..frames.picked import whole_stack
from ..geometry import PHOTON, Geometry, check_plausible, cone_beam, resolution_m
from ..scan import Scan, Window
from ..settings import Settings
from .absurd import warn_about_monitor
from .calibration import calibrate
from .center import find_center
from .exposures import acquisitions, refuse_absent, usable_i0, warn_about_estimate
from .framewise import with_own_images
from .no_counts import no_center, refuse_without_good_pixels
from .plan import Plan
from .sample import Sample
from .selection import EVERYTHING, SoFar, select
from .stored_frames import warn_of_stored_frames
from .transform import Transform, make_transform
from .uncounted import Counting, counting


def make_plan(
    scan: Scan, settings: Settings, so_far: SoFar = EVERYTHING, even_blind: bool = False
) -> Plan:
    """Compile ``settings`` for ``scan``; only a small sample of frames is read, if any.

    The orientation must be known: :func:`ptypy_beamline.plans.plan_scan` finds it where it is
    ``'auto'``.

    Parameters
    ----------
    even_blind
        Also of a scan none of whose frames has a good pixel, to look at what is wrong with it.

    Raises
    ------
    BeamlineError
        One line that names the file, what is wrong and the remedy.
    """
    with naming(scan.source):
        return _compiled(scan, settings, so_far, even_blind)


def _compiled(scan: Scan, settings: Settings, so_far: SoFar, even_blind: bool) -> Plan:
    if scan.frames.dtype.kind == "c":
        raise ScanError(
            f"frames are {scan.frames.dtype}, not counts",
            "say what they are by "
            "stored_as (--stored-as), or name the dataset of the intensities (--path "
            "frames=PATH)",
            scan.source,
        )
    warn_of_stored_frames(scan)
    scan = in_metres(scan, settings)
    counts = counting(scan, so_far.frames)
    scan, settings, counts = with_own_images(scan, settings, counts)
    selection = select(scan, settings, so_far)
    refuse_absent(selection.exposures, whole_stack(scan.frames)[0])
    center = beam_center(scan, settings, counts)
    window = make_window(settings.shape, center, scan.frame_shape)
    inside = window.inside(scan.frame_shape)
    if 0 in inside.shape:
        raise SettingsError(
            f"the window {window.height}x{window.width} around {_pixel(center)} lies outside the "
            f"{scan.frame_shape[0]}x{scan.frame_shape[1]} frame",
            "set center (--roi-center) to a raw detector pixel",
            scan.source,
        )
    monitor = usable_i0(scan, settings)
    if monitor is not None:
        paired = acquisitions(scan)[: so_far.frames] >= 0
        warn_about_estimate(scan, settings)
        warn_about_monitor(monitor[: so_far.frames][paired], scan.source)
    _warn_of_padding(scan, window, inside)
    transform = make_transform(settings, window.shape)
    in_window = (center[0] - window.top, center[1] - window.left)
    plan = Plan(
        whole_stack(scan.frames)[0],
        selection,
        window,
        in_window,
        calibrate(scan, settings, inside, counts),
        transform,
        make_geometry(scan, settings, transform, in_window),
        settings.threads,
    )
    if not even_blind:
        refuse_without_good_pixels(plan, scan, settings, counts, so_far.frames is not None)
    return plan


def _warn_of_padding(scan: Scan, window: Window, inside: Window) -> None:
    """Of a window that is larger than the detector, or that lies mostly off it."""
    (ny, nx), share = scan.frame_shape, np.prod(inside.shape) / np.prod(window.shape)
    if window.height > ny or window.width > nx or share < 0.5:
        warn(
            f"{100 * (1 - share):.3g} % of the window {window.height}x{window.width} lies off the "
            f"{ny}x{nx} detector and is padding, never valid; make it smaller, or move it (shape, "
            "--roi; center, --roi-center)",
            scan.source,
        )


def beam_center(
    scan: Scan, settings: Settings, counts: Counting | None = None
) -> tuple[float, float]:
    """Beam centre (row, column) on the raw detector: given, else the file's, else found."""
    shape = scan.frame_shape
    given = settings.center
    if given == "fftshift":
        return shape[0] // 2, shape[1] // 2
    if given == "geometric":
        return (shape[0] - 1) / 2, (shape[1] - 1) / 2
    if given is not None:
        fractions = all(isinstance(c, float) and 0 <= c < 1 for c in given)
        center = tuple(c * n // 1 if fractions else c for c, n in zip(given, shape, strict=True))
        whose = "center (--roi-center)"
    elif scan.center_px is not None and not settings.auto_center:
        center, whose = scan.center_px, "the file's beam centre"
    elif settings.auto_center is False:
        return shape[0] // 2, shape[1] // 2
    else:
        whole = Window.full(shape)
        plain = settings.model_copy(update={"hot_sigma": None})
        with silenced_warnings():  # the plan's own calibration warns
            calibration = calibrate(scan, plain, whole, counts)
        try:
            return find_center(Sample.of(scan, settings, whole), calibration)
        except GeometryError as error:
            raise no_center(scan, settings, counts) from error
    if not all(0 <= c < n for c, n in zip(center, shape, strict=True)):
        raise SettingsError(
            f"{whose} {_pixel(center)} lies outside the {shape[0]}x{shape[1]} detector",
            "set center (--roi-center) to a raw pixel (row, column)",
            scan.source,
        )
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
    """The geometry of the frames that come out; raises as :func:`quantities`."""
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
    """Of a cone beam: given, else the file's; None for a parallel beam, or where that is 0.

    Raises
    ------
    GeometryError
        The file's is negative.
    """
    if settings.focus_to_sample is not None:
        return settings.focus_to_sample or None
    if scan.focus_m is not None and scan.focus_m < 0:
        raise GeometryError(
            f"a focus-sample distance of {scan.focus_m:.6g} m makes no cone beam",
            "set focus_to_sample (--focus-to-sample-m) in m downstream of the focus, 0 for a "
            "parallel beam",
            scan.source,
        )
    return scan.focus_m or None


def radiation_of(scan: Scan, settings: Settings) -> str:
    """Photons or electrons: given, else the file's, else photons."""
    return settings.radiation or scan.radiation or PHOTON


def quantities(scan: Scan, settings: Settings) -> tuple[float, float, tuple[float, float]]:
    """Energy in eV, distance and raw detector pixel (y, x) in m: given, else the file's.

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
    check_plausible("energy", energy_eV, radiation_of(scan, settings))
    check_plausible("distance", distance_m)
    for pixel in pixel_m:
        check_plausible("pixel", pixel)
    return float(energy_eV), float(distance_m), pixel_m


def in_metres(scan: Scan, settings: Settings) -> Scan:
    """The scan with positions in metres, where its file has them in pixels.

    Such a pixel is that of the reconstruction from the whole raw frame, λz/(N·p), whatever
    window, binning and padding are asked for. A cone beam does not change it, as magnification
    divides z and p alike.
    """
    if scan.positions_px is None:
        return scan
    radiation = radiation_of(scan, settings)
    size = resolution_m(*quantities(scan, settings), scan.frame_shape, radiation)
    return replace(scan, positions_m=scan.positions_px * size, positions_px=None)


NEEDED = {
    "energy": ("photon energy", "energy in keV (--energy-kev)"),
    "distance": ("detector distance", "distance in m (--distance-m)"),
    "pixel": ("detector pixel size", "psize in m (--pixel-m)"),
}
"""Path → what it is of, and how it is set."""


def _missing(paths: Sequence[str], scan: Scan) -> MissingDataError:
    """All that is, so that nobody has to come back for each."""
    stored = [note for path in paths for note in scan.notes if note.endswith(f"no finite {path}")]
    absent = [path for path in paths if not any(n.endswith(f"no finite {path}") for n in stored)]
    lacking = f"no {_listed([NEEDED[path][0] for path in absent])} in the file" if absent else ""
    parameters = _listed([NEEDED[path][1] for path in paths])
    datasets = " ".join(f"--path {path}=PATH" for path in paths)
    hint = "" if str(scan.source).endswith(".npz") else f", or datasets by paths ({datasets})"
    return MissingDataError(
        "; ".join(filter(None, [*stored, lacking])),
        f"set {parameters}{hint}",
        scan.source,
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _pixel(center: Sequence[float]) -> str:
    return f"({center[0]:.1f}, {center[1]:.1f})"
