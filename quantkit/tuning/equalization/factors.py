"""The factors of the channels: those with which int8 adds the least noise, by the model of it."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.tuning.equalization.channel_graph import ChannelGraph
from quantkit.tuning.equalization.noise import Floats, LayerNoise
from quantkit.tuning.equalization.ranges import ChannelRanges

STEPS: Final = 100
_SWEEPS: Final = 20
_RATE: Final = 0.1
_DECAY, _SQUARE_DECAY = 0.9, 0.99


def least_noise(
    graph: ChannelGraph,
    ranges: Mapping[str, ChannelRanges],
    layers: Sequence[LayerNoise],
    *,
    steps: int = STEPS,
) -> Floats:
    """Choose the factors of the classes.

    The sum of the logarithms of the layers' noise is lowered by Adam (Kingma and Ba, 1412.6980),
    from factors that make the channels of each blob as equal as their classes allow.

    Args:
        graph: The classes and the most that the factor of each may be.
        ranges: Of the blobs whose channels are to become equal at first.
        layers: The noise of the int8 layers.
        steps: How many steps are taken; 0 leaves it at equal ranges.

    Returns:
        Positive factors, one a class, 1 for the frozen ones.
    """
    free = np.array([reason is None for reason in graph.frozen])
    most = np.log(graph.most)
    logs = np.minimum(_equal_ranges(graph, ranges, free), most)
    mean, square = np.zeros_like(logs), np.zeros_like(logs)
    for step in range(1, steps + 1):
        gradient = np.where(free, _gradient(layers, logs), 0.0)
        mean = _DECAY * mean + (1 - _DECAY) * gradient
        square = _SQUARE_DECAY * square + (1 - _SQUARE_DECAY) * gradient**2
        scaled = np.sqrt(square / (1 - _SQUARE_DECAY**step)) + 1e-12
        rate = _RATE * (1 - step / (steps + 1))
        logs = np.minimum(logs - rate * mean / (1 - _DECAY**step) / scaled, most)
    factors: Floats = np.exp(logs)
    return factors


def powers_of_two(factors: Floats, most: Floats) -> Floats:
    """Round factors to powers of two, with which fp32 computes the very same outputs.

    Example:
        >>> powers_of_two(np.array([0.7, 1.0, 5.9]), np.array([9.0, 1.0, 7.0]))
        array([0.5, 1. , 4. ])
    """
    rounded: Floats = np.exp2(np.minimum(np.rint(np.log2(factors)), np.floor(np.log2(most))))
    return rounded


def _gradient(layers: Sequence[LayerNoise], logs: Floats) -> Floats:
    gradient = np.zeros_like(logs)
    for layer in layers:
        np.add.at(gradient, layer.classes, layer.log_noise(logs[layer.classes])[1])
    return gradient


def _equal_ranges(
    graph: ChannelGraph, ranges: Mapping[str, ChannelRanges], free: NDArray[np.bool_]
) -> Floats:
    """Lessen the spread of the logarithms of each blob's ranges, class by class in turn."""
    blobs = [(graph.channels(blob), np.log(one.divisible)) for blob, one in ranges.items()]
    logs = np.zeros(len(graph.frozen))
    for _ in range(_SWEEPS):
        wanted, counts = np.zeros_like(logs), np.zeros_like(logs)
        for classes, known in blobs:
            middle = (known + logs[classes]).mean()
            np.add.at(wanted, classes, middle - known)
            np.add.at(counts, classes, 1)
        logs = np.where(free & (counts > 0), wanted / np.maximum(counts, 1), 0.0)
    return logs
