"""BatchNormalizations of an ONNX network folded into the convolutions before them.

onnxsim folds them into Conv, but not into ConvTranspose; pnnx folds them into both.
"""

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.network import Network
from quantkit.quantization.onnx_constants import Constants, attributes
from quantkit.quantization.onnx_layers import close
from quantkit.quantization.onnx_weights import CONVOLUTIONS, WeightedNode, weighted_nodes
from quantkit.quantization.onnx_writing import GraphWriting

_EPSILON: Final = 1e-5
_VALUES, _MEAN = 4, 2
Floats = NDArray[np.float64]


def fold_batch_norms(graph: Any, network: Network) -> None:
    """Fold, in place, every BatchNormalization that the ncnn network does not have either.

    Those are folded that alone read the output of a Conv or ConvTranspose with constant weights.

    Args:
        graph: An `onnx.GraphProto`.
        network: The ncnn network that was made from it.
    """
    kept = [
        network.weights[layer.name]["mean"]
        for layer in network.param.layers
        if layer.type == "BatchNorm"
    ]
    constants, writing = Constants(graph), GraphWriting(graph)
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(value.name for value in graph.output)
    nodes = {graph.node[node.index].output[0]: node for node in weighted_nodes(graph)}
    folded = []
    for index, norm in enumerate(graph.node):
        before = nodes.get(norm.input[0]) if _normalizes(norm) else None
        if before is None or before.kind not in CONVOLUTIONS or readers[norm.input[0]] > 1:
            continue
        found = (constants.value(name) for name in norm.input[1:])
        values = [value for value in found if value is not None]
        if len(values) < _VALUES or any(close(values[_MEAN], one) for one in kept):
            continue
        if _fold(writing, before, norm, [value.astype(np.float64) for value in values]):
            folded.append(index)
    for index in reversed(folded):
        del graph.node[index]


def _normalizes(node: Any) -> bool:
    if node.op_type != "BatchNormalization" or len(node.output) > 1:
        return False
    given = attributes(node).get("training_mode")
    return given is None or not given.i


def _fold(writing: GraphWriting, node: WeightedNode, norm: Any, values: list[Floats]) -> bool:
    if node.bias is None:
        return False
    scale, shift, mean, variance = values
    given = attributes(norm).get("epsilon")
    factor = scale / np.sqrt(variance + (given.f if given else _EPSILON))
    rows = (node.rows * factor[:, None]).astype(np.float32)
    bias = ((node.bias.values - mean) * factor + shift).astype(np.float32)
    name = norm.output[0]
    writing.exchange(node.index, 1, f"{name}.weight", node.shaped(rows))
    writing.exchange(node.index, node.bias.input, f"{name}.bias", bias)
    writing.graph.node[node.index].output[0] = name
    return True
