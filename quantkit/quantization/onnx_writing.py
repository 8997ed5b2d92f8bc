"""Changes to an ONNX graph, in place: other constants, and roundings before nodes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quantkit.quantization.onnx_weights import WeightedNode


@dataclass
class GraphWriting:
    """A graph that gets QuantizeLinear, DequantizeLinear and other constants, in place.

    What is written goes to one node alone, also where nodes share a constant.

    Args:
        graph: An `onnx.GraphProto`.
    """

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

    def exchange(self, index: int, number: int, name: str, value: NDArray[Any]) -> None:
        """Give a node another constant to read, as an input that it has or the next one."""
        inputs = self.graph.node[index].input
        if number == len(inputs):
            inputs.append("")
        inputs[number] = self._constant(name, value)

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
