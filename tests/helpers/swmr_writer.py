"""A process of its own that writes a growing HDF5 file in SWMR mode."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WRITER = """
import sys, json, h5py, hdf5plugin, numpy as np
with h5py.File(sys.argv[1], "w", libver="latest") as file:
    stored = {name: tuple(value) if isinstance(value, list) else value
              for name, value in json.loads(sys.argv[2]).items()}
    data = file.create_dataset("d", (0, 9, 11), "u2", maxshape=(None, 9, 11), **stored)
    file.swmr_mode = True
    for line in sys.stdin:
        data.resize(int(line), axis=0)
        data[...] = np.arange(data.size).reshape(data.shape)
        data.flush()
        print("written", flush=True)
"""


@contextmanager
def growing(path: Path, **stored: Any) -> Iterator[Callable[[int], None]]:
    """Have ``/d`` (count, 9, 11) of uint16 0, 1, … flushed at each call; closed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path, json.dumps(stored)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:

        def write(count: int) -> None:
            writer.stdin.write(f"{count}\n")
            writer.stdin.flush()
            assert writer.stdout.readline() == "written\n"

        yield write
        writer.stdin.close()
        writer.wait()
