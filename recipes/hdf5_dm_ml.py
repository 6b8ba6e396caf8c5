"""From a raw HDF5 file to the object: DM, then ML, in a plain PtyPy script.

    ptypy-beamline demo
    python recipes/hdf5_dm_ml.py demo/raw_scan.h5 --reject demo/qc/reject_indices.npy

It also runs on several ranks: ``mpirun -n 4 python recipes/hdf5_dm_ml.py ...``.
"""

import argparse

from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
from ptypy_beamline.script import add_flags, loading_of, one_line_errors

# How the scan is loaded; `ptypy-beamline info FILE --plan` shows the result of such settings.
LOADING = {
    "shape": 128,  # window around the beam, in raw pixels
    "frames_per_position": 3,
    "grouping": "sum",
    "saturation": 1023,  # counts; 'file' if the file records the limit
    "hot_sigma": 6.0,  # find hot and dead pixels that are not in the mask
    "monitor": True,  # normalise by the file's I0
}

one_line_errors()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", help="raw scan")
add_flags(parser, "--reject")
parser.add_argument("--dm", type=int, default=60, help="iterations of DM")
parser.add_argument("--ml", type=int, default=40, help="iterations of ML")
parser.add_argument("-o", "--output", default="results", help="folder for the .ptyr files")
args = parser.parse_args()
loading = {**LOADING, **loading_of(args)}

p = u.Param()
p.verbose_level = "INFO"
p.run = "hdf5_dm_ml"
p.io = u.Param()
p.io.home = args.output
p.io.autosave = u.Param(active=False)
p.io.autoplot = u.Param(active=False)
p.io.interaction = u.Param(active=False)

p.scans = u.Param()
p.scans.scan = u.Param()
p.scans.scan.name = "BlockFull"
p.scans.scan.data = u.Param(loading)
p.scans.scan.data.name = "BeamlineHdf5Scan"
p.scans.scan.data.file = args.file
p.scans.scan.illumination = "from_data"  # the first probe, the same on every rank

p.engines = u.Param()
p.engines.engine00 = u.Param()
p.engines.engine00.name = "DM"
p.engines.engine00.numiter = args.dm
p.engines.engine00.probe_support = None
p.engines.engine01 = u.Param()
p.engines.engine01.name = "ML"
p.engines.engine01.numiter = args.ml

Ptycho(p, level=5)  # the .ptyr files are in OUTPUT/recons/hdf5_dm_ml
