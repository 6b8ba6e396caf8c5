"""Programs that our files are for, reading them; each test runs where its program is installed.

pip install ptychodus cdtools-py silx; PtychoPINN from its source (its folder on PYTHONPATH)
"""

from __future__ import annotations

from importlib import import_module

import h5py
import numpy as np
import pytest
import scans
from numpy.testing import assert_allclose, assert_array_equal
from reconstructions import assert_same, exact
from scans import all_frames

from ptypy_beamline import open_scan
from ptypy_beamline.reconstruction.area import pixels_of
from ptypy_beamline.reconstruction.io.amplitudes import of_plan
from ptypy_beamline.reconstruction.io.cxi import write_cxi
from ptypy_beamline.reconstruction.io.hdf5 import write_reconstruction
from ptypy_beamline.reconstruction.io.product import ProductInfo, export_product, import_product
from ptypy_beamline.testing.raw import Raw
from ptypy_beamline.testing.writers import WRITERS
from ptypy_beamline.writers.standard import write_standard

LAYERED = {"object": np.stack([scans.truth().object] * 2), "layer_spacing_m": (2e-6,)}


def npz(folder):
    """As PtychoPINN has it: one mode, coordinates in pixels of objectGuess, one scan."""
    truth, (rows, columns) = scans.truth(), pixels_of(exact(), exact().positions_m).T
    path = folder / "in.npz"
    arrays = {"xcoords": columns, "ycoords": rows, "scan_index": np.zeros(49, int)}
    amplitudes = np.sqrt(truth.frames).astype(np.float32)
    guesses = {"probeGuess": truth.probe, "objectGuess": truth.object}
    np.savez(path, diffraction=amplitudes, **guesses, **arrays)
    return path


@pytest.fixture
def bad():
    bad = np.zeros((64, 64), bool)
    bad[10:12, 40:] = True
    return bad


@pytest.fixture
def plan(tmp_path, bad):
    raw = Raw.of(scans.truth(), bad=bad)
    return open_scan(WRITERS["standard"](tmp_path / "raw.h5", raw)).plan()


@pytest.mark.ptychodus
class TestPtychodus:
    @pytest.fixture
    def io(self):
        return import_module("ptychodus.api.io")

    @pytest.mark.parametrize("more", [{}, LAYERED])
    def test_it_loads_our_product(self, tmp_path, io, plan, more):
        found = exact(**more)
        info = ProductInfo("a name", "some words", 0.1, 2.0, 30.0)
        path = export_product(found, tmp_path / "p.h5", info=info, frames=of_plan(plan))
        product = io.load_product(path)
        metadata = product.metadata
        assert (metadata.name, metadata.comments, metadata.exposure_time_s) == (
            "a name",
            "some words",
            0.1,
        )
        assert (metadata.mass_attenuation_m2_per_kg, metadata.tomography_angle_deg) == (2, 30)
        assert (metadata.photon_energy_eV, metadata.detector_distance_m) == (8800, found.distance_m)
        assert metadata.probe_photon_count == pytest.approx((np.abs(found.probe) ** 2).sum())
        assert_array_equal(product.object_.get_array(), found.object)
        assert list(product.object_.layer_spacing_m) == list(found.layer_spacing_m)
        assert_array_equal(product.probes.get_array()[0], found.probe)
        positions = product.probe_positions
        assert_array_equal(positions.get_indexes(), found.indices)
        assert_array_equal(positions.get_coordinates_y_m(), found.positions_m[:, 0])
        assert_array_equal(positions.get_coordinates_x_m(), found.positions_m[:, 1])
        assert [(loss.epoch, loss.value) for loss in product.losses] == [(0, 0.5), (2, 0.25)]

    def test_it_finds_the_views_where_they_are(self, tmp_path, io):
        """In its geometry the probe's middle lies N/2 - 1/2 pixels from the view's corner."""
        product = io.load_product(export_product(exact(), tmp_path / "p.h5"))
        geometry = product.object_.get_geometry()
        y = geometry.map_probe_positions_to_object_y_px(product.probe_positions)
        x = geometry.map_probe_positions_to_object_x_px(product.probe_positions)
        corners = np.column_stack([y, x]) - 31.5
        assert_allclose(corners, scans.truth().corners_px, atol=1e-6)

    def test_saving_it_again_gives_the_same(self, tmp_path, io):
        found = exact(algorithm="", provenance={})
        product = io.load_product(export_product(found, tmp_path / "p.h5"))
        io.save_product(tmp_path / "again.h5", product)
        assert_same(import_product(tmp_path / "again.h5"), found)

    @pytest.mark.parametrize("flags", [(), ("--object-pixel-size-m", "1e-8")])
    def test_views_of_a_product_from_an_npz(self, tmp_path, io, type_in, flags):
        """Nothing but the file is given: every view where it was taken, each with its number."""
        code, _, err = type_in("product", npz(tmp_path), "-o", tmp_path / "p.h5", *flags)
        assert code == 0, err
        product = io.load_product(tmp_path / "p.h5")
        geometry = product.object_.get_geometry()
        y = geometry.map_probe_positions_to_object_y_px(product.probe_positions)
        x = geometry.map_probe_positions_to_object_x_px(product.probe_positions)
        assert_allclose(np.column_stack([y, x]) - 31.5, scans.truth().corners_px, atol=1e-6)
        assert_array_equal(product.probe_positions.get_indexes(), np.arange(49))
        assert_array_equal(product.probes.get_array(), scans.truth().probe[None, None])
        assert_array_equal(product.object_.get_array(), scans.truth().object[None])


