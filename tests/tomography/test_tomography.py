"""Alignment, unwrapping and back-projection, on projections of spheres that are known exactly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from angle_series import check_volume

from ptypy_beamline.errors import (
    BeamlineWarning,
    FileError,
    MissingDataError,
    ScanError,
    SettingsError,
)
from ptypy_beamline.geometry import wavelength_m
from ptypy_beamline.testing.tomography import (
    SPHERES,
    RotatingSample,
    align_volume,
    sphere_densities,
)
from ptypy_beamline.tomography import (
    Alignment,
    Fbp,
    Projections,
    Sart,
    read_projections,
    run_series,
)
from ptypy_beamline.tomography.angles import angle_weights, find_angles, read_theta, without_skipped
from ptypy_beamline.tomography.parallel_beam import (
    align,
    backproject,
    binned,
    horizontal_shifts,
    reproject,
    vertical_shifts,
)
from ptypy_beamline.tomography.projections import found_air, unwrapped
from ptypy_beamline.tomography.volume import electrons_per_radian, write_volume

pytestmark = pytest.mark.tomo

SIZE = 78
ANGLES = np.arange(0, 180, 7.5)
SAMPLE = RotatingSample()


def shifts(count: int, seed: int = 1) -> np.ndarray:
    """Random ones of up to 5 pixels in both directions."""
    return np.random.default_rng(seed).uniform(-5, 5, (count, 2))


def mass(angles: np.ndarray, moves: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """−φ in rad of the moved spheres."""
    rng = np.random.default_rng(2)
    stack = [-SAMPLE.phase(a, (SIZE, SIZE), s) for a, s in zip(angles, moves, strict=True)]
    return (np.array(stack) + rng.normal(0, noise, (len(angles), SIZE, SIZE))).astype(np.float32)


def misaligned(found: np.ndarray, moves: np.ndarray, angles: np.ndarray) -> tuple[float, float]:
    """RMS errors (y, x) of found shifts; where the whole body ends up is left open."""
    y, x = (found + moves).T
    body = np.stack([np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))], axis=1)
    x = x - body @ np.linalg.lstsq(body, x, rcond=None)[0]
    return float(np.std(y)), float(np.sqrt(np.mean(x**2)))


def write_phases(  # one angle a folder, as any program may have written them
    folder: Path,
    angles: Sequence[float],
    moves: np.ndarray,
    sample: RotatingSample = SAMPLE,
    change=lambda wave: wave,
    size: tuple[int, int] = (SIZE, SIZE),
) -> Path:
    """Noisy phases, with the ramps and offsets that ptychography leaves, and theta.csv."""
    rng, (y, x) = np.random.default_rng(3), np.indices(size)
    lines = []
    for number, (angle, move) in enumerate(zip(angles, moves, strict=True)):
        slope = rng.normal(0, 0.05, 2)
        ramp = np.exp(1j * (slope[0] * y + slope[1] * x + rng.uniform(0, 6)))
        wave = sample.transmission(angle, size, move) + 0.02 * rng.normal(size=size)
        angle_folder = folder / "ptycho_tomo" / f"angle_{number:03d}"
        angle_folder.mkdir(parents=True)
        image = change(wave * ramp)
        tifffile.imwrite(angle_folder / "phase.tif", np.angle(image).astype(np.float32))
        tifffile.imwrite(angle_folder / "amplitude.tif", np.abs(image).astype(np.float32))
        lines.append(f"angle_{number:03d},{angle}\n")
    (folder / "theta.csv").write_text("name,theta_deg\n" + "".join(lines))
    return folder


def run(folder: Path, out: Path, sample: RotatingSample = SAMPLE, **how) -> np.ndarray:
    """The volume of a folder of phases."""
    known = {"pixel_m": sample.voxel_m, "energy_eV": sample.energy_eV}
    made = run_series([folder], out, alignment=Alignment(**known, **how))
    with h5py.File(made) as file:
        return file["volume"][()]


def test_phase_is_converted_to_electron_density() -> None:
    density, thickness_m, wavelength = 0.334, 1e-6, wavelength_m(6200)  # water
    delta = 2.8179403e-15 * wavelength**2 * density * 1e30 / (2 * np.pi)
    assert delta == pytest.approx(6.0e-6, rel=0.01)
    phase = -2 * np.pi / wavelength * delta * thickness_m
    assert -phase * electrons_per_radian(6200, thickness_m) == pytest.approx(density, rel=1e-6)


def test_the_spheres_rotate_as_in_scikit_image() -> None:
    angles = np.array([0.0, 30.0, 90.0, 200.0])
    truth = SAMPLE.volume((SIZE, SIZE, SIZE))
    exact = np.array([SAMPLE.thickness(angle, (SIZE, SIZE)) for angle in angles])
    projected = reproject(truth, angles)
    assert np.corrcoef(projected.ravel(), exact.ravel())[0, 1] > 0.998


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_shifts_are_found_to_a_fraction_of_a_pixel(noise: float) -> None:
    moves = shifts(len(ANGLES))
    found = align(mass(ANGLES, moves, noise), ANGLES)
    y, x = misaligned(found, moves, ANGLES)
    assert y < 0.1
    assert x < 0.1


@pytest.mark.long
def test_reprojection_corrects_errors_of_the_centre_of_mass() -> None:
    moves = shifts(len(ANGLES))
    tilted = mass(ANGLES, moves)
    tilt = np.random.default_rng(4).normal(0, 0.02, len(ANGLES)).astype(np.float32)
    tilted += tilt[:, None, None] * np.linspace(-1, 1, SIZE, dtype=np.float32)
    _, before = misaligned(align(tilted, ANGLES, rounds=0), moves, ANGLES)
    _, after = misaligned(align(tilted, ANGLES), moves, ANGLES)
    assert before > 1
    assert after < 0.3


def test_shifts_found_from_the_mass_are_those_of_the_sample() -> None:
    moves = shifts(6)
    stack = mass(np.zeros(6), moves)
    y, x = vertical_shifts(stack), horizontal_shifts(stack)
    np.testing.assert_allclose(y - y.mean(), moves[:, 0].mean() - moves[:, 0], atol=0.1)
    np.testing.assert_allclose(x - x.mean(), moves[:, 1].mean() - moves[:, 1], atol=0.05)


def test_a_sample_that_jumped_far_is_found() -> None:
    moves = np.zeros((len(ANGLES), 2))
    moves[:, 0] = np.where(ANGLES < 90, -8, 8)
    found = vertical_shifts(mass(ANGLES, moves, 0.02))
    np.testing.assert_allclose(found, -moves[:, 0], atol=0.3)


def test_the_rotation_axis_is_found() -> None:
    moves = np.tile([0.0, 3.25], (len(ANGLES), 1))
    found = align(mass(ANGLES, moves), ANGLES)
    phase = np.zeros((len(ANGLES), 1, SIZE), np.float32)
    aligned = Projections(phase, ANGLES, found, (1e-8, 1e-8), 6200.0, (), {})
    assert aligned.axis_px == pytest.approx(SIZE // 2 + 3.25, abs=0.05)


@pytest.mark.parametrize("width", [64, 65, 66, 67])
def test_binning_keeps_the_middle(width: int) -> None:
    stack = np.zeros((1, 6, width), np.float32)
    stack[0, :, width // 2 - 1 : width // 2 + 2] = 1
    small = binned(stack, 3)
    row = small[0, 0]
    assert row.argmax() == len(row) // 2
    assert row.max() == pytest.approx(1)


def test_uneven_angles_are_weighted_by_their_spacing() -> None:
    even = np.arange(0, 180, 10.0)
    np.testing.assert_allclose(angle_weights(even), 1)
    np.testing.assert_allclose(angle_weights(even + 180 * (np.arange(18) % 2)), 1)
    both_ends = angle_weights(np.append(even, 180.0))
    assert both_ends[0] == both_ends[-1] == pytest.approx(both_ends[1] / 2)
    dense = np.concatenate([np.arange(0, 90, 3.0), np.arange(90, 180, 6.0)])
    assert angle_weights(dense)[-5] == pytest.approx(2 * angle_weights(dense)[5])
    wedge = np.arange(0, 120, 10.0)
    np.testing.assert_allclose(angle_weights(wedge), 12 / 18)


def test_uneven_angles_give_the_density() -> None:
    angles = np.concatenate([np.arange(0, 90, 2.0), np.arange(90, 180, 6.0)])
    found = backproject(mass(angles, np.zeros((len(angles), 2))), angles)
    volume = found * electrons_per_radian(SAMPLE.energy_eV, SAMPLE.voxel_m)
    np.testing.assert_allclose(
        sphere_densities(volume), [b.density_e_A3 for b in SPHERES], rtol=0.03
    )


@pytest.mark.parametrize(
    "sample", [SAMPLE, RotatingSample(voxel_m=400e-9)], ids=["weak", "wrapped"]
)
def test_phases_are_unwrapped_and_ramps_removed(sample: RotatingSample) -> None:
    rng, (y, x) = np.random.default_rng(5), np.indices((SIZE, SIZE))
    truth = np.array([sample.phase(a, (SIZE, SIZE)) for a in (0.0, 40.0, 80.0)])
    assert sample is SAMPLE or truth.min() < -5
    waves = [
        np.exp(1j * (phase + rng.normal(0, 0.08) * x + rng.normal(0, 0.08) * y + 2))
        for phase in truth
    ]
    found, air = unwrapped(waves)
    empty = np.flatnonzero((np.abs(truth) > 0.01).any(axis=(0, 1)))
    assert air <= min(empty[0], SIZE - 1 - empty[-1]) + 1
    np.testing.assert_allclose(found, truth, atol=0.02)


def test_air_ends_where_a_sample_begins_at_any_angle() -> None:
    stack = np.random.default_rng(0).normal(0, 0.01, (5, 40, 60)).astype(np.float32)
    stack[2, :, 11:20] -= 1
    assert found_air(stack, 3) == 11


def test_missing_air_is_reported() -> None:
    wave = np.exp(1j * np.random.default_rng(0).normal(0, 0.3, (40, 60)))
    with pytest.warns(BeamlineWarning, match="may not be empty"):
        unwrapped([wave])
    with pytest.raises(SettingsError, match="air of 25 columns"):
        unwrapped([wave], 25)


CASES = {
    "half circle": (ANGLES, {}),
    "whole circle": (np.arange(25) * 14.4, {}),
    "not sorted, below 0": (np.random.default_rng(0).permutation(ANGLES) - 90, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_from_phases_to_a_volume(tmp_path: Path, case: str) -> None:
    angles, how = CASES[case]
    folder = write_phases(tmp_path / "phases", angles, shifts(len(angles)))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    check_volume(run(folder, tmp_path / "out", **how), SAMPLE)  # a warning would be an error
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("how", "change"),
    [
        ({"axis": "x"}, lambda wave: wave.T),
        ({"sign": "positive"}, np.conj),
        ({"sign": "conjugate"}, lambda wave: wave[::-1, ::-1].conj()),
    ],
    ids=["axis x", "positive", "conjugate"],
)
def test_conventions(tmp_path: Path, how: dict[str, str], change) -> None:
    folder = write_phases(tmp_path / "phases", ANGLES, shifts(len(ANGLES)), change=change)
    check_volume(run(folder, tmp_path / "out", **how), SAMPLE)


def test_a_positive_phase_is_reported(tmp_path: Path) -> None:
    folder = write_phases(tmp_path / "phases", ANGLES, shifts(len(ANGLES)), change=np.conj)
    with pytest.warns(BeamlineWarning, match="--sign"):
        assert run(folder, tmp_path / "out", rounds=0).sum() < 0


@pytest.mark.long
def test_a_missing_wedge_is_reported_and_not_filled(tmp_path: Path) -> None:
    angles = np.arange(0, 120, 4.0)
    folder = write_phases(tmp_path / "phases", angles, shifts(len(angles)), size=(54, SIZE))
    with pytest.warns(BeamlineWarning, match="no angle within 64 degrees"):
        volume = run(folder, tmp_path / "out")
    found = align_volume(volume, SAMPLE.volume(volume.shape))
    ratio = sphere_densities(found) / [sphere.density_e_A3 for sphere in SPHERES]
    assert (ratio < 0.8).all()
    run_series([folder], tmp_path / "out", only="volume", method=Sart())
    with h5py.File(tmp_path / "out/reconstructed_3d.h5") as file:
        volume = file["volume"][()]
    assert volume.min() >= 0
    found = align_volume(volume, SAMPLE.volume(volume.shape))
    assert (sphere_densities(found) / [sphere.density_e_A3 for sphere in SPHERES] > 0.85).all()


def test_contents_of_the_files(tmp_path: Path) -> None:
    angles = np.arange(0, 180, 15.0)
    run(write_phases(tmp_path / "phases", angles, shifts(12)), tmp_path / "out")
    with h5py.File(tmp_path / "out/reconstructed_3d.h5") as file:
        assert file["volume"].dtype == np.float32
        assert file["volume"].shape == (SIZE, SIZE, SIZE)
        assert file["volume"].attrs["units"] == "e/angstrom^3"
        np.testing.assert_array_equal(file["voxel_m"], [SAMPLE.voxel_m] * 3)
        np.testing.assert_array_equal(file["angles_deg"], angles)
        plot = file[file.attrs["default"]][file[file.attrs["default"]].attrs["default"]]
        assert plot[plot.attrs["signal"]].shape == (SIZE,) * 3
        assert [plot[name].shape for name in plot.attrs["axes"]] == [(SIZE,)] * 3
        assert {"air_px", "method", "versions"} <= set(json.loads(file["provenance"][()]))
        moved = file["shifts_px"][()]
    aligned = read_projections(tmp_path / "out/projections.h5")
    assert aligned.phase.shape == (12, SIZE, SIZE)
    np.testing.assert_array_equal(aligned.shifts_px, moved)
    for picture in ("alignment.png", "reconstructed_3d.png"):
        assert (tmp_path / "out" / picture).stat().st_size > 10_000


def test_stages_start_from_existing_files(tmp_path: Path) -> None:
    folder = write_phases(tmp_path / "phases", ANGLES, shifts(len(ANGLES)))
    known = Alignment(pixel_m=SAMPLE.voxel_m, energy_eV=SAMPLE.energy_eV)
    out = tmp_path / "out"
    with pytest.raises(FileError, match=r"projections\.h5"):
        run_series([folder], out, only="volume")
    run_series([folder], out, alignment=known, only="align")
    assert not (out / "reconstructed_3d.h5").exists()
    stamp = (out / "projections.h5").stat().st_mtime_ns
    run_series([folder], out, only="volume", method=Fbp("hann"))
    assert (out / "projections.h5").stat().st_mtime_ns == stamp
    with h5py.File(out / "reconstructed_3d.h5") as file:
        assert json.loads(file["provenance"][()])["method"].endswith("hann")


def test_a_volume_is_written_completely_or_not_at_all(tmp_path: Path) -> None:
    found = Projections(
        mass(ANGLES, shifts(len(ANGLES))), ANGLES, shifts(len(ANGLES)), (1e-8, 1e-8), 6200.0, (), {}
    )

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_volume(tmp_path / "volume.h5", found, progress=stop)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "volume.h5").write_bytes(b"somebody else's")
    with pytest.raises(FileError, match="not written by ptypy_beamline"):
        write_volume(tmp_path / "volume.h5", found)


@pytest.mark.parametrize(
    ("angles", "match"),
    [
        (np.deg2rad(ANGLES), "are they radians"),
        (ANGLES[:2], "2 angles"),
        (np.array([0.0, 180.0, 360.0]), "1 angles"),
    ],
)
def test_too_few_angles_for_a_volume_are_refused(
    tmp_path: Path, angles: np.ndarray, match: str
) -> None:
    folder = write_phases(tmp_path / "phases", angles, shifts(len(angles)), size=(24, 30))
    with pytest.raises(ScanError, match=match):
        run(folder, tmp_path / "out")


def change_phase(folder: Path, number: int, change) -> None:
    """Another program's phase, and its amplitude, changed."""
    for name in ("phase", "amplitude"):
        path = folder / f"ptycho_tomo/angle_{number:03d}/{name}.tif"
        tifffile.imwrite(path, change(tifffile.imread(path)).astype(np.float32))


