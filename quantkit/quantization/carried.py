"""The weights and biases of a prepared network in the ONNX form of the network that it was.

An equalized network computes the same only as a whole: all that was changed is carried over, or
nothing is.
"""

from collections.abc import Collection
from typing import Any, Final

import numpy as np

from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.quantization.onnx_constants import Constants
from quantkit.quantization.onnx_layers import Matched, biases, close
from quantkit.quantization.onnx_weights import WeightedNode
from quantkit.quantization.onnx_writing import GraphWriting
from quantkit.quantization.prepared_layers import changed_layers, same_weights

_BATCH_NORM: Final = {1: "slope", 2: "bias", 3: "mean", 4: "variance"}
"""Role in ncnn by the number of BatchNormalization's input."""
_BLENDING: Final = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Concat")
_UNFOLDED: Final = "; is there a BatchNormalization that is not folded into the weights?"


class Carrying:
    """Carries what changed from one network to another over to an ONNX graph.

    Args:
        graph: An `onnx.GraphProto` with the weights of `network`.
        network: The ncnn network as it was.
        prepared: The network after its preparation.
        matched: The nodes of `network`.

    Raises:
        InputError: The networks differ in more than weights and biases.
    """

    def __init__(self, graph: Any, network: Network, prepared: Network, matched: Matched) -> None:
        self._changed = changed_layers(network, prepared)
        self._graph = graph
        self._constants = Constants(graph)
        self._network = network
        self._prepared = prepared
        self._matched = matched

    def write(self, writing: GraphWriting, int8: Collection[str]) -> None:
        """Write the changed weights and biases.

        Args:
            writing: Of the same graph.
            int8: Layers whose weights are written elsewhere.

        Raises:
            InputError: A layer has no place in the graph; it is named.
        """
        for layer in self._changed:
            if layer.type == "BatchNorm":
                self._write_batch_norm(writing, layer)
            elif layer.type == "MemoryData":
                self._write_constant(writing, layer)
            else:
                self._write_matrix(writing, layer, weight=layer.name not in int8)

    def _write_matrix(self, writing: GraphWriting, layer: Layer, *, weight: bool) -> None:
        node = self._node(layer)
        if weight:
            rows = self._prepared.weights[layer.name]["weight"]
            writing.exchange(node.index, 1, f"{layer.name}.weight", node.shaped(rows))
        before, after = biases(layer, self._network), biases(layer, self._prepared)
        place = node.bias
        if node.kind == "MatMul" and not before.any():
            # What is added behind it is no bias to ncnn, so it is carried over by itself.
            place = place if place is not None and close(place.values, before) else None
            if place is None and not after.any():
                return
        if place is None:
            reason = "its node in the ONNX file has no place for constant biases"
            raise _refused(layer, reason)
        if not close(place.values, before):
            reason = "the biases of its node in the ONNX file are others" + _UNFOLDED
            raise _refused(layer, reason)
        if not np.array_equal(before, after):
            values = after.reshape(place.shape)
            writing.exchange(place.index, place.input, f"{layer.name}.bias", values)

    def _node(self, layer: Layer) -> WeightedNode:
        node = self._matched.nodes.get(layer.name)
        if node is None:
            why = self._matched.left_out.get(layer.name)
            unknown = f"layers of type {layer.type} have no known form there"
            raise _refused(layer, why + _UNFOLDED if why else unknown)
        for twin in self._matched.twins[layer.name]:
            weights = self._prepared.weights
            if twin is None or not same_weights(weights[layer.name], weights[twin]):
                reason = "several nodes of the ONNX file have its weights and stand where it stands"
                raise _refused(layer, reason)
        return node

    def _write_batch_norm(self, writing: GraphWriting, layer: Layer) -> None:
        before, after = (x.weights[layer.name] for x in (self._network, self._prepared))
        wanted = {number: before[role] for number, role in _BATCH_NORM.items()}
        places = [
            index
            for index, node in enumerate(self._graph.node)
            if node.op_type == "BatchNormalization"
            and all(self._holds(node.input[number], x) for number, x in wanted.items())
        ]
        index = _only(layer, places, "BatchNormalization")
        for number, role in _BATCH_NORM.items():
            if not np.array_equal(before[role], after[role]):
                writing.exchange(index, number, f"{layer.name}.{role}", after[role])

    def _write_constant(self, writing: GraphWriting, layer: Layer) -> None:
        before, after = (x.weights[layer.name]["data"] for x in (self._network, self._prepared))
        biased = self._bias_places()
        places = [
            (index, number)
            for index, node in enumerate(self._graph.node)
            if node.op_type in _BLENDING
            for number, name in enumerate(node.input)
            if (index, number) not in biased and self._holds(name, before)
        ]
        index, number = _only(layer, places, "constant")
        value = self._constants.value(self._graph.node[index].input[number])
        assert value is not None
        writing.exchange(index, number, f"{layer.name}.data", after.reshape(value.shape))

    def _bias_places(self) -> set[tuple[int, int]]:
        return {
            (node.bias.index, node.bias.input)
            for name, node in self._matched.nodes.items()
            if node.bias is not None and "bias" in self._network.weights[name]
        }

    def _holds(self, name: str, values: Any) -> bool:
        value = self._constants.value(name)
        if value is None or value.dtype != np.float32:
            return False
        return close(value.reshape(-1), values)


def _only(layer: Layer, places: list[Any], kind: str) -> Any:
    if len(places) != 1:
        count = "more than one" if places else "no"
        reason = f"the ONNX file has {count} {kind} of its values"
        raise _refused(layer, reason)
    return places[0]


def _refused(layer: Layer, reason: str) -> InputError:
    message = (
        f"layer '{layer.name}' was changed for the table and cannot be carried over to ONNX: "
        f"{reason}"
    )
    return InputError(message)
