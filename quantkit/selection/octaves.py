"""Ranges on the scale that they are compared on: in octaves, with a floor for zeros."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

SMALLEST: Final = np.float32(2.0**-24)
"""What is smaller, zero among it, counts as this."""


def octaves(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the logarithms of values that are not negative to the base of 2, -24 and more.

    Example:
        >>> octaves(np.array([0.0, 0.5, 8.0], np.float32)).tolist()
        [-24.0, -1.0, 3.0]
    """
    return np.asarray(np.log2(np.maximum(values, SMALLEST)))
