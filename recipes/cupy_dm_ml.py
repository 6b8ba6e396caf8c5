"""DM, then ML, on GPUs: PtyPy's CuPy engines, one rank per GPU.

    mpirun -n 4 python recipes/cupy_dm_ml.py demo/raw_scan.h5 --reject demo/qc/reject_indices.npy

Needs CuPy for the machine's CUDA version. ``--arch serial`` uses the same engines without a GPU, to
try the script on a laptop.
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
parser.add_argument("--dm", type=int, default=200, help="iterations of DM")
parser.add_argument("--ml", type=int, default=100, help="iterations of ML")
parser.add_argument("--block", type=int, default=2000, help="frames in a block of each rank")
parser.add_argument("-o", "--output", default="results", help="folder for the .ptyr files")
args = parser.parse_args()
loading = {**LOADING, **loading_of(args)}

load_engines(args.arch)

p = u.Param()
p.verbose_level = "INFO"
p.run = "cupy_dm_ml"
# The GPU works on a block of frames with their exit waves at a time; use fewer if memory is short.
p.frames_per_block = args.block
p.io = u.Param()
p.io.home = args.output
p.io.autosave = u.Param(active=False)
p.io.autoplot = u.Param(active=False)
p.io.interaction = u.Param(active=False)

p.scans = u.Param()
p.scans.scan = u.Param()
# DM needs BlockFull, which keeps an exit wave for each frame. For ML alone, BlockGradFull keeps
# none and needs less memory.
p.scans.scan.name = "BlockFull"
p.scans.scan.data = u.Param(loading)
p.scans.scan.data.name = "BeamlineHdf5Scan"
p.scans.scan.data.file = args.file
p.scans.scan.illumination = "from_data"  # the first probe, the same on every rank

p.engines = u.Param()
p.engines.engine00 = u.Param()
p.engines.engine00.name = f"DM_{args.arch}"
p.engines.engine00.numiter = args.dm
p.engines.engine00.numiter_contiguous = 10  # iterations between two evaluations of the error
p.engines.engine00.probe_support = None
p.engines.engine01 = u.Param()
p.engines.engine01.name = f"ML_{args.arch}"
p.engines.engine01.numiter = args.ml
p.engines.engine01.numiter_contiguous = 10

Ptycho(p, level=5)  # the .ptyr files are in OUTPUT/recons/cupy_dm_ml