@pytest.mark.long
def test_a_failed_angle_is_reported(tmp_path: Path) -> None:
    folder = write_phases(tmp_path / "phases", ANGLES[::2], shifts(12))
    change_phase(folder, 4, np.ones_like)
    with pytest.warns(BeamlineWarning, match=r"mass at angle_004 .*--skip 4\)"):
        run(folder, tmp_path / "out", rounds=0)
    change_phase(folder, 4, lambda image: image[20:60, 20:60])
    with pytest.raises(ScanError, match=r"angle_004.*40x40 pixels, most have 78x78"):
        run(folder, tmp_path / "out")


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_image_without_a_wave_is_refused(tmp_path: Path, value: float) -> None:
    folder = write_phases(tmp_path / "phases", ANGLES[::2], shifts(12), size=(24, 78))
    path = folder / "ptycho_tomo/angle_004/amplitude.tif"
    tifffile.imwrite(path, np.full((24, 78), value, np.float32))
    with pytest.raises(FileError, match=r"angle_004.*not finite, or all is 0"):
        run(folder, tmp_path / "out")


def test_a_missing_angle_is_reported(tmp_path: Path) -> None:
    folder = write_phases(tmp_path / "phases", ANGLES[::2], shifts(12))
    (folder / "ptycho_tomo/angle_004").rename(folder / "ptycho_tomo/angle_004_bad")
    with pytest.raises(MissingDataError, match=r"1 of 12 angles, angle_004 .*--skip 4"):
        run(folder, tmp_path / "out")
    known = Alignment(pixel_m=SAMPLE.voxel_m, energy_eV=SAMPLE.energy_eV, rounds=0)
    run_series([folder], tmp_path / "out", alignment=known, skip=[4])
    assert len(read_projections(tmp_path / "out/projections.h5").angles_deg) == 11
    with pytest.raises(SettingsError, match="reconstructed already"):
        run_series([folder], tmp_path / "out", only="reconstruct")


