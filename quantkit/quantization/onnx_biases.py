"""Where an ONNX network holds the biases of a layer."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.quantization.onnx_constants import Constants, attributes

_BIAS_INPUT: Final = 2


@dataclass(frozen=True, eq=False)
class BiasPlace:
    """The input of a node that adds biases to the outputs of a layer.

    Attributes:
        index: The node's place in the graph.
        input: Number of the input, which the node may lack as yet.
        values: What is there now, one value an output channel.
        shape: In which the node reads them.
    """

    index: int
    input: int
    values: NDArray[np.float32]
    shape: tuple[int, ...]


def bias_place(graph: Any, index: int, outputs: int, constants: Constants) -> BiasPlace | None:
    """Find the biases of a Conv, ConvTranspose, Gemm or MatMul.

    Args:
        graph: An `onnx.GraphProto`.
        index: Of the node.
        outputs: Number of its output channels.
        constants: Of the graph.

    Returns:
        None where they are computed, are not one a channel, or there is no place for any: a MatMul
        without an Add of a constant behind it, or a Gemm that multiplies its result.
    """
    node = graph.node[index]
    if node.op_type == "MatMul":
        return _added(graph, node, outputs, constants)
    if node.op_type == "Gemm" and not _plain(node):
        return None
    if len(node.input) <= _BIAS_INPUT or not node.input[_BIAS_INPUT]:
        return BiasPlace(index, _BIAS_INPUT, np.zeros(outputs, np.float32), (outputs,))
    return _place(index, _BIAS_INPUT, outputs, constants.value(node.input[_BIAS_INPUT]))


def _plain(gemm: Any) -> bool:
    given = attributes(gemm)
    return all(given[name].f == 1 for name in ("alpha", "beta") if name in given)


def _added(graph: Any, product: Any, outputs: int, constants: Constants) -> BiasPlace | None:
    (name,) = product.output
    readers = [index for index, node in enumerate(graph.node) if name in node.input]
    if len(readers) != 1 or name in {value.name for value in graph.output}:
        return None
    node = graph.node[readers[0]]
    if node.op_type != "Add":
        return None
    other = int(node.input[0] == name)
    return _place(readers[0], other, outputs, constants.value(node.input[other]))


def _place(index: int, number: int, outputs: int, value: NDArray[Any] | None) -> BiasPlace | None:
    if value is None or value.dtype != np.float32:
        return None
    if value.size == 1:
        return BiasPlace(index, number, np.full(outputs, value.item(), np.float32), (outputs,))
    if value.size != outputs or value.shape[-1] != outputs:
        return None
    return BiasPlace(index, number, value.reshape(-1), value.shape)
