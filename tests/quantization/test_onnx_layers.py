from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quantkit.quantization.onnx_layers import Matched, match_layers
from tests.nets import INPUT
from tests.quantization.onnx_pairs import Pair, PairBuilder, conv_pair


def matched(pair: Pair, model: onnx.ModelProto | None = None) -> Matched:
    graph = (model or onnx.load(pair.onnx.path)).graph
    return match_layers(graph, pair.ncnn)


def outputs(pair: Pair, found: Matched) -> dict[str, str]:
    """Layer to the output of its node."""
    nodes = onnx.load(pair.onnx.path).graph.node
    return {name: nodes[node.index].output[0] for name, node in found.nodes.items()}


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return conv_pair(tmp_path / "net.onnx")


def test_layers_are_found_under_other_names(pair: Pair) -> None:
    found = matched(pair)
    assert outputs(pair, found) == {
        "stem": "/net/Conv_0",
        "depthwise": "/net/Conv_2",
        "expand": "/net/Conv_4",
        "grouped": "/net/Conv_6",
        "beside": "/net/Conv_7",
        "head": "/net/Conv_10",
    }
    assert not found.left_out


def test_layers_are_found_in_another_order(tmp_path: Path) -> None:
    net = PairBuilder()
    first, second = net.split("fork", INPUT)
    net.conv("first", first, (3, 8))
    net.conv("second", second, (3, 8))
    net.add("sum", "first", "second")
    pair = net.build(tmp_path / "net.onnx", "sum", order=(1, 0, 2))
    assert outputs(pair, matched(pair)) == {"first": "/net/Conv_0", "second": "/net/Conv_1"}


def equal_branches(path: Path, weight: NDArray[np.float32], order: tuple[int, ...]) -> Pair:
    net = PairBuilder()
    first, second = net.split("fork", INPUT)
    net.conv("first", first, (3, 8))
    net.conv("second", second, (3, 8))
    net.conv("behind_first", "first", (8, 8), weight=weight)
    net.conv("behind_second", "second", (8, 8), weight=weight)
    net.add("sum", "behind_first", "behind_second")
    return net.build(path, "sum", order=order)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (1, 0, 3, 2, 4), (0, 1, 3, 2, 4)])
def test_equal_weights_are_told_apart_by_what_is_before_them(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    weight = np.random.default_rng(1).standard_normal((8, 8, 3, 3)).astype(np.float32)
    pair = equal_branches(tmp_path / "net.onnx", weight, order)
    assert outputs(pair, matched(pair)) == {
        "first": "/net/Conv_0",
        "second": "/net/Conv_1",
        "behind_first": "/net/Conv_2",
        "behind_second": "/net/Conv_3",
    }


def test_equal_weights_on_one_input_are_taken_in_order(tmp_path: Path) -> None:
    weight = np.random.default_rng(1).standard_normal((8, 3, 3, 3)).astype(np.float32)
    net = PairBuilder()
    first, second = net.split("fork", INPUT)
    net.conv("first", first, (3, 8), weight=weight)
    net.conv("second", second, (3, 8), weight=weight)
    net.add("sum", "first", "second")
    pair = net.build(tmp_path / "net.onnx", "sum")
    assert outputs(pair, matched(pair)) == {"first": "/net/Conv_0", "second": "/net/Conv_1"}


def changed(pair: Pair, number: int, factor: float) -> onnx.ModelProto:
    """Move one weight of the stem by a share of its layer's largest."""
    model = onnx.load(pair.onnx.path)
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).copy()
    values.flat[number] += factor * np.abs(values).max()
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


@pytest.mark.parametrize("number", [0, -1])
def test_a_difference_in_the_last_bits_is_the_same_layer(pair: Pair, number: int) -> None:
    assert "stem" in matched(pair, changed(pair, number, 1e-5)).nodes
    found = matched(pair, changed(pair, number, 1e-2))
    assert found.left_out == {"stem": "no Conv, Gemm or MatMul of the ONNX file has its weights"}
    assert len(found.nodes) == 5


def test_of_two_layers_that_are_nearly_equal_the_nearer_is_taken(tmp_path: Path) -> None:
    weight = np.random.default_rng(1).standard_normal((8, 3, 3, 3)).astype(np.float32)
    net = PairBuilder()
    first, second = net.split("fork", INPUT)
    net.conv("first", first, (3, 8), weight=weight)
    net.conv("second", second, (3, 8), weight=weight * np.float32(1 + 1e-5))
    net.add("sum", "first", "second")
    pair = net.build(tmp_path / "net.onnx", "sum", order=(1, 0, 2))
    assert outputs(pair, matched(pair)) == {"first": "/net/Conv_0", "second": "/net/Conv_1"}


@pytest.mark.parametrize("form", ["gemm", "gemm_transposed", "matmul"])
def test_every_form_of_an_inner_product_is_found(tmp_path: Path, form: str) -> None:
    net = PairBuilder()
    net.pool("pooled", INPUT)
    # As many inputs as outputs: the shape alone does not tell which way round the weights are.
    net.linear("square", "pooled", (3, 3), form)
    net.linear("wide", "square", (3, 5), form)
    pair = net.build(tmp_path / "net.onnx", "wide", rank=2)
    found = matched(pair)
    assert set(found.nodes) == {"square", "wide"}
    assert {node.axis for node in found.nodes.values()} == {int(form != "gemm_transposed")}
    for name, node in found.nodes.items():
        weight = pair.ncnn.weights[name]["weight"]
        np.testing.assert_array_equal(node.rows.ravel(), weight)
        np.testing.assert_array_equal(node.shaped(weight), node.weight)


@pytest.mark.parametrize("before", ["Identity", "Transpose", "Constant"])
def test_weights_are_found_behind_other_nodes(pair: Pair, before: str) -> None:
    model = onnx.load(pair.onnx.path)
    tensor = model.graph.initializer.pop(0)
    node = model.graph.node[0]
    more: dict[str, object] = {}
    inputs = ["stored"]
    values = numpy_helper.to_array(tensor)
    if before == "Transpose":
        more = {"perm": [2, 0, 3, 1]}
        values = np.ascontiguousarray(values.transpose(np.argsort([2, 0, 3, 1])))
    if before == "Constant":
        inputs, more = [], {"value": tensor}
    else:
        model.graph.initializer.append(numpy_helper.from_array(values, "stored"))
    model.graph.node.insert(0, helper.make_node(before, inputs, [node.input[1]], **more))
    onnx.checker.check_model(model)
    found = matched(pair, model)
    assert found.nodes["stem"].index == 1
    assert not found.left_out


def test_weights_that_are_computed_are_nobodys(pair: Pair) -> None:
    model = onnx.load(pair.onnx.path)
    node = model.graph.node[0]
    double = helper.make_node("Add", [node.input[1], node.input[1]], ["doubled"])
    node.input[1] = "doubled"
    model.graph.node.insert(0, double)
    assert set(matched(pair, model).left_out) == {"stem"}


def test_a_grouped_convolution_is_no_full_one(pair: Pair) -> None:
    model = onnx.load(pair.onnx.path)
    depthwise = model.graph.node[2]
    next(x for x in depthwise.attribute if x.name == "group").i = 4
    assert set(matched(pair, model).left_out) == {"depthwise"}
