"""Every format passes the same suite."""

from __future__ import annotations

import numpy as np
import pytest
from beamline_files import write_hermes_stack, write_nanomax_now

from ptypy_beamline import BeamlineError, formats, open_scan
from ptypy_beamline.testing.conformance import COLUMNS, ROWS, Conformance
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


class TestEiger(Conformance):
    format = "eiger"
    in_several_files = True

    def frames_file(self, file):
        return file.with_name("scan_data_000002.h5")

    lacks = frozenset({"dark", "flat", "monitor"})
    settings = {"paths": {"x": "positions.h5::/x", "y": "positions.h5::/y"}}  # noqa: RUF012


class TestNanomax(Conformance):
    format = "nanomax"
    lacks = frozenset({"bad", "dark", "flat", "monitor", "exposure_s", "center_px", "saturation"})
    unsaid = frozenset({"distance_m", "pixel_m"})


class TestNanomaxNow(TestNanomax):
    """Today's layout."""

    def write(self, folder, raw):
        return write_nanomax_now(folder / "scan.h5", raw)


class TestNanomaxLines(TestNanomax):
    """A dataset for each line, in another file."""

    in_several_files = True

    def raw(self, **more):
        return super().raw(grid=(ROWS, COLUMNS), **more)

    def write(self, folder, raw):
        return write_nanomax_now(folder / "scan.h5", raw, "lines")

    def frames_file(self, file):
        return file.with_name("scan_pilatus1m.h5")


class TestHermes(Conformance):
    format = "hermes"
    in_several_files = True
    lacks = frozenset({"bad", "flat", "monitor", "exposure_s", "center_px", "saturation"})
    unsaid = frozenset({"distance_m", "pixel_m"})


class TestHermesStack(Conformance):
    """One energy of several."""

    format = "hermes"
    in_several_files = True
    lacks = frozenset({"bad", "flat", "monitor", "exposure_s", "center_px", "saturation"})
    unsaid = frozenset({"pixel_m"})
    settings = {"outer_index": 1}  # noqa: RUF012

    def raw(self, **more):
        return super().raw(grid=(ROWS, COLUMNS), **more)

    def write(self, folder, raw):
        return write_hermes_stack(folder / "Stack_D_05.h5", raw)

    def frames_file(self, file):
        return file.with_name("Stack_D_05_nrj02_000001.nxs")


class TestProduct(Conformance):
    format = "product"
    lacks = frozenset({"bad", "dark", "flat", "monitor", "center_px", "saturation"})


class TestAdorym(Conformance):
    format = "adorym"
    lacks = frozenset({"bad", "dark", "flat", "monitor", "exposure_s", "center_px", "saturation"})
    pixel_m = (75e-6, 90e-6)  # of all pairs with a distance that fit psize_cm, the chosen one


class TestPtychopinn(Conformance):
    format = "ptychopinn"
    lacks = frozenset({"bad", "dark", "flat", "monitor", "exposure_s", "center_px", "saturation"})
    unsaid = frozenset({"energy_eV", "distance_m", "pixel_m"})


class TestTike(Conformance):
    format = "tike"
    lacks = frozenset({"bad", "dark", "flat", "monitor", "exposure_s", "center_px", "saturation"})
    unsaid = frozenset({"energy_eV", "distance_m", "pixel_m"})


class TestTiff(Conformance):
    format = "tiff"

    def frames_file(self, file):
        return min(file.parent.rglob("*.tif*"))

    def test_a_missing_file_is_named(self, tmp_path):
        file = self.write(tmp_path, self.raw())
        file.write_text(f"{file.read_text()}\nlost_0007.tif\n")
        with pytest.raises(BeamlineError, match=r"lost_0007\.tif"):
            open_scan(file)


class TestPtyd(Conformance):
    format = "ptyd"
    lacks = frozenset({"dark", "flat", "monitor", "saturation", "exposure_s"})


class TestPhantom(TestAdorym):
    """Its measured frames; those that are simulated have tests of their own."""

    format = "phantom"

    def frames_file(self, file):
        return next(path for path in file.glob("*.h5") if not path.stem.endswith("_ref"))

    def test_a_missing_file_is_named(self, tmp_path):
        folder = self.write(tmp_path, self.raw())
        self.frames_file(folder).unlink()
        with pytest.raises(BeamlineError, match=r"scan: no pixel in info\.txt"):
            open_scan(folder, **self.settings).plan()

    def test_the_file_is_not_changed(self, tmp_path):
        folder = self.write(tmp_path, self.raw())
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        before = [path.read_bytes() for path in files]
        list(self.open(folder).plan(shape=8).blocks())
        assert [path.read_bytes() for path in files] == before


def test_no_format_is_left_out():
    suites = Conformance.__subclasses__()
    tested = {cls.format for suite in suites for cls in (suite, *suite.__subclasses__())}
    assert tested == set(WRITERS) == set(formats.names()) - {"hdf5"}


@pytest.mark.parametrize("format", ["adorym", "phantom", "ptychopinn", "tike", "product"])
def test_the_users_stored_as_overrides_the_guess(tmp_path, format):
    """Complex or floating frames that are intensities already."""
    suite = next(
        c
        for c in (TestAdorym, TestPhantom, TestPtychopinn, TestTike, TestProduct)
        if c.format == format
    )()
    file = suite.write(tmp_path, suite.raw())
    scans = {
        how: open_scan(file, **suite.settings, stored_as=how)
        for how in ("intensity", "magnitude", "wave")
    }
    window = suite._whole(scans["wave"])
    kept, squared, wave = (scans[how].frames.read([3], window).astype(float) for how in scans)
    np.testing.assert_allclose(squared, kept**2, rtol=1e-5)
    np.testing.assert_array_equal(wave, squared)
