"""The ``/raw_data`` group of a product: frames and positions, by PtychoPINN's names."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np

from ...writers.badpixels import BadPixels
from ...writers.chunks import Stack
from ..model import Reconstruction
from .amplitudes import AMPLITUDES, Amplitudes, centres_px, without_nan
from .hdf5 import strongest


def write_raw(
    file: h5py.File,
    found: Reconstruction,
    frames: Amplitudes,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write frames, a block at a time, and ``mask`` (uint8, 1 = bad), which is this package's own.

    Bad pixels hold 0 for readers that know no mask.

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
    file.attrs.update(bundle_version="1.0", contains_raw_data=1)
    group = file.create_group("raw_data")
    own = frames.coordinates_px
    group["ycoords"], group["xcoords"] = (centres_px(found) if own is None else own).T
    group["scan_index"] = found.indices if frames.scan_index is None else frames.scan_index
    _guesses(file, group, found)
    if frames.center_px is not None:
        group["center_px"] = frames.center_px
    data, bad = Stack(group, AMPLITUDES, shape, np.float32, "lzf"), BadPixels(shape[1:])
    group[AMPLITUDES].attrs["axis_canonical"] = "NHW"
    for block in frames.blocks():
        data.append(without_nan(block, bad))
        progress(len(block))
    bad.write(group, "mask")


def _guesses(file: h5py.File, group: h5py.Group, found: Reconstruction) -> None:
    """Links to the product's own probe and object, which PtychoPINN takes as (rows, columns).

    Of several modes, the strongest is written by itself; of several layers, the projection.
    """
    modes, layers = len(found.probe), len(found.object)
    group["probeGuess"] = file["probe"] if modes == 1 else found.probe[strongest(found)]
    group["objectGuess"] = file["object"] if layers == 1 else found.object.prod(axis=0)
