"""Quality control: find bad frames before they spoil a reconstruction."""

from ..statistics.measurements import Exposures
from .assessment import Assessment
from .evaluate import evaluate

__all__ = ["Assessment", "Exposures", "evaluate"]
