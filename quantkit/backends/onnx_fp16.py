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
        model = _without_weights_as_inputs(onnx.load(path))
        with warnings.catch_warnings():
            # It warns of each weight below fp16's smallest number, which becomes that number.
            warnings.simplefilter("ignore")
            converted = convert_float_to_float16(
                model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_SUMS]
            )
        content: bytes = converted.SerializeToString()
    except Exception as error:  # protobuf's and onnx's have no common type
        reason = " ".join(str(error).split())[:300]
        message = f"cannot be converted to fp16: {reason}"
        raise InputError(message, path=path) from error
    return content


def _without_weights_as_inputs(model: Any) -> Any:
    """Drop weights from the inputs, where old files list them: inputs stay fp32, weights do not."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)
    return model
