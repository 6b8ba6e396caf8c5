"""NPZ by PtychoPINN's names; our own reader opens it, and its energy and pixels are kept.

Source: ``docs/data_contracts.md`` of PtychoPINN (github.com/hoidn/PtychoPINN).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy

from ..errors import ScanError
from ..reading.npz import members
from ..results.reconstruction import Reconstruction
from .amplitudes import AMPLITUDES, Amplitudes, centres_px
from .files import SIGNATURE, complete
from .reconstruction import as_json, provenance, strongest


def write_npz(
    found: Reconstruction,
    path: str | Path,
    *,
    frames: Amplitudes | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write ``xcoords ycoords scan_index probeGuess objectGuess``, and ``diffraction``.

    ``probeGuess`` is the most powerful mode; all are in ``probe_modes``. Coordinates are pixels
    of ``objectGuess`` under the probe's middle, (N - 1)/2.

    Parameters
    ----------
    found
        What to write.
    path
        The NPZ file; complete or not there.
    frames
        One a position, written a block at a time; default: no ``diffraction``.
    progress
        Called with the number of frames each block has written.

    Raises
    ------
    FileError
        The folder cannot be written, or ``path`` is somebody else's file.
    ScanError
        The object has several layers, or there is not one frame a position.
    """
    if len(found.object) > 1:
        raise ScanError(f"the object has {len(found.object)} layers, and PtychoPINN one",
                        "export it --to product or h5")  # fmt: skip
    path = Path(path)
    ours = SIGNATURE in members(path) if path.is_file() else False
    with complete(path, ours) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for name, array in _arrays(found).items():
            with file.open(f"{name}.npy", "w") as raw:
                npy.write_array(cast(BinaryIO, raw), np.asarray(array), allow_pickle=False)
        if frames is not None:
            _write_frames(file, frames.checked(len(found.positions_m)), progress)
    return path


def _arrays(found: Reconstruction) -> dict[str, Any]:
    rows, columns = centres_px(found).T
    return {
        "xcoords": columns,
        "ycoords": rows,
        "xcoords_start": columns,
        "ycoords_start": rows,
        "scan_index": np.zeros(len(rows), np.int64),
        "probeGuess": found.probe[strongest(found)],
        "objectGuess": found.object[0],
        "probe_modes": found.probe,
        "frame_indices": found.indices,
        "pixel_m": found.pixel_m,
        "object_center_m": found.center_m,
        "energy_eV": found.energy_eV,
        "distance_m": found.distance_m,
        "errors": found.errors,
        "algorithm": found.algorithm,
        "provenance": as_json(provenance(found)),
        SIGNATURE: "ptypy_beamline",
    }


def _write_frames(
    file: zipfile.ZipFile, frames: Amplitudes, progress: Callable[[int], None]
) -> None:
    header = {"descr": npy.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False,
              "shape": frames.shape}  # fmt: skip
    with file.open(f"{AMPLITUDES}.npy", "w", force_zip64=True) as raw:
        npy.write_array_header_1_0(cast(BinaryIO, raw), header)
        for block in frames.blocks():
            raw.write(np.ascontiguousarray(block).data)
            progress(len(block))
