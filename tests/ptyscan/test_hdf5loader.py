"""A standardized file in PtyPy's own ``Hdf5Loader``, where no HDF5 plugin can be imported."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import scans
from numpy.testing import assert_array_equal
from processes import python

from ptypy_beamline import open_scan
from ptypy_beamline.errors import SettingsError
from ptypy_beamline.writers.standard import write_standard

READ = """
import json, sys
sys.modules["hdf5plugin"] = None  # cannot be imported
import numpy as np
import ptypy.utils as u
from ptypy.experiment.hdf5_loader import Hdf5Loader

file, out = sys.argv[1:]
pars = u.Param(
    intensities=u.Param(file=file, key="/entry/data"),
    positions=u.Param(file=file, slow_key="/entry/posy_m", fast_key="/entry/posx_m"),
    recorded_energy=u.Param(file=file, key="/entry/energy_eV", multiplier=1e-3),
    recorded_distance=u.Param(file=file, key="/entry/det_dist_m"),
    recorded_psize=u.Param(file=file, key="/entry/pixel_m"),
    mask=u.Param(file=file, key="/entry/mask", invert=True),
    auto_center=False, shape=64, save=None)
scan = Hdf5Loader(pars)
scan.initialize()
found = scan.auto(1000)["iterable"]
np.savez(out, frames=[f["data"] for f in found], good=[f["mask"] for f in found],
         positions=[f["position"] for f in found])
meta = scan.meta
print(json.dumps([meta.energy, meta.distance, np.ravel(meta.psize).tolist()]))
"""


def read_by_ptypy(path, tmp_path):
    """Frames, good pixels, positions and geometry as PtyPy takes them."""
    done = python("-c", READ, path, tmp_path / "read.npz")
    return np.load(tmp_path / "read.npz"), json.loads(done.stdout.splitlines()[-1])


@pytest.mark.ptypy
@pytest.mark.parametrize("saturation", [None, 2000.0])
def test_it_reads_the_same_scan(tmp_path, saturation):
    bad = np.zeros((64, 64), bool)
    bad[3, 4] = True
    plan = open_scan(scans.write(tmp_path, bad=bad)).plan(saturation=saturation)
    frames, good = scans.all_frames(plan)
    path = write_standard(plan, tmp_path / "s.h5")
    found, (energy, distance, pixel) = read_by_ptypy(path, tmp_path)
    assert_array_equal(found["frames"], frames)
    assert_array_equal(found["good"] > 0, good)
    assert_array_equal(found["positions"], plan.positions_m)
    assert energy == pytest.approx(plan.geometry.energy_eV / 1e3)
    assert distance == plan.geometry.distance_m
    assert pixel == list(plan.geometry.pixel_m)


@pytest.mark.parametrize("compression", ["gzip", "bitshuffle", "none"])
def test_compressions(type_in, tmp_path, compression):
    raw = scans.write(tmp_path)
    words = ("standardize", raw, "-o", tmp_path / "s.h5", "--compression", compression)
    assert type_in(*words)[0] == 0
    with h5py.File(tmp_path / "s.h5") as file:
        created = file["entry/data"].id.get_create_plist()
        codes = [created.get_filter(n)[0] for n in range(created.get_nfilters())]
        assert codes == {"gzip": [2, 1], "bitshuffle": [32008], "none": []}[compression]
        assert_array_equal(file["entry/data"], scans.truth().frames)


def test_an_unknown_compression_is_refused(tmp_path):
    plan = open_scan(scans.write(tmp_path)).plan()
    with pytest.raises(SettingsError, match=r"compression 'zip'.*gzip, bitshuffle or none"):
        write_standard(plan, tmp_path / "s.h5", compression="zip")
    assert not (tmp_path / "s.h5").exists()


def test_the_pixel_is_a_number_or_two(tmp_path):
    raw = scans.write(tmp_path)
    for pixel, shape in ((75e-6, ()), ((75e-6, 50e-6), (2,))):
        plan = open_scan(raw, psize=pixel).plan()
        with h5py.File(write_standard(plan, tmp_path / "s.h5")) as file:
            assert file["entry/pixel_m"].shape == shape
            assert np.ravel(file["entry/pixel_m"])[0] == 75e-6
