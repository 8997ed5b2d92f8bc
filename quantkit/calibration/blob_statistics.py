"""What is kept of one blob's values over all calibration crops."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 2048


@dataclass(frozen=True, eq=False)
class BlobStatistics:
    """Range and distribution of the values of a blob.

    Attributes:
        absmax: Largest absolute value.
        histogram: Shape (2048,), int64: how many values other than zero have an absolute value
            in each 1/2048 of 0 to `absmax`.
        count: Number of values, zeros included.
        zeros: Number of values that are exactly zero.
        minimum: Smallest value.
        maximum: Largest value.
    """

    absmax: float
    histogram: NDArray[np.int64]
    count: int
    zeros: int
    minimum: float
    maximum: float

    @property
    def zero_fraction(self) -> float:
        """Share of the values that are exactly zero."""
        return self.zeros / self.count if self.count else 0.0


def bin_counts(values: NDArray[np.float32], absmax: float) -> NDArray[np.int64]:
    """Count values in ncnn2table's bins: `min(int(|x| / absmax * 2048), 2047)` in float32.

    Args:
        values: Any shape, none larger than `absmax` in absolute value.
        absmax: Upper end of the last bin, positive.

    Returns:
        Counts, shape (2048,), of the values that are not zero.

    Example:
        >>> counts = bin_counts(np.array([0.0, -1.0, 0.5, 1e-4], np.float32), 1.0)
        >>> counts[0], counts[1024], counts[2047], counts.sum()
        (1, 1, 1, 3)
    """
    # Dividing by absmax / 2048 rounds as ncnn's division and then multiplication does: 2048 is a
    # power of two. So |x| = absmax, and nothing else, lands in a bin too many.
    width = np.float32(absmax) / np.float32(BINS)
    positions = np.abs(values.ravel())
    zeros = positions.size - np.count_nonzero(positions)
    np.divide(positions, width, out=positions)
    counts = np.bincount(positions.astype(np.intp), minlength=BINS + 1)
    counts[0] -= zeros
    counts[BINS - 1] += counts[BINS]
    return counts[:BINS].astype(np.int64, copy=False)
