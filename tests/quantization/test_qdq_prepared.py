"""The ONNX form of networks that were equalized, rounded or corrected for their table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.quantization.int8 import quantize
from quantkit.quantization.qdq import to_qdq
from quantkit.tuning.rounding import round_weights
from quantkit.tuning.rounding_moments import Sampling
from tests.oracles import NEEDS_PNNX
from tests.quantization.agreement import db
from tests.quantization.fake_quantized import literally
from tests.quantization.grown_onnx import WIDTH, Converted
from tests.quantization.prepared_nets import (
    STEPS,
    assert_int8_agrees,
    assert_same_function,
    carried,
    changed,
    crops,
    dense,
    drawn,
    equalized,
    grown,
    run,
    scaled,
    stored_in,
    table_of,
    unbiased_layer,
    with_bias,
)

pytestmark = [pytest.mark.slow, NEEDS_PNNX]


@pytest.mark.parametrize("step", STEPS)
def test_every_kind_of_layer_is_carried_over(tmp_path: Path, step: str) -> None:
    net = grown(tmp_path, step, "full")
    assert_same_function(net, scaled(net))


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_compute_the_same(tmp_path: Path, seed: int) -> None:
    steps = np.random.default_rng(seed).choice(STEPS, 6)
    net = grown(tmp_path, *steps, seed=seed)
    assert_same_function(net, scaled(net, seed))


@pytest.mark.parametrize("form", ["gemm", "gemm_transposed", "matmul"])
def test_inner_products_of_every_form_are_carried_over(tmp_path: Path, form: str) -> None:
    net = dense(tmp_path, form)
    prepared = scaled(net)
    kinds = {prepared.param.layer(name).type for name in changed(net, prepared)}
    assert "InnerProduct" in kinds
    assert_same_function(net, prepared)


def test_a_layer_that_is_left_as_it_was_would_be_noticed(tmp_path: Path) -> None:
    net = grown(tmp_path, "deconvolution", "full")
    prepared = scaled(net)
    names = changed(net, prepared)
    assert names
    for name in names:
        half = prepared.replaced({}, {name: net.ncnn.weights[name]})
        crop = crops(1)[0]
        assert db(literally(net.onnx.path, crop), literally(carried(net, half), crop)) < 20


@pytest.mark.parametrize("step", STEPS)
def test_the_int8_network_is_that_of_ncnn(tmp_path: Path, step: str) -> None:
    net = grown(tmp_path, step, "full")
    prepared = equalized(net)
    assert changed(net, prepared)
    assert_int8_agrees(net, prepared, table_of(net, prepared))


@pytest.mark.parametrize("form", ["gemm", "gemm_transposed", "matmul"])
def test_the_int8_inner_products_are_those_of_ncnn(tmp_path: Path, form: str) -> None:
    net = dense(tmp_path, form)
    prepared = equalized(net)
    assert_int8_agrees(net, prepared, table_of(net, prepared))


@pytest.mark.parametrize("seed", range(3))
def test_a_table_of_one_layer_costs_that_layer_alone(tmp_path: Path, seed: int) -> None:
    steps = np.random.default_rng(10 + seed).choice(STEPS, 4)
    net = grown(tmp_path, *steps, seed=seed)
    prepared = equalized(net)
    table = table_of(net, prepared)
    one = table.only([table.layers[-1]])
    assert_int8_agrees(net, prepared, one)


def assert_bias_is_carried(net: Converted, prepared: Network) -> None:
    model = carried(net, prepared)
    for crop in crops(2):
        expected = run(net, prepared, crop)
        assert db(expected, literally(model, crop)) > 90
        assert db(expected, literally(net.onnx.path, crop)) < 40


def test_a_convolution_without_biases_gets_them(tmp_path: Path) -> None:
    net = grown(tmp_path, "unbiased")
    assert_bias_is_carried(net, with_bias(net.ncnn, unbiased_layer(net.ncnn), drawn(WIDTH)))


def test_a_gemm_without_biases_gets_them(tmp_path: Path) -> None:
    net = dense(tmp_path, "gemm_transposed", last_bias=False)
    assert_bias_is_carried(net, with_bias(net.ncnn, unbiased_layer(net.ncnn), drawn(7)))


@pytest.mark.parametrize("form", ["gemm", "gemm_transposed", "matmul"])
def test_biases_of_inner_products_are_carried_over(tmp_path: Path, form: str) -> None:
    net = dense(tmp_path, form)
    last = next(x for x in reversed(net.ncnn.param.layers) if x.type == "InnerProduct")
    assert_bias_is_carried(net, with_bias(net.ncnn, last.name, drawn(7)))


def test_rounded_weights_and_corrected_biases_are_those_of_ncnn(tmp_path: Path) -> None:
    net = grown(tmp_path, "residual", "gated", "depthwise")
    equal = equalized(net)
    table = table_of(net, equal)
    sampling = Sampling(lambda: crops(4, seed=9), net.files.input)
    prepared = round_weights(equal, table, sampling).network
    assert_int8_agrees(net, prepared, table)
    stored = stored_in(to_qdq(net.onnx.path, net.ncnn, table, prepared).model)
    int8 = quantize(prepared, table)
    for name in table.layers:
        integers = int8.weights[name]["weight"]
        np.testing.assert_array_equal(stored[f"{name}.weight_int8"].ravel(), integers)
        np.testing.assert_array_equal(stored[f"{name}.bias"], prepared.weights[name]["bias"])


def test_convolutions_of_vectors_may_be_inner_products(tmp_path: Path) -> None:
    net = dense(tmp_path, "gemm_transposed", last_bias=False)
    made = [layer for layer in net.ncnn.param.layers if layer.type == "InnerProduct"]
    before = {layer.name: vector_convolution(layer) for layer in made}
    net = replace(net, ncnn=net.ncnn.replaced(before, {}))
    prepared = equalized(net)
    assert [prepared.param.layer(name).type for name in before] == ["InnerProduct"] * 3
    assert_same_function(net, prepared)
    table = table_of(net, prepared)
    assert before.keys() <= set(table.layers)
    assert_int8_agrees(net, prepared, table)


def vector_convolution(layer: Layer) -> Layer:
    """Make of an InnerProduct the 1x1 convolution that computes the same of a vector."""
    ids = {0: 0, 1: 5, 2: 6, 9: 9}
    params = {ids[key]: value for key, value in layer.params.items()}
    return replace(layer, type="Convolution", params=params).with_params({1: "1"})


def test_nodes_that_share_weights_get_their_own(tmp_path: Path) -> None:
    net = grown(tmp_path, "shared")
    before, after = onnx.load(net.onnx.path), carried(net, scaled(net))
    for number in (1, 2):
        assert len(inputs_of(before, "Conv", number)) == len(inputs_of(after, "Conv", number)) - 1


def inputs_of(model: onnx.ModelProto, kind: str, number: int) -> set[str]:
    return {node.input[number] for node in model.graph.node if node.op_type == kind}


def test_the_same_network_changes_nothing(tmp_path: Path) -> None:
    net = grown(tmp_path, "residual")
    table = table_of(net, net.ncnn)
    plain = to_qdq(net.onnx.path, net.ncnn, table)
    assert to_qdq(net.onnx.path, net.ncnn, table, net.ncnn).model == plain.model
    copy = net.ncnn.replaced({}, {})
    assert to_qdq(net.onnx.path, net.ncnn, table, copy).model == plain.model
