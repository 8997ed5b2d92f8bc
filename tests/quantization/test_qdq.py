from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from quantkit.backends.onnxruntime import OnnxruntimeSession
from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.source import OnnxFile
from quantkit.quantization.int8 import quantize
from quantkit.quantization.qdq import QdqNetwork, to_qdq
from quantkit.quantization.qdq_openvino import suit_openvino
from tests.nets import INPUT, small_network
from tests.onnx_nets import reference_outputs
from tests.quantization.agreement import db, run, simple_table
from tests.quantization.fake_quantized import fake_quantized, literally
from tests.quantization.onnx_pairs import Pair, PairBuilder, conv_pair, crops

LAYERS = {
    "/net/Conv_0": "stem",
    "/net/Conv_2": "depthwise",
    "/net/Conv_4": "expand",
    "/net/Conv_6": "grouped",
    "/net/Conv_7": "beside",
    "/net/Conv_10": "head",
}


def table_of(pair: Pair) -> CalibrationTable:
    names = [layer.name for layer in int8_layers(pair.ncnn)]
    return simple_table(pair.ncnn, crops(1, seed=9)[0], names)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return conv_pair(tmp_path / "net.onnx")


@pytest.fixture
def table(pair: Pair) -> CalibrationTable:
    return table_of(pair)


def written(pair: Pair, network: QdqNetwork) -> OnnxFile:
    path = pair.onnx.path.with_name("int8.onnx")
    onnx.save(network.model, path)
    onnx.checker.check_model(str(path), full_check=True)
    return OnnxFile(path, pair.onnx.input, pair.onnx.outputs)


def initializers(network: QdqNetwork) -> dict[str, NDArray[Any]]:
    return {x.name: numpy_helper.to_array(x) for x in network.model.graph.initializer}


@pytest.mark.parametrize("opset", [11, 17])
def test_the_network_computes_what_the_table_says(tmp_path: Path, opset: int) -> None:
    pair = conv_pair(tmp_path / "net.onnx", opset=opset)
    table = table_of(pair)
    network = to_qdq(pair.onnx.path, pair.ncnn, table)
    assert network.layers == tuple(LAYERS.values())
    assert not network.left_out
    file = written(pair, network)
    for crop in crops(3):
        expected = fake_quantized(pair.onnx.path, LAYERS, table, crop)
        got = literally(file.path, crop)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
        (fp32,) = reference_outputs(pair.onnx, crop)
        assert db(expected, fp32) < 45


def test_onnxruntime_agrees(pair: Pair, table: CalibrationTable) -> None:
    file = written(pair, to_qdq(pair.onnx.path, pair.ncnn, table))
    session = OnnxruntimeSession.load(file, 1, "int8")
    for crop in crops(3):
        expected = fake_quantized(pair.onnx.path, LAYERS, table, crop)
        (got,) = session.run(crop)
        assert db(expected, got) > 40


@pytest.mark.backend
def test_openvino_agrees(pair: Pair, table: CalibrationTable) -> None:
    pytest.importorskip("openvino")
    from quantkit.backends.openvino import OpenvinoSession, lacks_vnni

    network = to_qdq(pair.onnx.path, pair.ncnn, table)
    suit_openvino(network.model, sums_overflow=lacks_vnni())
    session = OpenvinoSession.load(written(pair, network), 1, "int8")
    for crop in crops(3):
        expected = fake_quantized(pair.onnx.path, LAYERS, table, crop)
        assert db(expected, session.run(crop)[0]) > 40


def test_ncnn_agrees(pair: Pair, table: CalibrationTable) -> None:
    crop = crops(1)[0]
    expected = fake_quantized(pair.onnx.path, LAYERS, table, crop)
    got = run(quantize(pair.ncnn, table), crop, "head").reshape(expected.shape)
    (fp32,) = reference_outputs(pair.onnx, crop)
    assert db(expected, got) > db(expected, fp32) + 10


def test_weights_are_the_integers_of_the_ncnn_network(pair: Pair, table: CalibrationTable) -> None:
    stored = initializers(to_qdq(pair.onnx.path, pair.ncnn, table))
    int8 = quantize(pair.ncnn, table)
    for name in LAYERS.values():
        weight = stored[f"{name}.weight_int8"]
        assert weight.dtype == np.int8
        np.testing.assert_array_equal(weight.ravel(), int8.weights[name]["weight"])


