"""The registry of backends."""

from typing import Final, Literal, get_args

BackendName = Literal["pytorch", "onnxruntime", "openvino", "tensorrt", "ncnn", "ncnn-int8"]
BACKENDS: Final[tuple[BackendName, ...]] = get_args(BackendName)
