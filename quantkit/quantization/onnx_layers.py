"""Which node of an ONNX network is which layer of the ncnn network that was made from it.

Converters rename layers and reorder them, so they are told by their weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.quantization.onnx_weights import TRANSPOSED, WeightedNode, weighted_nodes

_TOLERANCE: Final = 1e-3
"""Share of the largest weight: batch norms folded by another tool, or weights stored as fp16."""
_NOTHING: Final = 1e-6
"""A bias of so little is none."""

_ABSENT: Final = "no Conv, Gemm or MatMul of the ONNX file has its weights"
_ABSENT_TRANSPOSED: Final = "no ConvTranspose of the ONNX file has its weights"
_DIRECT: Final = (
    "Convolution",
    "Convolution1D",
    "ConvolutionDepthWise",
    "ConvolutionDepthWise1D",
    "InnerProduct",
)
_BACKWARD: Final = (
    "Deconvolution",
    "Deconvolution1D",
    "DeconvolutionDepthWise",
    "DeconvolutionDepthWise1D",
)
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Matched:
    """The layers that were found in an ONNX network, and those that were not.

    Attributes:
        nodes: Layer name to its node.
        left_out: Layer name to the reason why it has none.
        twins: Layer name to the layers whose nodes could as well be its own, as they have the same
            weights and biases and stand behind the same layers; None for a node of no layer.
    """

    nodes: Mapping[str, WeightedNode]
    left_out: Mapping[str, str]
    twins: Mapping[str, tuple[str | None, ...]]


def match_layers(graph: Any, network: Network) -> Matched:
    """Find the layers of a network that have a weight matrix in an ONNX network, by their weights.

    Of several nodes with the same weights the one is taken that has the same biases and stands
    behind the same layers, and of those the first.

    Args:
        graph: An `onnx.GraphProto`.
        network: The ncnn network.
    """
    nodes = weighted_nodes(graph)
    layers = [layer for layer in network.param.layers if _has_matrix(layer, network)]
    before_layer = _layers_before(network, {layer.name for layer in layers})
    before_node = _nodes_before(graph, {node.index for node in nodes})
    found: dict[str, int] = {}
    alike: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        before = {nodes[found[x]].index for x in before_layer[layer.name] if x in found}
        fitting = {
            place: (
                distance,
                _bias_differs(layer, network, node),
                before_node[node.index] != before,
            )
            for place, node in enumerate(nodes)
            if (distance := _distance(layer, network, node)) <= _TOLERANCE
        }
        if free := [(key, place) for place, key in fitting.items() if place not in found.values()]:
            best, chosen = min(free)
            found[layer.name] = chosen
            alike[layer.name] = tuple(
                x for x, key in fitting.items() if key == best and x != chosen
            )
    owners = {place: name for name, place in found.items()}
    return Matched(
        {name: nodes[place] for name, place in found.items()},
        {layer.name: _absent(layer) for layer in layers if layer.name not in found},
        {name: tuple(owners.get(place) for place in places) for name, places in alike.items()},
    )


def close(one: Floats, other: Floats) -> bool:
    """Say whether biases or other values of channels are the same but for rounding."""
    if one.shape != other.shape:
        return False
    return _apart(one, other) <= max(_TOLERANCE * float(np.abs(other).max()), _NOTHING)


def biases(layer: Layer, network: Network) -> Floats:
    """Give the biases of a layer, zeros where it has none."""
    outputs = np.zeros(layer.int_param(0, 0), np.float32)
    found: Floats = network.weights[layer.name].get("bias", outputs)
    return found


def _has_matrix(layer: Layer, network: Network) -> bool:
    if layer.type not in (*_DIRECT, *_BACKWARD) or layer.name not in network.weights:
        return False
    return network.weights[layer.name]["weight"].dtype == np.float32


def _absent(layer: Layer) -> str:
    return _ABSENT_TRANSPOSED if layer.type in _BACKWARD else _ABSENT


def _bias_differs(layer: Layer, network: Network, node: WeightedNode) -> bool:
    wanted = biases(layer, network)
    return not close(wanted if node.bias is None else node.bias.values, wanted)


def _distance(layer: Layer, network: Network, node: WeightedNode) -> float:
    """Measure how far two weights are apart, as a share of the largest; infinite if unlike."""
    weight = network.weights[layer.name]["weight"]
    outputs = layer.int_param(0, 0)
    group = layer.int_param(7, 1) if "DepthWise" in layer.type else 1
    if (layer.type in _BACKWARD) != (node.kind == TRANSPOSED):
        return float("inf")
    if (node.group, node.outputs, node.weight.size) != (group, outputs, weight.size):
        return float("inf")
    rows, others = weight.reshape(outputs, -1), node.rows
    largest = float(np.abs(rows).max())
    # Most unlike weights differ in the first channel already.
    if _apart(rows[:1], others[:1]) > _TOLERANCE * largest:
        return float("inf")
    return _apart(rows, others) / (largest or 1.0)


def _apart(one: Floats, other: Floats) -> float:
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
