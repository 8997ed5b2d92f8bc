from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quantkit.backends.onnx_fp16 import to_fp16
from quantkit.errors import InputError
from tests.onnx_nets import onnx_crops, reference_outputs, small_onnx


def run(content: bytes, feed: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    outputs: list[NDArray[np.float32]] = session.run(None, feed)
    return outputs


def save(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], path: Path) -> Path:
    """Write a network from x (1, 4, 8, 8) to y."""
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])]
    goal = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "net", ends, goal, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def test_the_tensors_are_fp16_and_the_ends_fp32(tmp_path: Path) -> None:
    source = small_onnx(tmp_path / "small.onnx", outputs=2)
    graph = onnx.load_from_string(to_fp16(source.path)).graph
    assert {tensor.data_type for tensor in graph.initializer} == {TensorProto.FLOAT16}
    ends = [*graph.input, *graph.output]
    assert [one.name for one in ends] == [source.input, *source.outputs]
    assert {one.type.tensor_type.elem_type for one in ends} == {TensorProto.FLOAT}
    between = {one.name: one.type.tensor_type.elem_type for one in graph.value_info}
    assert between["sum"] == between["stem_relu"] == TensorProto.FLOAT16


def test_the_outputs_differ_by_fp16s_rounding_and_no_more(tmp_path: Path) -> None:
    source = small_onnx(tmp_path / "small.onnx")
    crop = onnx_crops(1)[0]
    expected = reference_outputs(source, crop)[0]
    (got,) = run(to_fp16(source.path), {source.input: crop[None]})
    assert got.dtype == np.float32
    error = np.abs(got[0] - expected).max() / np.abs(expected).max()
    assert 2**-16 < error < 2**-8


def test_weights_that_are_listed_as_inputs_become_fp16_too(tmp_path: Path) -> None:
    source = small_onnx(tmp_path / "small.onnx")
    model = onnx.load(source.path)
    model.ir_version = 3
    for tensor in model.graph.initializer:
        one = helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims)
        model.graph.input.append(one)
    old = tmp_path / "old.onnx"
    onnx.save(model, old)
    feed = {source.input: onnx_crops(1)[0][None]}
    np.testing.assert_array_equal(run(to_fp16(old), feed), run(to_fp16(source.path), feed))
    graph = onnx.load_from_string(to_fp16(old)).graph
    assert {tensor.data_type for tensor in graph.initializer} == {TensorProto.FLOAT16}


@pytest.mark.parametrize("kind", ["Pow", "ReduceL2"])
def test_squares_that_fp16_cannot_hold_do_not_overflow(kind: str, tmp_path: Path) -> None:
    two = numpy_helper.from_array(np.float32(2), "two")
    root = [helper.make_node("Pow", ["x", "two"], ["s"]), helper.make_node("Sqrt", ["s"], ["y"])]
    nodes = [helper.make_node("ReduceL2", ["x"], ["y"], axes=[1])] if kind == "ReduceL2" else root
    path = save(nodes, [two] if kind == "Pow" else [], tmp_path / "net.onnx")
    x = np.full((1, 4, 8, 8), 3000, np.float32)
    (got,) = run(to_fp16(path), {"x": x})
    np.testing.assert_allclose(got, x if kind == "Pow" else 2 * x[:, :1], rtol=1e-3)


@pytest.mark.parametrize("stored", ["initializer", "node"])
def test_scales_that_two_resizes_share_stay_exact(stored: str, tmp_path: Path) -> None:
    # In fp16, 100.124 is 100.125, and the result 801 wide.
    scales = numpy_helper.from_array(np.array([1, 1, 1.25, 100.124], np.float32), "scales")
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Resize", ["x", "", "scales"], ["a"], mode="nearest"),
        helper.make_node("Resize", ["r", "", "scales"], ["b"], mode="nearest"),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    if stored == "node":
        nodes.insert(0, helper.make_node("Constant", [], ["scales"], value=scales))
    path = save(nodes, [scales] if stored == "initializer" else [], tmp_path / "net.onnx")
    x = np.arange(256, dtype=np.float32).reshape(1, 4, 8, 8)
    (got,) = run(to_fp16(path), {"x": x})
    (expected,) = run(path.read_bytes(), {"x": x})
    assert got.shape == expected.shape == (1, 4, 10, 800)
    np.testing.assert_array_equal(got, expected)


def test_a_tensor_that_two_fp32_operators_read_is_cast_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Softmax", ["r"], ["a"], axis=1),
        helper.make_node("Softmax", ["r"], ["b"], axis=2),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    path = save(nodes, [], tmp_path / "net.onnx")
    x = np.linspace(-3, 3, 256, dtype=np.float32).reshape(1, 4, 8, 8)
    (got,) = run(to_fp16(path), {"x": x})
    np.testing.assert_allclose(got, run(path.read_bytes(), {"x": x})[0], rtol=0, atol=1e-3)
    graph = onnx.load_from_string(to_fp16(path)).graph
    outputs = [name for node in graph.node for name in node.output]
    assert len(outputs) == len(set(outputs))


def test_weights_in_a_file_of_their_own_are_taken_in(tmp_path: Path) -> None:
    source = small_onnx(tmp_path / "small.onnx")
    apart = tmp_path / "apart.onnx"
    onnx.save(
        onnx.load(source.path), apart, save_as_external_data=True, location="w", size_threshold=0
    )
    feed = {source.input: onnx_crops(1)[0][None]}
    np.testing.assert_array_equal(run(to_fp16(apart), feed), run(to_fp16(source.path), feed))


def test_a_weight_below_fp16s_smallest_number_is_no_warning(tmp_path: Path) -> None:
    tiny = numpy_helper.from_array(np.full((1, 4, 1, 1), 1e-9, np.float32), "tiny")
    path = save([helper.make_node("Add", ["x", "tiny"], ["y"])], [tiny], tmp_path / "net.onnx")
    (got,) = run(to_fp16(path), {"x": np.zeros((1, 4, 8, 8), np.float32)})
    assert got.max() < 1e-6


@pytest.mark.parametrize("content", [b"not a network", b"\x08\x07\x12"])
def test_a_file_that_is_no_network_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"text\.onnx: cannot be converted to fp16: "):
        to_fp16(path)
