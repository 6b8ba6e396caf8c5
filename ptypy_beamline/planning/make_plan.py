"""Compile settings for a scan into a plan."""

from __future__ import annotations

import numpy as np

from ..errors import ScanError, SettingsError, naming, warn
from ..frames.wrappers import whole_stack
from ..scan import Scan, Window
from ..settings import Settings
from .calibration import calibrate
from .calibration_images import Images, with_per_frame_images
from .counting import counting, few_frames
from .exposures import acquisitions, refuse_absent, usable_i0, warn_about_estimate
from .find_center import beam_center, pixel_text
from .frame_lists import with_reject_list
from .implausible import warn_about_monitor, warn_of_stored_frames
from .no_good_pixels import refuse_without_good_pixels
from .plan import Plan
from .scan_geometry import in_metres, make_geometry
from .selection import EVERYTHING, SoFar, select
from .transform import make_transform


def make_plan(
    scan: Scan, settings: Settings, so_far: SoFar = EVERYTHING, allow_no_good_pixels: bool = False
) -> Plan:
    """Compile ``settings`` for ``scan``; only a small sample of frames is read, if any.

    The orientation must be known: :func:`ptypy_beamline.plans.plan_scan` finds it where it is
    ``'auto'``.

    Parameters
    ----------
    allow_no_good_pixels
        Also plan a scan in which no frame has a good pixel, to find out what is wrong with it.

    Raises
    ------
    BeamlineError
        One line that names the file, what is wrong and the remedy.
    """
    with naming(scan.source):
        return _compiled(scan, settings, so_far, allow_no_good_pixels)


def _compiled(scan: Scan, settings: Settings, so_far: SoFar, allow_no_good_pixels: bool) -> Plan:
    _refuse_complex(scan)
    few = few_frames(scan.frames, so_far.frames)
    warn_of_stored_frames(scan, few)
    scan = in_metres(scan, settings)
    settings = with_reject_list(scan, settings, so_far.frames is not None)
    counts = counting(scan, few)
    del few
    scan, settings, counts = with_per_frame_images(scan, settings, counts)
    selection = select(scan, settings, so_far)
    frames = whole_stack(scan.frames)[0]
    refuse_absent(selection.exposures, frames)
    images = Images(scan, settings, Window.full(scan.frame_shape))
    center = beam_center(images, counts)
    window = _window(settings.shape, center, scan.frame_shape)
    inside = _on_detector(window, center, scan)
    _check_monitor(scan, settings, so_far)
    _warn_of_padding(scan, window, inside)
    transform = make_transform(settings, window.shape)
    in_window = (center[0] - window.top, center[1] - window.left)
    plan = Plan(
        frames,
        selection,
        window,
        in_window,
        calibrate(images, inside, counts),
        transform,
        make_geometry(scan, settings, transform, in_window),
        settings.threads,
    )
    if not allow_no_good_pixels:
        refuse_without_good_pixels(plan, scan, settings, counts, so_far.frames is not None)
    return plan


def _refuse_complex(scan: Scan) -> None:
    """Stop at complex frames that are not declared as waves."""
    if scan.frames.dtype.kind == "c":
        raise ScanError(
            f"frames are {scan.frames.dtype}, not counts",
            "declare them with stored_as (--stored-as), or name the dataset of the intensities "
            "(--path frames=PATH)",
            scan.source,
        )


def _window(
    shape: tuple[int, int] | None, center: tuple[float, float], frame_shape: tuple[int, int]
) -> Window:
    """The window of ``shape`` whose pixel N//2 is the one nearest to ``center``."""
    if shape is None:
        return Window.full(frame_shape)
    top, left = (int(np.floor(c + 0.5)) - n // 2 for c, n in zip(center, shape, strict=True))
    return Window(top, left, *shape)


def _on_detector(window: Window, center: tuple[float, float], scan: Scan) -> Window:
    """The part of the window on the detector, which must not be empty."""
    inside = window.inside(scan.frame_shape)
    if 0 in inside.shape:
        raise SettingsError(
            f"the window {window.height}x{window.width} around {pixel_text(center)} lies outside "
            f"the {scan.frame_shape[0]}x{scan.frame_shape[1]} frame",
            "set center (--roi-center) to a raw detector pixel",
            scan.source,
        )
    return inside


def _check_monitor(scan: Scan, settings: Settings, so_far: SoFar) -> None:
    """Warn of a monitor that rejects frames, or scales them by implausible factors."""
    monitor = usable_i0(scan, settings)
    if monitor is not None:
        paired = acquisitions(scan)[: so_far.frames] >= 0
        warn_about_estimate(scan, settings)
        warn_about_monitor(monitor[: so_far.frames][paired], scan.source)


def _warn_of_padding(scan: Scan, window: Window, inside: Window) -> None:
    """Warn of a window that is larger than the detector, or lies mostly off it."""
    (ny, nx), share = scan.frame_shape, np.prod(inside.shape) / np.prod(window.shape)
    if window.height > ny or window.width > nx or share < 0.5:
        warn(
            f"{100 * (1 - share):.3g} % of the window {window.height}x{window.width} lies off the "
            f"{ny}x{nx} detector and is padding, never valid; make it smaller, or move it (shape, "
            "--roi; center, --roi-center)",
            scan.source,
        )
