"""Reading an ONNX file."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from quantkit.errors import InputError
from quantkit.storage import read_bytes

_QUANTIZING: Final = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")


def read_onnx(path: Path) -> Any:
    """Read an `onnx.ModelProto`, with the weights that it keeps in files of their own.

    Raises:
        InputError: The file does not exist, or is no ONNX network.
    """
    import onnx

    if not path.is_file():
        message = "does not exist"
        raise InputError(message, path=path)
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's, which has no types
        message = f"is not an ONNX model, or is damaged: {' '.join(str(error).split())[:200]}"
        raise InputError(message, path=path) from error


def operator_types(path: Path) -> tuple[str, ...]:
    """List the types of a network's nodes, each once.

    Raises:
        InputError: As for `read_onnx`.
    """
    return tuple(dict.fromkeys(node.op_type for node in read_onnx(path).graph.node))


def opset(path: Path) -> int:
    """Give the version of ONNX's own operators that a network uses.

    Raises:
        InputError: As for `read_onnx`.
    """
    domains = read_onnx(path).opset_import
    return max((int(x.version) for x in domains if x.domain in ("", "ai.onnx")), default=1)


def quantized_operators(path: Path) -> Mapping[str, int]:
    """Count the operators that make a network int8, by type; none of an fp32 network.

    Raises:
        InputError: As for `read_onnx`.
    """
    content = read_bytes(path)
    if not any(word.encode() in content for word in (*_QUANTIZING, "QLinear", "Integer")):
        return {}
    return Counter(
        kind
        for node in read_onnx(path).graph.node
        if (kind := node.op_type) in _QUANTIZING
        or kind.startswith("QLinear")
        or kind.endswith("Integer")
    )
