"""The registry of backends."""

from typing import Final, Literal, get_args

BackendName = Literal[
    "pytorch",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "tensorrt-fp16",
    "ncnn",
    "ncnn-int8",
    "onnxruntime-int8",
    "openvino-int8",
]
BACKENDS: Final[tuple[BackendName, ...]] = get_args(BackendName)

Precision = Literal["fp32", "fp16", "int8"]


def precision(name: BackendName) -> Precision:
    """Say what a backend computes in.

    Example:
        >>> precision("ncnn"), precision("tensorrt-fp16"), precision("openvino-int8")
        ('fp32', 'fp16', 'int8')
    """
    if name.endswith("-int8"):
        return "int8"
    return "fp16" if name.endswith("-fp16") else "fp32"
