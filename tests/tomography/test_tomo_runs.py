"""``ptypy-beamline tomo`` and its recipe, from raw frames to the volume."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from angle_series import COUNT, SERIES, TINY, check_volume, simulated
from processes import RECIPES, environment, mpirun

from ptypy_beamline.cli import main
from ptypy_beamline.errors import FileError, SettingsError
from ptypy_beamline.reconstruction import read
from ptypy_beamline.reconstruction.area import scanned
from ptypy_beamline.settings import Settings
from ptypy_beamline.tomography import Engine, run_series

pytestmark = pytest.mark.tomo


PREVIEW = ("--engine", "preview", "--iterations", "25")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated(tmp_path_factory.mktemp("raw") / "series.h5", COUNT)


@pytest.fixture(scope="module")
def out(raw: Path) -> Path:
    """The results of a run without interruption."""
    folder = raw.parent / "tomo"
    assert main(["tomo", str(raw), "-o", str(folder), *PREVIEW]) == 0
    return folder


def volume_of(folder: Path) -> np.ndarray:
    with h5py.File(folder / "reconstructed_3d.h5") as file:
        return file["volume"][()]


def stamps(folder: Path) -> dict[str, int]:
    """When each finished angle was written."""
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in folder.glob("ptycho_tomo/angle_*/reconstruction.h5")
    }


@pytest.mark.long
def test_the_volume_is_that_of_the_spheres(out: Path) -> None:
    check_volume(volume_of(out), SERIES.sample)


@pytest.mark.long
def test_each_angle_is_written_with_its_provenance(raw: Path, out: Path) -> None:
    found = read(out / "ptycho_tomo/angle_003/reconstruction.h5")
    assert found.provenance["made"]["projection"] == 3
    assert found.provenance["made"]["file"] == raw.name
    assert found.provenance["theta_deg"] == 45
    assert len(found.provenance["sha256"]) == 64
    seen = found.object[0][scanned(found)]
    for name, shown in (("phase", np.angle(seen)), ("amplitude", np.abs(seen))):
        image = tifffile.imread(out / f"ptycho_tomo/angle_003/{name}.tif")
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image, shown)


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs in a process of its own, killed at the end."""
    command = [sys.executable, "-m", "ptypy_beamline", *words]
    with subprocess.Popen(command, env=environment(), text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.long
def test_a_killed_run_resumes_with_the_same_volume(raw: Path, out: Path, tmp_path: Path) -> None:
    words = ("tomo", str(raw), "-o", str(tmp_path), *PREVIEW)
    for number in range(COUNT // 2):
        name = f"ptycho_tomo/angle_{number:03d}"
        shutil.copytree(out / name, tmp_path / name)
    with started(*words) as process:
        while len(stamps(tmp_path)) < COUNT // 2 + 2 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    before = stamps(tmp_path)
    assert COUNT // 2 + 2 <= len(before) < COUNT
    assert not (tmp_path / "reconstructed_3d.h5").exists()

    assert main([*words]) == 0

    after = stamps(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == COUNT
    np.testing.assert_array_equal(volume_of(tmp_path), volume_of(out))


@pytest.mark.long
def test_angles_finished_with_other_settings_are_refused(
    raw: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tomo", str(raw), "-o", str(out), "--engine", "preview"]) == 1
    printed = capsys.readouterr().err
    assert "angle_000/reconstruction.h5: reconstructed with another engine; choose" in printed
    assert main(["tomo", str(raw), "-o", str(out), *PREVIEW, "--roi", "32"]) == 1
    assert "another settings" in capsys.readouterr().err
    table = (out / "ptycho_tomo/theta.csv").read_text()
    assert main(["tomo", str(raw), "-o", str(out), *PREVIEW, "--theta", "1,2,3", "--roi", "9"]) == 1
    assert (out / "ptycho_tomo/theta.csv").read_text() == table


@pytest.mark.long
def test_a_file_of_the_same_name_is_compared_by_content(
    raw: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / raw.name
    other.write_bytes(raw.read_bytes())
    words = ("tomo", str(other), "-o", str(out), *PREVIEW, "--only", "reconstruct")
    assert main([*words]) == 0
    assert f"{COUNT} of them finished before" in capsys.readouterr().out
    with h5py.File(other, "a") as file:
        file["exchange/data"][0, 0, 0, 0] += 1
    assert main([*words]) == 1
    assert "reconstructed with another file" in capsys.readouterr().err


def test_results_do_not_go_among_the_scans(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tomo", str(raw.parent), "-o", str(raw.parent), *PREVIEW]) == 1
    assert "results would lie among the scans" in capsys.readouterr().err


@pytest.mark.long
def test_existing_reconstructions_are_imported(out: Path, tmp_path: Path) -> None:
    for kept in out.glob("ptycho_tomo/*/reconstruction.h5"):
        (tmp_path / f"{kept.parent.name}.h5").symlink_to(kept)
    again = tmp_path / "again"
    assert main(["tomo", str(tmp_path), "-o", str(again), "--only", "reconstruct"]) == 0
    for made in [*out.glob("ptycho_tomo/*/*.tif"), out / "ptycho_tomo/theta.csv"]:
        assert (again / made.relative_to(out)).read_bytes() == made.read_bytes()


def test_skipped_angles_are_left_out(
    raw: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("tomo", str(out), "-o", str(out / "fewer"), "--skip", "0,7-9", "--rounds", "0")
    assert main([*words, "--only", "align"]) == 0
    assert "8 projections" in capsys.readouterr().out
    for words in ("first", "9-7", "3-x"):
        assert main(["tomo", str(out), "--skip", words]) == 1
        assert "write --skip 3,7-9" in capsys.readouterr().err


def test_one_file_per_angle(tmp_path: Path) -> None:
    with h5py.File(simulated(tmp_path / "all.h5", 3, TINY), "r") as series:
        frames, angles = series["exchange/data"][()], series["exchange/theta"][()]
    for number in range(3):
        path = tmp_path / f"scan_{number}.h5"
        path.write_bytes((tmp_path / "all.h5").read_bytes())
        with h5py.File(path, "a") as file:
            del file["exchange/data"], file["exchange/theta"]
            file["exchange/data"], file["exchange/theta"] = frames[number], angles[number]
    engine = Engine("preview", iterations=5)
    for names, folder in (([tmp_path / "all.h5"], "a"), (sorted(tmp_path.glob("scan_*")), "b")):
        run_series(names, tmp_path / folder, engine=engine, only="reconstruct")
    for number in range(3):
        one, other = (
            tifffile.imread(tmp_path / folder / f"ptycho_tomo/angle_00{number}/phase.tif")
            for folder in "ab"
        )
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "a/ptycho_tomo/theta.csv").read_text() == (
        "name,theta_deg\nangle_000,0.0\nangle_001,60.0\nangle_002,120.0\n"
    )


def test_impossible_requests_are_refused(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="engine='epie'"):
        Engine("epie")  # type: ignore[arg-type]
    with pytest.raises(FileError, match="no such file"):
        run_series([tmp_path / "none.h5"], tmp_path)
    wrong = Settings.of({"shape": 16, "center": [400, 400]})
    with pytest.raises(Exception, match="angle_000: "):
        run_series([raw], tmp_path, wrong, engine=Engine("preview"))
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="without mpirun"):
        run_series([raw], tmp_path, engine=Engine("preview"))


@pytest.mark.ptypy
@pytest.mark.mpi
@pytest.mark.long
def test_the_recipe_resumes_on_two_ranks(tmp_path: Path) -> None:
    series, out = simulated(tmp_path / "series.h5", 3, TINY), tmp_path / "out"
    alone = Engine("ptypy", dm=6, ml=3)
    run_series([series], out, Settings.of({"shape": None}), engine=alone, only="reconstruct")
    before = stamps(out)
    (out / "ptycho_tomo/angle_001/reconstruction.h5").unlink()
    words = (RECIPES / "tomo_series.py", series, "--dm", 6, "--ml", 3, "-o", "out")
    printed = mpirun(2, *words, folder=tmp_path, code=0).stdout
    after = stamps(out)

    assert printed.count("2 of them finished before") == 1, "one rank speaks"
    assert "PtyPy, DM 6 + ML 3" in printed
    assert [after[name] == before[name] for name in sorted(before)] == [True, False, True]
    found = read(out / "ptycho_tomo/angle_001/reconstruction.h5")
    assert found.algorithm == "PtyPy DM 6 + ML 3"
    assert np.isfinite(volume_of(out)).all()
