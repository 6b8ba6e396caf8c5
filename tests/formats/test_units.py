"""Units as people write them."""

from __future__ import annotations

import pytest

from ptypy_beamline.errors import SettingsError
from ptypy_beamline.quantities import known_factor, unit_factor, unit_of_name


@pytest.mark.parametrize(
    ("quantity", "factor", "spellings"),
    [
        ("positions", 1.0, "m M Metres METERS metre"),
        ("positions", 1e-2, "cm centimetres"),
        ("distance", 1e-3, "mm MM millimeters [mm]"),
        ("positions", 1e-6, "um µm μm UM microns micron micrometres Micrometers micro-metres"),
        ("pixel", 1e-9, "nm NM nanometres nanometer nano_meters"),
        ("positions", 1e-12, "pm picometres"),
        ("positions", 1e-10, "Å Å A angstrom Angstroms Ångströms"),
        ("energy", 1.0, "eV EV electronvolts Electron-Volt"),
        ("energy", 1e3, "keV KEV kiloelectronvolts"),
        ("energy", 1e6, "MeV"),
        ("energy", 1e-3, "meV"),
        ("energy", 6.241509074e18, "J joules Joule"),
        ("exposure", 1.0, "s S sec seconds"),
        ("exposure", 1e-3, "ms msec milliseconds"),
        ("exposure", 1e-6, "us µs microseconds"),
    ],
)
def test_spellings(quantity, factor, spellings):
    for unit in spellings.split():
        assert unit_factor(quantity, unit) == pytest.approx(factor), unit
    assert unit_factor("energy", "electron volts") == 1


@pytest.mark.parametrize(
    ("quantity", "unit"),
    [
        ("energy", "MEV"),
        ("energy", "mm"),
        ("positions", "keV"),
        ("positions", ""),
        ("distance", "furlongs"),
    ],
)
def test_no_unit_of_this_quantity(quantity, unit):
    assert known_factor(quantity, unit) is None
    with pytest.raises(SettingsError, match=rf"Expected a unit of {quantity} \(.*set units"):
        unit_factor(quantity, unit)


def test_units_at_the_end_of_names():
    assert unit_of_name("positions", "/entry/x_micrometres") == "micrometres"
    assert unit_of_name("energy", "mono_KEV") == "KEV"
    assert unit_of_name("positions", "posx_a") is None
    assert unit_of_name("positions", "stage_x") is None
