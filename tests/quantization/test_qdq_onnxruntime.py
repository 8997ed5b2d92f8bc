from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from quantkit.model.eligibility import int8_layers
from quantkit.quantization.qdq import to_qdq
from quantkit.quantization.qdq_onnxruntime import suit_onnxruntime
from tests.quantization.agreement import simple_table
from tests.quantization.fake_quantized import literally
from tests.quantization.onnx_pairs import Pair, conv_pair, crops


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return conv_pair(tmp_path / "net.onnx")


def qdq(pair: Pair, *, suited: bool, fp32: Sequence[str] = ()) -> onnx.ModelProto:
    names = [layer.name for layer in int8_layers(pair.ncnn)]
    # Wide inputs clip, so that the ends of the range are compared as well.
    table = simple_table(pair.ncnn, crops(1, seed=9)[0] / 2, names)
    model: onnx.ModelProto = to_qdq(pair.onnx.path, pair.ncnn, table.without(fp32)).model
    if suited:
        suit_onnxruntime(model)
        onnx.checker.check_model(model, full_check=True)
    return model


def kernels(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """Kinds of nodes that ONNX Runtime runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


def test_nothing_changes_in_what_it_computes(pair: Pair) -> None:
    plain, suited = qdq(pair, suited=False), qdq(pair, suited=True)
    for crop in crops(3):
        np.testing.assert_array_equal(literally(suited, crop), literally(plain, crop))


def test_convolutions_behind_which_values_are_rounded_become_integer_kernels(
    pair: Pair, tmp_path: Path
) -> None:
    # stem and depthwise; expand has a residual beside it, the others go into a sum or out.
    assert kernels(qdq(pair, suited=True), tmp_path)["QLinearConv"] == 2
    assert kernels(qdq(pair, suited=False), tmp_path)["QLinearConv"] < 2


def test_a_clamp_that_something_else_reads_is_not_rounded_before(pair: Pair) -> None:
    model = qdq(pair, suited=True)
    rounded = {node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert {"/net/Conv_0", "/net/Conv_2"} <= rounded
    assert "/net/Conv_4" not in rounded


def test_a_layer_that_stays_fp32_is_not_rounded_behind(pair: Pair) -> None:
    nodes = qdq(pair, suited=True, fp32=["stem"]).graph.node
    rounded = {node.input[0] for node in nodes if node.op_type == "QuantizeLinear"}
    assert "/net/Conv_0" not in rounded
    assert "/net/Conv_2" in rounded


def test_an_output_is_not_rounded_before(pair: Pair) -> None:
    model = onnx.load(pair.onnx.path)
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[1].name = model.graph.node[0].output[0]
    onnx.save(model, pair.onnx.path)
    nodes = qdq(pair, suited=True).graph.node
    rounded = {node.input[0] for node in nodes if node.op_type == "QuantizeLinear"}
    assert "/net/Conv_0" not in rounded
    assert "/net/Conv_2" in rounded
