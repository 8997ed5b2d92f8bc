"""A small ONNX network, and what it computes by ONNX's own reference implementation."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from quantkit.model.source import OnnxFile

SHAPE = (3, 32, 24)
"""(channels, height, width) of the input of `small_onnx`."""


def small_onnx(path: Path, *, outputs: int = 1, seed: int = 0) -> OnnxFile:
    """Write a network with a strided, a depthwise and a 1x1 convolution and a residual."""
    rng = np.random.default_rng(seed)
    weights: list[onnx.TensorProto] = []

    def conv(
        name: str, source: str, shape: tuple[int, ...], **attributes: object
    ) -> onnx.NodeProto:
        fan_in = int(np.prod(shape[1:]))
        weight = rng.normal(size=shape) * np.sqrt(2 / fan_in)
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight"))
        bias = rng.normal(size=shape[0]).astype(np.float32)
        weights.append(numpy_helper.from_array(bias, f"{name}.bias"))
        inputs = [source, f"{name}.weight", f"{name}.bias"]
        return helper.make_node("Conv", inputs, [name], name=name, **attributes)

    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        conv("stem", "image", (16, 3, 3, 3), strides=[2, 2], **same),
        helper.make_node("Relu", ["stem"], ["stem_relu"]),
        conv("depthwise", "stem_relu", (16, 1, 3, 3), group=16, **same),
        helper.make_node("Add", ["stem_relu", "depthwise"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["sum_relu"]),
    ]
    names = [f"heatmap{number}" for number in range(outputs)]
    nodes += [conv(name, "sum_relu", (17, 16, 1, 1), kernel_shape=[1, 1]) for name in names]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *SHAPE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 17, 16, 12]) for name in names],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return OnnxFile(path, "image", tuple(names))


def onnx_crops(count: int, seed: int = 1) -> list[NDArray[np.float32]]:
    """Inputs for `small_onnx`."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=SHAPE).astype(np.float32) for _ in range(count)]


def reference_outputs(file: OnnxFile, crop: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Run a network in plain numpy."""
    outputs = ReferenceEvaluator(str(file.path)).run(list(file.outputs), {file.input: crop[None]})
    return [output[0] for output in outputs]
