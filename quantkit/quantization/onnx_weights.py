"""The layers of an ONNX network that hold a weight matrix, whatever stands before the weights."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.quantization.onnx_biases import BiasPlace, bias_place
from quantkit.quantization.onnx_constants import Constants, attributes

_WEIGHT_INPUT: Final = 1
TRANSPOSED: Final = "ConvTranspose"
CONVOLUTIONS: Final = ("Conv", TRANSPOSED)


@dataclass(frozen=True, eq=False)
class WeightedNode:
    """A Conv, ConvTranspose, Gemm or MatMul with constant weights.

    Attributes:
        index: Its place among the nodes of the graph.
        kind: Its type.
        weight: The weights as the node reads them, float32.
        axis: The axis of the weights that counts output channels; of a ConvTranspose those of one
            group.
        group: Groups of a convolution, 1 for the others.
        bias: Where its biases are, None where they are nowhere or computed.
    """

    index: int
    kind: str
    weight: NDArray[np.float32]
    axis: int
    group: int = 1
    bias: BiasPlace | None = None

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return _outputs(self.kind, self.weight, self.axis, self.group)

    @property
    def rows(self) -> NDArray[np.float32]:
        """The weights with one row an output channel, as ncnn stores them; shape (outputs, n)."""
        if self.kind != TRANSPOSED:
            return np.moveaxis(self.weight, self.axis, 0).reshape(self.outputs, -1)
        groups = self.weight.reshape(self.group, -1, *self.weight.shape[1:])
        return groups.swapaxes(1, 2).reshape(self.outputs, -1)

    def shaped(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Bring values that lie as in ncnn into the shape in which the node reads its weights."""
        if self.kind == TRANSPOSED:
            inputs, outputs, *kernel = self.weight.shape
            groups = rows.reshape(self.group, outputs, inputs // self.group, *kernel)
            return np.ascontiguousarray(groups.swapaxes(1, 2).reshape(self.weight.shape))
        if self.axis == 0:
            return rows.reshape(self.weight.shape)
        return np.ascontiguousarray(rows.reshape(self.weight.shape[::-1]).T)


def weighted_nodes(graph: Any) -> tuple[WeightedNode, ...]:
    """Find the nodes whose weights are those of a layer of ncnn, in the order of the graph.

    Args:
        graph: An `onnx.GraphProto`.
    """
    constants = Constants(graph)
    found = (_weighted(graph, index, constants) for index in range(len(graph.node)))
    return tuple(node for node in found if node is not None)


def _weighted(graph: Any, index: int, constants: Constants) -> WeightedNode | None:
    node = graph.node[index]
    if node.op_type not in (*CONVOLUTIONS, "Gemm", "MatMul"):
        return None
    weight = constants.value(node.input[_WEIGHT_INPUT])
    if weight is None or weight.dtype != np.float32:
        return None
    axis, group = 0, 1
    if node.op_type in CONVOLUTIONS:
        given = attributes(node).get("group")
        axis, group = int(node.op_type == TRANSPOSED), given.i if given else 1
    elif weight.ndim != 2:
        return None
    else:
        given = attributes(node).get("transB")
        axis = 0 if given and given.i else 1
    outputs = _outputs(node.op_type, weight, axis, group)
    bias = bias_place(graph, index, outputs, constants)
    return WeightedNode(index, node.op_type, weight, axis, group, bias)


def _outputs(kind: str, weight: NDArray[np.float32], axis: int, group: int) -> int:
    return weight.shape[axis] * (group if kind == TRANSPOSED else 1)
