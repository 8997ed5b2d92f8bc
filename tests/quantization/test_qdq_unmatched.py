"""Prepared networks of which something has no place in the ONNX form: folded, or refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.model.param import Layer, Param
from quantkit.model.weights import LayerWeights, Record
from quantkit.quantization.onnx_batch_norms import fold_batch_norms
from quantkit.quantization.qdq import to_qdq
from tests.oracles import NEEDS_PNNX
from tests.quantization.agreement import db
from tests.quantization.fake_quantized import literally
from tests.quantization.grown_onnx import WIDTH, Converted, Grown, converted
from tests.quantization.prepared_nets import (
    SAME_DB,
    assert_int8_agrees,
    assert_same_function,
    carried,
    crops,
    dense,
    drawn,
    equalized,
    grown,
    scaled,
    stored_in,
    table_of,
    unbiased_layer,
    with_bias,
)

pytestmark = [pytest.mark.slow, NEEDS_PNNX]


def edited(net: Converted, edit: Callable[[onnx.GraphProto], None]) -> Converted:
    """Change the ONNX file behind the conversion's back."""
    model = onnx.load(net.onnx.path)
    edit(model.graph)
    onnx.save(model, net.onnx.path)
    return net


def refused(net: Converted, reason: str) -> None:
    prepared = equalized(net)
    with pytest.raises(InputError, match=f"layer '.*' was changed .* carried over .*{reason}"):
        to_qdq(net.onnx.path, net.ncnn, table_of(net, prepared), prepared)


@pytest.mark.parametrize("form", ["Conv", "ConvTranspose", "grouped"])
def test_batch_norms_that_ncnn_folded_are_folded_as_well(tmp_path: Path, form: str) -> None:
    net = Grown(0)
    net.step("full")
    net.step({"Conv": "grouped", "grouped": "grouped_deconvolution"}.get(form, "deconvolution"))
    net.normalize()
    net.step("full")
    made = converted(net.model(), tmp_path)
    assert "BatchNorm" not in {layer.type for layer in made.ncnn.param.layers}
    prepared = scaled(made)
    assert_same_function(made, prepared)
    prepared = equalized(made)
    assert_int8_agrees(made, prepared, table_of(made, prepared))


def test_batch_norms_that_ncnn_has_stay(tmp_path: Path) -> None:
    net = Grown(0)
    net.step("full")
    net.normalize()
    model = net.model()
    norm = next(node for node in model.graph.node if node.op_type == "BatchNormalization")
    mean = stored_in(model)[norm.input[3]].astype(np.float32)
    layer = Layer("BatchNorm", "norm", ("a",), ("b",), {0: str(WIDTH)})
    for values, count in ((mean, 1), (mean + np.float32(1), 0)):
        weights = {"norm": LayerWeights({"mean": Record(values)})}
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        fold_batch_norms(copy.graph, Network(Param((layer,)), weights))
        assert [node.op_type for node in copy.graph.node].count("BatchNormalization") == count
        crop = crops(1)[0]
        assert db(literally(model, crop), literally(copy, crop)) > SAME_DB


def test_a_batch_norm_behind_an_inner_product_is_refused(tmp_path: Path) -> None:
    net = Grown(0)
    net.linear("gemm_transposed", (WIDTH, WIDTH))
    net.normalize()
    net.relu()
    net.linear("gemm_transposed", (WIDTH, 5))
    refused(converted(net.model(), tmp_path), "is there a BatchNormalization")


def test_a_shift_that_ncnn_folded_into_a_bias_is_refused(tmp_path: Path) -> None:
    def shift(graph: onnx.GraphProto) -> None:
        bias = graph.node[1].input[2]
        tensor = next(x for x in graph.initializer if x.name == bias)
        values = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(values + np.float32(0.5), bias))

    refused(edited(grown(tmp_path, "depthwise"), shift), "biases of its node .* are others")


def test_a_deconvolution_without_counterpart_is_refused(tmp_path: Path) -> None:
    def double(graph: onnx.GraphProto) -> None:
        name = next(x for x in graph.node if x.op_type == "ConvTranspose").input[1]
        tensor = next(x for x in graph.initializer if x.name == name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, name))

    net = edited(grown(tmp_path, "deconvolution", "full"), double)
    refused(net, "no ConvTranspose of the ONNX file has its weights")


def test_constants_of_equal_values_are_refused(tmp_path: Path) -> None:
    net = Grown(0)
    net.step("full")
    constant = net.constant(1, WIDTH, 1, 1)
    net.blob = net.node("Add", net.blob, constant)
    net.step("full")
    net.blob = net.node("Add", net.blob, net.stored(net.constants[constant]))
    net.step("full")
    net.blob = net.conv(net.blob, (5, WIDTH, 1, 1))
    refused(converted(net.model(), tmp_path), "more than one constant of its values")


def test_layers_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    net = Grown(0)
    net.step("full")
    weights = [net.constant(WIDTH, WIDTH, 1, 1, scale=0.3), net.constant(WIDTH)]
    branches = [net.node("Conv", net.blob, *weights, kernel_shape=[1, 1]) for _ in range(2)]
    clipped = net.node("Sigmoid", branches[0])
    net.blob = net.node("Concat", clipped, branches[1], axis=1)
    net.blob = net.conv(net.blob, (5, 2 * WIDTH, 1, 1))
    made = converted(net.model(), tmp_path)
    refused(made, "several nodes of the ONNX file have its weights")


def test_a_layer_type_without_a_known_form_is_refused(tmp_path: Path) -> None:
    net = grown(tmp_path, "full")
    odd = Layer("Scale", "odd", net.files.outputs, ("scaled",), {0: "5"})
    param = replace(net.ncnn.param, layers=(*net.ncnn.param.layers, odd))
    one, other = (
        Network(param, {**net.ncnn.weights, "odd": LayerWeights({"scale": Record(drawn(5) * x)})})
        for x in (np.float32(1), np.float32(2))
    )
    with pytest.raises(InputError, match=r"layer 'odd' .* layers of type Scale have no known form"):
        carried(replace(net, ncnn=one), other)


def test_networks_of_other_layers_are_refused(tmp_path: Path) -> None:
    net = grown(tmp_path, "full")
    table = table_of(net, net.ncnn)
    layer = net.ncnn.param.layers[1]
    other = net.ncnn.replaced({layer.name: layer.with_params({9: "2"})}, {})
    with pytest.raises(InputError, match=f"layer '{layer.name}' of the table's network is another"):
        to_qdq(net.onnx.path, net.ncnn, table, other)
    (tmp_path / "other").mkdir()
    longer = grown(tmp_path / "other", "full", "depthwise")
    with pytest.raises(InputError, match="has other layers than the exported one"):
        to_qdq(net.onnx.path, net.ncnn, table_of(longer, longer.ncnn), longer.ncnn)


def test_a_matmul_without_biases_has_no_place_for_them(tmp_path: Path) -> None:
    net = dense(tmp_path, "matmul", last_bias=False)
    name = unbiased_layer(net.ncnn)
    assert_same_function(net, scaled(net))
    with pytest.raises(InputError, match=f"layer '{name}' .* no place for constant biases"):
        carried(net, with_bias(net.ncnn, name, drawn(7)))
