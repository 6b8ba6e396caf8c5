"""What a run on a GPU needs: as PtyPy's engines allocate it, and as it was measured."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import scans
from folders import HELPERS, ROOT
from numpy.testing import assert_allclose
from processes import python

from ptypy_beamline.engines.gpu_memory import ENGINES, GpuRun, fft_advice, need
from ptypy_beamline.geometry import wavelength_m
from ptypy_beamline.plans import open_and_plan
from ptypy_beamline.settings import Settings

CASES = (
    *(f"{model},{engine}" for model in ("BlockFull", "BeamlineFull") for engine in ENGINES),
    *(f"BeamlineGradFull,{engine}" for engine in ("ML", "EPIE")),
)
MIB = 2**20


def prepared(folder: Path, modes: int, block: int, *cases: str) -> list[dict[str, Any]]:
    """What ``cupy_setup.py`` prints of each case; 15 frames of 16²."""
    import model_runs

    program = HELPERS / "cupy_setup.py"
    words = (program, model_runs.write(folder), modes, block, *cases)
    done = python("-W", "ignore", *words, folder=folder)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.ptypy
def test_cupy_engines_take_our_models_and_trees(tmp_path):
    reported = prepared(tmp_path, 1, 4, *CASES)
    assert [one["case"] for one in reported] == list(CASES)
    gpu = {one["case"]: one["gpu"] for one in reported}
    for engine in ENGINES:
        assert gpu[f"BeamlineFull,{engine}"] == gpu[f"BlockFull,{engine}"] > 0


@pytest.mark.ptypy
@pytest.mark.parametrize(("modes", "block"), [(1, 15), (2, 4)])
def test_engines_allocate_what_is_estimated(tmp_path, modes, block):
    """Probes and filters are not estimated: a few of one frame's size."""
    few = 16 * 8 * modes * 16**2
    for one in prepared(tmp_path, modes, block, *(f"BeamlineFull,{name}" for name in ENGINES)):
        engine = one["case"].partition(",")[2]
        object_pixels = math.prod(one["object"])
        predicted = need(engine, 15, 16**2, object_pixels, block, modes).gpu_bytes
        predicted -= ENGINES[engine].fixed_gpu
        assert predicted <= one["gpu"] <= predicted + few, engine


def measured() -> list[list[str]]:
    """Rows of the benchmark's table of needs."""
    text = (ROOT / "benchmarks/results/gpu.md").read_text()
    lines = text.partition("## Agreement")[0].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "²" in line]
    assert rows
    return rows


@pytest.mark.parametrize("row", measured(), ids=lambda row: " ".join(row[:5]))
def test_estimate_is_near_what_was_measured(row):
    """Frames of ``write_scan`` of ``benchmarks/large_scan.py``, in steps of 1 µm."""
    frames, size, block, modes = int(row[0]), int(row[1][:-1]), int(row[2]), int(row[3])
    pixel_m = wavelength_m(8800) * 2.0 / (size * 75e-6)
    columns = math.ceil(math.sqrt(frames))
    rows = math.ceil(frames / columns)
    height, width = ((n - 1) * 1e-6 / pixel_m + size for n in (rows, columns))
    reported = need(row[4], frames, size**2, int(height * width), block, modes)
    assert reported.gpu_bytes / MIB == pytest.approx(int(row[-2]), rel=0.02)
    assert reported.host_bytes / MIB == pytest.approx(int(row[-1]), rel=0.07)


def test_info_shows_the_memory_of_a_gpu_run(type_in, tmp_path):
    file = scans.write(tmp_path)
    words = ("--engine", "raar+ml", "--frames-per-block", 10, "--cores", 2, "--modes", 3)
    code, out, _ = type_in("info", file, "--plan", *words, "--json")
    assert code == 0
    reported = json.loads(out)["gpu"]
    assert (reported["ranks"], reported["frames_per_rank"], reported["frames_per_block"]) == (
        2,
        25,
        10,
    )
    pixels = math.prod(reported["object_shape"])
    assert reported["needs"] == {
        name: asdict(need(name, 25, 64**2, pixels, 10, 3, 49)) for name in ("RAAR", "ML")
    }

    code, out, _ = type_in("info", file, "--plan", *words, "--roi", 48)
    assert "ranks             2, with 25 frames each, in blocks of 10" in out
    assert "RAAR              1.1" in out
    assert "48 is not a power of two" in out
    assert "gpu" not in json.loads(type_in("info", file, "--json")[1])


def test_engines_may_have_the_names_of_ptypys_gpu_engines(type_in, tmp_path):
    file = scans.write(tmp_path)
    code, out, _ = type_in("info", file, "--plan", "--engine", "DM_cupy+ML_cupy", "--json")
    assert code == 0
    assert set(json.loads(out)["gpu"]["needs"]) == {"DM", "ML"}


def test_object_is_as_large_as_ptypy_makes_it(tmp_path):
    _, plan = open_and_plan(Settings(file=str(scans.write(tmp_path))))
    shape = GpuRun.of(plan).object_shape
    assert_allclose(shape, scans.truth().object.shape, atol=8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--modes", 2, "--cores", 1], "--modes, --cores: only --plan estimates"),
        (["--plan", "--engine", "preview"], "the preview engine uses no GPU"),
        (["--plan", "--engine", "DM+EPIE", "--cores", 2], "PtyPy's EPIE runs on one rank only"),
    ],
)
def test_flags_without_effect_or_sense_are_refused(type_in, tmp_path, words, message):
    code, _, err = type_in("info", scans.write(tmp_path), *words)
    assert code == 1
    assert message in err


def test_more_ranks_than_frames_are_refused(type_in, tmp_path):
    code, _, err = type_in("info", scans.write(tmp_path), "--plan", "--cores", 50)
    assert code == 1
    assert "50 ranks for 49 frames; start fewer (--cores)" in err


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((256, 256), "256 is a power of two"),
        ((300, 300), "frames of 256 or 512 pixels, after --bin and --pad"),
        ((262, 262), "slow with a prime factor above 7; frames of 256 or 512"),
        ((4096, 4096), "frames of 2048"),
        ((8, 8), "frames of 16 pixels"),
        ((256, 128), "square"),
    ],
)
def test_sizes_with_a_fast_fft(shape, words):
    assert words in fft_advice(shape)
