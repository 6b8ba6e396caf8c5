"""Simulate frames of a phantom on the fly, reconstruct them by DM, and compare with the phantom.

    python recipes/phantom_dm.py demo/files/phantom --photons 1e6 --seed 1
    ptypy-beamline compare results/recons/phantom_dm/*.ptyr demo/files/phantom

The directory contains phantom/grid_delta.npy, phantom/grid_beta.npy and info.txt. No frame is ever
written to disk, and the photons are the same on any number of ranks.
"""

import argparse

from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
from ptypy_beamline import open_scan
from ptypy_beamline.script import one_line_errors

one_line_errors()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("directory", help="phantom directory")
parser.add_argument("--photons", type=float, help="photons per frame without a sample")
parser.add_argument("--seed", type=int, default=0, help="of the photon noise")
parser.add_argument("--dm", type=int, default=60, help="iterations of DM")
parser.add_argument("-o", "--output", default="results", help="folder for the .ptyr files")
args = parser.parse_args()

simulate = {"photons": args.photons, "seed": args.seed}

# The probe that illuminates the phantom; a real scan starts from an estimate (see hdf5_dm_ml.py).
probe = open_scan(args.directory, format="phantom", simulate=simulate).probe.astype("complex128")

p = u.Param()
p.verbose_level = "INFO"
p.run = "phantom_dm"
p.io = u.Param()
p.io.home = args.output
p.io.autosave = u.Param(active=False)
p.io.autoplot = u.Param(active=False)
p.io.interaction = u.Param(active=False)

p.scans = u.Param()
p.scans.scan = u.Param()
p.scans.scan.name = "BlockFull"
p.scans.scan.data = u.Param(name="BeamlinePhantomScan", file=args.directory)
p.scans.scan.data.simulate = u.Param(simulate)
p.scans.scan.illumination = u.Param(model=probe, aperture=None, propagation=None, diversity=None)

p.engines = u.Param()
p.engines.engine00 = u.Param(name="DM", numiter=args.dm, probe_support=None)

Ptycho(p, level=5)  # the .ptyr files are in OUTPUT/recons/phantom_dm
