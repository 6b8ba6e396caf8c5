"""Types of arrays, by their contents."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Float32s: TypeAlias = NDArray[np.float32]
Reals: TypeAlias = NDArray[np.floating[Any]]
"""Of any precision."""

Complex64s: TypeAlias = NDArray[np.complex64]
Complexes: TypeAlias = NDArray[np.complexfloating[Any, Any]]
"""Of any precision."""

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Bytes: TypeAlias = NDArray[np.uint8]
Numbers: TypeAlias = NDArray[np.generic]
"""Of any type that NumPy knows."""
