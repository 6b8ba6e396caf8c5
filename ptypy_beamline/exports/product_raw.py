"""The ``/raw_data`` group of a product: frames and positions, by PtychoPINN's names."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np

from ..results.reconstruction import Reconstruction
from .amplitudes import AMPLITUDES, Amplitudes, centres_px
from .reconstruction import strongest


def write_raw(
    file: h5py.File,
    found: Reconstruction,
    frames: Amplitudes,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write frames, a block at a time.

    Parameters
    ----------
    file
        The product.
    found
        Whose frames these are; gives positions in pixels of its object.
    frames
        One a position.
    progress
        Called with the number of frames each block has written.

    Raises
    ------
    ScanError
        There is not one frame a position.
    """
    shape = frames.checked(len(found.positions_m)).shape
    group = file.create_group("raw_data")
    group["ycoords"], group["xcoords"] = centres_px(found).T
    group["scan_index"] = found.indices
    group["probeGuess"] = found.probe[strongest(found)]
    group["objectGuess"] = found.object.prod(axis=0)  # PtychoPINN knows one layer: the projection
    data = group.create_dataset(AMPLITUDES, shape, np.float32, chunks=(1, *shape[1:]),
                                shuffle=True, compression="lzf")  # fmt: skip
    done = 0
    for block in frames.blocks():
        data[done : done + len(block)] = block
        done += len(block)
        progress(len(block))
