"""NPZ by PtychoPINN's names; our own reader opens it, and its energy and pixels are kept.

Source: ``docs/data_contracts.md`` of PtychoPINN (github.com/hoidn/PtychoPINN).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ...errors import ScanError
from ...formats.npz import CENTER, MASK
from ...frames.npz import members
from ...output import SIGNATURE, complete
from ...writers.badpixels import BadPixels
from ..model import Reconstruction
from .amplitudes import AMPLITUDES, Amplitudes, centres_px, without_nan
from .hdf5 import as_json, provenance, strongest


def write_npz(
    found: Reconstruction,
    path: str | Path,
    *,
    frames: Amplitudes | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write ``xcoords ycoords scan_index probeGuess objectGuess``, ``diffraction`` and ``mask``.

    ``probeGuess`` is the most powerful mode; all are in ``probe_modes``. Coordinates are pixels
    of ``objectGuess`` under the probe's middle, (N - 1)/2. ``mask`` (1 = bad) is this package's
    own, one image or an image for each frame; bad pixels of ``diffraction`` hold 0.

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
        raise ScanError(
            f"the object has {len(found.object)} layers, and PtychoPINN one",
            "export it --to product or h5",
        )
    path = Path(path)
    ours = SIGNATURE in members(path) if path.is_file() else False
    with complete(path, ours) as temporary, zipfile.ZipFile(temporary, "w") as file:
        arrays = _arrays(found)
        if frames is not None and frames.center_px is not None:
            arrays[CENTER] = frames.center_px
        for name, array in arrays.items():
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
    bad = BadPixels(frames.shape[1:])

    def amplitudes() -> Iterator[NDArray[Any]]:
        for block in frames.blocks():
            yield without_nan(block, bad)
            progress(len(block))

    _write_stack(file, AMPLITUDES, frames.shape, np.float32, amplitudes())
    if bad.shared:
        _write_stack(file, MASK, frames.shape[1:], np.uint8, [bad.always])
    else:
        _write_stack(file, MASK, frames.shape, np.uint8, bad.stacks())


def _write_stack(
    file: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: type,
    stacks: Iterable[NDArray[Any]],
) -> None:
    """Write an array a piece at a time."""
    header = {"descr": npy.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with file.open(f"{name}.npy", "w", force_zip64=True) as raw:
        npy.write_array_header_1_0(cast(BinaryIO, raw), header)
        for stack in stacks:
            raw.write(np.ascontiguousarray(stack, dtype).data)