def test_scales_are_those_of_the_table_one_for_each_channel(
    pair: Pair, table: CalibrationTable
) -> None:
    stored = initializers(to_qdq(pair.onnx.path, pair.ncnn, table))
    for name in LAYERS.values():
        scales = np.array(table.weight_scales[name])
        outputs = len(stored[f"{name}.weight_int8"])
        expected = np.repeat(1 / scales, outputs // len(scales))
        np.testing.assert_allclose(stored[f"{name}.weight_scale"], expected, rtol=1e-6)
    # One group has six channels.
    assert len(table.weight_scales["grouped"]) == 4
    assert stored["head.input_scale"] == np.float32(1 / table.activation_scales["head"])


def test_biases_stay_as_they_are(pair: Pair, table: CalibrationTable) -> None:
    before = onnx.load(pair.onnx.path).graph
    after = to_qdq(pair.onnx.path, pair.ncnn, table).model.graph
    stored = {x.name: numpy_helper.to_array(x) for x in after.initializer}
    given = {x.name: numpy_helper.to_array(x) for x in before.initializer}
    nodes = {node.output[0]: node for node in after.node}
    for output in LAYERS:
        bias = nodes[output].input[2]
        np.testing.assert_array_equal(stored[bias], given[bias])
    assert np.int32 not in {x.dtype.type for x in stored.values()}


def test_weights_in_fp32_are_gone(pair: Pair, table: CalibrationTable) -> None:
    network = to_qdq(pair.onnx.path, pair.ncnn, table)
    floats = [x for x in initializers(network).values() if x.dtype == np.float32]
    assert max(x.ndim for x in floats) == 1
    assert not {x for x in initializers(network) if x.endswith(".weight")}


def test_the_ends_keep_their_names_and_shapes(pair: Pair, table: CalibrationTable) -> None:
    before = onnx.load(pair.onnx.path).graph
    after = to_qdq(pair.onnx.path, pair.ncnn, table).model.graph
    assert list(after.input) == list(before.input)
    assert [x.name for x in after.output] == [x.name for x in before.output]


def test_a_layer_that_is_not_in_the_table_stays_fp32(pair: Pair, table: CalibrationTable) -> None:
    network = to_qdq(pair.onnx.path, pair.ncnn, table.without(["depthwise"]))
    assert network.layers == tuple(name for name in LAYERS.values() if name != "depthwise")
    before, after = onnx.load(pair.onnx.path).graph, network.model.graph
    assert next(x for x in after.node if x.output[0] == "/net/Conv_2") in list(before.node)
    assert next(x for x in before.initializer if x.name == "net.2.weight") in list(
        after.initializer
    )
    kept = {output: name for output, name in LAYERS.items() if name != "depthwise"}
    crop = crops(1)[0]
    expected = fake_quantized(pair.onnx.path, kept, table, crop)
    got = literally(written(pair, network).path, crop)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


def test_layers_that_read_one_blob_share_its_rounding_if_their_scales_are_equal(
    pair: Pair, table: CalibrationTable
) -> None:
    # 'grouped' and 'beside' read the same blob.
    assert table.activation_scales["grouped"] == table.activation_scales["beside"]
    count = sum(
        node.op_type == "QuantizeLinear"
        for node in to_qdq(pair.onnx.path, pair.ncnn, table).model.graph.node
    )
    assert count == len(LAYERS) - 1
    scales = {**table.activation_scales, "beside": 3.0}
    other = CalibrationTable(table.weight_scales, scales)
    network = to_qdq(pair.onnx.path, pair.ncnn, other)
    assert sum(x.op_type == "QuantizeLinear" for x in network.model.graph.node) == len(LAYERS)
    crop = crops(1)[0]
    expected = fake_quantized(pair.onnx.path, LAYERS, other, crop)
    got = literally(written(pair, network).path, crop)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("form", ["gemm", "gemm_transposed", "matmul"])
def test_inner_products_of_every_form(tmp_path: Path, form: str) -> None:
    net = PairBuilder()
    net.conv("stem", INPUT, (3, 6))
    net.pool("pooled", "stem")
    net.linear("square", "pooled", (6, 6), form)
    net.relu("square_relu", "square")
    net.linear("wide", "square_relu", (6, 9), form)
    pair = net.build(tmp_path / "net.onnx", "wide", rank=2)
    table = table_of(pair)
    network = to_qdq(pair.onnx.path, pair.ncnn, table)
    assert network.layers == ("stem", "square", "wide")
    multiplying = [
        node for node in network.model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")
    ]
    layers = {node.output[0]: name for node, name in zip(multiplying, network.layers, strict=True)}
    file = written(pair, network)
    session = OnnxruntimeSession.load(file, 1, "int8")
    for crop in crops(3):
        expected = fake_quantized(pair.onnx.path, layers, table, crop)
        np.testing.assert_allclose(literally(file.path, crop), expected, rtol=0, atol=1e-4)
        assert db(expected, session.run(crop)[0]) > 40


def test_equal_weights_have_the_scales_of_their_own_input(tmp_path: Path) -> None:
    weight = np.random.default_rng(1).standard_normal((8, 8, 3, 3)).astype(np.float32)
    net = PairBuilder()
    net.conv("stem", INPUT, (3, 8))
    net.conv("first", "stem", (8, 8), weight=weight)
    net.conv("second", "first", (8, 8), weight=weight)
    pair = net.build(tmp_path / "net.onnx", "second")
    table = table_of(pair)
    assert table.activation_scales["first"] > 1.5 * table.activation_scales["second"]
    network = to_qdq(pair.onnx.path, pair.ncnn, table)
    layers = {"/net/Conv_0": "stem", "/net/Conv_1": "first", "/net/Conv_2": "second"}
    crop = crops(1)[0]
    expected = fake_quantized(pair.onnx.path, layers, table, crop)
    got = literally(written(pair, network).path, crop)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)


