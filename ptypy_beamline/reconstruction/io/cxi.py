"""CXI 1.6: reconstruction, positions, and the frames they came from.

Source: F. R. N. C. Maia, Nature Methods 9, 854 (2012), and the file format's description 1.6
(cxidb.org). SI units throughout; in the lab frame y points up, z along the beam, and with the
default basis vectors rows go down and columns to -x.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ...errors import warn
from ...geometry import Geometry
from ...output.hdf5 import complete_hdf5, nexus_group, put_dataset
from ...planning.plan import Plan
from ...units import EV_J
from ...writers.stacks import BadPixels, StackWriter
from ..loading import check_count
from ..model import Reconstruction
from .hdf5 import as_json, provenance

VERSION = 160


def write_cxi(
    found: Reconstruction,
    path: str | Path,
    *,
    plan: Plan | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write ``entry_1``: source, detector, sample, object (``image_1``) and probe (``image_2``).

    With ``plan``, this package and CDTools open the file as a scan. A CXI mask holds for all
    frames: pixels that are bad in only some frames are bad in it, with a warning, and
    ``detector_1/frame_mask`` (n, ny, nx), which this package reads, has those of each frame.

    Parameters
    ----------
    found
        What to write. Its positions, as refined, are those of the scan.
    path
        The HDF5 file; written completely or not at all.
    plan
        How its frames are loaded; they are written as the engine got them.
    progress
        Called with the number of frames each block has written.

    Raises
    ------
    FileError
        The folder cannot be written, or ``path`` is another program's file.
    ScanError
        ``plan`` has another number of positions.
    """
    with complete_hdf5(path) as file:
        file["cxi_version"], file["number_of_entries"] = VERSION, 1
        file.attrs.update(NX_class="NXroot", default="entry_1")
        entry = nexus_group(file, "entry_1", "NXentry", default="image_1")
        entry["title"] = found.scan
        entry["start_time"] = str(found.provenance.get("allstart", ""))
        source = nexus_group(entry, "instrument_1/source_1", "NXsource")
        put_dataset(source, "energy", found.energy_eV * EV_J, units="J")
        _write_positions(entry, found)
        _write_image(entry, found)
        _write_probe(entry, found)
        detector = nexus_group(entry, "instrument_1/detector_1", "NXdetector")
        detector["distance"] = found.distance_m
        if plan is not None:
            _write_detector(detector, check_count(plan, len(found.positions_m)).geometry)
            _write_frames(entry, detector, plan, progress)
    return Path(path)


def _write_positions(entry: h5py.Group, found: Reconstruction) -> None:
    """The sample's translation in the lab frame.

    The illumination at (row, column) lies at lab (x, y) = (-column, -row), and the sample has
    moved the other way.
    """
    rows, columns = found.positions_m.T
    geometry = nexus_group(entry, "sample_1/geometry_1", "NXgeometry")
    translation = np.column_stack([columns, rows, np.zeros(len(rows))])
    put_dataset(geometry, "translation", translation, units="m")


def _write_image(entry: h5py.Group, found: Reconstruction) -> None:
    wave = found.object[0] if len(found.object) == 1 else found.object
    image = nexus_group(entry, "image_1", "NXdata", signal="data_phase", interpretation="image")
    image["data"] = wave
    image["data_real"], image["data_imag"] = wave.real, wave.imag
    put_dataset(image, "data_phase", np.angle(wave), units="rad")
    image["data_amplitude"] = np.abs(wave)
    image["data_type"], image["data_space"], image["is_fft_shifted"] = "transmission", "real", 0
    size = np.array(found.object.shape[-2:]) * found.pixel_m
    image["image_size"] = np.array([size[1], size[0], sum(found.layer_spacing_m)])
    put_dataset(image, "pixel_size", found.pixel_m, units="m", columns="y,x")
    put_dataset(image, "center", found.center_m, units="m", columns="y,x")
    image["layer_spacing"] = np.asarray(found.layer_spacing_m, np.float64)
    image["reconstruction_error"] = found.errors
    process = nexus_group(image, "process_1", "NXprocess")
    process["algorithm"], process["iterations"] = found.algorithm, found.iterations
    process["note"] = as_json(provenance(found))


def _write_probe(entry: h5py.Group, found: Reconstruction) -> None:
    image = nexus_group(entry, "image_2", "NXdata", signal="data_amplitude", interpretation="image")
    image["data"], image["data_amplitude"] = found.probe, np.abs(found.probe)
    image["data_type"], image["data_space"], image["is_fft_shifted"] = "probe", "real", 0
    entry["instrument_1/source_1/illumination"] = image["data"]


def _write_detector(detector: h5py.Group, geometry: Geometry) -> None:
    """The corner is the centre of pixel (0, 0), so that ``center_px`` lies on the beam axis."""
    (height, width), (row, column) = geometry.pixel_m, geometry.center_px
    detector["y_pixel_size"], detector["x_pixel_size"] = height, width
    detector["basis_vectors"] = np.array([[0, -height, 0], [-width, 0, 0]])
    detector["corner_position"] = np.array([column * width, row * height, geometry.distance_m])


def _write_frames(
    entry: h5py.Group, detector: h5py.Group, plan: Plan, progress: Callable[[int], None]
) -> None:
    """Write frames and masks: other programs do not use a pixel that is bad in any frame."""
    shape = plan.geometry.shape
    data, bad = StackWriter(detector, "data", (len(plan), *shape), np.float32), BadPixels(shape)
    data.dataset.attrs["axes"] = "translation:y:x"
    for block in plan.blocks():
        data.append(block.frames)
        bad.add(block.good)
        progress(len(block.frames))
    put_dataset(detector, "mask", bad.ever.astype(np.uint32), description="0 = good")
    if not bad.shared:
        each = bad.write_each(detector, "frame_mask")
        each.attrs["description"] = "of each frame, 0 = good"
        partly_bad = int((bad.ever & ~bad.always).sum())
        warn(
            f"{bad.own} pixels are bad in single frames only: other programs leave out "
            f"{partly_bad} detector pixels in all frames"
        )
    group = nexus_group(entry, "data_1", "NXdata", signal="data")
    group["data"], group["mask"] = data.dataset, detector["mask"]
    group["translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")
