"""``python -m ptypy_beamline`` is ``ptypy-beamline``."""

import sys

from .cli import main

sys.exit(main())
