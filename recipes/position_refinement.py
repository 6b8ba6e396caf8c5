"""DM that also refines the positions, by PtyPy's engine option ``position_refinement``.

    python recipes/position_refinement.py demo/raw_scan.h5 --roi 128 --frames-per-pos 3 --dm 60

Start from measured positions (encoder, interferometer) if the file has them: set points do not
include drift and vibration, and need a larger ``--max-shift``.
"""

import argparse

from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
from ptypy_beamline import open_scan
from ptypy_beamline.script import add_flags, loading_of, one_line_errors

# Where the two kinds of position are in files of the full areaDetector layouts. Change it for
# other files; `ptypy-beamline info` shows which positions were found.
ATTRIBUTES = "/entry/instrument/NDAttributes"
PATHS = {
    "readback": {"x": f"{ATTRIBUTES}/posx_m", "y": f"{ATTRIBUTES}/posy_m"},
    "setpoint": {"x": f"{ATTRIBUTES}/setx_m", "y": f"{ATTRIBUTES}/sety_m"},
}

one_line_errors()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", help="raw scan")
parser.add_argument("--positions", default="readback", choices=PATHS)
parser.add_argument("--max-shift", type=float, help="metres from the start; default: 10 pixels")
add_flags(parser, "--roi", "--frames-per-pos")
parser.add_argument("--dm", type=int, default=300, help="iterations of DM")
parser.add_argument("--start", type=int, default=20, help="iteration at which refinement starts")
parser.add_argument("-o", "--output", default="results", help="folder for the .ptyr files")
args = parser.parse_args()
paths = PATHS[args.positions]
loading = {"paths": paths, **loading_of(args)}

pixel_m = None
if u.parallel.master:
    plan = open_scan(args.file, **loading).plan()
    pixel_m = max(plan.geometry.object_pixel_m)  # of the reconstruction
pixel_m = u.parallel.bcast(pixel_m)

p = u.Param()
p.verbose_level = "INFO"
p.run = "position_refinement"
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
p.engines.engine00 = u.Param(name="DM", numiter=args.dm, probe_support=None)
p.engines.engine00.position_refinement = u.Param()
p.engines.engine00.position_refinement.method = "Annealing"  # or GridSearch
p.engines.engine00.position_refinement.start = args.start
p.engines.engine00.position_refinement.stop = int(0.8 * args.dm)
p.engines.engine00.position_refinement.interval = 2  # iterations
p.engines.engine00.position_refinement.nshifts = 8  # shifts that are tried each time
p.engines.engine00.position_refinement.record = True  # write the positions into the .ptyr
# If this is less than a pixel, PtyPy refines nothing, and gives no error.
p.engines.engine00.position_refinement.amplitude = 3 * pixel_m
p.engines.engine00.position_refinement.max_shift = args.max_shift or 10 * pixel_m

# The .ptyr, in OUTPUT/recons/position_refinement, has the refined positions in content/positions.
Ptycho(p, level=5)
