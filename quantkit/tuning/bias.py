"""Bias correction: the mean that rounded weights add to a layer's output is taken from its bias.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction"
(arXiv 1906.04721), section 4.2, with the mean of the inputs measured. It is the mean of what int8
hands the layer, so values that are clipped count for no more than the threshold.
"""

from dataclasses import replace

import numpy as np

from quantkit.model.weights import LayerWeights
from quantkit.tuning.gptq import Floats
from quantkit.tuning.rounding_blocks import WeightBlocks


def mean_shift(
    blocks: WeightBlocks, weights: Floats, integers: Floats, scales: Floats, mean: Floats
) -> Floats:
    """Give what the layer's outputs lose on average when integers take the place of weights.

    Args:
        blocks: How the weights are cut.
        weights: Weights times their scales, shape (blocks, rows, columns).
        integers: What they are rounded to.
        scales: By row, shape (blocks, rows).
        mean: Mean of the inputs, shape (blocks, columns).

    Returns:
        What is to be added to the bias, one value an output channel.

    Example:
        >>> blocks = WeightBlocks(groups=1, parts=1, rows=1, columns=2, scales=1)
        >>> rounded, mean = np.array([[[1.0, 2.0]]]), np.array([[4.0, 1.0]])
        >>> mean_shift(blocks, np.array([[[1.25, 2.0]]]), rounded, np.array([[2.0]]), mean)
        array([0.5])
    """
    return blocks.by_row(np.einsum("brk,bk->br", weights - integers, mean) / scales)


def with_bias_moved(weights: LayerWeights, shift: Floats) -> LayerWeights:
    """Add to the biases of a layer that has them."""
    bias = weights.records["bias"]
    moved = (bias.values().astype(np.float64) + shift).astype(np.float32)
    return LayerWeights({**weights.records, "bias": replace(bias, stored=moved)})
