"""Floats to int8 and fp16 exactly as ncnn's x86 kernels round them.

Facts: ncnn src/layer/x86/cast_fp16.h, src/mat.cpp (float32_to_float16).
"""

import numpy as np
import numpy.typing as npt

from quantkit.calibration.weight_integers import to_int8

__all__ = ["to_fp16", "to_int8"]

_SMALLEST_HALF = np.float32(2.0**-14)


def to_fp16(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Store weights as fp16.

    The kernel rounds four at a time to the nearest, and cuts the up to three elements that are
    left over, flushing small ones to zero.

    Args:
        weights: Flat array.

    Returns:
        Flat array of the same length, infinite where a weight is beyond fp16.

    Example:
        >>> to_fp16(np.full(5, 1.0009, np.float32)).tolist()
        [1.0009765625, 1.0009765625, 1.0009765625, 1.0009765625, 1.0]
    """
    with np.errstate(over="ignore", under="ignore"):
        stored = weights.astype(np.float16)
    if left := weights.size % 4:
        tail = weights[-left:]
        kept = (tail.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
        kept = np.where(np.abs(kept) < _SMALLEST_HALF, np.copysign(np.float32(0), kept), kept)
        with np.errstate(over="ignore"):
            stored[-left:] = kept.astype(np.float16)
    return stored
