"""Phantoms: simulated as a plain NumPy loop would, measured, reconstructed and compared."""

from __future__ import annotations

import json
import pickle
import shutil

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from processes import load, python, result
from scans import all_frames

from ptypy_beamline import BeamlineError, Window, open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.errors import FileError, MissingDataError, ScanError, SettingsError
from ptypy_beamline.formats import recognise
from ptypy_beamline.formats.phantom_info import Info, corners, parse
from ptypy_beamline.frames.simulated import (
    back_to_sample,
    far_field,
    fresnel,
    transmission,
    zone_plate_beam,
)
from ptypy_beamline.geometry import wavelength_m
from ptypy_beamline.reconstruction.comparison.phantom import compare, half_bit, ring_correlation
from ptypy_beamline.scan import Frames
from ptypy_beamline.summary import empty_beam
from ptypy_beamline.testing.package_writers import write_grids, write_simulation

SMALL = {"size": 48, "n": 32, "scan": (4, 5), "step_px": 9, "photons": "1e5"}
ENERGY, VOXEL = 5000.0, 10e-9


def whole(scan):
    return Window.full(scan.frame_shape)


def truth_of(folder):
    return Info.of(folder, {}).phantom()


# physics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_frames_are_those_of_a_plain_loop(tmp_path, slices):
    rng = np.random.default_rng(0)
    delta, beta = rng.uniform(0, 1e-3, (2, 40, 44, slices))
    write_simulation(tmp_path, **SMALL)
    write_grids(tmp_path, delta, beta * 0.1)
    scan = open_scan(tmp_path, simulate={"slice_m": 3e-8})
    k = 2 * np.pi / wavelength_m(ENERGY)
    freq = np.fft.fftfreq(32, VOXEL)
    step = np.exp(
        -1j * np.pi * wavelength_m(ENERGY) * 3e-8 * (freq[:, None] ** 2 + freq[None, :] ** 2)
    )
    for number in (0, 7, 19):
        row, column = scan.frames.corners_px[number]
        wave = scan.frames.probe.copy()
        for z in range(slices):
            t = np.ones((32, 32), complex)
            for y in range(32):
                for x in range(32):
                    j, i = row + y, column + x
                    if 0 <= j < 40 and 0 <= i < 44:
                        t[y, x] = np.exp(-k * 3e-8 * (0.1 * beta[j, i, z] + 1j * delta[j, i, z]))
            wave = wave * t
            if z < slices - 1:
                wave = np.fft.ifft2(np.fft.fft2(wave) * step)
        wanted = np.abs(np.fft.fftshift(np.fft.fft2(wave))) ** 2 / 32**2
        counts = np.random.default_rng([0, number]).poisson(wanted)
        got = scan.frames.read([number], whole(scan))[0]
        assert np.mean(got != counts) < 0.01  # single precision moves a count here and there
        assert_allclose(got.sum(), wanted.sum(), rtol=0.02)


def test_material_delays_by_a_negative_phase_and_absorbs():
    t = transmission(np.array([1e-5]), np.array([1e-6]), 1e-6, ENERGY)
    k = 2 * np.pi / wavelength_m(ENERGY)
    assert_allclose(np.angle(t), -k * 1e-11, rtol=1e-5)
    assert_allclose(np.abs(t), np.exp(-k * 1e-12), rtol=1e-5)


def test_free_space_lets_a_beam_diverge_and_keeps_its_power():
    y, x = np.indices((128, 128)) - 64
    beam = np.exp(-(y**2 + x**2) / 50.0)
    once = np.fft.ifft2(np.fft.fft2(beam) * fresnel((128, 128), VOXEL, 2e-5, ENERGY))
    half = fresnel((128, 128), VOXEL, 1e-5, ENERGY)
    assert_allclose(np.fft.ifft2(np.fft.fft2(beam) * half * half), once, atol=1e-5)
    assert_allclose((np.abs(once) ** 2).sum(), (beam**2).sum(), rtol=1e-5)
    assert np.angle(once[64, 74] / once[64, 64]) > 0  # exp(+ikr²/2z)


