"""Networks that pnnx converts, their preparations, and what must hold of the ONNX form."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.streaming import collect_streaming
from quantkit.calibration.table import CalibrationTable
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.model.vector_convolutions import as_inner_products
from quantkit.model.weights import LayerWeights, Record
from quantkit.quantization.carried import Carrying
from quantkit.quantization.int8 import quantize
from quantkit.quantization.onnx_batch_norms import fold_batch_norms
from quantkit.quantization.onnx_layers import match_layers
from quantkit.quantization.onnx_writing import GraphWriting
from quantkit.quantization.qdq import to_qdq
from quantkit.tuning.equalization import channel_ranges, equalize
from quantkit.tuning.equalization.channel_graph import channel_graph
from quantkit.tuning.equalization.fold import folded
from tests.quantization.agreement import db
from tests.quantization.fake_quantized import literally
from tests.quantization.grown_onnx import SHAPE, WIDTH, Array, Converted, Grown, converted
from tests.tuning.equalized_nets import far_factors

STEPS = (
    "full",
    "unbiased",
    "depthwise",
    "grouped",
    "residual",
    "deconvolution",
    "grouped_deconvolution",
    "normalized",
    "constant_sum",
    "shared",
    "gated",
)
SAME_DB = 100.0


def crops(count: int, seed: int = 5) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(SHAPE).astype(np.float32) for _ in range(count)]


def grown(folder: Path, *steps: str, seed: int = 0) -> Converted:
    net = Grown(seed)
    for step in steps:
        net.step(step)
    net.blob = net.conv(net.blob, (5, WIDTH, 1, 1))
    return converted(net.model(), folder)


def dense(folder: Path, form: str, *, bias: bool = True, last_bias: bool = True) -> Converted:
    net = Grown(0)
    net.step("full")
    for outputs in (WIDTH, WIDTH, 7):
        with_bias = last_bias if outputs == 7 else bias
        net.linear(form, (WIDTH, outputs), bias=with_bias)
        if outputs != 7:
            net.relu()
    return converted(net.model(), folder)


def scaled(net: Converted, seed: int = 1) -> Network:
    """Scale every free channel by 1/16 to 16."""
    network = net.ncnn
    shapes = blob_shapes(network.param, {net.files.input: SHAPE})
    network = as_inner_products(network, shapes).network
    graph = channel_graph(network, shapes, net.files.outputs)
    return folded(network, graph, far_factors(graph, seed))


def equalized(net: Converted) -> Network:
    shapes = blob_shapes(net.ncnn.param, {net.files.input: SHAPE})
    network = as_inner_products(net.ncnn, shapes).network
    ranges = channel_ranges(network, net.files.input, crops(4, seed=9))
    return equalize(network, shapes, net.files.outputs, ranges).network


def table_of(net: Converted, network: Network) -> CalibrationTable:
    names = [layer.name for layer in int8_layers(network)]
    statistics = collect_streaming(network, net.files.input, crops(4, seed=9), names, total=4)
    return calibrate(network, statistics, "minmax").table


def run(net: Converted, network: Network, crop: Array) -> Array:
    files = net.files
    with NcnnNet.of(network, files.input, files.outputs) as ncnn:
        output: Array = ncnn.run(crop)[0]
        return output


def carried(net: Converted, prepared: Network) -> onnx.ModelProto:
    """Carry over what changed, with no layer in int8."""
    model = onnx.load(net.onnx.path)
    fold_batch_norms(model.graph, net.ncnn)
    matched = match_layers(model.graph, net.ncnn)
    writing = GraphWriting(model.graph)
    Carrying(model.graph, net.ncnn, prepared, matched).write(writing, ())
    writing.finish()
    onnx.checker.check_model(model, full_check=True)
    return model


def changed(net: Converted, prepared: Network) -> set[str]:
    """Layers with other weights than before."""
    return {
        name
        for name, weights in net.ncnn.weights.items()
        if any(not np.array_equal(x, prepared.weights[name][role]) for role, x in weights.items())
    }


def assert_same_function(net: Converted, prepared: Network) -> None:
    assert len(changed(net, prepared)) > 1
    model = carried(net, prepared)
    for crop in crops(2):
        assert db(literally(net.onnx.path, crop), literally(model, crop)) > SAME_DB


def assert_int8_agrees(net: Converted, prepared: Network, table: CalibrationTable) -> None:
    written = to_qdq(net.onnx.path, net.ncnn, table, prepared)
    assert written.layers == table.layers
    assert not written.left_out
    int8 = quantize(prepared, table)
    onnx.checker.check_model(written.model, full_check=True)
    for crop in crops(2):
        got = literally(written.model, crop)
        assert db(run(net, int8, crop), got) > 40
        assert db(literally(net.onnx.path, crop), got) > 20


def with_bias(network: Network, name: str, bias: Array) -> Network:
    """Change the biases of a layer, or give it some."""
    layer = network.param.layer(name)
    number = 1 if layer.type == "InnerProduct" else 5
    records = {"weight": network.weights[name].records["weight"], "bias": Record(bias)}
    return network.replaced({name: layer.with_params({number: "1"})}, {name: LayerWeights(records)})


def unbiased_layer(network: Network) -> str:
    (name,) = (x for x, weights in network.weights.items() if set(weights) == {"weight"})
    return name


def drawn(outputs: int) -> Array:
    return np.random.default_rng(3).standard_normal(outputs).astype(np.float32)


def stored_in(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {x.name: numpy_helper.to_array(x) for x in model.graph.initializer}
