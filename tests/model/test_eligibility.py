import platform
from pathlib import Path

import numpy as np
import pytest

from quantkit.errors import InputError
from quantkit.model.eligibility import (
    INT8_TYPES,
    fp32_only,
    hazards,
    int8_layers,
    is_depthwise,
    more_in_ncnn2int8,
    quantized_layers,
    refuse_int8,
    require_quantizable,
    runs_int8,
)
from quantkit.model.network import Network
from quantkit.model.param import Layer, Param, read_param
from quantkit.model.shapes import blob_shapes
from quantkit.model.weights import INT8_TAG, LayerWeights, Record, read_weights
from quantkit.quantization import quantize
from tests.nets import INPUT, NetBuilder, crop, small_network
from tests.quantization.agreement import cosine, run, simple_table

CHANNELS = 32


def _hazards(network: Network) -> dict[str, str]:
    return dict(hazards(network, blob_shapes(network.param, {INPUT: (3, 64, 48)})))


def _network(kind: str, params: dict[int, int | str]) -> Network:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("before", INPUT, "before", (3, CHANNELS), kernel=3, stride=2, relu=True)
    net.add(kind, "layer", ("before",), ("out",), params)
    return net.build()


def test_the_layers_are_those_of_ncnn2table(golden: Path) -> None:
    folders = sorted(path for path in golden.iterdir() if path.is_dir())
    assert folders
    for folder in folders:
        param = read_param(folder / "fp32.param")
        network = Network(param, read_weights(param, folder / "fp32.bin"))
        keys = [line.split()[0] for line in (folder / "kl.table").read_text().splitlines()]
        weights = [key.removesuffix("_param_0") for key in keys if key.endswith("_param_0")]
        # Its rows for attention and recurrence are of layers that stay in fp32 here.
        wanted = [name for name in weights if param.layer(name).type in INT8_TYPES]
        assert [layer.name for layer in int8_layers(network)] == wanted, folder


def test_the_small_network_has_no_hazard() -> None:
    network = small_network(np.random.default_rng(0))
    assert _hazards(network) == {}
    assert quantized_layers(network) == ()
    assert [layer.name for layer in int8_layers(network)] == [
        *("stem", "depthwise", "expand", "residual", "grouped", "excite", "neck", "left"),
        *("right", "head"),
    ]


def test_depthwise_means_one_channel_a_group() -> None:
    def layer(outputs: int, group: int, size: int) -> Layer:
        params = {0: str(outputs), 1: "3", 6: str(size), 7: str(group)}
        return Layer("ConvolutionDepthWise", "x", ("a",), ("b",), params)

    assert is_depthwise(layer(16, 16, 144))
    assert not is_depthwise(layer(16, 4, 576))
    assert not is_depthwise(layer(16, 16, 288))


def test_a_convolution_of_a_vector_is_a_hazard() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.add("Pooling", "pool", (INPUT,), ("pooled",), {0: 1, 4: 1})
    net.conv("gate", "pooled", "gate", (3, 8))
    net.add("InnerProduct", "full", ("gate",), ("out",), {0: 4, 1: 1, 2: 32})
    found = _hazards(net.build())
    assert found.keys() == {"gate"}
    assert "1-D blob" in found["gate"]


@pytest.mark.parametrize(("group", "outputs", "hazard"), [(4, 16, False), (4, 32, True)])
def test_a_grouped_convolution_is_a_hazard_where_ncnn_gets_it_wrong(
    group: int, outputs: int, hazard: bool
) -> None:
    size = CHANNELS // group * outputs * 9
    network = _network("ConvolutionDepthWise", {0: outputs, 1: 3, 4: 1, 5: 1, 6: size, 7: group})
    assert ("layer" in _hazards(network)) == hazard
    if hazard and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("this hazard is one of the x86 kernels")
    assert _agrees_in_int8(network) == (not hazard)


@pytest.mark.parametrize("value", ["0.000000e+00", "3.000000e+00"])
def test_a_border_that_is_not_zero_is_a_hazard(value: str) -> None:
    size = CHANNELS * 16 * 9
    network = _network("Convolution", {0: 16, 1: 3, 4: 1, 5: 1, 6: size, 18: value})
    hazard = float(value) != 0
    assert ("layer" in _hazards(network)) == hazard
    assert _agrees_in_int8(network) == (not hazard)


def test_weights_of_another_layer_are_a_hazard_and_not_eligible() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.add("MemoryData", "weight", (), ("weight",), {0: 1, 1: 1, 2: 12})
    net.add("Convolution", "c", (INPUT, "weight"), ("out",), {0: 4, 1: 1, 6: 12, 19: 1})
    network = net.build()
    assert int8_layers(network) == ()
    assert "nothing to quantize" in _hazards(network)["c"]


def _agrees_in_int8(network: Network) -> bool:
    tensor = crop(np.random.default_rng(2))
    table = simple_table(network, tensor, ("layer",))
    int8 = quantize(network, table, store_fp16=False)
    return cosine(run(network, tensor, "out"), run(int8, tensor, "out")) > 0.999


