"""What an int8 network computes: in float64 numpy, and node by node in ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quantkit.calibration.table import CalibrationTable

Array = NDArray[np.float64]


def fake_quantized(
    path: Path, layers: dict[str, str], table: CalibrationTable, crop: NDArray[np.float32]
) -> Array:
    """Run an fp32 ONNX network and round what a table rounds.

    Args:
        path: The fp32 network.
        layers: Name of an ONNX node's output to the layer of the table.
        table: The scales.
        crop: The input.
    """
    graph = onnx.load(path).graph
    values = {x.name: numpy_helper.to_array(x).astype(np.float64) for x in graph.initializer}
    values[graph.input[0].name] = crop[None].astype(np.float64)
    for node in graph.node:
        inputs = [values[name] for name in node.input]
        name = layers.get(node.output[0], "")
        given = {x.name: helper.get_attribute_value(x) for x in node.attribute}
        if name in table.activation_scales:
            inputs[0] = rounded(inputs[0], np.array(table.activation_scales[name]), -128)
            rows_last = node.op_type != "Conv" and not given.get("transB")
            weight = inputs[1].T if rows_last else inputs[1]
            scales = np.array(table.weight_scales[name])
            scales = np.repeat(scales, len(weight) // len(scales))
            weight = rounded(weight, scales.reshape(-1, *[1] * (weight.ndim - 1)), -127)
            inputs[1] = weight.T if rows_last else weight
        values[node.output[0]] = _computed(node.op_type, inputs, given)
    output: Array = values[graph.output[0].name][0]
    return output


def rounded(values: Array, scale: Array, least: int) -> Array:
    """Round to the levels of a scale."""
    levels: Array = np.clip(np.round(values * scale), least, 127)
    return levels / scale


def _computed(kind: str, inputs: list[Array], given: dict[str, object]) -> Array:
    match kind:
        case "Conv":
            return _conv(inputs[0][0], inputs[1], inputs[2], given)[None]
        case "Relu":
            return np.maximum(inputs[0], 0)
        case "Clip":
            return np.clip(*inputs)
        case "Add":
            return inputs[0] + inputs[1]
        case "GlobalAveragePool":
            return np.asarray(inputs[0].mean(axis=(2, 3), keepdims=True))
        case "Flatten":
            return inputs[0].reshape(1, -1)
        case "MatMul":
            return inputs[0] @ inputs[1]
        case "Gemm":
            return inputs[0] @ (inputs[1].T if given.get("transB") else inputs[1]) + inputs[2]
    raise AssertionError(kind)


def _conv(image: Array, weight: Array, bias: Array, given: dict[str, object]) -> Array:
    pad, stride, groups = given["pads"], given["strides"], given["group"]
    assert isinstance(pad, list)
    assert isinstance(stride, list)
    assert isinstance(groups, int)
    padded = np.pad(image, [(0, 0), (pad[0], pad[2]), (pad[1], pad[3])])
    height, width = weight.shape[2:]
    rows = (padded.shape[1] - height) // stride[0] + 1
    columns = (padded.shape[2] - width) // stride[1] + 1
    result = np.zeros((len(weight), rows, columns)) + bias[:, None, None]
    for i, j in np.ndindex(height, width):
        shifted = padded[:, i :: stride[0], j :: stride[1]][:, :rows, :columns]
        parts = zip(np.split(shifted, groups), np.split(weight[:, :, i, j], groups), strict=True)
        result += np.concatenate([np.einsum("chw,oc->ohw", part, w) for part, w in parts])
    return result


def literally(model: onnx.ModelProto | Path, crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a network node by node, without any node fused or replaced by an integer one."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    given = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    output: NDArray[np.float32] = session.run(None, {"image": crop[None]})[0][0]
    return output
