"""What is kept of one blob's values over all calibration crops."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

BINS: Final = 2048
# Values at a time: few enough for the processor's cache, enough for OpenCV's fast path.
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, eq=False)
class BlobStatistics:
    """Range and distribution of the values of a blob.

    Attributes:
        absmax: Largest absolute value.
        histogram: Shape (2048,), int64: how many values other than zero have an absolute value
            in each 1/2048 of 0 to `absmax`; of all values or of a sample of them.
        count: Number of values, zeros included.
        zeros: Number of values that are exactly zero; an estimate where a sample was counted.
        minimum: Smallest value.
        maximum: Largest value.
        shape: Of the blob, without a batch axis.
        channel_absmax: Largest absolute value by channel (first axis), where it was asked for.
    """

    absmax: float
    histogram: NDArray[np.int64]
    count: int
    zeros: int
    minimum: float
    maximum: float
    shape: tuple[int, ...]
    channel_absmax: NDArray[np.float32] | None = None

    @property
    def zero_fraction(self) -> float:
        """Share of the values that are exactly zero."""
        return self.zeros / self.count if self.count else 0.0


def bin_counts(values: NDArray[np.float32], absmax: float) -> NDArray[np.int64]:
    """Count values in ncnn2table's bins: `min(int(|x| / absmax * 2048), 2047)` in float32.

    Args:
        values: Any shape, finite. Zeros are counted in the first bin.
        absmax: Upper end of the last bin, positive.

    Returns:
        Counts, shape (2048,).

    Example:
        >>> counts = bin_counts(np.array([1e-4, -1.0, 0.5], np.float32), 1.0)
        >>> [int(n) for n in (counts[0], counts[1024], counts[2047], counts.sum())]
        [1, 1, 1, 3]
    """
    chunks = np.array_split(values.reshape(-1), max(1, values.size // _CHUNK))
    counts = np.zeros(BINS, np.int64)
    for chunk in chunks:
        positions = np.abs(chunk)
        np.divide(positions, np.float32(absmax), out=positions)
        np.multiply(positions, np.float32(BINS), out=positions)
        np.minimum(positions, np.float32(BINS - 1), out=positions)
        # OpenCV's histogram of 16-bit integers lets other threads run, numpy's bincount does not.
        bins = positions.astype(np.uint16)
        histogram = cv2.calcHist([bins], [0], None, [BINS], [0, BINS])
        counts += histogram.reshape(-1).astype(np.int64)  # OpenCV 4: (2048, 1), 5: (2048,)
    return counts
