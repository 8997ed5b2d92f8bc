"""The table of weight records against ncnn: what it reads after a layer shows how much it took."""

import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.model.layer_records import record_specs
from quantkit.model.param import Layer
from tests.nets import INPUT, NetBuilder, crop

CONV = {0: 8, 1: 3, 5: 1, 6: 216}
CASES = [
    ("Convolution", CONV),
    ("Convolution", {0: 8, 1: 3, 6: 216}),
    ("Convolution", {**CONV, 8: 2}),
    ("Convolution", {**CONV, 8: 102}),
    ("Convolution1D", {0: 8, 1: 3, 5: 1, 6: 72}),
    ("Convolution3D", {0: 8, 1: 3, 5: 1, 6: 648}),
    ("ConvolutionDepthWise", {0: 8, 1: 3, 5: 1, 6: 72, 7: 8}),
    ("ConvolutionDepthWise", {0: 8, 1: 3, 5: 1, 6: 72, 7: 8, 8: 1}),
    ("ConvolutionDepthWise", {0: 8, 1: 3, 5: 1, 6: 72, 7: 8, 8: 101}),
    ("ConvolutionDepthWise", {0: 8, 1: 3, 6: 144, 7: 4, 8: 1}),
    ("ConvolutionDepthWise1D", {0: 8, 1: 3, 5: 1, 6: 24, 7: 8}),
    ("ConvolutionDepthWise3D", {0: 8, 1: 3, 5: 1, 6: 216, 7: 8}),
    ("Deconvolution", CONV),
    ("Deconvolution1D", {0: 8, 1: 3, 5: 1, 6: 72}),
    ("Deconvolution3D", {0: 8, 1: 3, 5: 1, 6: 648}),
    ("DeconvolutionDepthWise", {0: 8, 1: 3, 5: 1, 6: 72, 7: 8}),
    ("DeconvolutionDepthWise1D", {0: 8, 1: 3, 5: 1, 6: 24, 7: 8}),
    ("DeconvolutionDepthWise3D", {0: 8, 1: 3, 5: 1, 6: 216, 7: 8}),
    ("DeformableConv2D", CONV),
    ("InnerProduct", {0: 8, 1: 1, 2: 64}),
    ("InnerProduct", {0: 8, 1: 1, 2: 64, 8: 2}),
    ("Embed", {0: 8, 1: 5, 2: 1, 3: 40}),
    ("Embed", {0: 8, 1: 5, 2: 1, 3: 40, 18: 2}),
    ("BatchNorm", {0: 5}),
    ("Bias", {0: 5}),
    ("Scale", {0: 5, 1: 1}),
    ("Scale", {0: 5}),
    ("PReLU", {0: 5}),
    ("InstanceNorm", {0: 5}),
    ("InstanceNorm", {0: 5, 2: 0}),
    ("GroupNorm", {0: 2, 1: 6}),
    ("GroupNorm", {0: 2, 1: 6, 3: 0}),
    ("LayerNorm", {0: 7}),
    ("LayerNorm", {0: 7, 2: 0}),
    ("RMSNorm", {0: 7}),
    ("Normalize", {1: 0, 3: 5}),
    ("Quantize", {0: 5}),
    ("Quantize", {}),
    ("Dequantize", {0: 5, 1: 5}),
    ("Dequantize", {}),
    ("Requantize", {0: 5, 1: 1, 2: 5}),
    ("Requantize", {}),
    ("Padding", {0: 1, 6: 5}),
    ("Padding", {0: 1}),
    ("MemoryData", {0: 3}),
    ("MemoryData", {0: 3, 1: 2}),
    ("MemoryData", {0: 3, 1: 2, 2: 4}),
    ("MemoryData", {0: 3, 1: 2, 11: 2, 2: 4}),
    ("MemoryData", {0: 3, 1: 2, 21: 0}),
    ("RNN", {0: 4, 1: 24, 2: 0}),
    ("RNN", {0: 4, 1: 48, 2: 2, 8: 2}),
    ("GRU", {0: 4, 1: 72, 2: 0}),
    ("GRU", {0: 4, 1: 144, 2: 2, 8: 2}),
    ("LSTM", {0: 4, 1: 96, 2: 0}),
    ("LSTM", {0: 4, 1: 192, 2: 2, 8: 2}),
    ("LSTM", {0: 4, 1: 240, 2: 2, 3: 5}),
    ("Gemm", {3: 1, 5: 1, 6: 1, 8: 6, 9: 4, 10: 4}),
    ("Gemm", {3: 1, 5: 1, 6: 0, 8: 6, 9: 4}),
    ("Gemm", {4: 1, 5: 1, 6: 1, 7: 3, 8: 6, 9: 4, 10: 3, 18: 2}),
    ("Gemm", {5: 1, 6: 1, 8: 6, 9: 4, 10: -1}),
    ("MultiHeadAttention", {0: 8, 1: 2, 2: 48, 3: 4, 4: 2}),
    ("MultiHeadAttention", {0: 8, 1: 2, 2: 64, 18: 2}),
    ("ReLU", {}),
    ("Sigmoid", {}),
]