def test_the_detector_and_back():
    wave = zone_plate_beam(32)
    there = np.fft.fftshift(np.fft.fft2(wave, norm="ortho"))
    assert_allclose(back_to_sample(there), wave, atol=1e-6)
    assert_allclose(far_field(wave, np.ones((1, 32, 32)), None), np.abs(there) ** 2, atol=1e-6)


def test_photon_numbers(tmp_path):
    write_simulation(
        tmp_path, slices=3, photons="2e6", **{k: v for k, v in SMALL.items() if k != "photons"}
    )
    scan = open_scan(tmp_path)
    frames = scan.frames.read(range(20), whole(scan)).sum(axis=(1, 2), dtype=float)
    views = [
        scan.frames._padded[:, r : r + 32, c : c + 32].prod(axis=0)
        for r, c in scan.frames.corners_px + scan.frames._border[:, 0]
    ]
    assert_allclose(frames, [(np.abs(v * scan.probe) ** 2).sum() for v in views], rtol=0.01)
    write_grids(tmp_path, np.zeros((48, 48, 1)), np.zeros((48, 48, 1)))
    empty = open_scan(tmp_path)
    assert_allclose(empty.frames.read(range(20), whole(empty)).sum(axis=(1, 2)), 2e6, rtol=0.01)
    assert_allclose((np.abs(empty.probe) ** 2).sum(), 2e6, rtol=1e-5)


# the same whoever reads ------------------------------------------------------------------------


def test_no_chunking_changes_a_frame(tmp_path):
    write_simulation(tmp_path, slices=2, **SMALL)
    scan = open_scan(tmp_path)
    assert isinstance(scan.frames, Frames)
    assert len(pickle.dumps(scan)) < 50_000
    together = scan.frames.read(range(20), whole(scan))
    other = pickle.loads(pickle.dumps(scan)).frames
    assert_array_equal(other.read([19, 3, 3], whole(scan)), together[[19, 3, 3]])
    assert_array_equal(other.read([5], Window(3, 4, 9, 8))[0], together[5, 3:12, 4:12])
    for size in (1, 7, 20):
        assert_array_equal(all_frames(scan.plan(), size)[0], together)
    assert_array_equal(
        open_scan(tmp_path, simulate={"seed": 0}).frames.read([2], whole(scan))[0], together[2]
    )
    seeded = open_scan(tmp_path, simulate={"seed": 8}).frames.read(range(20), whole(scan))
    assert (seeded != together).any(axis=(1, 2)).all()
    with pytest.raises(ScanError, match="Expected frames 0 to 19"):
        scan.frames.read([20], whole(scan))


# what it is illuminated with -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "probe 72×72, 66×68 positions, step 5 px, 5000 eV, pixel 1e-7 cm (1 nm), "
        "n2e7 = 2×10⁷ photons",
        "energy_ev: 5000\npsize_cm: 1e-7\nprobe size: 72 x 72\nscan positions: 66 x 68\n"
        "step size: 5 pixels\nphotons: 2e7\n",
        "Energy = 5 keV; voxel size 1 nm; probe (72, 72); 66*68 spots; step 5; 2x10^7 photons",
    ],
)
def test_an_info_file(text):
    found = parse(text)
    assert (found.pop("shape"), found.pop("scan")) == ((72, 72), (66, 68))
    assert found == pytest.approx({"step_px": 5, "energy": 5, "pixel_m": 1e-9, "photons": 2e7})


def test_the_raster_lies_around_the_middle(tmp_path):
    info = Info(tmp_path, {}, {"scan": (66, 68), "step_px": 5.0})
    places = corners(info, (325, 325), (72, 72))
    assert_array_equal([places.min(0), places.max(0)], [[-36, -41], [289, 294]])
    assert_array_equal(places[1] - places[0], [0, 5])