@pytest.mark.ptychopinn
class TestPtychopinn:
    @pytest.fixture
    def read(self):
        return import_module("ptycho.io.ptychodus_product_io").import_product_to_rawdata

    @pytest.mark.parametrize("flags", [(), ("--object-pixel-size-m", "1e-8")])
    def test_it_imports_what_the_npz_had(self, tmp_path, read, type_in, flags):
        source = npz(tmp_path)
        assert type_in("product", source, "-o", tmp_path / "p.h5", *flags)[0] == 0
        found = read(tmp_path / "p.h5")
        with np.load(source) as given:
            for name in ("probeGuess", "objectGuess"):
                assert_array_equal(getattr(found, name), given[name])
            for name in ("xcoords", "ycoords"):
                assert_allclose(getattr(found, name), given[name], atol=1e-9)
        assert (found.scan_index.dtype, found.scan_index.shape) == (np.int64, (49,))

    def test_it_imports_a_reconstruction(self, tmp_path, read):
        wanted = exact(probe=exact().probe[1:])
        found = read(export_product(wanted, tmp_path / "p.h5"))
        assert_array_equal(found.probeGuess, wanted.probe[0])
        assert_array_equal(found.objectGuess, wanted.object[0])
        assert_allclose(
            np.diff(found.xcoords), np.diff(pixels_of(wanted, wanted.positions_m)[:, 1]), atol=1e-6
        )


@pytest.mark.cdtools
@pytest.mark.filterwarnings("ignore::DeprecationWarning:cdtools")
class TestCdtools:
    @pytest.fixture
    def dataset(self, tmp_path, plan):
        datasets = import_module("cdtools.datasets")
        write_cxi(exact(), tmp_path / "a.cxi", plan=plan)
        return datasets.Ptycho2DDataset.from_cxi(str(tmp_path / "a.cxi"))

    def test_frames_and_mask(self, dataset, plan, bad):
        assert_array_equal(dataset.patterns.numpy(), all_frames(plan)[0])
        assert_array_equal(dataset.mask.numpy(), ~bad)

    def test_positions_are_the_illuminations_in_the_lab(self, dataset):
        """It takes translations by their negative: row = -y and column = -x of the lab frame."""
        lab = dataset.translations.numpy()
        assert_allclose(lab[:, :2], -exact().positions_m[:, ::-1], rtol=1e-6, atol=1e-14)
        assert not lab[:, 2].any()

    def test_physics(self, dataset):
        truth = scans.truth()
        assert float(dataset.wavelength) == pytest.approx(1.23984198e-6 / 8800, rel=1e-6)
        geometry = dataset.detector_geometry
        assert float(geometry["distance"]) == pytest.approx(truth.distance_m)
        pixel = np.linalg.norm(np.asarray(geometry["basis"]), axis=0)
        assert_allclose(pixel, truth.pixel_m, rtol=1e-6)

    def test_its_model_has_our_views(self, dataset, tmp_path):
        """Its own conversion of positions gives the steps of ours in pixels of the object."""
        cdtools = import_module("cdtools")
        model = cdtools.models.FancyPtycho.from_dataset(dataset, n_modes=1)
        pixels = cdtools.tools.interactions.translations_to_pixel(
            model.probe_basis, dataset.translations
        ).numpy()
        steps = scans.truth().corners_px - scans.truth().corners_px[0]
        assert_allclose(pixels - pixels[0], steps, atol=1e-3)


@pytest.mark.silx
class TestSilx:
    @pytest.fixture
    def nxdata(self):
        return import_module("silx.io.nxdata")

    def test_reconstruction_opens_at_its_phase(self, tmp_path, nxdata):
        with h5py.File(write_reconstruction(exact(), tmp_path / "a.h5")) as file:
            shown = nxdata.get_default(file)
            assert shown is not None
            assert shown.signal_dataset_name == "phase"
            assert_array_equal(shown.signal, np.angle(exact().object[0]))
            assert [axis.shape for axis in shown.axes] == [(n,) for n in shown.signal.shape]

    def test_layers_open_as_a_stack(self, tmp_path, nxdata):
        with h5py.File(write_reconstruction(exact(**LAYERED), tmp_path / "a.h5")) as file:
            shown = nxdata.get_default(file)
            assert shown is not None
            assert shown.signal.shape == LAYERED["object"].shape

    def test_standardized_file_opens_at_its_frames(self, tmp_path, nxdata, plan):
        with h5py.File(write_standard(plan, tmp_path / "s.h5")) as file:
            shown = nxdata.get_default(file)
            assert shown is not None
            assert shown.signal.shape == (49, 64, 64)
            assert shown.interpretation == "image"

    def test_cxi_opens_at_its_phase(self, tmp_path, nxdata, plan):
        with h5py.File(write_cxi(exact(), tmp_path / "a.cxi", plan=plan)) as file:
            shown = nxdata.get_default(file)
            assert shown is not None
            assert_array_equal(shown.signal, np.angle(exact().object[0]))
