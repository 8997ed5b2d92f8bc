"""Computed shapes against those that ncnn's own run gives."""

from pathlib import Path

import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.model.macs import macs, total_macs
from quantkit.model.param import Layer, parse_param, read_param
from quantkit.model.shapes import blob_shapes
from quantkit.model.source import NcnnFiles
from tests.nets import INPUT, NetBuilder, crop, small_network

CONV = {0: 6, 1: 3, 5: 1, 6: 162}
CASES = [
    ("Convolution", CONV),
    ("Convolution", {**CONV, 3: 2, 4: 1}),
    ("Convolution", {**CONV, 2: 2, 12: 3, 13: 2}),
    ("Convolution", {**CONV, 11: 5, 6: 270, 4: 1, 14: 2, 15: 0, 16: 3}),
    ("Convolution", {**CONV, 3: 2, 4: -233}),
    ("Convolution", {**CONV, 3: 3, 4: -234, 14: -234}),
    ("ConvolutionDepthWise", {0: 3, 1: 3, 3: 2, 6: 27, 7: 3}),
    ("Deconvolution", CONV),
    ("Deconvolution", {**CONV, 1: 4, 6: 288, 3: 2, 4: 1}),
    ("Deconvolution", {**CONV, 3: 2, 18: 1, 4: 1}),
    ("Deconvolution", {**CONV, 3: 2, 18: 1, 19: 0, 2: 2}),
    ("Deconvolution", {**CONV, 3: 2, 4: -233, 20: 96, 21: 128}),
    ("DeconvolutionDepthWise", {0: 3, 1: 4, 3: 2, 4: 1, 6: 48, 7: 3}),
    ("Pooling", {0: 0, 1: 2, 2: 2}),
    ("Pooling", {0: 0, 1: 3, 2: 2}),
    ("Pooling", {0: 0, 1: 3, 2: 2, 3: 1}),
    ("Pooling", {0: 0, 1: 3, 2: 2, 3: 1, 5: 1}),
    ("Pooling", {0: 0, 1: 3, 2: 2, 5: 2}),
    ("Pooling", {0: 1, 1: 3, 11: 5, 2: 3, 12: 2, 3: 0, 13: 1, 14: 1, 15: 2, 5: 1}),
    ("Pooling", {0: 1, 4: 1}),
    ("Pooling", {0: 1, 7: 1, 8: 5, 18: 7}),
    ("Pooling", {0: 1, 7: 1, 8: -233, 18: 1}),
    ("InnerProduct", {0: 4, 2: 36864}),
    ("Reshape", {0: -1}),
    ("Reshape", {0: -1, 1: 3}),
    ("Reshape", {0: 0, 1: -1}),
    ("Reshape", {0: 16, 1: -1, 2: 3}),
    ("Reshape", {0: 8, 1: 6, 11: 64, 2: 3}),
    *[("Permute", {0: order}) for order in range(6)],
    ("Interp", {0: 1, 1: "2.000000e+00", 2: "2.000000e+00"}),
    ("Interp", {0: 2, 1: "3.300000e+00", 2: "7.000000e-01"}),
    ("Interp", {0: 2, 3: 11, 4: 13}),
    ("Crop", {0: 3, 1: 4, 2: 1, 3: 10, 4: -233, 5: -233}),
    ("Crop", {0: 3, 1: 4, 3: -233, 4: -233, 5: -233, 6: 2, 7: 5}),
    ("Crop", {-23309: "1,1", -23310: "1,3", -23311: "1,0"}),
    ("Crop", {-23309: "2,-20,5", -23310: "2,-233,-3", -23311: "2,-1,1"}),
    ("Crop", {-23309: "3,0,2,4", -23310: "3,2,60,-233"}),
    ("Reduction", {0: 3, 1: 0, -23303: "2,1,2", 5: 1}),
    ("Reduction", {0: 3, 1: 0, -23303: "2,-1,-2", 4: 1, 5: 1}),
    ("Reduction", {0: 0, 1: 0, -23303: "1,0", 5: 1}),
    ("Reduction", {0: 0, 1: 1}),
    ("Reduction", {0: 0, 1: 1, 4: 1}),
    ("Padding", {0: 1, 1: 2, 2: 3, 3: 4}),
    ("Padding", {0: 1, 1: 2, 2: 3, 3: 4, 7: 1, 8: 2}),
    ("Flatten", {}),
    ("ExpandDims", {-23303: "1,0"}),
    ("Tile", {0: 1, 1: 3}),
    ("Tile", {-23302: "3,2,1,2"}),
    ("Reorg", {0: 2}),
    ("GLU", {0: 1}),
    ("BinaryOp", {0: 2, 1: 1, 2: "2.000000e+00"}),
    ("Softmax", {0: 0, 1: 1}),
    ("UnaryOp", {0: 0}),
]


def _measured(net: NetBuilder, blobs: list[str]) -> dict[str, tuple[int, ...]]:
    network = net.build()
    with NcnnNet.of(network, INPUT) as runtime:
        arrays = runtime.run_blobs(crop(np.random.default_rng(0)), blobs)
    return {name: array.shape for name, array in arrays.items()}