def test_parameters_come_before_the_info_file(tmp_path):
    write_simulation(tmp_path, **SMALL)
    wave = zone_plate_beam(24)[:, ::-1] * 7
    np.save(tmp_path / "probe.npy", wave)
    np.save(tmp_path / "positions.npy", [[0, 0], [-5, 30], [9, 9]])
    scan = open_scan(
        tmp_path,
        simulate={
            "probe": str(tmp_path / "probe.npy"),
            "photons": 300.0,
            "positions": str(tmp_path / "positions.npy"),
            "pixel_m": 2e-9,
        },
    )
    assert scan.frames.shape == (3, 24, 24)
    assert_allclose(scan.probe / scan.probe[12, 12], wave / wave[12, 12], rtol=1e-4, atol=1e-3)
    assert_allclose((np.abs(scan.probe) ** 2).sum(), 300, rtol=1e-5)
    assert_allclose(np.diff(scan.positions_m, axis=0), [[-1e-8, 6e-8], [2.8e-8, -4.2e-8]])
    assert_allclose(scan.plan().geometry.object_pixel_m, 2e-9)


@pytest.mark.parametrize(
    "settings",
    [{}, {"distance": 0.5}, {"psize": 55e-6}, {"energy": 7.0}, {"energy": 7.0, "distance": 1.0}],
)
def test_the_reconstructed_pixel_is_the_voxel(tmp_path, settings):
    write_simulation(tmp_path, **SMALL)
    plan = open_scan(tmp_path, **settings).plan(**settings)
    assert_allclose(plan.geometry.object_pixel_m, VOXEL)
    for name, value in settings.items():
        got = {
            "distance": plan.geometry.distance_m,
            "psize": plan.geometry.pixel_m[0],
            "energy": plan.geometry.energy_eV / 1e3,
        }[name]
        assert got == pytest.approx(value)


def test_the_energy_changes_the_frames(tmp_path):
    write_simulation(tmp_path, **SMALL)
    assert open_scan(tmp_path, energy=7.0).frames.phantom.energy_eV == 7000


@pytest.mark.parametrize("name", ["probe", "positions", "step", "energy", "pixel", "n1e5"])
def test_an_unknown_quantity_is_an_error_that_names_the_parameter(tmp_path, name):
    write_simulation(tmp_path, **SMALL)
    text = (tmp_path / "info.txt").read_text()
    parts = [p for line in text.splitlines() for p in line.split(", ")]
    (tmp_path / "info.txt").write_text("\n".join(p for p in parts if name not in p))
    parameter = {
        "probe": "shape",
        "positions": "scan",
        "step": "step_px",
        "pixel": "pixel_m",
        "n1e5": "photons",
    }.get(name)
    remedy = f"set simulate.{parameter}" if parameter else "set energy in keV"
    with pytest.raises(MissingDataError, match=f"in info.txt; {remedy}") as caught:
        open_scan(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"simulate": {"shape": (32, 24)}}, "the built probe is square. Got 32x24"),
        ({"simulate": {"probe": np.zeros((8, 8))}}, "simulate.probe is not finite, or 0"),
        ({"simulate": {"positions": np.zeros((8, 3))}}, r"Expected simulate.positions \(n, 2\)"),
        ({"distance": 1.0, "psize": 1e-6}, "give a pixel of .* the phantom has 1e-08 m"),
        ({"paths": {"x": "/x"}}, "leave paths.. out"),
        ({"simulate": {"photons": -1}}, "simulate.photons=-1"),
    ],
)
def test_impossible_simulations_are_refused(tmp_path, settings, message):
    write_simulation(tmp_path, **SMALL)
    with pytest.raises(SettingsError, match=message):
        open_scan(tmp_path, **settings)


