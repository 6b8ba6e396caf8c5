"""The tests that every format must pass, also those of a beamline's own package.

Inherit :class:`Conformance` in a test file, name the format, and write a scan as the beamline
does; pytest runs the tests. Follow the description of the format, not its reader::

    import h5py
    from ptypy_beamline.testing.conformance import Conformance


    class TestMyBeamline(Conformance):
        format = "my_beamline"
        lacks = frozenset({"dark", "flat", "monitor", "center_px", "saturation"})

        def write(self, folder, raw):
            with h5py.File(folder / "scan.h5", "w") as file:
                file["camera/frames"] = raw.frames
                file["camera/bad"] = raw.bad
                file["stage/y_um"] = raw.positions_m[:, 0] * 1e6
                ...
            return folder / "scan.h5"

``raw`` is a :class:`~ptypy_beamline.testing.raw.Raw`. ``lacks`` names those of its fields that the
files cannot hold, and ``unsaid`` the parts of the geometry that the user has to give. The
formats of this package are written by :data:`ptypy_beamline.testing.writers.WRITERS`.
"""

from __future__ import annotations

import pickle
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from .. import formats, open_scan
from ..errors import BeamlineError
from ..planning.scan_geometry import in_metres
from ..scan import Scan, Window
from ..settings import Settings
from .writers import WRITERS, Raw

NY, NX, ROWS, COLUMNS = 24, 20, 4, 5