def _check(net: NetBuilder, *blobs: str) -> None:
    computed = blob_shapes(net.build().param, {INPUT: (3, 64, 48)})
    measured = _measured(net, list(blobs))
    assert {blob: computed[blob] for blob in blobs} == measured


@pytest.mark.parametrize(("kind", "params"), CASES, ids=lambda case: str(case)[:70])
def test_one_layer(kind: str, params: dict[int, int | str]) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.add(kind, "layer", (INPUT,), ("out",), params)
    _check(net, "out")


@pytest.mark.parametrize("order", range(24))
def test_permutes_of_four_axes(order: int) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.add("Reshape", "reshape", (INPUT,), ("four",), {0: 8, 1: 6, 11: 64, 2: 3})
    net.add("Permute", "permute", ("four",), ("out",), {0: order})
    _check(net, "out")


@pytest.mark.parametrize(
    ("parts", "params"),
    [
        (3, {-23300: "3,-233,-233,-233", 1: 0}),
        (2, {-23300: "2,20,-233", 1: 1}),
        (3, {-23300: "3,-233,10,-233", 1: -1}),
        (3, {1: 1, -23302: "2,10,40"}),
        (3, {1: 2, -23302: "2,10,-8"}),
    ],
)
def test_slices(parts: int, params: dict[int, int | str]) -> None:
    net = NetBuilder(np.random.default_rng(0))
    tops = tuple(f"part{i}" for i in range(parts))
    net.add("Slice", "slice", (INPUT,), tops, params)
    _check(net, *tops)


@pytest.mark.parametrize(
    ("kind", "first", "second", "params"),
    [
        ("Concat", {}, {}, {0: 1}),
        ("Concat", {}, {}, {0: -3}),
        ("BinaryOp", {}, {1: 0, -23303: "2,1,2"}, {0: 2}),
        ("BinaryOp", {1: 0, -23303: "2,1,2"}, {}, {0: 2}),
        ("BinaryOp", {}, {1: 0, -23303: "2,0,1"}, {0: 0}),
        ("BinaryOp", {}, {1: 0, -23303: "1,2"}, {0: 0}),
        ("BinaryOp", {1: 0, -23303: "1,1", 4: 1}, {1: 0, -23303: "1,2", 4: 1}, {0: 0}),
        ("MatMul", {}, {}, {0: 1}),
        ("MatMul", {1: 0, -23303: "1,0"}, {1: 0, -23303: "1,0"}, {0: 1}),
    ],
)
def test_layers_of_two_blobs(
    kind: str,
    first: dict[int, int | str],
    second: dict[int, int | str],
    params: dict[int, int | str],
) -> None:
    net = NetBuilder(np.random.default_rng(0))
    copies = net.split("fork", INPUT)
    sides = []
    for side, copy, reduction in zip(("a", "b"), copies, (first, second), strict=True):
        if reduction:
            net.add("Reduction", side, (copy,), (side,), {0: 3, 5: 1, **reduction})
        sides.append(side if reduction else copy)
    net.add(kind, "layer", sides, ("out",), params)
    _check(net, "out")


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("Gemm", {3: 1, 5: 1, 6: 1, 8: 6, 9: 48, 10: 4}),
        ("Gemm", {3: 1, 5: 1, 6: 1, 8: 6, 9: 48, 10: 4, 14: 1}),
        ("Gemm", {2: 1, 3: 0, 5: 1, 8: 6, 9: 64, 10: -1, 6: 1}),
        ("InnerProduct", {0: 5, 1: 1, 2: 240}),
        ("LSTM", {0: 4, 1: 1536, 2: 2}),
        ("GRU", {0: 4, 1: 576, 2: 0}),
        ("LayerNorm", {0: 48}),
        ("MultiHeadAttention", {0: 16, 1: 2, 2: 768, 3: 48, 4: 48}),
        ("Convolution1D", {0: 5, 1: 3, 3: 2, 4: 1, 6: 960}),
        ("Deconvolution1D", {0: 5, 1: 4, 3: 2, 4: 1, 6: 1280}),
        ("Squeeze", {-23303: "1,0"}),
        ("ExpandDims", {-23303: "1,1"}),
        ("Interp", {0: 2, 1: "1.000000e+00", 2: "2.000000e+00"}),
    ],
)
def test_layers_of_matrices(kind: str, params: dict[int, int | str]) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.add("Reduction", "mean", (INPUT,), ("matrix",), {0: 3, 1: 0, -23303: "1,0", 5: 1})
    net.add(kind, "layer", ("matrix",), ("out",), params)
    _check(net, "matrix", "out")


def test_a_squeeze_excite_branch() -> None:
    net = NetBuilder(np.random.default_rng(0))
    copies = net.split("fork", INPUT)
    net.add("Pooling", "pool", (copies[0],), ("pooled",), {0: 1, 4: 1})
    net.conv("conv", "pooled", "gate", (3, 3))
    net.add("BinaryOp", "scale", (copies[1], "gate"), ("scaled",), {0: 2})
    net.add("PixelShuffle", "shuffle", ("scaled",), ("out",), {0: 1})
    _check(net, "pooled", "gate", "scaled", "out")