def test_damaged_grids(tmp_path):
    write_simulation(tmp_path, **SMALL)
    np.save(tmp_path / "phantom/grid_beta.npy", np.zeros((3, 3, 1)))
    with pytest.raises(ScanError, match="Expected delta and beta of one shape"):
        open_scan(tmp_path)
    np.save(tmp_path / "phantom/grid_beta.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(FileError, match=r"grid_beta.npy: Expected numbers. Got an array of object"):
        open_scan(tmp_path)
    (tmp_path / "phantom/grid_beta.npy").unlink()
    with pytest.raises(FileError, match=r"no phantom/grid_beta.npy in it"):
        open_scan(tmp_path, format="phantom")


# measured --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", ["wave", "counts"])
def test_measured_frames_where_the_file_has_no_metadata(tmp_path, stored):
    folder = tmp_path / "cone"
    write_simulation(folder, **SMALL)
    scan = open_scan(folder)
    counts = scan.frames.read(range(20), whole(scan))
    wave = np.fft.fftshift(np.fft.fft2(scan.probe, norm="ortho")).astype(np.complex64)
    with h5py.File(folder / "cone.h5", "w") as file:
        data = np.sqrt(counts).astype(np.complex64) if stored == "wave" else counts
        file["exchange/data"] = data[None]
    with h5py.File(folder / "cone_ref.h5", "w") as file:
        file["exchange/data"] = wave[None, None]
    measured = open_scan(folder)
    assert_allclose(measured.frames.read(range(20), whole(scan)), counts, rtol=1e-5)
    assert_allclose(measured.probe, scan.probe, atol=1e-3)
    assert_allclose(np.diff(measured.positions_m, axis=0), np.diff(scan.positions_m, axis=0))
    assert_allclose(measured.plan(center="fftshift").geometry.object_pixel_m, VOXEL)
    assert "cone_ref.h5" in " ".join(measured.notes)
    assert open_scan(folder, simulate={"seed": 1}).notes[0].startswith("simulated")
    assert empty_beam(measured, measured.plan(center="fftshift")) == []
    wrong = open_scan(folder, stored_as="intensity" if stored == "wave" else "magnitude")
    found = empty_beam(wrong, wrong.plan(center="fftshift"))
    assert "times the counts of the empty beam" in found[0].what


@pytest.mark.parametrize("stored", ["wave", "counts"])
def test_the_file_inside_finds_its_directory(tmp_path, type_in, stored):
    folder = tmp_path / "cone"
    write_simulation(folder, **SMALL)
    counts = open_scan(folder).frames.read(range(20), Window.full((32, 32)))
    with h5py.File(folder / "cone.h5", "w") as file:
        file["exchange/data"] = (np.sqrt(counts).astype("c8") if stored == "wave" else counts)[None]
    assert recognise(folder / "cone.h5").name == "phantom"
    inside, whole_folder = open_scan(folder / "cone.h5"), open_scan(folder)
    assert inside.source == folder
    assert_array_equal(inside.positions_m, whole_folder.positions_m)
    assert_allclose(inside.frames.read(range(20), whole(inside)), counts, rtol=1e-5)
    code, out, _ = type_in("info", folder / "cone.h5")
    assert code == 0
    assert "phantom" in out
    shutil.copy(folder / "cone.h5", tmp_path / "alone.h5")
    if stored == "wave":
        assert recognise(tmp_path / "alone.h5").name == "adorym"


@pytest.mark.parametrize("kind", ["zero", "mostly zero", "other size", "empty"])
def test_a_reference_that_is_no_probe(tmp_path, kind):
    folder = tmp_path / "cone"
    write_simulation(folder, **SMALL)
    scan = open_scan(folder)
    counts = scan.frames.read(range(20), whole(scan))
    reference = np.zeros((1, 20, 32, 32), np.complex64)
    if kind == "mostly zero":
        reference[0, 7] = np.fft.fftshift(np.fft.fft2(scan.probe, norm="ortho"))
    with h5py.File(folder / "cone.h5", "w") as file:
        file["exchange/data"] = counts[None]
    with h5py.File(folder / "cone_ref.h5", "w") as file:
        file["other" if kind == "empty" else "exchange/data"] = (
            reference[..., :16] if kind == "other size" else reference
        )
    measured = open_scan(folder)
    if kind == "mostly zero":
        assert_allclose(measured.probe, scan.probe, atol=1e-3)
        return
    assert measured.probe is None
    assert "cone_ref.h5" in measured.notes[-1]
    assert "it gives no probe" in measured.notes[-1]


def test_one_of_several_angles(tmp_path):
    folder = tmp_path / "cone"
    write_simulation(folder, **SMALL)
    with h5py.File(folder / "cone.h5", "w") as file:
        file["exchange/data"] = np.arange(2 * 20 * 32 * 32).reshape(2, 20, 32, 32)
    with pytest.raises(ScanError, match=r"hold 2 projections.*outer_index"):
        open_scan(folder)
    scan = open_scan(folder, outer_index=1)
    assert scan.frames.read([3], whole(scan))[0, 0, 0] == 23 * 32 * 32
    del scan
    with h5py.File(folder / "cone.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(MissingDataError, match=r"cone.h5: no /exchange/data; set simulate"):
        open_scan(folder)


# comparing -------------------------------------------------------------------------------------


def test_the_half_bit_threshold():
    assert_allclose(
        half_bit(np.array([1.0, 100.0, 1e14])), [1.0, 0.39812 / 1.29812, 0.2071 / 1.2071], rtol=1e-4
    )


def test_rings_tell_where_two_images_part():
    rng = np.random.default_rng(1)
    image = rng.standard_normal((128, 128)) + 1j * rng.standard_normal((128, 128))
    assert ring_correlation(image, image).period_px == pytest.approx(2.0)
    radius = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None, :])
    noise = rng.standard_normal(image.shape) * (radius > 0.2) * 128 * 10
    other = np.fft.ifft2(np.fft.fft2(image) + noise)
    assert ring_correlation(image, other).period_px == pytest.approx(5.0, rel=0.08)
    unrelated = rng.standard_normal(image.shape)
    assert ring_correlation(image, unrelated).period_px > 15


