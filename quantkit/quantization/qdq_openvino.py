"""A QDQ network in the form that OpenVINO computes on the CPU as it is written."""

from typing import Any, Final

import numpy as np
from onnx import helper, numpy_helper

from quantkit.quantization.onnx_constants import Constants, attributes

_WRONG_WITH_ROUNDING: Final = ("ReduceMax", "ReduceMin", "GlobalMaxPool")
_LOWEST: Final = np.finfo(np.float32).min
_NON_NEGATIVE: Final = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "ReduceL1", "ReduceL2")
_AS_ALL_INPUTS: Final = ("Concat", "Add", "Mul", "Max", "Min", "Sum")
_AS_FIRST_INPUT: Final = (
    *("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Resize"),
    *("ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum"),
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Identity"),
    *("Transpose", "Slice", "Gather", "Split", "DepthToSpace", "SpaceToDepth"),
)


def suit_openvino(model: Any, *, sums_overflow: bool) -> None:
    """Rewrite a QDQ network in place, without a change of what it computes.

    * OpenVINO carries a rounding behind a Concat back through it, where it loses its scale. Between
      the two is put a Max with the least level, which the rounding gives anyway: OpenVINO does not
      look through it.
    * It computes a maximum or minimum over an axis wrongly together with a rounding behind it, also
      through activations between the two. A Max with the lowest number keeps them apart.
    * Without VNNI its integer kernels add two products in 16 bits: two of 127 x 127 fit, two of
      255 x 127 do not, and it stores int8 around 0 as uint8 around 128. There, what is never
      negative is stored as uint8 from 0 to 127, the same levels, and a layer that reads anything
      else is kept in fp32 by the same Max: it computes from rounded values.

    Args:
        model: An `onnx.ModelProto` from `to_qdq`.
        sums_overflow: Whether the processor lacks VNNI.
    """
    graph = model.graph
    constants = Constants(graph)
    producers = {output: node for node in graph.node for output in node.output}
    non_negative = _non_negative(graph, constants)
    zeros: dict[str, str | None] = {}
    nodes = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            step = constants.value(node.input[1])
            assert step is not None
            source, quantized = node.input[0], node.output[0]
            unsigned = sums_overflow and source in non_negative
            zeros[quantized] = None
            if unsigned:
                nodes.append(_before(graph, node, "Clip", [np.float32(0), 127 * step]))
                zeros[quantized] = _constant(graph, f"{quantized}_zero_point", np.uint8(0))
                node.input[2] = zeros[quantized]
            if _is_concatenated(source, producers):
                least = np.float32(0) if unsigned else -128 * step
                nodes.append(_before(graph, node, "Max", [least]))
        nodes.append(node)
        if node.op_type in _WRONG_WITH_ROUNDING:
            nodes.append(_behind(graph, node, _LOWEST))
        if node.op_type == "DequantizeLinear" and node.input[0] in zeros:
            zero = zeros[node.input[0]]
            if zero is not None:
                node.input[2] = zero
            elif sums_overflow:
                step = constants.value(node.input[1])
                assert step is not None
                nodes.append(_behind(graph, node, -128 * step))
    del graph.node[:]
    graph.node.extend(nodes)


def _non_negative(graph: Any, constants: Constants) -> set[str]:
    """List the blobs that hold no value below 0, whatever the input is."""
    known: set[str] = set()

    def tell(name: str) -> bool:
        value = None if name in known else constants.value(name)
        return name in known or (value is not None and bool((value >= 0).all()))

    for node in graph.node:
        has_least = node.op_type == "Clip" and len(node.input) > 1
        least = constants.value(node.input[1]) if has_least else None
        mode = attributes(node).get("mode")
        if (
            node.op_type in _NON_NEGATIVE
            or (node.op_type in _AS_ALL_INPUTS and all(tell(x) for x in node.input))
            or (node.op_type in _AS_FIRST_INPUT and tell(node.input[0]))
            or (least is not None and bool((least >= 0).all()))
        ) and (mode is None or mode.s != b"cubic"):
            known.update(node.output)
    return known


def _is_concatenated(name: str, producers: dict[str, Any]) -> bool:
    node = producers.get(name)
    while node is not None and node.op_type == "Relu":
        node = producers.get(node.input[0])
    return node is not None and node.op_type == "Concat"


def _before(graph: Any, node: Any, kind: str, limits: list[Any]) -> Any:
    """Make a node that limits what another one reads."""
    name = f"{node.output[0]}_{kind.lower()}"
    names = [_constant(graph, f"{name}_{place}", limit) for place, limit in enumerate(limits)]
    made = helper.make_node(kind, [node.input[0], *names], [name], name=name)
    node.input[0] = name
    return made


def _behind(graph: Any, node: Any, least: Any) -> Any:
    """Make a Max that takes over the name of what a node gives."""
    name = node.output[0]
    node.output[0] = f"{name}_before"
    limit = _constant(graph, f"{name}_least", least)
    return helper.make_node("Max", [node.output[0], limit], [name], name=f"{name}_max")


def _constant(graph: Any, name: str, value: Any) -> str:
    stored = value if isinstance(value, np.uint8) else np.float32(value)
    graph.initializer.append(numpy_helper.from_array(np.array(stored), name))
    return name
