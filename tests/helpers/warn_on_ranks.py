"""Load the scan of a parameter tree twice, warned of by each rank; PtyPy's default verbosity.

``warn_on_ranks.py TREE.yaml``
"""

import sys
import warnings
from pathlib import Path

import yaml
from ptypy import utils as u
from ptypy.core import Ptycho
from ptypy.utils import parallel

from ptypy_beamline import BeamlineWarning, ptyscan

correct = ptyscan.BeamlineScan.correct


def noisy(self, raw, *given):
    """Warn on the rank that has the frame."""
    for number in raw:
        warnings.warn(f"of frame {number // 6}", BeamlineWarning, stacklevel=2)
    return correct(self, raw, *given)


p = u.Param()
p.update(yaml.safe_load(Path(sys.argv[1]).read_text()), Convert=True)
del p["verbose_level"]
ptyscan.BeamlineScan.correct = noisy
Ptycho(p, level=2)
warnings.warn("of another library", UserWarning, stacklevel=2)
if parallel.master:
    sys.stdout.write("and again\n")
Ptycho(p, level=2)
