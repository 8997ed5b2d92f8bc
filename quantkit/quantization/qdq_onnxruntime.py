"""A QDQ network in the form that ONNX Runtime runs with integer kernels on x86."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from onnx import helper, numpy_helper

_CLAMPS: Final = ("Relu", "Clip")
_MULTIPLYING: Final = ("Conv", "Gemm", "MatMul")


def suit_onnxruntime(model: Any) -> None:
    """Rewrite a QDQ network in place, without a change of what it computes.

    * Activations are stored as uint8 around 128 instead of int8 around 0: the same levels, and the
      form that its kernels take.
    * A convolution is rounded before the Relu or Clip behind it as well as after, for only a
      convolution whose output is rounded itself becomes an integer kernel. Rounding before a clamp
      changes nothing that is rounded to the same levels after it.

    Args:
        model: An `onnx.ModelProto` from `to_qdq`.
    """
    _store_unsigned(model.graph)
    _round_before_clamps(model.graph)


def _store_unsigned(graph: Any) -> None:
    zeros = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    for tensor in graph.initializer:
        if tensor.name in zeros:
            tensor.CopyFrom(numpy_helper.from_array(np.array(128, np.uint8), tensor.name))


def _round_before_clamps(graph: Any) -> None:
    producers = {output: node for node in graph.node for output in node.output}
    nodes = []
    rounded = dict(_rounded_before(graph, producers))
    for node in graph.node:
        if (clamp := node.output[0]) in rounded:
            quantize = rounded[clamp]
            names = [f"{quantize.output[0]}_first", f"{quantize.output[0]}_first_restored"]
            steps = quantize.input[1:]
            for kind, source, name in zip(
                ("QuantizeLinear", "DequantizeLinear"),
                (node.input[0], names[0]),
                names,
                strict=True,
            ):
                nodes.append(helper.make_node(kind, [source, *steps], [name], name=name))
            node.input[0] = names[1]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _rounded_before(graph: Any, producers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Find outputs of clamps that are only rounded, behind a node that nothing else reads."""
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(value.name for value in graph.output)
    for node in graph.node:
        clamp = producers.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        if clamp is None or clamp.op_type not in _CLAMPS or readers[clamp.output[0]] != 1:
            continue
        before = producers.get(clamp.input[0])
        if before is None or readers[clamp.input[0]] != 1 or before.op_type not in _MULTIPLYING:
            continue
        weight = producers.get(before.input[1])
        if weight is not None and weight.op_type == "DequantizeLinear":
            yield clamp.output[0], node
