"""Reconstructions, from PtyPy and from the preview, against scans whose truth is known."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
import reconstructions
import scans
from reconstructions import REJECT, assert_same, exact, misfit
from scans import all_frames

from ptypy_beamline import BeamlineError, open_scan
from ptypy_beamline.errors import (
    BeamlineWarning,
    FileError,
    MissingDataError,
    ScanError,
    SettingsError,
)
from ptypy_beamline.reconstruction import from_preview, from_ptycho, read, read_ptyr
from ptypy_beamline.reconstruction.io.hdf5 import write_reconstruction
from ptypy_beamline.reconstruction.io.product import export_product
from ptypy_beamline.reconstruction.io.ptypy_records import were_refined
from ptypy_beamline.reconstruction.preview import preview

needs_ptypy = pytest.mark.ptypy
PIXELS = [(1, 0), (-1, 0), (0, 1), (0, -1)]


class TestPtyPy:
    pytestmark = needs_ptypy

    @pytest.fixture(scope="class")
    def found(self):
        return read_ptyr(reconstructions.ptyr())

    def test_saved_and_live_are_the_same(self, found):
        live = from_ptycho(reconstructions.ptycho())
        assert_same(found, live, "provenance", "distance_m")
        assert live.distance_m == pytest.approx(found.distance_m, rel=1e-12)

    def test_object_at_the_positions_gives_the_frames(self, found):
        """Views a pixel off fit clearly worse."""
        frames = all_frames(reconstructions.plan())[0]
        right = misfit(found, frames)
        assert right < 0.2
        assert all(misfit(found, frames, pixel) > 1.2 * right for pixel in PIXELS)

    def test_views_begin_on_pixels_where_positions_were_on_the_grid(self, tmp_path):
        file = scans.write(tmp_path)
        from ptypy_beamline.run import run

        found = from_ptycho(run(reconstructions.tree(file), level=4))
        corners = (found.positions_m - found.center_m) / found.pixel_m
        corners += (np.array(found.object.shape[-2:]) - found.probe.shape[-1]) / 2
        np.testing.assert_allclose(corners, np.rint(corners), atol=1e-4)
        assert (
            np.ptp(np.rint(corners), axis=0).tolist()
            == np.ptp(np.delete(scans.truth().corners_px, REJECT, 0), axis=0).tolist()
        )

    def test_positions_are_those_that_were_refined(self, found):
        true = np.delete(scans.truth().positions_m, REJECT, 0)

        def off_px(positions_m):
            off = positions_m - true
            return np.sqrt(((off - off.mean(axis=0)) ** 2).mean()) / found.pixel_m[0]

        recorded = reconstructions.plan().positions_m
        assert off_px(recorded) > 0.75
        assert off_px(found.positions_m) < 0.4

    def test_physics_and_history(self, found):
        truth = scans.truth()
        assert found.energy_eV == truth.energy_eV
        assert found.distance_m == pytest.approx(truth.distance_m)
        assert found.pixel_m == pytest.approx(truth.object_pixel_m, rel=1e-6)
        assert found.probe.shape == (2, 64, 64)
        assert found.algorithm == "PtyPy DM 50 + ML 10"
        records = reconstructions.ptycho().runtime.iter_info
        assert found.errors.tolist() == [record["error"][1] for record in records]
        assert found.scan == "s"

    def test_provenance_is_complete(self, found):
        known = found.provenance
        assert known["source"] == str(reconstructions.raw_file())
        assert known["unused_frames"] == REJECT
        assert known["settings"]["scans"]["s"]["data"]["reject"] == REJECT
        assert known["settings"]["engines"]["first"]["position_refinement"]["nshifts"] == 4
        assert found.indices.tolist() == [k for k in range(49) if k not in REJECT]

    def test_without_the_raw_file_the_distance_is_asked_for(self, found, tmp_path):
        ptyr = shutil.copy(reconstructions.ptyr(), tmp_path / "a.ptyr")
        with h5py.File(ptyr, "r+") as file:
            data = file["content/pars/scans/s/data"]
            del data["file"]
            data["file"] = str(tmp_path / "gone.h5")
            data["file"].attrs["type"] = "string"
        with pytest.raises(MissingDataError, match=r"a\.ptyr.*distance.*--distance-m"):
            read_ptyr(ptyr)
        for nonsense in (-2, np.nan):
            with pytest.raises(SettingsError, match=f"positive distance. Got {nonsense}"):
                read_ptyr(ptyr, distance_m=nonsense)
        other = read_ptyr(ptyr, distance_m=2)
        assert other.distance_m == 2
        assert other.indices.tolist() == list(range(46))
        assert_same(found, other, "distance_m", "indices", "provenance")
        moved = read_ptyr(ptyr, raw=reconstructions.raw_file())
        assert_same(found, moved, "provenance")
        assert moved.provenance["source"] == str(reconstructions.raw_file())

    @pytest.mark.parametrize("listed", [False, True])
    def test_frames_were_named_by_a_glob(self, found, tmp_path, listed):
        """Where they still are, they are found again."""
        from ptypy_beamline.testing.writers import WRITERS, Raw

        raw = WRITERS["tiff"](tmp_path / "tiff", Raw.of(scans.truth()))
        pattern = str(next(raw.parent.rglob("*.tif")).parent / "*.tif")
        ptyr = shutil.copy(reconstructions.ptyr(), tmp_path / "a.ptyr")
        sidecar = next(raw.parent.rglob("*.h5"))
        with h5py.File(ptyr, "r+") as file:
            data = file["content/pars/scans/s/data"]
            del data["file"]
            if listed:
                data.create_group("file").attrs["type"] = "list"
            for name, text in (("file/0" if listed else "file", pattern), ("sidecar", sidecar)):
                data[name] = str(text)
                data[name].attrs["type"] = "string"
        assert_same(read_ptyr(ptyr), found, "provenance")

    def test_plain_positions_come_from_the_raw_file(self, tmp_path):
        ptyr = shutil.copy(reconstructions.ptyr(), tmp_path / "a.ptyr")
        with h5py.File(ptyr, "r+") as file:
            del file["content/positions"]
        plan = reconstructions.plan()
        with pytest.warns(BeamlineWarning, match="refined, but not recorded"):
            assert np.array_equal(read_ptyr(ptyr).positions_m, plan.positions_m)
        with pytest.raises(ScanError, match="Expected the 46 positions"):
            read_ptyr(reconstructions.ptyr(), plan=open_scan(reconstructions.raw_file()).plan())

    def test_results_of_another_loader_are_read(self, tmp_path):
        """PtyPy's own: the live run has everything; its file needs the frames for the positions."""
        from ptypy_beamline.run import run
        from ptypy_beamline.writers.ptyd import write_ptyd

        ptyd = write_ptyd(reconstructions.plan(), tmp_path / "a.ptyd")
        pars = reconstructions.tree(ptyd)
        pars["scans"]["s"]["data"] = {"name": "PtydScan", "dfile": str(ptyd)}
        ptycho = run(pars, level=4)
        live, plan = from_ptycho(ptycho), reconstructions.plan()
        assert np.array_equal(live.positions_m, plan.positions_m)
        assert live.distance_m == pytest.approx(plan.geometry.distance_m)
        ptyr = tmp_path / "a.ptyr"
        ptycho.save_run(str(ptyr))
        with pytest.raises(
            MissingDataError, match=r"holds positions only where they were refined.*--raw"
        ):
            read_ptyr(ptyr)
        assert_same(read_ptyr(ptyr, raw=ptyd), live, "provenance", "distance_m")

    def test_restart_file_has_the_last_error_only(self, tmp_path):
        reconstructions.ptycho().save_run(str(tmp_path / "d.ptyr"), kind="dump")
        dumped = read_ptyr(tmp_path / "d.ptyr")
        assert dumped.iterations == 60
        assert dumped.algorithm == "PtyPy … + ML 10"
        assert np.flatnonzero(np.isfinite(dumped.errors)).tolist() == [59]

    def test_several_scans_are_to_be_chosen_from(self):
        from ptypy_beamline.run import run

        pars = reconstructions.tree(reconstructions.raw_file())
        pars["scans"] = {"a": pars["scans"]["s"], "b": pars["scans"]["s"]}
        ptycho = run(pars, level=4)
        with pytest.raises(SettingsError, match=r"Got 2; choose by --scan .*: a, b"):
            from_ptycho(ptycho)
        with pytest.raises(SettingsError, match=r"no scan 'c'; choose by --scan .*: a, b"):
            from_ptycho(ptycho, scan="c")
        assert from_ptycho(ptycho, scan="b").scan == "b"

    @pytest.mark.parametrize(
        ("model", "reason"),
        [
            ({"coherence": {"num_object_modes": 2}}, "the object has 2 modes"),
            ({"coherence": {"energies": [1.0, 1.01]}}, "2 energies"),
            ({"name": "BlockOPRModel"}, "a probe for each position"),
        ],
    )
    def test_results_that_no_format_can_hold_are_refused(self, model, reason):
        from ptypy_beamline.run import run

        ptycho = run(reconstructions.tree(reconstructions.raw_file(), **model), level=4)
        with pytest.raises(ScanError, match=reason):
            from_ptycho(ptycho)

    def test_slices_of_3pie_are_layers(self, tmp_path):
        pytest.importorskip("ptypy.custom.threepie")
        from ptypy_beamline.run import run

        pars = reconstructions.tree(reconstructions.raw_file())
        slices = tmp_path / "slices.h5"
        pars["io"]["home"] = str(tmp_path)
        pars["engines"]["e"] = {
            "name": "ThreePIE",
            "numiter": 1,
            "number_of_slices": 3,
            "slice_thickness": [2e-6, 3e-6],
            "fslices": str(slices),
        }
        ptycho = run(pars, level=5)
        ptyr = ptycho.paths.recon_file(ptycho.runtime)
        found = read_ptyr(ptyr)
        whole = ptycho.obj.storages["SsG00"].data
        assert found.layer_spacing_m == (2e-6, 3e-6)
        np.testing.assert_allclose(found.object.prod(axis=0), whole[0], atol=1e-5)
        assert np.abs(found.object[0] - found.object[1]).max() > 1e-3
        slices.unlink()
        with pytest.raises(MissingDataError, match=r"slices\.h5: the slices of ThreePIE"):
            read_ptyr(ptyr)


