"""How far a reconstruction is from a phantom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import Complexes, Floats
from ...errors import ScanError
from ...frames.simulated import Phantom
from ...geometry import wavelength_m
from .frc import Rings, ring_correlation
from .registration import agreement, register


@dataclass(frozen=True, eq=False)
class Likeness:
    """A reconstruction and the truth, brought together, and what is between them.

    Attributes
    ----------
    obj, truth
        (ny, nx) registered transmissions without their margins.
    delta_error, beta_error
        (ny, nx) δ and β of the reconstruction less those of the truth, each a mean along the beam;
        a constant and, for δ, a ramp are left open by ptychography and removed.
    delta_contrast, beta_contrast
        Root mean square of the truth's departure from its mean.
    rings
        Fourier ring correlation.
    pixel_m
        Of both.
    """

    obj: Complexes
    truth: Complexes
    delta_error: Floats
    beta_error: Floats
    delta_contrast: float
    beta_contrast: float
    rings: Rings
    pixel_m: float

    @property
    def correlation(self) -> float:
        """1 = the same, about 0 = unrelated."""
        return agreement(self.obj, self.truth)

    @property
    def resolution_m(self) -> float:
        """Full period at which the ring correlation falls below half a bit."""
        return self.rings.period_px * self.pixel_m

    def record(self) -> dict[str, Any]:
        """The numbers, by names that carry their units."""
        return {
            "correlation": self.correlation,
            "delta_rms_error": rms(self.delta_error),
            "delta_rms_contrast": self.delta_contrast,
            "beta_rms_error": rms(self.beta_error),
            "beta_rms_contrast": self.beta_contrast,
            "resolution_full_period_m": self.resolution_m,
            "resolution_half_period_m": self.resolution_m / 2,
            "resolution_reaches_pixel": bool(self.rings.period_px <= 2.0),
            "pixel_m": self.pixel_m,
            "compared_px": list(self.obj.shape),
        }


def compare(
    obj: Complexes, phantom: Phantom, pixel_m: float | None = None, margin: int | None = None
) -> Likeness:
    """Register a reconstruction with a phantom and judge it.

    Parameters
    ----------
    obj
        (ny, nx) transmission, with about the same middle as the phantom.
    pixel_m
        Of ``obj``; None = the phantom's.
    margin
        Pixels at each edge that are left out; default an eighth of the smaller side.

    Raises
    ------
    ScanError
        The pixels differ, or nothing is left inside the margin.
    """
    if pixel_m is not None and abs(pixel_m / phantom.pixel_m - 1) > 0.01:
        raise ScanError(
            f"the reconstruction's pixel is {pixel_m:.4g} m, the phantom's {phantom.pixel_m:.4g} m",
            "reconstruct whole frames, or set --sim-pixel-m, the phantom's voxel",
            phantom.delta,
        )
    truth = phantom.projection()
    side = min(*obj.shape, *truth.shape)
    margin = side // 8 if margin is None else margin
    if side <= 2 * margin + 8:
        raise ScanError(
            f"nothing is left of {side} pixels within margins of {margin}",
            "set a smaller --margin",
            phantom.delta,
        )
    a, b = register(obj, truth, margin)
    # T = exp(−kβt)·exp(−ikδt), see frames.simulated.transmission
    depth = 2 * np.pi / wavelength_m(phantom.energy_eV) * phantom.slice_m * phantom.shape[2]
    ratio = a * b.conj()
    beta, beta_truth = (-np.log(np.maximum(np.abs(image), 1e-6)) / depth for image in (a, b))
    delta_truth = -np.angle(b * np.exp(-1j * np.angle(b.mean()))) / depth
    delta_error, beta_error = -np.angle(ratio) / depth, beta - beta_truth
    return Likeness(
        a,
        b,
        delta_error - delta_error.mean(),
        beta_error - beta_error.mean(),
        float(delta_truth.std()),
        float(beta_truth.std()),
        ring_correlation(a, b),
        phantom.pixel_m,
    )


def rms(values: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))