def test_the_small_network() -> None:
    param = small_network(np.random.default_rng(0)).param
    shapes = blob_shapes(param, {INPUT: (3, 64, 48)})
    assert shapes["heatmap"] == (17, 16, 12)
    assert shapes["excited"] == (32,)


def test_an_input_layer_may_give_its_shape() -> None:
    param = parse_param("7767517\n2 2\nInput d 0 1 d 0=4 1=5 2=6\nReLU r 1 1 d o\n")
    assert blob_shapes(param, {})["o"] == (6, 5, 4)
    assert blob_shapes(param, {"d": (1, 2, 3)})["o"] == (1, 2, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Convolution c 1 1 d o 0=1 1=9 6=81", "'c': does not fit blobs of shape"),
        ("Convolution c 1 1 d o 0=1 1=3 6=9 3=0", "'c': does not fit"),
        ("Reshape r 1 1 d o 0=7 1=7", "'r': does not fit"),
        ('Reshape r 1 1 d o 6="0w,-1"', "'r': does not fit"),
        ("Permute p 1 1 d o 0=9", "'p': does not fit"),
        ("Slice s 1 2 d o p -23300=1,-233", "'s': does not fit"),
        ("Spectrogram s 1 1 d o", "type Spectrogram makes is not known"),
        ("Strange s 1 1 d o", "type Strange makes is not known"),
    ],
)
def test_a_layer_that_does_not_fit_is_named(line: str, message: str) -> None:
    text = f"7767517\n2 {3 if 'Slice' in line else 2}\nInput d 0 1 d\n{line}\n"
    with pytest.raises(InputError, match=message):
        blob_shapes(parse_param(text), {"d": (1, 4, 4)})


def test_an_input_of_unknown_shape_is_named() -> None:
    with pytest.raises(InputError, match="shape of input 'd' is not known"):
        blob_shapes(parse_param("7767517\n1 1\nInput d 0 1 d\n"), {})


NETS = [
    ("simplepose_256x192", "data"),
    ("tinypose_256x192", "image"),
    ("simcc_small_256x192", "input"),
]


@pytest.mark.parametrize(("name", "source"), NETS)
def test_every_blob_of_trained_nets(real_data: Path, name: str, source: str) -> None:
    path = real_data / "models" / name
    files = NcnnFiles(path.with_suffix(".param"), path.with_suffix(".bin"), source, ())
    computed = blob_shapes(read_param(files.param), {source: (3, 256, 192)})
    with NcnnNet.from_files(files) as runtime:
        arrays = runtime.run_blobs(np.zeros((3, 256, 192), np.float32), list(computed))
    assert computed == {blob: array.shape for blob, array in arrays.items()}


def _macs(kind: str, shapes: list[tuple[int, ...]], params: dict[int, int]) -> int:
    names = [f"b{i}" for i in range(len(shapes))]
    texts = {key: str(value) for key, value in params.items()}
    layer = Layer(kind, "x", tuple(names[:-1]), (names[-1],), texts)
    return macs(layer, dict(zip(names, shapes, strict=True)))


def test_macs_are_those_of_the_formulas() -> None:
    assert _macs("Convolution", [(3, 8, 8), (4, 6, 6)], {0: 4, 1: 3, 6: 108}) == 4 * 36 * 27
    assert _macs("ConvolutionDepthWise", [(4, 8, 8), (4, 6, 6)], {6: 36}) == 4 * 36 * 9
    assert _macs("Convolution", [(32,), (8,)], {6: 256}) == 256
    assert _macs("Deconvolution", [(3, 8, 8), (4, 16, 16)], {6: 192}) == 192 * 64
    assert _macs("InnerProduct", [(64,), (10,)], {2: 640}) == 640
    assert _macs("InnerProduct", [(7, 64), (7, 10)], {2: 640}) == 7 * 640
    assert _macs("Gemm", [(7, 64), (7, 10)], {3: 1, 5: 1, 8: 10, 9: 64}) == 7 * 640
    assert _macs("MatMul", [(2, 3, 4), (2, 4, 5), (2, 3, 5)], {}) == 2 * 3 * 4 * 5
    heads = _macs("MultiHeadAttention", [(9, 16), (9, 16)], {0: 16, 2: 256})
    assert heads == 4 * 9 * 16 * 16 + 2 * 9 * 9 * 16
    assert _macs("ReLU", [(3, 8, 8), (3, 8, 8)], {}) == 0


def test_macs_of_a_network_add_up() -> None:
    param = small_network(np.random.default_rng(0)).param
    shapes = blob_shapes(param, {INPUT: (3, 64, 48)})
    parts = [macs(layer, shapes) for layer in param.layers]
    assert total_macs(param.layers, shapes) == sum(parts)
    assert macs(param.layer("stem"), shapes) == 16 * 3 * 9 * 32 * 24
