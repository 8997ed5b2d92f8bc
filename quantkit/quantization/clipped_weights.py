"""Weight scales that cut a network's weights: the table is then of another network."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from quantkit.calibration.weight_scales import scale_count
from quantkit.model.eligibility import INT8_TERM
from quantkit.model.network import Network
from quantkit.model.param import Layer

_MOST: Final = 2 * 127 + 0.5
"""The largest weight times its scale: ncnn2table's `eq` goes up to twice of what fits."""


def clipped_weights(network: Network, layer: Layer, scales: Sequence[float]) -> str | None:
    """Say how far weights are cut, where no method would cut them so far.

    Scales that were made for a network whose channels are equalized otherwise do.

    Args:
        network: The fp32 network.
        layer: A layer of it that can be int8.
        scales: Its weight scales, as many as it needs.

    Returns:
        None where its weights fit.
    """
    if layer.int_param(INT8_TERM, 0):
        return None
    weights = np.asarray(network.weights[layer.name]["weight"], np.float32)
    largest = np.abs(weights.reshape(scale_count(layer), -1)).max(axis=1, initial=0)
    levels = largest.astype(np.float64) * np.asarray(scales, np.float64)
    worst = int(np.argmax(levels))
    if not levels[worst] > _MOST:
        return None
    return (
        f"weight scale {worst} cuts weights to 1/{levels[worst] / 127:.3g}: the table was made for "
        "other weights"
    )
