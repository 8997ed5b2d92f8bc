"""The threshold that clips a given share of all values."""

from typing import Final

import numpy as np

from quantkit.calibration.blob_statistics import BINS, BlobStatistics

PERCENT: Final = 99.99


def threshold(statistics: BlobStatistics, percent: float = PERCENT) -> float:
    """Choose the absolute value that becomes 127: that which `percent` of all values do not exceed.

    Args:
        statistics: Of the blob; not all of it zero.
        percent: 0 to 100, of all values, zeros included.

    Returns:
        As precise as the bins; the largest value where so many values are zero that none is left
        to be kept, lest a blob of rare spikes be cut to nothing.
    """
    nonzero = statistics.count - statistics.zeros
    clipped = (1 - percent / 100) * statistics.count
    if clipped >= nonzero:
        return statistics.absmax
    below = np.append(0, np.cumsum(statistics.histogram))
    wanted = (1 - clipped / nonzero) * below[-1]
    index = int(np.searchsorted(below, wanted)) - 1
    inside = (wanted - below[index]) / (below[index + 1] - below[index])
    return float((index + inside) * statistics.absmax / BINS)
