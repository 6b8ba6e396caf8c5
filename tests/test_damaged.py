"""Damaged files: each ends in one line that names it, or in what is in it; never otherwise."""

from __future__ import annotations

import os
import re
import resource
import signal
import traceback

import numpy as np
import pytest

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineError
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

SECONDS = 20
FORMATS = ("standard", "cxi", "nxcxi", "diamond", "areadetector", "exchange", "nanomax", "hermes",
           "ptyd", "ptychopinn", "tike", "product", "adorym")  # fmt: skip
NPZ = ("ptychopinn", "tike")
GIVEN = {"energy": 8.8, "distance": 1.0, "psize": 75e-6}
"""What some of these do not record."""
COUNT = int(os.environ.get("DAMAGED_COUNT", "12"))
"""Mutations of each file; more by hand."""


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, most of them where a file has its structure; or its end cut off."""
    data = bytearray(content)
    kind = rng.integers(4)
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    signs = [found.start() for found in re.finditer(b"TREE|SNOD|HEAP|OHDR|FRHP|BTHD|PK", content)]
    for _ in range(int(rng.integers(1, 6))):
        near = int(rng.choice(signs)) + int(rng.integers(160)) if signs and kind < 3 else None
        at = int(rng.integers(len(data))) if near is None else min(near, len(data) - 1)
        data[at] = int(rng.choice([0, 255, rng.integers(256), data[at] ^ (1 << rng.integers(8))]))
    return bytes(data)


def loaded(path) -> np.ndarray:
    plan = open_scan(path, **GIVEN).plan()
    return np.concatenate([block.frames for block in plan.blocks()])


def outcome(path, expected) -> str:
    """Of loading a file, in a process of its own: libhdf5 itself may crash or hang."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        said = "crash"
        try:
            resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
            signal.alarm(SECONDS)
            frames = loaded(path)
            same = frames.shape == expected.shape and np.array_equal(frames, expected)
            said = "same" if same else "other"
        except BeamlineError as error:
            said = "error" if "\n" not in str(error) else f"lines: {error}"
        except MemoryError:
            said = "error"
        except BaseException:
            said = traceback.format_exc()
        finally:
            os.write(writes, said.encode()[-3000:])
            os._exit(0)
    os.close(writes)
    with open(reads) as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return said if status == 0 else f"signal {-status}"


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_ends_in_one_line(tmp_path, name):
    suffix = ".npz" if name in NPZ else ".h5"
    path = WRITERS[name](tmp_path / f"scan{suffix}", Raw.of(simulate(16, (4, 4), 2, photons=1e5)))
    content, expected = path.read_bytes(), loaded(path)
    rng = np.random.default_rng([FORMATS.index(name), 5])
    found: dict[str, int] = {}
    for number in range(COUNT):
        path.write_bytes(damaged(content, rng))
        said = outcome(path, expected)
        assert said in ("same", "other", "error") or said.startswith("signal"), f"{number}: {said}"
        found[said] = found.get(said, 0) + 1
    assert found["error"] > COUNT // 10
