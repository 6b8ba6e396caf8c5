"""Where things lie."""

from pathlib import Path

HELPERS = Path(__file__).resolve().parent
ROOT = HELPERS.parents[1]
SHARED = ROOT.parent / "shared"
REAL_DATA = SHARED / "data" / "siemens-star-516.npz"