class Conformance:
    """The tests; attributes state how a format differs from others.

    Attributes
    ----------
    format
        Its name, as in ``ptypy-beamline formats``.
    lacks
        Fields of :class:`Raw` that its files cannot hold.
    unsaid
        Those of energy_eV, distance_m and pixel_m that its files cannot hold, so that the user
        gives them.
    pixel_m
        Pixel of the scan; equal on both axes if the format has one number for it.
    in_several_files
        A scan has more than one file.
    settings
        Loader parameters that its files need, such as ``paths`` of datasets without a fixed path.
    """

    format: str
    lacks: frozenset[str] = frozenset()
    unsaid: frozenset[str] = frozenset()
    pixel_m = (50e-6, 75e-6)
    in_several_files = False
    settings: dict[str, Any] = {}  # noqa: RUF012  subclasses replace it

    def raw(self, **more: Any) -> Raw:
        """A scan of a beam in which hardly two numbers are equal, so that any mix-up shows."""
        rng, (y, x) = np.random.default_rng(7), np.indices((NY, NX))
        beam = np.exp(-((y - 11) ** 2 + (x - 9) ** 2) / 40)
        grid = np.stack(np.meshgrid(range(ROWS), range(COLUMNS), indexing="ij"), -1)
        n = ROWS * COLUMNS
        known: dict[str, Any] = {
            "frames": (rng.integers(0, 60000, (n, NY, NX)) * beam).astype(np.uint16),
            "positions_m": (grid.reshape(-1, 2) * (1.0, 1.3) + rng.random((n, 2)) / 5) * 1e-6,
            "energy_eV": 7112.0,
            "distance_m": 1.234,
            "pixel_m": self.pixel_m,
            "exposure_s": 0.0125,
            "bad": rng.random((NY, NX)) < 0.1,
            "dark": rng.integers(0, 9, (3, NY, NX)).astype(np.uint16),
            "flat": rng.uniform(0.8, 1.2, (2, NY, NX)),
            "monitor": rng.uniform(1, 2, n),
            "center_px": (11.25, 9.5),
            "saturation": 55000.0,
        }
        known |= dict.fromkeys(self.lacks)
        return Raw(**(known | more))

    def write(self, folder: Path, raw: Raw) -> Path:
        """Write the scan in this format, and return the file to open."""
        return WRITERS[self.format](folder / "scan.h5", raw)

    def open(self, file: Path) -> Scan:
        """Open the scan; it may not warn."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return open_scan(file, **self.settings)

    def given(self, raw: Raw) -> dict[str, Any]:
        """Loader parameters for the :attr:`unsaid`."""
        parameters = {
            "energy_eV": ("energy", raw.energy_eV / 1e3),
            "distance_m": ("distance", raw.distance_m),
            "pixel_m": ("psize", raw.pixel_m),
        }
        return dict(parameters[name] for name in sorted(self.unsaid))

    def test_it_alone_understands_its_files(self, tmp_path: Path) -> None:
        """Recognised by content."""
        file = self.write(tmp_path, self.raw())
        assert formats.recognise(file).name == self.format

    def test_everything_comes_back_in_si_units(self, tmp_path: Path) -> None:
        """Positions with their signs, on the frames' axes."""
        raw = self.raw()
        scan = self.open(self.write(tmp_path, raw))
        positions_m = in_metres(scan, Settings.of(self.given(raw))).positions_m
        assert_allclose(positions_m, raw.positions_m, rtol=1e-9, atol=1e-15)
        assert scan.frames.shape == raw.frames.shape
        assert scan.frames.dtype == raw.frames.dtype
        for name in ("energy_eV", "distance_m", "pixel_m", "center_px", "saturation"):
            written = None if name in self.unsaid else getattr(raw, name)
            read = getattr(scan, name)
            assert (read is None) if written is None else np.allclose(read, written, rtol=1e-7), (
                name
            )
        for name in ("bad", "monitor", "exposure_s"):
            written, read = getattr(raw, name), getattr(scan, name)
            if written is not None:
                assert_allclose(read, written, err_msg=name)

    def test_dark_and_flat_come_back(self, tmp_path: Path) -> None:
        """Whole stacks, lazily."""
        raw = self.raw()
        scan = self.open(self.write(tmp_path, raw))
        for name in ("dark", "flat"):
            written, read = getattr(raw, name), getattr(scan, name)
            if written is not None:
                window = self._whole(scan)
                assert_allclose(read.read(range(len(written)), window), written, err_msg=name)

    def test_opening_reads_no_frame(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Opening reads names, shapes and small datasets only."""
        file = self.write(tmp_path, self.raw())

        def read(frames: Any, *_: Any) -> Any:
            """A mask may be read."""
            if frames.shape[0] > 1:
                pytest.fail("a frame was read")
            return np.zeros(frames.shape, frames.dtype)

        with monkeypatch.context() as patched:
            for frames in ("hdf5.Hdf5Frames", "tiff.TiffFrames", "npz.NpzFrames"):
                patched.setattr(f"ptypy_beamline.frames.{frames}.read", read)
            self.open(file)

    @pytest.mark.parametrize("compression", [None, "gzip", "lzf", "bitshuffle"])
    def test_frames_are_the_ones_written(self, tmp_path: Path, compression: str | None) -> None:
        """In any order, cut to any window, under any compression."""
        raw = self.raw(compression=compression)
        scan = self.open(self.write(tmp_path, raw))
        order = [7, 3, 3, 19, 0, 1, 2]
        window = replace(self._whole(scan), top=3, left=5, height=9, width=11)
        assert_array_equal(scan.frames.read(order, window), raw.frames[order, 3:12, 5:16])

    def test_reads_agree(self, tmp_path: Path) -> None:
        """One by one, reversed, repeated, in a block, and the single pixel."""
        raw = self.raw()
        scan = self.open(self.write(tmp_path, raw))
        whole, n = self._whole(scan), len(raw.frames)
        block = scan.frames.read(range(n), whole)
        one_by_one = np.concatenate([scan.frames.read([i], whole) for i in range(n)])
        assert_array_equal(one_by_one, block)
        assert_array_equal(scan.frames.read(range(n)[::-1], whole), block[::-1])
        assert_array_equal(scan.frames.read([n - 1, 0, n - 1], whole), block[[-1, 0, -1]])
        pixel = replace(whole, top=NY - 1, left=0, height=1, width=1)
        assert_array_equal(scan.frames.read([2], pixel), block[2:3, -1:, :1])
        assert scan.frames.read([], whole).shape == (0, NY, NX)

    def frames_file(self, file: Path) -> Path:
        """The file that holds the frames, or one of them."""
        return file

    @pytest.mark.filterwarnings("ignore:.* are missing")
    def test_a_truncated_file_is_named(self, tmp_path: Path) -> None:
        """On opening or, where only a later part is damaged, on reading."""
        file = self.write(tmp_path, self.raw())
        part = self.frames_file(file)
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
        with pytest.raises(BeamlineError, match=re.escape(part.name)) as caught:
            list(open_scan(file, **self.settings).plan().blocks())
        assert "\n" not in str(caught.value)

    @pytest.mark.filterwarnings("ignore:.* are missing")
    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        """At once, without waiting for it."""
        file = self.write(tmp_path, self.raw())
        part = self.frames_file(file)
        part.unlink()
        with pytest.raises(BeamlineError, match=re.escape(part.name)):
            list(open_scan(file, **self.settings).plan().blocks())

    def test_a_plan_corrects_with_what_the_file_has(self, tmp_path: Path) -> None:
        """Dark, flat and bad pixels of the file are applied without being asked for."""
        raw = self.raw()
        plan = self.open(self.write(tmp_path, raw)).plan(**self.given(raw))
        dark = 0.0 if raw.dark is None else raw.dark.mean(0)
        flat = 1.0 if raw.flat is None else raw.flat.mean(0)
        bad = np.zeros((NY, NX), bool) if raw.bad is None else raw.bad
        wanted = np.where(bad, 0, np.clip((raw.frames - dark) / flat, 0, None))
        frames = np.concatenate([block.frames for block in plan.blocks(6)])
        assert_allclose(frames, wanted, rtol=1e-6)
        assert_array_equal(plan.good, ~bad)

    def test_a_scan_survives_pickling(self, tmp_path: Path) -> None:
        """MPI needs it."""
        raw = self.raw()
        scan = pickle.loads(pickle.dumps(self.open(self.write(tmp_path, raw))))
        assert_array_equal(scan.frames.read([2], self._whole(scan)), raw.frames[2:3])

    def test_the_file_is_not_changed(self, tmp_path: Path) -> None:
        """Not by a byte."""
        raw = self.raw()
        file = self.write(tmp_path, raw)
        before = file.read_bytes()
        list(self.open(file).plan(shape=8, monitor=None, **self.given(raw)).blocks())
        assert file.read_bytes() == before

    def test_a_given_quantity_overrides_the_file(self, tmp_path: Path) -> None:
        """Energy in keV, distance and pixel in m, and a centre."""
        scan = self.open(self.write(tmp_path, self.raw()))
        geometry = scan.plan(energy=9.0, distance=3.0, psize=1e-4, center=(10, 10)).geometry
        assert (geometry.energy_eV, geometry.distance_m) == (9000.0, 3.0)
        assert geometry.pixel_m == (1e-4, 1e-4)
        assert geometry.center_px == (10, 10)

    @pytest.mark.parametrize("links", ["inside", "any"])
    def test_links_out_of_the_folder_are_only_followed_when_allowed(
        self, tmp_path: Path, links: str
    ) -> None:
        """A master of nothing but links to the file in another folder."""
        raw = self.raw()
        (tmp_path / "there").mkdir()
        (tmp_path / "here").mkdir()
        file = self.write(tmp_path / "there", raw)
        if not file.is_file() or not h5py.is_hdf5(file) or self.in_several_files:
            pytest.skip("one HDF5 file only; the parts of others are tested by themselves")
        master = tmp_path / "here" / file.name
        with h5py.File(file) as source, h5py.File(master, "w") as out:
            for name in source:
                out[name] = h5py.ExternalLink(f"../there/{file.name}", f"/{name}")
            out.attrs.update(source.attrs)
        settings = {**self.settings, "format": self.format, "links": links}
        if links == "inside":
            with pytest.raises(BeamlineError, match="links='any'"):
                open_scan(master, **settings)
        else:
            assert len(open_scan(master, **settings)) == len(raw.frames)

    @staticmethod
    def _whole(scan: Scan) -> Window:
        return Window.full(scan.frame_shape)
