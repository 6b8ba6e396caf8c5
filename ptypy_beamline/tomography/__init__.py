"""From a ptychography scan at each angle to a volume of electron density."""

from .engines import Engine
from .parallel_beam import Fbp, Sart
from .pipeline import run_series
from .projections import Alignment
from .volume import Projections, read_projections

__all__ = ["Alignment", "Engine", "Fbp", "Projections", "Sart", "read_projections", "run_series"]
