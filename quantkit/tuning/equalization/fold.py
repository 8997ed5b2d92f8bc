"""The network whose blobs are scaled: the factors go into its weights."""

import numpy as np
from numpy.typing import NDArray

from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.model.weights import FP32_TAG, LayerWeights, Record
from quantkit.tuning.equalization.channel_graph import ChannelGraph
from quantkit.tuning.equalization.weighted_channels import FOLDS

Factors = NDArray[np.float64]


def folded(network: Network, graph: ChannelGraph, factors: Factors) -> Network:
    """Scale the blobs of a network without changing what it computes.

    Weights are multiplied in float64 and stored as fp32, also where they were fp16.

    Args:
        network: The fp32 network.
        graph: Its classes of channels.
        factors: Positive, one a class; 1 for a frozen one.
    """
    weights: dict[str, LayerWeights] = {}
    for layer in network.param.layers:
        if layer.type in FOLDS and layer.name in network.weights:
            bottom, top = _factors(layer, graph, factors)
            if (bottom != 1).any() or (top != 1).any():
                weights[layer.name] = _folded(layer, network.weights[layer.name], bottom, top)
    return network.replaced({}, weights)


def _factors(layer: Layer, graph: ChannelGraph, factors: Factors) -> tuple[Factors, Factors]:
    """Of the channels; InnerProduct reads and MemoryData makes elements."""
    if layer.type == "MemoryData":
        return np.ones(0), factors[graph.labels[layer.tops[0]]].reshape(-1)
    labels = graph.labels[layer.bottoms[0]]
    read = labels.reshape(-1) if layer.type == "InnerProduct" else graph.channels(layer.bottoms[0])
    return factors[read], factors[graph.channels(layer.tops[0])]


def _folded(layer: Layer, weights: LayerWeights, bottom: Factors, top: Factors) -> LayerWeights:
    before = {name: np.asarray(values, np.float64) for name, values in weights.items()}
    after = FOLDS[layer.type](layer, before, bottom, top)
    return LayerWeights(
        {name: _stored(record, after[name]) for name, record in weights.records.items()}
    )


def _stored(record: Record, values: Factors) -> Record:
    tag = None if record.tag is None else FP32_TAG
    return Record(values.reshape(-1).astype(np.float32), tag)