def test_inconsistent_phases_are_refused(tmp_path: Path) -> None:
    folder = write_phases(tmp_path / "phases", ANGLES[::4], shifts(6))
    with pytest.raises(MissingDataError, match="--voxel-m and --energy-kev"):
        run_series([folder], tmp_path / "out")
    other = folder / "ptycho_tomo/angle_005/phase.tif"
    about = {"pixel_size_m": {"y": 3e-8, "x": 3e-8}, "energy_eV": 6200.0}
    for path in folder.glob("ptycho_tomo/*/phase.tif"):
        pixel = about if path != other else {**about, "energy_eV": 6300.0}
        tifffile.imwrite(path, tifffile.imread(path), description=json.dumps(pixel), metadata=None)
    with pytest.raises(ScanError, match=r"angle_005.*6300 eV, others have 3e-08 m at 6200 eV"):
        run_series([folder], tmp_path / "out")
    other.write_bytes(other.read_bytes()[:100])
    with pytest.raises(FileError, match=r"angle_005.*not readable"):
        run_series([folder], tmp_path / "out")


def scan_file(path: Path, theta: object, **attributes: str) -> Path:
    """A file with nothing but angles."""
    with h5py.File(path, "w") as file:
        if theta is not None:
            file["exchange/theta"] = theta
            file["exchange/theta"].attrs.update(attributes)
    return path


