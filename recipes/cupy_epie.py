"""ePIE on a GPU: PtyPy's EPIE_cupy.

    python recipes/cupy_epie.py demo/raw_scan.h5 --reject demo/qc/reject_indices.npy

PtyPy's ePIE runs on one rank, and so on one GPU; for several see cupy_dm_ml.py. ``--arch serial``
uses the same engine without a GPU, to try the script on a laptop.
"""

import argparse

from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
from ptypy_beamline.run import load_engines
from ptypy_beamline.script import add_flags, loading_of, one_line_errors

# How the scan is loaded; `ptypy-beamline info FILE --plan` shows the result of such settings.
LOADING = {
    "shape": 128,
    "frames_per_position": 3,
    "saturation": 1023,
    "hot_sigma": 6.0,
    "monitor": True,
}

one_line_errors()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", help="raw scan")
add_flags(parser, "--reject")
parser.add_argument("--arch", default="cupy", choices=("cupy", "serial"))
parser.add_argument("--epie", type=int, default=200, help="iterations of ePIE")
parser.add_argument("--block", type=int, default=2000, help="frames in a block")
parser.add_argument("-o", "--output", default="results", help="folder for the .ptyr files")
args = parser.parse_args()
loading = {**LOADING, **loading_of(args)}

load_engines(args.arch)

if u.parallel.MPIenabled:
    parser.error("PtyPy's ePIE runs on one rank: run it without mpirun, or cupy_dm_ml.py with it")
p = u.Param()
p.verbose_level = "INFO"
p.run = "cupy_epie"
# The GPU works on a block of frames at a time; use fewer if memory is short.
p.frames_per_block = args.block
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
p.engines.engine00.name = f"EPIE_{args.arch}"
p.engines.engine00.numiter = args.epie
p.engines.engine00.numiter_contiguous = 10  # iterations between two evaluations of the error
p.engines.engine00.alpha = 1.0  # step of the object
p.engines.engine00.beta = 1.0  # step of the probe
p.engines.engine00.probe_update_start = 2
p.engines.engine00.probe_support = None

Ptycho(p, level=5)  # the .ptyr files are in OUTPUT/recons/cupy_epie
