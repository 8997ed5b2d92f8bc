"""Signal to quantization noise ratio of a network's outputs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Outputs = tuple[NDArray[np.float32], ...]


def sqnr_db(reference: Sequence[Outputs], quantized: Sequence[Outputs]) -> float:
    """Compare outputs with those of the fp32 network, over several crops at once.

    10 log10(sum r^2 / sum (r - q)^2), summed over crops, outputs and elements; see Pandey et al.,
    "A Practical Mixed Precision Algorithm for Post-Training Quantization" (2302.05397).

    Args:
        reference: The fp32 outputs of each crop.
        quantized: The outputs of the quantized network, of the same shapes.

    Returns:
        Decibels; infinity where nothing differs, minus infinity where the noise is not finite.

    Example:
        >>> r, q = np.ones((1, 10), np.float32), np.full((1, 10), 0.9, np.float32)
        >>> round(sqnr_db([(r,)], [(q,)]), 3)
        20.0
    """
    signal = noise = 0.0
    for expected, got in zip(reference, quantized, strict=True):
        for r, q in zip(expected, got, strict=True):
            exact = r.astype(np.float64)
            signal += float(np.square(exact).sum())
            noise += float(np.square(exact - q).sum())
    if not np.isfinite(noise):
        return -np.inf
    if noise == 0:
        return np.inf
    return 10 * float(np.log10(signal / noise)) if signal > 0 else -np.inf