def test_angles_of_a_stack(tmp_path: Path) -> None:
    file = scan_file(tmp_path / "s.h5", np.deg2rad([0.0, 60.0, 120.0]), units="radians")
    found = without_skipped(find_angles([file]), [1])
    assert [(a.number, round(a.theta_deg, 6), a.outer_index) for a in found] == [
        (0, 0.0, 0),
        (2, 120.0, 2),
    ]
    assert found[1].name == "angle_002"
    assert [a.theta_deg for a in find_angles([file], "1,2.5,4")] == [1.0, 2.5, 4.0]
    with pytest.raises(SettingsError, match="2 angles of 3 scans"):
        find_angles([file], "1,2")
    with pytest.raises(SettingsError, match="no angle 3 to skip"):
        without_skipped(find_angles([file]), [3])


def test_angles_of_one_file_each(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        logged = 1.5 * number + 0.001 * np.array([0, 1, -1, 2, -2])
        scan_file(tmp_path / f"scan_{number}.h5", logged)
    found = find_angles([tmp_path])
    assert [(a.file.name, a.theta_deg, a.outer_index) for a in found] == [
        ("scan_1.h5", 1.5, None),
        ("scan_9.h5", 13.5, None),
        ("scan_10.h5", 15.0, None),
    ]
    table = tmp_path / "theta.csv"
    table.write_text("1\n2\n3\n", encoding="utf-8-sig")  # as spreadsheets save it
    assert [a.theta_deg for a in find_angles([tmp_path])] == [1.0, 2.0, 3.0]
    table.write_text("name,theta_deg\nscan_9.h5,2\nscan_1,1\nscan_10.h5,3\n")
    assert [a.theta_deg for a in find_angles([tmp_path])] == [1.0, 2.0, 3.0]
    table.write_text("scan_9.h5,2\nscan_10.h5,3\n")
    with pytest.raises(MissingDataError, match=r"theta\.csv: no line of scan_1\.h5"):
        find_angles([tmp_path])
    with pytest.raises(SettingsError, match="2 angles of 3 files"):
        find_angles([tmp_path], "1,2")


def test_an_angle_in_a_products_attribute(tmp_path: Path) -> None:
    scan_file(tmp_path / "a.h5", None)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["tomography_angle_deg"] = 12.5
    assert find_angles([tmp_path / "a.h5"])[0].theta_deg == 12.5


def test_missing_angles_are_refused(tmp_path: Path) -> None:
    file = scan_file(tmp_path / "a.h5", None)
    with pytest.raises(MissingDataError, match=r"theta\.csv .* or give --theta"):
        find_angles([file])
    with pytest.raises(SettingsError, match="theta='north'"):
        find_angles([file], "north")
    with pytest.raises(FileError, match="no such file"):
        find_angles([file], str(tmp_path / "other.csv"))
    (tmp_path / "bad.csv").write_text("name,theta\na.h5,1\nb.h5,west\n")
    with pytest.raises(FileError, match="west"):
        read_theta(tmp_path / "bad.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="name the files"):
        find_angles([tmp_path / "empty"])
