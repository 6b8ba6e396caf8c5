"""Phase and electron density."""

from __future__ import annotations

from scipy.constants import physical_constants

from ..geometry import wavelength_m

ELECTRON_RADIUS_M = float(physical_constants["classical electron radius"][0])
"""Thomson scattering length r_e (CODATA)."""


def electrons_per_radian(energy_eV: float, voxel_m: float) -> float:
    """Electron density in e/Å³ of a voxel that turns the phase by −1 rad.

    A wave exp(−ikδt) behind a thickness t, with δ = r_e·λ²·n_e/2π, has the phase φ = −r_e·λ·n_e·t,
    hence n_e = −φ/(r_e·λ·v) for a voxel of edge v.
    Source: J. Als-Nielsen, D. McMorrow, Elements of Modern X-ray Physics, 2nd ed. (2011),
    section 3.1; A. Diaz et al., Phys. Rev. B 85, 020104 (2012).
    """
    return 1e-30 / (ELECTRON_RADIUS_M * wavelength_m(energy_eV) * voxel_m)
