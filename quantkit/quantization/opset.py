"""Older ONNX networks in a version of the operators that has scales for each channel."""

from pathlib import Path
from typing import Any, Final

from onnx import helper, version_converter

from quantkit.errors import InputError

PER_CHANNEL: Final = 13
"""The first version of the operators whose DequantizeLinear takes a scale for each channel."""

_LARGE: Final = 1024


def opset(model: Any) -> int:
    """Give the version of ONNX's own operators that an `onnx.ModelProto` uses."""
    return max((x.version for x in model.opset_import if x.domain in ("", "ai.onnx")), default=1)


def with_channel_scales(model: Any, path: Path) -> Any:
    """Bring a network to a version in which weights can have a scale for each channel.

    Args:
        model: An `onnx.ModelProto`; it is used up.
        path: Where it was read, for the error message.

    Returns:
        The same network, as it is where its version is new enough.

    Raises:
        InputError: ONNX's own converter cannot do it.
    """
    if opset(model) >= PER_CHANNEL:
        return model
    # The converter copies what it is given several times: it gets the graph without the weights.
    large = [x for x in model.graph.initializer if x.ByteSize() > _LARGE]
    kept = [x for x in model.graph.initializer if x.ByteSize() <= _LARGE]
    standing_in = [helper.make_tensor_value_info(x.name, x.data_type, x.dims) for x in large]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.input.extend(standing_in)
    try:
        converted = version_converter.convert_version(model, PER_CHANNEL)
    except Exception as error:  # the converter's, which has no types
        reason = " ".join(str(error).split())[:200]
        message = (
            f"uses ONNX operators of version {opset(model)}, which ONNX cannot bring to "
            f"{PER_CHANNEL} ({reason}); export the network with opset {PER_CHANNEL} or newer"
        )
        raise InputError(message, path=path) from error
    names = {x.name for x in large}
    inputs = [value for value in converted.graph.input if value.name not in names]
    del converted.graph.input[:]
    converted.graph.input.extend(inputs)
    converted.graph.initializer.extend(large)
    return converted
