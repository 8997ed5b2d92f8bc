"""A small ONNX network, and what it computes by ONNX's own reference implementation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator

from quantkit.model.source import OnnxFile

SHAPE = (3, 32, 24)
"""(channels, height, width) of the input of `small_onnx`."""


def small_onnx(path: Path, *, outputs: int = 1, seed: int = 0, keypoints: int = 17) -> OnnxFile:
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
    nodes += [conv(name, "sum_relu", (keypoints, 16, 1, 1), kernel_shape=[1, 1]) for name in names]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *SHAPE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, keypoints, 16, 12])
            for name in names
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return OnnxFile(path, "image", tuple(names))


def image_net(
    path: Path,
    dims: Sequence[int | str],
    outputs: Mapping[str, tuple[int, int]],
    *,
    type: int = TensorProto.FLOAT,
    open_outputs: bool = False,
    seed: int = 0,
) -> OnnxFile:
    """Write a network that takes its image in any form: one strided convolution for each output.

    Args:
        path: The .onnx file.
        dims: Of the input; channels last where only the last can be channels.
        outputs: (maps, stride) of each, by name; channels last where the image is so.
        type: Of the input's elements.
        open_outputs: The file does not say the shapes of the outputs.
        seed: Of the weights.
    """
    rng = np.random.default_rng(seed)
    last = dims[1] not in (1, 3)
    channels = int(dims[3 if last else 1])
    nodes, blob = [], "image"
    if type != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [blob], ["float"], to=TensorProto.FLOAT))
        blob = "float"
    if last:
        nodes.append(helper.make_node("Transpose", [blob], ["planes"], perm=[0, 3, 1, 2]))
        blob = "planes"
    weights, values = [], []
    for name, (maps, stride) in outputs.items():
        weight = rng.normal(size=(maps, channels, stride, stride)) / stride
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight"))
        inner = f"{name}.planes" if last else name
        nodes.append(
            helper.make_node("Conv", [blob, f"{name}.weight"], [inner], strides=[stride] * 2)
        )
        if last:
            nodes.append(helper.make_node("Transpose", [inner], [name], perm=[0, 2, 3, 1]))
        sides = [
            side // stride if isinstance(side, int) else None
            for side in (dims[1:3] if last else dims[2:])
        ]
        shape = [dims[0], *sides, maps] if last else [dims[0], maps, *sides]
        given = None if open_outputs else shape
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, given))
    image = helper.make_tensor_value_info("image", type, list(dims))
    graph = helper.make_graph(nodes, "image_net", [image], values, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.save(model, path)
    return OnnxFile(path, "image", tuple(outputs))


def foreign_int8(path: Path) -> OnnxFile:
    """Write `small_onnx` as onnxruntime.quantization does, with its input and 1x1 layer in int8."""
    file = small_onnx(path)
    # The reference implementation knows QuantizeLinear from this version on.
    model = version_converter.convert_version(onnx.load(path), 19)
    graph = model.graph
    weight = next(tensor for tensor in graph.initializer if tensor.name == "heatmap0.weight")
    values = numpy_helper.to_array(weight)
    step = float(np.abs(values).max()) / 127
    constants = {
        "step": np.float32(0.05),
        "zero": np.uint8(128),
        "weight_step": np.float32(step),
        "weight_zero": np.int8(0),
        "weight_int8": np.round(values / step).astype(np.int8),
    }
    graph.initializer.remove(weight)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    last = graph.node.pop()
    for node in graph.node:
        node.input[:] = ["restored" if name == "image" else name for name in node.input]
    before = [
        helper.make_node("QuantizeLinear", ["image", "step", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["rounded", "step", "zero"], ["restored"]),
    ]
    nodes = [
        *before,
        *graph.node,
        helper.make_node(
            "DequantizeLinear", ["weight_int8", "weight_step", "weight_zero"], ["heatmap0.weight"]
        ),
        last,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return file


def signed_qlinear_conv(path: Path) -> OnnxFile:
    """Write one convolution of int8 inputs as onnxruntime.quantization's QOperator format does."""
    rng = np.random.default_rng(0)
    constants = {
        "step": np.float32(0.05),
        "zero": np.int8(-3),
        "weight": rng.integers(-127, 128, (4, 3, 3, 3), np.int8),
        "weight_step": np.float32(0.01),
        "weight_zero": np.int8(0),
        "out_step": np.float32(0.25),
    }
    scales = ["weight", "weight_step", "weight_zero", "out_step", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "step", "zero"], ["int8"]),
        helper.make_node("QLinearConv", ["int8", "step", "zero", *scales], ["sums"], pads=[1] * 4),
        helper.make_node("DequantizeLinear", ["sums", "out_step", "zero"], ["maps"]),
    ]
    graph = helper.make_graph(
        nodes,
        "signed",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *SHAPE])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 4, *SHAPE[1:]])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    # The reference implementation knows QuantizeLinear from this version on.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.save(model, path)
    return OnnxFile(path, "image", ("maps",))


def onnx_crops(count: int, seed: int = 1) -> list[NDArray[np.float32]]:
    """Inputs for `small_onnx`."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=SHAPE).astype(np.float32) for _ in range(count)]


def reference_outputs(file: OnnxFile, crop: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Run a network in plain numpy."""
    outputs = ReferenceEvaluator(str(file.path)).run(list(file.outputs), {file.input: crop[None]})
    return [output[0] for output in outputs]
