"""How far two rankings agree."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Compute Spearman's rank correlation; equal values share the mean of their ranks.

    Args:
        first: Figures of some layers.
        second: Other figures of the same layers.

    Returns:
        From -1 to 1; None where there are fewer than three, or where one ranking has no order.

    Example:
        >>> spearman([1, 2, 3, 4], [10, 20, 30, 25])
        0.8
    """
    a, b = ranks(first), ranks(second)
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return None
    return round(float(np.corrcoef(a, b)[0, 1]), 12)


def ranks(values: Sequence[float]) -> Doubles:
    """Rank values from 1, the smallest, on.

    Example:
        >>> ranks([5.0, 1.0, 5.0]).tolist()
        [2.5, 1.0, 2.5]
    """
    _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: Doubles = (last - (counts - 1) / 2)[places].astype(np.float64)
    return mean