def test_comparing_gives_the_error_that_was_made(tmp_path):
    truth = write_simulation(tmp_path, 128, slices=2)
    phantom = truth_of(tmp_path)
    depth = 2 * np.pi / wavelength_m(ENERGY) * 2 * VOXEL
    y, x = np.indices(truth.shape)
    rng = np.random.default_rng(2)
    phase, loss = 0.05 * rng.standard_normal((2, 128, 128))
    obj = 3j * truth * np.exp(1j * (phase + 0.02 * y - 0.01 * x) - loss)
    found = compare(np.roll(obj, (3, -2), (0, 1)), phantom, VOXEL, margin=16)
    assert found.correlation > 0.9
    assert_allclose(found.record()["delta_rms_error"], 0.05 / depth, rtol=0.1)
    assert_allclose(found.record()["beta_rms_error"], 0.05 / depth, rtol=0.1)
    exact = compare(truth, phantom, VOXEL, margin=16)
    assert exact.correlation == pytest.approx(1, abs=1e-4)
    assert exact.record()["delta_rms_error"] < 1e-3 * exact.delta_contrast
    assert compare(truth[::-1], phantom, VOXEL, margin=16).correlation < 0.6


def test_adoryms_checkpoint(tmp_path, capsys):
    write_simulation(tmp_path, 96, slices=2)
    grids = [np.load(tmp_path / f"phantom/grid_{name}.npy") for name in ("delta", "beta")]
    np.save(tmp_path / "obj_checkpoint.npy", np.stack(grids, axis=-1))
    command = ["compare", str(tmp_path / "obj_checkpoint.npy"), str(tmp_path)]
    assert main([*command, "--plot", str(tmp_path / "c.png")]) == 0
    assert "correlation  1.0000 over 72x72 pixels" in capsys.readouterr().out
    assert (tmp_path / "c.png").stat().st_size > 10_000
    assert main([*command, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["correlation"] == pytest.approx(1, abs=1e-4)
    assert record["resolution_half_period_m"] == pytest.approx(VOXEL)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.npy", "{}"], "nothing.npy: no such file"),
        (["{}/info.h5", "{}"], "info.h5: not a reconstructed object"),
        (["{}/phantom/grid_delta.npy", "{}"], r"Expected \(y,x,z,2\) = \(delta, beta\)"),
        (["{}/good.h5", "{}"], "the reconstruction's pixel is 2e-08 m, the phantom's 1e-08 m"),
        (["{}/good.h5", "{}", "--sim-pixel-m", "2e-8", "--margin", "60"], "set a smaller --margin"),
        (["{}/good.h5", "{}/phantom"], "no phantom/grid_delta.npy in it"),
    ],
)
def test_the_error_names_what_cannot_be_compared(tmp_path, capsys, words, message):
    write_simulation(tmp_path, 96)
    with h5py.File(tmp_path / "info.h5", "w") as file:
        file["x"] = 1
    with h5py.File(tmp_path / "good.h5", "w") as file:
        file["object/complex"] = np.ones((96, 96), complex)
        file["object/pixel_size"] = [2e-8, 2e-8]
    assert main(["compare", *(word.format(tmp_path) for word in words)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(error)


# in PtyPy --------------------------------------------------------------------------------------


@pytest.mark.ptypy
@pytest.mark.parametrize("slices", [1, 4])
@pytest.mark.long
def test_simulated_loaded_reconstructed_and_compared(tmp_path, slices):
    truth = write_simulation(tmp_path / "phantom", slices=slices)
    np.save(tmp_path / "probe.npy", open_scan(tmp_path / "phantom").probe.astype(complex))
    python("-c", RECONSTRUCT, folder=tmp_path)
    recon = next(tmp_path.glob("recons/phantom/*.ptyr"))
    with h5py.File(recon) as file:
        obj = next(iter(file["content/obj"].values()))["data"][0]
    found = compare(obj, truth_of(tmp_path / "phantom"), VOXEL)
    assert found.correlation > 0.95
    assert found.record()["delta_rms_error"] < 0.3 * found.delta_contrast
    assert truth.shape == (168, 168)


RECONSTRUCT = """
import numpy as np
from ptypy import utils as u
from ptypy.core import Ptycho
import ptypy_beamline.ptyscan
p = u.Param(run="phantom", verbose_level="ERROR")
p.io = u.Param(home=".", autosave=u.Param(active=False), autoplot=u.Param(active=False),
               interaction=u.Param(active=False))
data = u.Param(name="BeamlinePhantomScan", file="phantom")
wave = u.Param(model=np.load("probe.npy"), aperture=None, propagation=None, diversity=None)
p.scans = u.Param(s=u.Param(name="BlockFull", data=data, illumination=wave))
p.engines = u.Param(e=u.Param(name="DM", numiter=40, probe_support=None))
Ptycho(p, level=5)
"""


@pytest.mark.long
@pytest.mark.ptypy
@pytest.mark.mpi
def test_any_number_of_ranks_gets_the_same_frames(tmp_path):
    write_simulation(tmp_path, slices=2, **SMALL)
    results = [result(load(ranks, tmp_path, {}, 7)) for ranks in (1, 2)]
    assert results[0] == results[1]


@pytest.mark.ptypy
def test_the_loader(tmp_path):
    from ptypy_beamline import ptyscan

    write_simulation(tmp_path, **SMALL)
    scan = ptyscan.BeamlinePhantomScan(file=str(tmp_path), simulate={"photons": 500, "seed": 3})
    scan.initialize()
    package = scan.auto(30)
    plan = open_scan(tmp_path, simulate={"photons": 500, "seed": 3}).plan()
    assert_array_equal([item["data"] for item in package["iterable"]], all_frames(plan)[0])
    assert package["common"].energy == pytest.approx(5.0)
    with pytest.raises(BeamlineError, match="reads PTYD files, this is phantom"):
        ptyscan.BeamlinePtydScan(file=str(tmp_path)).initialize()
