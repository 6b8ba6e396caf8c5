"""Every format passes the same suite."""

from __future__ import annotations

from ptypy_beamline import formats
from ptypy_beamline.testing.conformance import Conformance
from ptypy_beamline.testing.writers import WRITERS


class TestStandard(Conformance):
    format = "standard"


class TestCxi(Conformance):
    format = "cxi"


class TestNxcxi(Conformance):
    format = "nxcxi"


class TestDiamond(Conformance):
    format = "diamond"


class TestAreaDetector(Conformance):
    format = "areadetector"
    pixel_m = (75e-6, 75e-6)


class TestExchange(Conformance):
    format = "exchange"
    lacks = frozenset({"center_px", "saturation"})


def test_no_format_is_left_out():
    tested = {cls.format for cls in Conformance.__subclasses__()}
    assert tested == set(WRITERS) == set(formats.names()) - {"hdf5"}
