"""The beam centre on the detector, and the window around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import GeometryError, SettingsError
from ..scan import Scan, Window
from ..settings import Settings
from .calibration import Images, plain_calibration, rough_calibration
from .counting import Counting
from .find_center import find_center
from .no_good_pixels import no_center
from .sample import Sample


def beam_center(
    scan: Scan, settings: Settings, counts: Counting, images: Images
) -> tuple[float, float]:
    """Beam centre (row, column) in raw pixels: from the settings, the file, or the data.

    ``images`` of the whole detector are read only to find it in the data.
    """
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
        known = scan, settings, counts
        rough = rough_calibration(*known, images)
        sample = Sample.of(scan, settings, images.window)
        try:
            return find_center(sample, rough, lambda w: plain_calibration(*known, images.cut(w)))
        except GeometryError as error:
            raise no_center(scan, settings, counts) from error
    if not all(0 <= c < n for c, n in zip(center, shape, strict=True)):
        raise SettingsError(
            f"{whose} {pixel_text(center)} lies outside the {shape[0]}x{shape[1]} detector",
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


def pixel_text(pixel: Sequence[float]) -> str:
    """A detector pixel (row, column) for a message."""
    return f"({pixel[0]:.1f}, {pixel[1]:.1f})"
