"""From TIFF frames and a beamline's log to the object: DM, then ML.

    ptypy-beamline sidecar --frames 'demo/files/tiffs/*.tif' --csv demo/files/log.csv \\
        -o sidecar.h5 --energy-kev 8.8 --distance-m 0.3407 --pixel-m 75e-6
    python recipes/tiff_dm_ml.py 'demo/files/tiffs/*.tif' --sidecar sidecar.h5

Quote a glob, or the shell expands it; instead of globs you may give a files.txt with one per line.
"""

import argparse

from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
from ptypy_beamline.script import add_flags, loading_of, one_line_errors

one_line_errors()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", nargs="+", help="globs of TIFF frames, or files.txt")
add_flags(parser, "--sidecar", "--roi", "--dark", "--mask")
parser.add_argument("--dm", type=int, default=60, help="iterations of DM")
parser.add_argument("--ml", type=int, default=40, help="iterations of ML")
parser.add_argument("-o", "--output", default="results", help="folder for the .ptyr files")
args = parser.parse_args()
loading = loading_of(args)

p = u.Param()
p.verbose_level = "INFO"
p.run = "tiff_dm_ml"
p.io = u.Param()
p.io.home = args.output
p.io.autosave = u.Param(active=False)
p.io.autoplot = u.Param(active=False)
p.io.interaction = u.Param(active=False)

p.scans = u.Param()
p.scans.scan = u.Param()
p.scans.scan.name = "BlockFull"
p.scans.scan.data = u.Param(loading)
p.scans.scan.data.name = "BeamlineTiffScan"
p.scans.scan.data.file = args.file
p.scans.scan.illumination = "from_data"  # the first probe, the same on every rank

p.engines = u.Param()
p.engines.engine00 = u.Param(name="DM", numiter=args.dm, probe_support=None)
p.engines.engine01 = u.Param(name="ML", numiter=args.ml)

Ptycho(p, level=5)  # the .ptyr files are in OUTPUT/recons/tiff_dm_ml