@pytest.mark.parametrize(("kind", "params"), CASES, ids=lambda case: str(case)[:60])
def test_ncnn_takes_as_many_bytes(kind: str, params: dict[int, int | str]) -> None:
    net = NetBuilder(np.random.default_rng(1))
    bottoms = [] if kind == "MemoryData" else [INPUT]
    net.add(kind, "layer", bottoms, ("top",), params)
    net.add("MemoryData", "after", (), ("after",), {0: 6})
    network = net.build()
    expected = network.weights["after"]["data"]
    with NcnnNet.of(network, INPUT, ("after",)) as runtime:
        assert runtime.run(crop(np.random.default_rng(0)))[0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("Convolution", {1: 3, 6: 216}, "6=216 must be a positive multiple of 0"),
        ("Convolution", {0: 7, 1: 3, 6: 216}, "6=216 must be a positive multiple of 7"),
        ("Convolution", {0: -8, 1: 3, 6: 216}, "multiple of -8"),
        ("Convolution", {0: 8, 1: 3}, "6=0 must be a positive multiple of 8"),
        ("ConvolutionDepthWise", {0: 8, 6: 72, 7: 3}, "0=8 must be a positive multiple of 3"),
        ("ConvolutionDepthWise", {0: 8, 6: 72, 7: 0}, "multiple of 0"),
        ("InnerProduct", {0: 8, 2: 60}, "2=60 must be a positive multiple of 8"),
        ("PReLU", {}, "ask for 0 elements of 'slope'"),
        ("MemoryData", {0: 65536, 1: 65536}, "ask for 4294967296 elements"),
        ("MemoryData", {0: -3, 1: 2}, "ask for -6 elements"),
        ("Gemm", {5: 1, 18: 401, 8: 4, 9: 4}, "block-quantized"),
        ("LSTM", {0: 4, 1: 95}, "1=95 must be a positive multiple of 16"),
        ("MultiHeadAttention", {2: 64}, "2=64 must be a positive multiple of 0"),
    ],
)
def test_counts_that_make_no_sense_name_the_layer(
    kind: str, params: dict[int, int], message: str
) -> None:
    layer = Layer(kind, "x", ("a",), ("b",), {k: str(v) for k, v in params.items()})
    with pytest.raises(InputError, match=f"{kind} 'x': .*{message}"):
        record_specs(layer)


def test_dynamic_weights_are_not_in_the_file() -> None:
    for kind, number in (("Convolution", 19), ("ConvolutionDepthWise", 19), ("Deconvolution", 28)):
        assert record_specs(Layer(kind, "x", ("a", "w"), ("b",), {0: "8", number: "1"})) == ()
