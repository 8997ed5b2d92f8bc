"""An ONNX network whose tensors are fp16: how strongly typed runtimes are asked for fp16."""

import warnings
from pathlib import Path
from typing import Any, Final

from quantkit.errors import InputError

_SUMS: Final = (
    "InstanceNormalization",
    "LayerNormalization",
    "Pow",
    "ReduceL2",
    "ReduceMean",
    "ReduceSum",
    "ReduceSumSquare",
    "Softmax",
)
"""Operators that stay fp32: a sum of squares of activations passes fp16's 65504 easily."""


def to_fp16(path: Path) -> bytes:
    """Convert a network to fp16 weights and activations; its inputs and outputs stay fp32.

    The conversion is ONNX Runtime's own; operators that cannot compute in fp16, or overflow there,
    stay fp32 between two casts.

    Args:
        path: The .onnx file, with its weights in fp32.

    Returns:
        The converted network, weights included.

    Raises:
        InputError: The file is no ONNX network, or cannot be converted.
    """
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    try:
        model = onnx.load(path)
        _drop_weights_from_inputs(model)
        _store_constants(model.graph)
        with warnings.catch_warnings():
            # It warns of each weight below fp16's smallest number, which becomes that number.
            warnings.simplefilter("ignore")
            converted = convert_float_to_float16(
                model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_SUMS]
            )
        _drop_repeated(converted.graph)
        content: bytes = converted.SerializeToString()
    except Exception as error:  # protobuf's and onnx's have no common type
        reason = " ".join(str(error).split())[:300]
        message = f"cannot be converted to fp16: {reason}"
        raise InputError(message, path=path) from error
    return content


def _drop_weights_from_inputs(model: Any) -> None:
    # Old files list them there, too, and the converter keeps all inputs in fp32.
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)


def _store_constants(graph: Any) -> None:
    # The converter rounds a Constant even where a Resize reads its scales; a weight it does not.
    kept = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _drop_repeated(graph: Any) -> None:
    # Up to 1.26 it adds the same cast once for each reader.
    kept = {node.output[0]: node for node in reversed(graph.node)}
    del graph.node[:]
    graph.node.extend(reversed(kept.values()))
