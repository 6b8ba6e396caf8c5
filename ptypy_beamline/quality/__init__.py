"""Quality control: find bad frames before they spoil a night."""

from .assessment import Assessment
from .evaluate import Exposures, evaluate

__all__ = ["Assessment", "Exposures", "evaluate"]
