"""The dose that a fluence of photons gives to water."""

from __future__ import annotations

import numpy as np

from ..geometry import EV_J

WATER = {
    1.0: 406.5,
    1.5: 137.2,
    2.0: 61.52,
    3.0: 19.17,
    4.0: 8.191,
    5.0: 4.188,
    6.0: 2.405,
    8.0: 0.9915,
    10.0: 0.4944,
    15.0: 0.1374,
    20.0: 0.05503,
    30.0: 0.01557,
    40.0: 6.947e-3,
    50.0: 4.223e-3,
    60.0: 3.190e-3,
    80.0: 2.597e-3,
    100.0: 2.546e-3,
}
"""Mass energy-absorption coefficient μen/ρ of water in m²/kg, by photon energy in keV.

Source: J. H. Hubbell and S. M. Seltzer, NISTIR 5632 (1995), table 4.
"""


def dose_to_water(fluence_m2: float, energy_eV: float) -> float | None:
    """Absorbed dose to water at its surface, D = Φ·E·μen/ρ.

    Parameters
    ----------
    fluence_m2
        Photons on a square metre.
    energy_eV
        Of a photon.

    Returns
    -------
    float or None
        In gray; None outside 1 to 100 keV.
    """
    energies, coefficients = np.array([*WATER]), np.array([*WATER.values()])
    if not energies[0] <= energy_eV / 1e3 <= energies[-1]:
        return None
    log = np.interp(np.log(energy_eV / 1e3), np.log(energies), np.log(coefficients))
    return float(fluence_m2 * energy_eV * EV_J * np.exp(log))
