"""What is known of an ONNX network without running it."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

_MOVED: Final = ("Identity", "Transpose")


class Constants:
    """Values that are known without a run: initializers, Constants and those moved about.

    Args:
        graph: An `onnx.GraphProto`.
    """

    def __init__(self, graph: Any) -> None:
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._producers = {output: node for node in graph.node for output in node.output}

    def value(self, name: str) -> NDArray[Any] | None:
        """Give a tensor's value, None where it is computed."""
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


def attributes(node: Any) -> Mapping[str, Any]:
    """Give the attributes of an `onnx.NodeProto` by name."""
    return {attribute.name: attribute for attribute in node.attribute}


def _array(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = numpy_helper.to_array(tensor)
    return array
