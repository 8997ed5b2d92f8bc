"""The threshold of the least mean squared error: rounding of what is kept, clipping of the rest.

Sakr et al., "Optimal clipping and magnitude-aware differentiation for improved quantization-aware
training" (2022), find it by Newton's method (OCTAV); here every bin is tried, so that no local
minimum is taken for the least.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.blob_statistics import BINS, BlobStatistics

_LEVELS: Final = 127
_FIRST: Final = 8  # bins: a step of a level is then far below a bin, and its noise unknown


def threshold(statistics: BlobStatistics) -> float:
    """Choose the absolute value that becomes 127.

    Args:
        statistics: Of the blob; not all of it zero.
    """
    errors = squared_errors(statistics.histogram)[_FIRST:]
    return float((_FIRST + 1 + int(np.argmin(errors))) * statistics.absmax / BINS)


def squared_errors(histogram: NDArray[np.int64]) -> NDArray[np.float64]:
    """Estimate the squared error of every threshold, summed over the values.

    A value that is kept is off by a twelfth of the squared step on average (zeros, which are not in
    the histogram, are exact), a clipped one by its distance from the threshold.

    Args:
        histogram: Shape (2048,).

    Returns:
        Shape (2048,), in squared bins: thresholds at the upper ends of the bins.
    """
    values = np.arange(BINS) + 0.5
    ends = np.arange(1, BINS + 1)
    kept = np.cumsum(histogram)
    beyond, first, second = (
        _after(histogram * power) for power in (np.ones(BINS), values, values**2)
    )
    rounding = kept * (ends / _LEVELS) ** 2 / 12
    return np.asarray(rounding + second - 2 * ends * first + ends**2 * beyond, np.float64)


def _after(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    # Summed from the end: the difference of two large sums would lose the few largest values.
    return np.append(np.cumsum(masses[::-1])[-2::-1], 0.0)
