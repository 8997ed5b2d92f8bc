"""The integers that int8 weights become."""

import numpy as np
from numpy.typing import NDArray


def to_int8(weights: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int8]:
    """Quantize weights: round(weight * scale), half away from zero, within -127..127.

    Exactly as ncnn's x86 kernel does. Source: ncnn src/layer/x86/quantize_x86.cpp.

    Args:
        weights: Flat array; its rows of equal length belong to the scales one by one.
        scales: One scale a row.

    Returns:
        Flat array of the same length.

    Example:
        >>> to_int8(np.float32([0.5, -1.5, 9, 1]), np.float32([1, 100])).tolist()
        [1, -2, 127, 100]
    """
    scaled = weights.reshape(len(scales), -1) * scales[:, None]
    np.clip(scaled, -128, 128, out=scaled)
    quantized: NDArray[np.int8] = np.clip(half_away(scaled), -127, 127).astype(np.int8)
    return quantized.reshape(-1)


def half_away(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to the nearest integer as ncnn's kernel does, half away from zero.

    Example:
        >>> half_away(np.float32([0.5, -1.5, 2.4])).tolist()
        [1.0, -2.0, 2.0]
    """
    # The sum is rounded to float32 before it is cut, as in the kernel.
    rounded: NDArray[np.float32] = np.trunc(values + np.copysign(np.float32(0.5), values))
    return rounded
