"""The int8 network of a calibration table as ONNX with QuantizeLinear and DequantizeLinear.

The same scales as in the ncnn network, for other runtimes: int8 weights with a scale for each
output channel, activations with one scale a blob. Biases stay fp32, for TensorRT refuses others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.quantization.onnx_layers import match_layers
from quantkit.quantization.onnx_weights import WeightedNode
from quantkit.quantization.opset import with_channel_scales
from quantkit.quantization.rounding import to_int8
from quantkit.quantization.table_check import check_table

_IR_VERSION: Final = 7
"""The first version of the file format that goes with the operators' version 13."""


@dataclass(frozen=True)
class QdqNetwork:
    """An int8 network in ONNX form.

    Attributes:
        model: An `onnx.ModelProto`.
        layers: Names of the ncnn layers that are int8 in it.
        left_out: Layer of the table to the reason why it stays fp32.
    """

    model: Any
    layers: tuple[str, ...]
    left_out: Mapping[str, str]


def to_qdq(path: Path, network: Network, table: CalibrationTable) -> QdqNetwork:
    """Put the scales of a table into an ONNX network.

    Args:
        path: The fp32 network in ONNX form.
        network: The ncnn network that was made from it, whose layers the table names.
        table: The scales.

    Raises:
        InputError: The table does not fit the network, the file cannot be read, or none of the
            table's layers is in it.
    """
    layers = check_table(network, table)
    model = with_channel_scales(_load(path), path)
    matched = match_layers(model.graph, network, layers)
    if not matched.nodes:
        message = "holds no layer of the calibration table; is the table of another network?"
        raise InputError(message, path=path)
    writing = _Writing(model.graph)
    for layer in layers:
        if node := matched.nodes.get(layer.name):
            scale = table.activation_scales[layer.name]
            writing.quantize_input(node.index, layer.name, scale)
            scales = np.array(table.weight_scales[layer.name], np.float32)
            weight = network.weights[layer.name]["weight"]
            writing.quantize_weight(node, layer.name, to_int8(weight, scales), scales)
    writing.finish()
    model.ir_version = max(model.ir_version, _IR_VERSION)
    return QdqNetwork(model, tuple(matched.nodes), matched.left_out)


def _load(path: Path) -> Any:
    if not path.is_file():
        message = "does not exist"
        raise InputError(message, path=path)
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's, which has no types
        message = f"is not an ONNX model, or is damaged: {' '.join(str(error).split())[:200]}"
        raise InputError(message, path=path) from error


@dataclass
class _Writing:
    """A graph that gets QuantizeLinear and DequantizeLinear, in place."""

    graph: Any
    inserted: dict[int, list[Any]] = field(default_factory=dict)
    shared: dict[tuple[str, float], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._taken = {x.name for x in (*self.graph.initializer, *self.graph.input)}
        self._taken |= {output for node in self.graph.node for output in node.output}
        self._taken |= {node.name for node in self.graph.node}

    def quantize_input(self, index: int, layer: str, scale: float) -> None:
        """Round the input of a node; layers that read one blob with one scale share that."""
        node = self.graph.node[index]
        blob = node.input[0]
        if (blob, scale) not in self.shared:
            step, zero = self._scale_and_zero(f"{layer}.input", np.float32(1 / scale), ())
            quantized = self._new(f"{layer}.input_quantized")
            self._insert(index, "QuantizeLinear", [blob, step, zero], quantized)
            restored = self._new(f"{layer}.input_restored")
            self._insert(index, "DequantizeLinear", [quantized, step, zero], restored)
            self.shared[blob, scale] = restored
        node.input[0] = self.shared[blob, scale]

    def quantize_weight(
        self, node: WeightedNode, layer: str, rows: NDArray[np.int8], scales: NDArray[np.float32]
    ) -> None:
        """Exchange the weights of a node for int8 ones; a group's scale holds for its channels."""
        outputs = node.weight.shape[node.axis]
        steps = np.repeat(np.float32(1) / scales, outputs // len(scales))
        step, zero = self._scale_and_zero(f"{layer}.weight", steps, (outputs,))
        stored = self._constant(f"{layer}.weight_int8", node.shaped(rows))
        restored = self._new(f"{layer}.weight_restored")
        self._insert(node.index, "DequantizeLinear", [stored, step, zero], restored, axis=node.axis)
        self.graph.node[node.index].input[1] = restored

    def finish(self) -> None:
        """Put the new nodes in their places and drop what nobody reads any more."""
        nodes = [
            one
            for index, node in enumerate(self.graph.node)
            for one in (*self.inserted.get(index, ()), node)
        ]
        wanted = {value.name for value in self.graph.output}
        kept = []
        for node in reversed(nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        weights = [x for x in self.graph.initializer if x.name in wanted]
        del self.graph.node[:]
        self.graph.node.extend(reversed(kept))
        del self.graph.initializer[:]
        self.graph.initializer.extend(weights)

    def _scale_and_zero(self, name: str, step: Any, shape: tuple[int, ...]) -> tuple[str, str]:
        return (
            self._constant(f"{name}_scale", np.array(step, np.float32).reshape(shape)),
            self._constant(f"{name}_zero_point", np.zeros(shape, np.int8)),
        )

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        name = self._new(name)
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def _insert(self, index: int, kind: str, inputs: list[str], output: str, **more: int) -> None:
        node = helper.make_node(kind, inputs, [output], name=output, **more)
        self.inserted.setdefault(index, []).append(node)

    def _new(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name
