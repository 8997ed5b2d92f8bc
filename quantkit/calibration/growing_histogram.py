"""A histogram of absolute values that needs no range beforehand: it doubles when it must."""

import math
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.blob_statistics import BINS

FINE_BINS: Final = 4 * BINS
"""Between half and all of them lie below the largest value: at least twice `BINS`."""
# 2**-exponent must be a float32; smaller values than 2**-126 are denormal.
_SMALLEST_EXPONENT: Final = -126


class GrowingHistogram:
    """Counts of absolute values in equal bins from 0 to a power of two.

    When a value lies beyond, the end doubles and neighbouring bins are joined. So the counts are
    whole numbers that depend on neither the order of the values nor how they were shared out.

    Example:
        >>> histogram = GrowingHistogram()
        >>> histogram.add(np.array([0.75, -0.5], np.float32))
        >>> histogram.add(np.array([3.0, 0.0], np.float32))
        >>> float(histogram.end), np.flatnonzero(histogram.counts).tolist()
        (4.0, [1024, 1536, 6144])
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(FINE_BINS, np.int64)
        self._exponent = _SMALLEST_EXPONENT
        self._zeros = 0

    @property
    def zero_fraction(self) -> float:
        """Share of the values that were exactly zero, of those that were given."""
        counted = self._zeros + int(self.counts.sum())
        return self._zeros / counted if counted else 0.0

    @property
    def end(self) -> float:
        """Upper end of the last bin, above every value."""
        return math.ldexp(1.0, self._exponent)

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values; zeros are left out.

        Args:
            values: One axis, finite.
        """
        size = np.abs(values).reshape(1, -1)  # OpenCV is quick along rows
        if not size.size:
            return
        self._grow(_exponent(float(size.max())))
        zeros = size.size - int(np.count_nonzero(size != 0))
        # Two powers of two, as their product may be beyond float32.
        np.multiply(size, np.float32(math.ldexp(1.0, -self._exponent)), out=size)
        np.multiply(size, np.float32(FINE_BINS), out=size)
        bins = size.astype(np.uint16)  # OpenCV counts these in two thirds of the time of floats
        counts = cv2.calcHist([bins], [0], None, [FINE_BINS], [0, FINE_BINS])
        self.counts += counts.reshape(-1).astype(np.int64)
        self.counts[0] -= zeros
        self._zeros += zeros

    def merge(self, other: Self) -> None:
        """Add the counts of another histogram, which may be changed by it."""
        exponent = max(self._exponent, other._exponent)
        self._grow(exponent)
        other._grow(exponent)
        self.counts += other.counts
        self._zeros += other._zeros

    def resampled(self, absmax: float) -> NDArray[np.int64]:
        """Share the counts out to the bins of `BlobStatistics`, evenly within each bin.

        Args:
            absmax: The largest absolute value, positive.

        Returns:
            Shape (2048,), 0 to `absmax`, with the same sum; but `absmax` itself is counted at
            least once.
        """
        self._grow(_exponent(absmax))  # a sample may have missed it
        width = self.end / FINE_BINS
        used = min(int(absmax / width) + 1, FINE_BINS)
        edges = np.append(np.arange(used) * width, absmax)
        below = np.append(0, np.cumsum(self.counts[:used]))
        wanted = np.interp(np.arange(BINS + 1) * (absmax / BINS), edges, below)
        wanted[-1] = below[-1]
        counts = np.diff(np.rint(wanted).astype(np.int64))
        counts[-1] = max(counts[-1], 1)
        return counts

    def _grow(self, exponent: int) -> None:
        doublings = exponent - self._exponent
        if doublings <= 0:
            return
        self._exponent = exponent
        joined = FINE_BINS >> min(doublings, FINE_BINS.bit_length() - 1)
        counts = self.counts.reshape(joined, -1).sum(axis=1)
        self.counts = np.zeros(FINE_BINS, np.int64)
        self.counts[:joined] = counts


def _exponent(absmax: float) -> int:
    return max(math.frexp(absmax)[1], _SMALLEST_EXPONENT)