def test_names_that_are_taken_are_left_alone(pair: Pair, table: CalibrationTable) -> None:
    model = onnx.load(pair.onnx.path)
    bias = next(x for x in model.graph.initializer if x.name == "net.0.bias")
    bias.name = model.graph.node[0].input[2] = "stem.weight_int8"
    onnx.save(model, pair.onnx.path)
    crop = crops(1)[0]
    expected = fake_quantized(pair.onnx.path, LAYERS, table, crop)
    file = written(pair, to_qdq(pair.onnx.path, pair.ncnn, table))
    np.testing.assert_allclose(literally(file.path, crop), expected, rtol=0, atol=1e-4)


def test_a_layer_without_counterpart_is_named(pair: Pair, table: CalibrationTable) -> None:
    model = onnx.load(pair.onnx.path)
    tensor = next(x for x in model.graph.initializer if x.name == "net.2.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, tensor.name))
    onnx.save(model, pair.onnx.path)
    network = to_qdq(pair.onnx.path, pair.ncnn, table)
    reason = "no Conv, Gemm or MatMul of the ONNX file has its weights"
    assert network.left_out == {"depthwise": reason}
    assert len(network.layers) == 5


def test_the_file_of_another_network_is_refused(pair: Pair) -> None:
    other = PairBuilder(seed=3)
    other.conv("stem", INPUT, (3, 16), stride=2)
    made = other.build(pair.onnx.path.with_name("other.onnx"), "stem")
    with pytest.raises(InputError, match=r"other\.onnx: holds no layer of the calibration table"):
        to_qdq(made.onnx.path, pair.ncnn, table_of(pair))


def test_the_table_of_another_network_is_refused(pair: Pair) -> None:
    network = small_network(np.random.default_rng(0))
    strange = CalibrationTable({"excite": (1.0,) * 32}, {"excite": 1.0})
    assert "excite" in network.param.by_name
    with pytest.raises(InputError, match="layer 'excite': its weight line is of a layer"):
        to_qdq(pair.onnx.path, pair.ncnn, strange)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "does not exist"), (b"no network", "is not an ONNX model")]
)
def test_a_file_that_is_no_network_is_refused(
    pair: Pair, table: CalibrationTable, content: bytes | None, message: str
) -> None:
    path = pair.onnx.path.with_name("bad.onnx")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"bad\.onnx: {message}"):
        to_qdq(path, pair.ncnn, table)


def test_a_scale_of_one_percent_more_is_noticed(pair: Pair, table: CalibrationTable) -> None:
    """The bound of the tests above is tight enough to notice a wrong scale."""
    crop = crops(1)[0]
    scales = {name: scale * 1.01 for name, scale in table.activation_scales.items()}
    wrong = CalibrationTable(table.weight_scales, scales)
    model = to_qdq(pair.onnx.path, pair.ncnn, wrong).model
    expected = fake_quantized(pair.onnx.path, LAYERS, table, crop)
    assert np.abs(literally(model, crop) - expected).max() > 1e-2
