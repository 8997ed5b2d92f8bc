"""What OpenVINO computes of a QDQ network is what ONNX's own reference implementation does."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from quantkit.backends.openvino import OpenvinoSession
from quantkit.model.source import OnnxFile
from quantkit.quantization.onnx_weights import weighted_nodes
from quantkit.quantization.onnx_writing import GraphWriting
from quantkit.quantization.qdq_openvino import suit_openvino

CHANNELS, SIZE = 16, (12, 8)

BETWEEN: dict[str, list[tuple[str, list[str], str]]] = {
    "nothing": [("Identity", ["first"], "middle")],
    "relu": [("Relu", ["first"], "middle")],
    "concat": [("Concat", ["first", "second"], "middle")],
    "concat_relu": [("Concat", ["first", "second"], "joined"), ("Relu", ["joined"], "middle")],
    "relu_concat": [
        ("Relu", ["first"], "kept"),
        ("GlobalAveragePool", ["kept"], "mean"),
        ("Expand", ["mean", "shape"], "spread"),
        ("Concat", ["kept", "spread"], "middle"),
    ],
    "max": [("ReduceMax", ["first", "axes"], "middle")],
    "min": [("ReduceMin", ["first", "axes"], "middle")],
    "max_activated": [("ReduceMax", ["first", "axes"], "most"), ("Sigmoid", ["most"], "middle")],
    "global_max": [("GlobalMaxPool", ["first"], "middle")],
    "mean": [("ReduceMean", ["first", "axes"], "middle")],
    "norm": [("ReduceL2", ["first", "axes"], "middle")],
}


def network(between: str, *, levels: int) -> onnx.ModelProto:
    """Two convolutions, what is between, and a third, with roundings before each."""
    rng = np.random.default_rng(3)
    stored = {"shape": np.array([1, CHANNELS, *SIZE]), "axes": np.array([2, 3])}
    nodes = []

    def conv(name: str, source: str, channels: tuple[int, int]) -> None:
        inputs, outputs = channels
        stored[f"{name}.w"] = rng.normal(size=(outputs, inputs, 1, 1)).astype(np.float32)
        nodes.append(helper.make_node("Conv", [source, f"{name}.w"], [name], name=name))

    conv("first", "image", (CHANNELS, CHANNELS))
    conv("second", "image", (CHANNELS, CHANNELS))
    for kind, sources, name in BETWEEN[between]:
        more = {"axis": 1} if kind == "Concat" else {}
        nodes.append(helper.make_node(kind, sources, [name], name=f"{name}/node", **more))
    conv("third", "middle", (CHANNELS * (2 if "concat" in between else 1), 17))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [value("image", TensorProto.FLOAT, [1, CHANNELS, *SIZE])],
        [value("third", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    largest = {
        node.input[0]: float(np.abs(blob(model, node.input[0])).max())
        for node in graph.node
        if node.op_type == "Conv"
    }
    writing = GraphWriting(model.graph)
    for found in weighted_nodes(model.graph):
        node = model.graph.node[found.index]
        writing.quantize_input(found.index, node.name, 127 / largest[node.input[0]])
        scales = (levels / np.abs(found.rows).max(axis=1)).astype(np.float32)
        rows = np.round(found.rows * scales[:, None]).astype(np.int8)
        writing.quantize_weight(found, node.name, rows.ravel(), scales)
    writing.finish()
    return model


def crop() -> NDArray[np.float32]:
    return np.random.default_rng(4).normal(size=(1, CHANNELS, *SIZE)).astype(np.float32)


def blob(model: onnx.ModelProto, name: str) -> NDArray[np.float32]:
    """Compute a blob by the reference implementation."""
    if name == "image":
        return crop()
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del cut.graph.output[:]
    cut.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    (output,) = ReferenceEvaluator(cut).run(None, {"image": crop()})
    return np.asarray(output, np.float32)


@pytest.mark.parametrize("between", BETWEEN)
def test_the_suited_network_computes_the_same(between: str) -> None:
    for overflow in (False, True):
        model = network(between, levels=127)
        before = blob(model, "third")
        suit_openvino(model, sums_overflow=overflow)
        onnx.checker.check_model(model)
        np.testing.assert_array_equal(blob(model, "third"), before)


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize(("overflow", "levels"), [(True, 127), (False, 63)])
def test_openvino_computes_what_is_written(
    between: str, overflow: bool, levels: int, tmp_path: Path
) -> None:
    """With weights of 63 levels no sum overflows on any processor."""
    pytest.importorskip("openvino")
    model = network(between, levels=levels)
    expected = blob(model, "third")
    suit_openvino(model, sums_overflow=overflow)
    file = OnnxFile(tmp_path / "net.onnx", "image", ("third",))
    onnx.save(model, file.path)
    (got,) = OpenvinoSession.load(file, 1, "int8").run(crop()[0])
    noise = np.square(got - expected[0]).sum() / np.square(expected).sum()
    # A value that lies between two levels may be rounded otherwise.
    assert noise < 1e-4


def test_what_is_never_negative_keeps_its_levels_in_uint8() -> None:
    model = network("relu_concat", levels=127)
    suit_openvino(model, sums_overflow=True)
    zeros = {x.name: numpy_helper.to_array(x) for x in model.graph.initializer}
    kinds = {
        node.name: zeros[node.input[2]].dtype
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }
    assert sorted(kinds.values(), key=str) == [np.dtype(np.int8), np.dtype(np.uint8)]
    assert any(node.op_type == "Clip" for node in model.graph.node)
