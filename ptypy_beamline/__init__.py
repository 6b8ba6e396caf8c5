"""Raw beamline files straight into PtyPy."""

from .errors import BeamlineError, BeamlineWarning
from .scan import Scan, Window

__version__ = "0.1.0"
__all__ = ["BeamlineError", "BeamlineWarning", "Scan", "Window", "__version__"]
