"""DM from a prepared ``.ptyd``, without its rejected frames and in a smaller window.

    ptypy-beamline ptyd demo/raw_scan.h5 -o scan.ptyd --frames-per-pos 3 --roi 128 --sat 1023
    python recipes/ptyd_dm.py scan.ptyd --select-radius 4e-7

PtyPy's own PtydScan can only read the whole file as it is.
"""

import argparse

from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
from ptypy_beamline.script import add_flags, loading_of, one_line_errors

one_line_errors()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", help=".ptyd, one file or a master with parts")
# The reject list counts the frames of the .ptyd.
add_flags(parser, "--select-radius", "--roi", "--reject")
parser.add_argument("--dm", type=int, default=100, help="iterations of DM")
parser.add_argument("-o", "--output", default="results", help="folder for the .ptyr files")
args = parser.parse_args()

loading = loading_of(args)
if "select" in loading:
    loading["select"]["shape"] = "circle"

p = u.Param()
p.verbose_level = "INFO"
p.run = "ptyd_dm"
p.io = u.Param()
p.io.home = args.output
p.io.autosave = u.Param(active=False)
p.io.autoplot = u.Param(active=False)
p.io.interaction = u.Param(active=False)

p.scans = u.Param()
p.scans.scan = u.Param()
p.scans.scan.name = "BlockFull"
p.scans.scan.data = u.Param(loading)
p.scans.scan.data.name = "BeamlinePtydScan"
p.scans.scan.data.file = args.file
p.scans.scan.illumination = "from_data"  # the first probe, the same on every rank

p.engines = u.Param()
p.engines.engine00 = u.Param(name="DM", numiter=args.dm, probe_support=None)

Ptycho(p, level=5)  # the .ptyr files are in OUTPUT/recons/ptyd_dm