def test_a_quantized_network_is_called_so() -> None:
    network = small_network(np.random.default_rng(0))
    refuse_int8(network)
    require_quantizable(network)
    layers = [layer.name for layer in int8_layers(network)]
    int8 = quantize(network, simple_table(network, crop(np.random.default_rng(1)), layers))
    assert runs_int8(int8.param.layers)
    first = "'stem', 'depthwise', 'expand' and 7 more"
    for check in (refuse_int8, require_quantizable):
        with pytest.raises(InputError, match=rf"^is int8 already \({first}\); give the fp32"):
            check(int8)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("InnerProduct", {0: 5, 2: 30, 8: 2}),
        ("Gemm", {3: 1, 5: 1, 6: 1, 8: 5, 9: 6, 10: 4, 18: 4}),
        ("MultiHeadAttention", {0: 4, 1: 2, 2: 24, 3: 6, 4: 6, 18: 2}),
        ("LSTM", {0: 4, 1: 96, 8: 2}),
        ("GRU", {0: 4, 1: 72, 8: 2}),
        ("RNN", {0: 4, 1: 24, 8: 2}),
        ("Embed", {0: 4, 1: 6, 3: 24, 18: 2}),
        ("Quantize", {0: 1}),
        ("Dequantize", {0: 1}),
        ("Requantize", {0: 1, 1: 1}),
    ],
)
def test_any_kind_of_int8_layer_is_recognised(kind: str, params: dict[int, int | str]) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("conv", INPUT, "conv", (3, 4))
    net.add(kind, "layer", ("conv",), ("out",), params)
    with pytest.raises(InputError, match=r"is int8 already \('layer'\)"):
        refuse_int8(net.build())


def test_weights_stored_as_int8_are_recognised() -> None:
    network = small_network(np.random.default_rng(0))
    records = dict(network.weights["excite"].records)
    records["weight"] = Record(np.zeros(1024, np.int8), INT8_TAG)
    with pytest.raises(InputError, match=r"is int8 already \('excite'\)"):
        refuse_int8(network.replaced({}, {"excite": LayerWeights(records)}))


def test_a_network_without_layers_to_quantize_is_called_so() -> None:
    net = NetBuilder(np.random.default_rng(0))
    for number in range(2):
        bottom = INPUT if number == 0 else "b0"
        net.add("Deconvolution", f"d{number}", (bottom,), (f"b{number}",), {0: 3, 1: 1, 6: 9})
    net.add("PReLU", "relu", ("b1",), ("out",), {0: 3})
    message = (
        "no layer of this network can be int8: it has weights in 2 Deconvolution, 1 PReLU, none "
    )
    with pytest.raises(InputError, match=message):
        require_quantizable(net.build())


def test_a_network_whose_only_layers_are_hazards_is_called_so() -> None:
    network = _network("Convolution", {0: 8, 1: 1, 6: CHANNELS * 8})
    reasons = {"before": "it is wrong", "layer": "it is, too"}
    require_quantizable(network, {"before": "it is wrong"})
    with pytest.raises(InputError, match="'before', 'layer' must stay in fp32: it is wrong"):
        require_quantizable(network, reasons)


def _mixed() -> Network:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("conv", INPUT, "conv", (3, 4))
    net.add("Reduction", "mean", ("conv",), ("rows",), {0: 3, 1: 0, -23303: "1,0", 5: 1})
    net.add("Gemm", "g1", ("rows",), ("one",), {3: 1, 5: 1, 6: 1, 8: 4, 9: 48, 10: 4})
    net.add("LayerNorm", "norm", ("one",), ("normed",), {0: 4})
    net.add("GRU", "gru", ("normed",), ("two",), {0: 5, 1: 60})
    net.add("Gemm", "product", ("two", "one"), ("out",), {2: 0})
    return net.build()


def test_layers_that_are_never_int8_are_named_with_their_share_of_the_weights() -> None:
    network = _mixed()
    gemm, gru = 48 * 4 + 4, 60 + 4 * 5 + 15 * 5
    total = gemm + gru + (3 * 4 + 4) + 2 * 4
    reasons = fp32_only(network)
    assert list(reasons) == ["g1", "gru"]
    for name, kind, count in (("g1", "Gemm", gemm), ("gru", "GRU", gru)):
        share = f"it holds {100 * count / total:.1f} % of the weights"
        assert reasons[name] == f"quantkit leaves layers of type {kind} in fp32; {share}"
    assert fp32_only(small_network(np.random.default_rng(0))) == {}


def test_what_ncnn2int8_also_quantizes_is_said() -> None:
    said = "ncnn2int8 also quantizes the {}, which quantkit leaves in fp32"
    network = _mixed()
    assert more_in_ncnn2int8(network) == said.format("2 Gemm layers")
    one = tuple(layer for layer in network.param.layers if layer.name != "product")
    fewer = Network(Param(one), network.weights)
    assert more_in_ncnn2int8(fewer) == said.format("1 Gemm layer")
    assert more_in_ncnn2int8(small_network(np.random.default_rng(0))) is None
