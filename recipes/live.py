"""Reconstruct while the scan is still being written: DM, to which frames are added as they come.

    python recipes/live.py demo/raw_scan.h5 --roi 128 --roi-center 91,104 --frames-per-pos 3

It may be started before the file exists. The scan ends when the writer closes the file, when every
known position has its frames, or after ``--live`` seconds without a new one; then DM does all its
iterations on all frames. It also runs under mpirun.
"""

import argparse

from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
from ptypy_beamline import Settings
from ptypy_beamline.live import Follower
from ptypy_beamline.planning.plan import Plan
from ptypy_beamline.reconstruction.preview import probe_of
from ptypy_beamline.script import add_flags, loading_of, one_line_errors

one_line_errors()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", help="raw scan, in SWMR mode or not")
# Without --roi-center the first frames decide: give it if they may be taken beside the sample.
add_flags(parser, "--roi", "--roi-center", "--frames-per-pos", "--live")
parser.set_defaults(**{"live.timeout_s": 60})
parser.add_argument("--poll", type=float, default=1, help="seconds between two checks of the file")
parser.add_argument("--block", type=int, default=50, help="frames added at a time, per rank")
parser.add_argument("--first", type=int, default=100, help="frames to start with")
parser.add_argument("--dm", type=int, default=60, help="iterations of DM, at the end of the scan")
parser.add_argument("-o", "--output", default="results", help="folder for the .ptyr files")
args = parser.parse_args()
loading = {"file": args.file, **loading_of(args)}
loading["live"]["poll_s"] = args.poll


def first_frames(count: int) -> Plan:
    """Wait for this many frames, or for the end of a shorter scan."""
    print(f"waiting for {count} frames of {args.file}", flush=True)
    follower = Follower(Settings.of(loading))
    follower.wait_for_first_frames()
    while len((progress := follower.poll()).plan) < count and not progress.complete:
        pass  # poll() sleeps
    return progress.plan


# The first probe, from the first frames; the master makes it and sends it to every rank.
probe = None
if u.parallel.master:
    probe = probe_of(first_frames(args.first)).astype("complex128")
probe = u.parallel.bcast(probe)

p = u.Param()
p.verbose_level = "INTERACTIVE"  # at INFO, PtyPy reports each check for frames
p.run = "live"
# Frames come to the engine in whole blocks, of this many for each rank; the last may be smaller.
p.frames_per_block = args.block
p.min_frames_for_recon = args.first
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
p.scans.scan.illumination = u.Param(model=probe, aperture=None, propagation=None, diversity=None)

p.engines = u.Param()
# Between two checks for frames DM does numiter_contiguous iterations, which do not count towards
# numiter while the scan goes on.
p.engines.engine00 = u.Param(name="DM", numiter=args.dm, probe_support=None)
p.engines.engine00.numiter_contiguous = 2

Ptycho(p, level=5)  # the .ptyr files are in OUTPUT/recons/live