@pytest.mark.parametrize(
    ("asked", "refined"),
    [
        (True, True),
        ({"start": 0, "nshifts": 4}, True),
        ({"stop": 9}, True),
        (False, False),
        (None, False),
        ({"nshifts": 4, "start": None}, False),
    ],
)
def test_refinement_is_recognised(asked, refined):
    """PtyPy needs True, or a first or last iteration; an engine to come has not refined yet."""
    pars = {"engines": {"a": {"name": "DM"}, "b": {"name": "ML", "position_refinement": asked}}}
    assert were_refined(pars, [{"engine": "DM"}, {"engine": "ML"}]) is refined
    assert not were_refined(pars, [{"engine": "DM"}])


class TestPreview:
    def test_object_at_the_positions_gives_the_frames(self, tmp_path):
        plan = open_scan(scans.write(tmp_path)).plan(reject=REJECT)
        found = from_preview(preview(plan, 25), plan, {"source": "raw.h5"})
        right = misfit(found, all_frames(plan)[0])
        assert right < 0.2
        assert all(misfit(found, all_frames(plan)[0], pixel) > 1.2 * right for pixel in PIXELS)
        np.testing.assert_allclose(found.positions_m, plan.positions_m, atol=1e-15)
        assert found.indices.tolist() == [k for k in range(49) if k not in REJECT]
        assert found.provenance == {"source": "raw.h5", "unused_frames": REJECT}
        assert found.algorithm == "preview rPIE 25"


