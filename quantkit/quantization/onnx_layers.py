"""Which node of an ONNX network is which layer of the ncnn network that was made from it.

Converters rename layers and reorder them, so they are told by their weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.quantization.onnx_weights import WeightedNode, weighted_nodes

_TOLERANCE: Final = 1e-3
"""Share of the largest weight: batch norms folded by another tool, or weights stored as fp16."""

_ABSENT: Final = "no Conv, Gemm or MatMul of the ONNX file has its weights"


@dataclass(frozen=True)
class Matched:
    """The layers that were found in an ONNX network, and those that were not.

    Attributes:
        nodes: Layer name to its node.
        left_out: Layer name to the reason why it has none.
    """

    nodes: Mapping[str, WeightedNode]
    left_out: Mapping[str, str]


def match_layers(graph: Any, network: Network, layers: Sequence[Layer]) -> Matched:
    """Find layers in an ONNX network by their weights.

    Of several nodes with the same weights the one is taken that stands behind the same layers, and
    of those the first.

    Args:
        graph: An `onnx.GraphProto`.
        network: The ncnn network.
        layers: Its layers to find, in the order of the .param.
    """
    free = list(weighted_nodes(graph))
    before_layer = _layers_before(network, {layer.name for layer in layers})
    before_node = _nodes_before(graph, {node.index for node in free})
    found: dict[str, WeightedNode] = {}
    for layer in layers:
        before = {found[name].index for name in before_layer[layer.name] if name in found}
        fitting = [
            (distance, before_node[node.index] != before, place)
            for place, node in enumerate(free)
            if (distance := _distance(layer, network, node)) <= _TOLERANCE
        ]
        if fitting:
            found[layer.name] = free.pop(min(fitting)[2])
    return Matched(found, {layer.name: _ABSENT for layer in layers if layer.name not in found})


def _distance(layer: Layer, network: Network, node: WeightedNode) -> float:
    """Measure how far two weights are apart, as a share of the largest; infinite if unlike."""
    weight = network.weights[layer.name]["weight"]
    outputs = layer.int_param(0, 0)
    group = layer.int_param(7, 1) if layer.type == "ConvolutionDepthWise" else 1
    if node.group != group or node.weight.shape[node.axis] != outputs:
        return float("inf")
    if node.weight.size != weight.size:
        return float("inf")
    rows = weight.reshape(outputs, -1)
    largest = float(np.abs(rows).max())
    # Most unlike weights differ in the first channel already.
    if _apart(rows[:1], node.rows[:1]) > _TOLERANCE * largest:
        return float("inf")
    return _apart(rows, node.rows) / (largest or 1.0)


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(one - other).max())


def _layers_before(network: Network, names: set[str]) -> dict[str, set[str]]:
    sources: dict[str, set[str]] = {}
    before: dict[str, set[str]] = {}
    for layer in network.param.layers:
        before[layer.name] = set().union(*(sources.get(blob, set()) for blob in layer.bottoms))
        here = {layer.name} if layer.name in names else before[layer.name]
        sources |= dict.fromkeys(layer.tops, here)
    return before


def _nodes_before(graph: Any, indices: set[int]) -> dict[int, set[int]]:
    sources: dict[str, set[int]] = {}
    before: dict[int, set[int]] = {}
    for index, node in enumerate(graph.node):
        before[index] = set().union(*(sources.get(blob, set()) for blob in node.input))
        here = {index} if index in indices else before[index]
        sources |= dict.fromkeys(node.output, here)
    return before
