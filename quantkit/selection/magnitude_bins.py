"""Histograms of absolute values in half octaves: they add up, whatever the range of a crop.

A float32 is its exponent and its mantissa, so its upper bits are the half octave that it lies in:
from a power of two to one and a half times it, and from there to the next. No range has to be
known beforehand, and the counts are whole numbers: the same on every machine.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

MAGNITUDE_BINS: Final = 48
"""Half octaves from 2**-12 to 2**12; what lies below or above is counted in the first or last."""

_LOWEST_EXPONENT: Final = -12
_SHIFT: Final = 22  # of the 23 bits of the mantissa, the first is kept
_SIGN: Final = np.uint32(0x7FFFFFFF)
_FIRST: Final = (127 + _LOWEST_EXPONENT) << 1

Counts = NDArray[np.uint16]


def magnitude_counts(values: NDArray[np.float32]) -> Counts:
    """Count values by the half octave of their absolute value; zeros are in the first.

    Args:
        values: One axis, contiguous, fewer than 65,536 finite values.

    Returns:
        Shape (48,).

    Example:
        >>> counts = magnitude_counts(np.array([0.0, 1.0, -1.4, 1.5, 9e9], np.float32))
        >>> {int(k): int(counts[k]) for k in np.flatnonzero(counts)}
        {0: 1, 24: 2, 25: 1, 47: 1}
    """
    bins = magnitude_bins(values).astype(np.uint16)
    counts = cv2.calcHist([bins.reshape(1, -1)], [0], None, [MAGNITUDE_BINS], [0, MAGNITUDE_BINS])
    return np.asarray(counts.reshape(-1), np.uint16)


def magnitude_bins(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """Find the half octave of each value.

    Args:
        values: One axis, contiguous, finite.

    Returns:
        0 to 47, shape as `values`.
    """
    halves = (values.view(np.uint32) & _SIGN) >> _SHIFT
    return np.clip(halves.view(np.int32) - _FIRST, 0, MAGNITUDE_BINS - 1)


def magnitude_edges() -> NDArray[np.float64]:
    """List the lower ends of the half octaves, shape (48,); that of the first is 0.

    Example:
        >>> magnitude_edges()[[0, 24, 25, 47]].tolist()
        [0.0, 1.0, 1.5, 3072.0]
    """
    halves = np.arange(MAGNITUDE_BINS)
    edges = np.ldexp(1 + 0.5 * (halves % 2), _LOWEST_EXPONENT + halves // 2)
    edges[0] = 0.0
    return np.asarray(edges)


def magnitude_centres() -> NDArray[np.float64]:
    """List the values that stand for the half octaves, shape (48,); 0 for the first.

    Example:
        >>> magnitude_centres()[[0, 24, 25]].tolist()
        [0.0, 1.25, 1.75]
    """
    edges = magnitude_edges()
    centres = (edges + np.append(edges[1:], np.ldexp(1.0, 12))) / 2
    centres[0] = 0.0
    return np.asarray(centres)