def test_the_exact_one_is_exact():
    """Guards the other tests: its frames are the simulated ones but for their noise."""
    found = exact(probe=scans.truth().probe[None])
    right = misfit(found, scans.truth().frames)
    assert right < 0.15
    assert misfit(found, scans.truth().frames, (1, 0)) > 1.3 * right


def test_files_are_recognised_by_content(tmp_path):
    found = exact()
    assert_same(read(write_reconstruction(found, tmp_path / "a.h5")), found)
    assert_same(read(export_product(found, tmp_path / "b.h5")), found)


@pytest.mark.ptypy
def test_ptyr_is_recognised_by_content(tmp_path):
    path = shutil.copy(reconstructions.ptyr(), tmp_path / "a.h5")
    assert_same(read(path), read_ptyr(path), "provenance")


def test_the_error_names_a_file_that_is_no_reconstruction(tmp_path):
    raw = scans.write(tmp_path)
    for reader in (read, read_ptyr):
        with pytest.raises(FileError, match=r"standard\.h5: no"):
            reader(raw)
        with pytest.raises(BeamlineError, match=r"gone\.h5: no such file"):
            reader(tmp_path / "gone.h5")
    (tmp_path / "cut.ptyr").write_bytes(raw.read_bytes()[:3000])
    with pytest.raises(FileError, match=r"cut\.ptyr: truncated"):
        read(tmp_path / "cut.ptyr")


def test_pickled_items_are_never_loaded(tmp_path):
    from ptypy_beamline.files.h5rw import read_tree

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["evil"] = np.void(b"cos\nsystem\n(S'touch x'\ntR.")
        file["evil"].attrs["type"] = "pickle"
        file["n"] = 3
        file["n"].attrs["type"] = "scalar"
    assert read_tree(tmp_path / "a.h5") == {"evil": None, "n": 3}
