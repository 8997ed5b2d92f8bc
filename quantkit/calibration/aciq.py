"""The threshold of ncnn2table's `aciq`: where a Gaussian of the same range is best clipped.

After Banner et al., "Post training 4-bit quantization of convolutional networks" (2019), as ncnn's
tools/quantize/ncnn2table.cpp does it: the deviation is guessed from the largest of N values, and
the best clip is a fixed multiple of it. With fewer than 8,000 values it lies beyond the largest.
"""

import math
from typing import Final

import numpy as np

from quantkit.calibration.blob_statistics import BlobStatistics

# Of ncnn2table's numbers alpha and the clip are floats, the others doubles.
_ALPHA: Final = {127: float(np.float32(3.92403714)), 31: float(np.float32(3.28691474))}
_SPREAD: Final = 0.5 * 0.35 * (1 + math.sqrt(math.pi * math.log(4)))


def threshold(statistics: BlobStatistics) -> float:
    """Choose the absolute value that becomes 127, from the largest and the number of values.

    N is the number of values of one crop, as in ncnn2table.

    Args:
        statistics: Of the blob; not all of it zero.
    """
    return gaussian_clip(statistics.absmax, math.prod(statistics.shape))


def gaussian_clip(absmax: float, count: int, levels: int = 127) -> float:
    """Compute the best clip of a Gaussian.

    Args:
        absmax: Largest absolute value of `count` values.
        count: A single value has no spread: its clip is itself, where ncnn2table writes a scale
            of 0.
        levels: 127 for 8 bits or 31 for 6.

    Example:
        >>> round(gaussian_clip(1.0, 147_456), 4), gaussian_clip(1.0, 1)
        (0.869, 1.0)
    """
    if count <= 1:
        return absmax
    deviation = absmax * 2 * _SPREAD / math.sqrt(2 * math.log(count))
    return float(np.float32(_ALPHA[levels] * deviation))
