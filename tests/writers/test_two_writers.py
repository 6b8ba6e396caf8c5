"""Two commands that write one output at once: it is that of one of them, whole.

``WRITERS_COUNT=30 pytest tests/writers/test_two_writers.py`` tries more often.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from angle_series import TINY, simulated
from processes import environment

from ptypy_beamline.output.temporary import MARK
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

COUNT = int(os.environ.get("WRITERS_COUNT", "2"))
FRAMES = 36


def of_ptyd(out: Path) -> str:
    """The shape of all frames, however many chunks they are in."""
    with h5py.File(out) as file:
        data = [file[f"chunks/{number}/data"] for number in range(len(file["chunks"]))]
        parts = list(out.parent.glob(f"{out.name}.part*"))
        assert len(parts) in (0, len(data))
        assert sum(len(one) for one in data) == FRAMES
        (shape,) = {one[()].shape[1:] for one in data}
        assert tuple(file["meta/shape"][()]) == shape
    return str(shape[0])


def of_standardize(out: Path) -> str:
    with h5py.File(out) as file:
        frames = file["entry/data"][()]
        assert len(frames) == FRAMES
        return str(frames.shape[1])


def of_qc(out: Path) -> str:
    rejected = np.load(out / "reject_indices.npy")
    rows = np.genfromtxt(out / "qc_summary.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(rejected, np.flatnonzero(rows["rejected"]))
    shown = list((out / "thumbs").glob("*.png"))
    assert len(shown) == len(rejected)
    return str(len(rejected))


def of_tomo(out: Path) -> str:
    """The second is refused, or goes on where the first has ended."""
    with h5py.File(out / "reconstructed_3d.h5") as file:
        assert np.isfinite(file["volume"][()]).all()
    return "tomo"


CASES: dict[str, tuple[str, tuple[str, str], Callable[[Path], str]]] = {
    "ptyd": ("ptyd RAW -o OUT.ptyd --roi {}", ("48", "32"), of_ptyd),
    "ptyd in parts": (
        "ptyd RAW -o OUT.ptyd --save link --roi {}",
        ("48 --block 4", "32 --block 9"),
        of_ptyd,
    ),
    "standardize": ("standardize RAW -o OUT.h5 --roi {}", ("48", "32"), of_standardize),
    "qc": ("qc RAW -o OUT --reject-topk {0} --thumbs-topk {0}", ("3", "5"), of_qc),
    "tomo": ("tomo SERIES -o OUT --engine preview --iterations 2 --rounds 1 {}", ("", ""), of_tomo),
}
"""Command, the two variants, and a function that finds which one wrote an output."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    raw = WRITERS["standard"](folder / "raw.h5", Raw.of(simulate(64, (6, 6), 5, photons=1e5)))
    return {"RAW": str(raw), "SERIES": str(simulated(folder / "series.h5", 3, TINY))}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_two_writers_of_one_output(tmp_path: Path, inputs: dict[str, str], name: str) -> None:
    command, variants, read = CASES[name]
    rng = np.random.default_rng(len(name))
    for _ in range(COUNT):
        words = [
            [
                inputs.get(word, word.replace("OUT", str(tmp_path / "out")))
                for word in command.format(variant).split()
            ]
            for variant in variants
        ]
        writers = []
        for one in words:
            writers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "ptypy_beamline", *one],
                    env=environment(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            time.sleep(rng.uniform(0, 1))
        messages = [writer.communicate(timeout=200)[1] for writer in writers]
        codes = [writer.returncode for writer in writers]
        if name == "tomo":
            assert 0 in codes, messages
            assert codes == [0, 0] or any("another command is writing" in text for text in messages)
        else:
            assert codes == [0, 0], messages
        out = next(path for path in tmp_path.iterdir() if ".part" not in path.name)
        assert read(out) in {variant.partition(" ")[0] or name for variant in variants}
        assert not [path for path in tmp_path.rglob("*") if MARK in path.name]
