"""The layers of an ONNX network that hold a weight matrix, whatever stands before the weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

_WEIGHT_INPUT: Final = 1
_MOVED: Final = ("Identity", "Transpose")


@dataclass(frozen=True, eq=False)
class WeightedNode:
    """A Conv, Gemm or MatMul with constant weights.

    Attributes:
        index: Its place among the nodes of the graph.
        weight: The weights as the node reads them, float32.
        axis: The axis of the weights that counts output channels.
        group: Groups of a convolution, 1 for the others.
    """

    index: int
    weight: NDArray[np.float32]
    axis: int
    group: int = 1

    @property
    def rows(self) -> NDArray[np.float32]:
        """The weights with one row an output channel, as ncnn stores them; shape (outputs, n)."""
        return np.moveaxis(self.weight, self.axis, 0).reshape(self.weight.shape[self.axis], -1)

    def shaped(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Bring values that lie as in ncnn into the shape in which the node reads its weights."""
        if self.axis == 0:
            return rows.reshape(self.weight.shape)
        return np.ascontiguousarray(rows.reshape(self.weight.shape[::-1]).T)


def weighted_nodes(graph: Any) -> tuple[WeightedNode, ...]:
    """Find the nodes whose weights could be int8, in the order of the graph.

    Args:
        graph: An `onnx.GraphProto`.
    """
    constants = _Constants(graph)
    found = (_weighted(index, node, constants) for index, node in enumerate(graph.node))
    return tuple(node for node in found if node is not None)


def attributes(node: Any) -> Mapping[str, Any]:
    """Give the attributes of an `onnx.NodeProto` by name."""
    return {attribute.name: attribute for attribute in node.attribute}


def _weighted(index: int, node: Any, constants: "_Constants") -> WeightedNode | None:
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    weight = constants.value(node.input[_WEIGHT_INPUT])
    if weight is None or weight.dtype != np.float32:
        return None
    if node.op_type == "Conv":
        group = attributes(node).get("group")
        return WeightedNode(index, weight, axis=0, group=group.i if group else 1)
    if weight.ndim != 2:
        return None
    given = attributes(node).get("transB")
    return WeightedNode(index, weight, axis=0 if given and given.i else 1)


class _Constants:
    """Values that are known without a run: initializers, Constants and those moved about."""

    def __init__(self, graph: Any) -> None:
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._producers = {output: node for node in graph.node for output in node.output}

    def value(self, name: str) -> NDArray[Any] | None:
        if name in self._initializers:
            return _array(self._initializers[name])
        node = self._producers.get(name)
        if node is None:
            return None
        given = attributes(node)
        if node.op_type == "Constant" and "value" in given:
            return _array(given["value"].t)
        if node.op_type not in _MOVED:
            return None
        value = self.value(node.input[0])
        if value is None or node.op_type == "Identity":
            return value
        return np.transpose(value, given["perm"].ints if "perm" in given else None)


def _array(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = numpy_helper.to_array(tensor)
    return array
