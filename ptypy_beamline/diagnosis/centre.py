"""Where the beam is, found in three ways that should agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from ..arrays import Bools, Floats
from ..planning.calibration import Calibration, calibrate
from ..planning.calibration_images import Images
from ..planning.counting import counting
from ..planning.find_center import find_center
from ..planning.mean_frame import mean_of_usable
from ..planning.plan import Plan
from ..planning.sample import Sample
from ..scan import ArrayFrames, Scan, Window
from ..settings import Settings
from ..summary import Finding
from .proposed_settings import finding

if TYPE_CHECKING:
    from .scan_sample import ScanSample

TOLERANCE_PX = 2.0
"""A smaller error of the centre only tilts the probe's phase."""

OVERLAP = 0.25
"""Share of the good pixels that must have a good pixel opposite the centre."""

SYMMETRY = 0.5
"""Correlation with its mirror image that a mean frame needs for its centre to count."""


@dataclass(frozen=True)
class Centre:
    """Beam centre (row, column) in raw detector pixels.

    Attributes
    ----------
    used_px
        As used in the plan: given, from the file, or found.
    friedel_px
        Where the mean frame is most similar to itself rotated by 180°.
    mass_px
        The mean frame's centre of mass above its background.
    symmetry
        Correlation coefficient of the mean frame with its image rotated by 180°.
    """

    used_px: tuple[float, float]
    friedel_px: tuple[float, float]
    mass_px: tuple[float, float]
    symmetry: float

    @property
    def away_px(self) -> float:
        """Distance of the centre used from the centre of symmetry."""
        return float(np.hypot(*np.subtract(self.used_px, self.friedel_px)))

    @property
    def apart_px(self) -> float:
        """Distance between the centre of mass and the centre of symmetry."""
        return float(np.hypot(*np.subtract(self.mass_px, self.friedel_px)))


def measure(scan: Scan, settings: Settings, plan: Plan) -> Centre:
    """All estimates, from whole frames: with a wrong centre the window may cut the beam.

    Only good pixels count for the symmetry, so that a beam stop does not bias it.
    """
    whole = Window.full(scan.frame_shape)
    plain = settings.model_copy(update={"hot_sigma": None})
    calibration = calibrate(Images(scan, plain, whole), whole, counting(scan))
    mean = mean_of_usable(Sample.of(scan, settings, whole), calibration)
    friedel, symmetry = friedel_centre(mean, ~calibration.bad)
    used = plan.window.top + plan.center_px[0], plan.window.left + plan.center_px[1]
    return Centre(used, friedel, _mass(mean), symmetry)


def findings(sample: ScanSample) -> Iterator[Finding]:
    """Whether the centre used is the actual beam centre."""
    centre = sample.centre
    used, friedel, mass = (
        f"({y:.1f}, {x:.1f})" for y, x in (centre.used_px, centre.friedel_px, centre.mass_px)
    )
    what = f"beam centre used {used}, by Friedel symmetry {friedel}, by centre of mass {mass} px"
    # The centre of mass follows an uneven pupil; it only has to lie on the same side.
    trusted = centre.symmetry > SYMMETRY and centre.apart_px < 0.5 * centre.away_px
    if centre.away_px <= TOLERANCE_PX or not trusted:
        yield finding("note", what)
        return
    y, x = centre.friedel_px
    yield finding(
        "warning",
        f"{what}, {centre.away_px:.1f} px apart",
        "the centre is not that of the beam",
        {"center": (round(y, 2), round(x, 2))},
    )


def friedel_centre(image: Floats, good: Bools) -> tuple[tuple[float, float], float]:
    """Centre of symmetry of an image under rotation by 180°, to a fraction of a pixel.

    Friedel's law makes the mean pattern of many views nearly symmetric. The correlation
    coefficient of √I(q) and √I(2c − q) is taken over pairs of good pixels, for all c at once by
    Fourier transforms: D. Padfield, IEEE Trans. Image Process. 21, 2706 (2012), with the mirror
    image as template. A parabola through the highest values gives the fraction.

    Parameters
    ----------
    image
        (ny, nx) mean counts.
    good
        (ny, nx) pixels to use.

    Returns
    -------
    center : (row, column)
    correlation : float
        At the centre, at most 1.
    """
    padded = tuple(scipy.fft.next_fast_len(2 * n, real=True) for n in image.shape)
    root = np.where(good, np.sqrt(image.clip(0)), 0)
    modulus, weight, counts = (
        scipy.fft.rfft2(part, padded) for part in (root, good.astype(np.float64), root**2)
    )
    pairs, product, first, square = (
        scipy.fft.irfft2(part, padded)
        for part in (weight * weight, modulus * modulus, modulus * weight, counts * weight)
    )
    enough = pairs > max(OVERLAP * float(good.sum()), 1.0)
    number = np.where(enough, pairs, 1)
    covariance, variance = product - first**2 / number, square - first**2 / number
    small = 1e-9 * float(variance.max())
    correlation = np.where(enough, covariance / np.maximum(variance, small), -1)
    top = np.unravel_index(int(correlation.argmax()), correlation.shape)
    center = [
        float(
            vertex(np.roll(np.moveaxis(correlation, axis, 0)[:, top[1 - axis]], 1 - top[axis]))
            + top[axis]
        )
        / 2
        for axis in (0, 1)
    ]
    return (center[0], center[1]), float(correlation[top])


def vertex(line: Floats) -> float:
    """Where the parabola through three values is highest, −½ to ½ from the second one."""
    before, here, after = (float(v) for v in line[:3])
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))


def _mass(mean: Floats) -> tuple[float, float]:
    """As :func:`find_center` finds it, in a mean frame that is corrected already."""
    shape = mean.shape
    done = Calibration(
        np.zeros(shape, np.float32),
        np.ones(shape, np.float32),
        np.zeros(shape, np.bool_),
        np.inf,
        0.0,
    )
    sample = Sample(ArrayFrames(mean), Window.full((shape[0], shape[1])))
    return find_center(sample, done, done.cut).center
