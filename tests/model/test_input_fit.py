"""Inputs that layers' weights do not fit, which ncnn itself never notices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.model.input_fit import check_input
from quantkit.model.param import Param, parse_param
from quantkit.model.shape_rule import Shape
from quantkit.model.shapes import blob_shapes
from tests.nets import INPUT, NetBuilder, small_network

IMAGE = (3, 8, 6)
ROWS: dict[int, int | str] = {0: 3, 1: 0, -23303: "1,0", 5: 1}
"""A Reduction that makes a matrix of height x width of an image."""


def one_layer(kind: str, params: dict[int, int | str], *, matrix: bool = False) -> NetBuilder:
    net = NetBuilder(np.random.default_rng(0))
    if matrix:
        net.add("Reduction", "mean", (INPUT,), ("matrix",), ROWS)
    net.add(kind, "layer", ("matrix" if matrix else INPUT,), ("out",), params)
    return net


OF_IMAGES: list[tuple[str, dict[int, int | str], int, str]] = [
    ("Convolution", {0: 6, 1: 3, 6: 162}, 3, "channels"),
    ("Convolution", {0: 6, 1: 3, 11: 1, 6: 54}, 3, "channels"),
    ("ConvolutionDepthWise", {0: 6, 1: 3, 6: 54, 7: 3}, 3, "channels"),
    ("Deconvolution", {0: 6, 1: 2, 3: 2, 6: 72}, 3, "channels"),
    ("DeconvolutionDepthWise", {0: 3, 1: 2, 3: 2, 6: 12, 7: 3}, 3, "channels"),
    ("InnerProduct", {0: 5, 2: 720}, 144, "values"),
    ("BatchNorm", {0: 3}, 3, "channels"),
    ("Bias", {0: 3}, 3, "channels"),
    ("Scale", {0: 3, 1: 1}, 3, "channels"),
    ("PReLU", {0: 3}, 3, "channels"),
    ("InstanceNorm", {0: 3}, 3, "channels"),
    ("GroupNorm", {0: 3, 1: 3}, 3, "channels"),
    ("Normalize", {1: 0, 3: 3, 4: 1}, 3, "channels"),
    ("LayerNorm", {0: 6}, 6, "values a row"),
]
OF_MATRICES: list[tuple[str, dict[int, int | str], int, str]] = [
    ("InnerProduct", {0: 5, 2: 30}, 6, "values"),
    ("Convolution1D", {0: 5, 1: 3, 6: 120}, 8, "channels"),
    ("Gemm", {3: 1, 5: 1, 6: 1, 8: 5, 9: 6, 10: 4}, 6, "values a row"),
    ("Gemm", {2: 1, 3: 0, 5: 1, 6: 1, 8: 5, 9: 8, 10: -1}, 8, "values a row"),
    ("LSTM", {0: 4, 1: 192, 2: 2}, 6, "values a row"),
    ("GRU", {0: 4, 1: 72}, 6, "values a row"),
    ("RNN", {0: 4, 1: 24}, 6, "values a row"),
    ("MultiHeadAttention", {0: 4, 1: 2, 2: 24, 3: 6, 4: 6}, 6, "values a row"),
    ("LayerNorm", {0: 6}, 6, "values a row"),
]
CASES = [(*case, False) for case in OF_IMAGES] + [(*case, True) for case in OF_MATRICES]


@pytest.mark.parametrize(("kind", "params", "takes", "unit", "matrix"), CASES)
def test_a_layer_that_would_read_past_its_weights_is_named(
    kind: str, params: dict[int, int | str], takes: int, unit: str, matrix: bool
) -> None:
    network = one_layer(kind, params, matrix=matrix).build()
    known = check_input(network.param, INPUT, IMAGE)
    with NcnnNet.of(network, INPUT) as net:
        out = net.run_blobs(np.zeros(IMAGE, np.float32), ["out"])["out"]
    assert known["out"] == out.shape
    larger = (4, 10, 9)
    with pytest.raises(InputError, match=rf"^{kind} 'layer' takes {takes} {unit}, its input has"):
        check_input(network.param, INPUT, larger)


def classifier(size: tuple[int, int]) -> Param:
    """A stride, a reshape and an InnerProduct that is made for one size."""
    taken = 4 * (size[0] // 2) * (size[1] // 2)
    return parse_param(
        "7767517\n4 4\nInput in 0 1 in\n"
        "Convolution conv 1 1 in c 0=4 1=2 3=2 6=48\n"
        f"Reshape flat 1 1 c f 0=-1\nInnerProduct fc 1 1 f out 0=34 2={34 * taken}\n"
    )


SIDES = st.integers(1, 40).map(lambda k: 8 * k)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
@settings(max_examples=50, deadline=None)
def test_an_input_is_taken_exactly_if_the_sizes_agree(
    made: tuple[int, int], given: tuple[int, int]
) -> None:
    param, shape = classifier(made), (3, given[1], given[0])
    if made[0] * made[1] == given[0] * given[1]:
        assert check_input(param, "in", shape)["out"] == (34,)
        return
    with pytest.raises(InputError, match="InnerProduct 'fc' takes") as caught:
        check_input(param, "in", shape)
    advice = str(caught.value).partition("? ")[2].removesuffix(" would fit")
    if advice:
        width, height = map(int, advice.split("x"))
        assert check_input(param, "in", (3, height, width))["out"] == (34,)


def test_the_size_that_would_fit_keeps_the_aspect() -> None:
    message = r"takes 256 values, its input has 1024: is the input size right\? 16x16 would fit"
    with pytest.raises(InputError, match=message):
        check_input(classifier((16, 16)), "in", (3, 32, 32))
    with pytest.raises(InputError, match=r"\? 192x256 would fit"):
        check_input(classifier((192, 256)), "in", (3, 512, 384))


def test_channels_that_would_fit_are_told() -> None:
    message = "takes 3 channels, its input has 1: an input of 3 channels would fit"
    with pytest.raises(InputError, match=message):
        check_input(classifier((16, 16)), "in", (1, 16, 16))


@pytest.mark.parametrize(
    ("line", "shape", "message"),
    [
        ("Reshape x 1 1 a o 0=192 1=3", (3, 8, 8), r"\(3, 192\) has another number of elements"),
        ("BinaryOp x 2 1 a b o 0=0", (3, 8, 8), "cannot be broadcast"),
        ("Concat x 2 1 a b o 0=0", (3, 8, 8), "differ in other axes"),
        ("MatMul x 2 1 a b o", (3, 8, 8), "cannot be multiplied"),
        ("Pooling x 1 1 a o 1=9", (3, 8, 8), "its output would be"),
    ],
)
def test_blobs_that_do_not_go_together_are_named(line: str, shape: Shape, message: str) -> None:
    reads_b = " b o " in f"{line} "
    layers = ["Input in 0 1 in", "MemoryData m 0 1 b 0=6 1=5 2=3", "ReLU n 1 1 in a", line]
    if not reads_b:
        del layers[1]
    text = "\n".join(["7767517", f"{len(layers)} {len(layers)}", *layers]) + "\n"
    param = parse_param(text)
    with pytest.raises(InputError, match=rf"'x' does not fit its input: .*{message}"):
        check_input(param, "in", shape)


def test_what_lies_behind_a_layer_of_unknown_shape_is_left_out() -> None:
    text = (
        "7767517\n5 6\nInput in 0 1 in\nSplit s 1 2 in a b\nStrange x 1 1 a c\n"
        "InnerProduct far 1 1 c d 0=2 2=2\nInnerProduct near 1 1 b e 0=2 2=128\n"
    )
    assert set(check_input(parse_param(text), "in", (1, 8, 8))) == {"in", "a", "b", "e"}
    with pytest.raises(InputError, match="'near' takes 64 values, its input has 72"):
        check_input(parse_param(text), "in", (1, 8, 9))


def test_an_input_without_a_shape_is_checked_by_that_of_the_file() -> None:
    text = "7767517\n2 2\nInput in 0 1 in{}\nInnerProduct fc 1 1 in o 0=2 2=128\n"
    assert check_input(parse_param(text.format("")), "in", None) == {}
    with pytest.raises(InputError, match=r"'fc' takes 64 values, its input has 72: give another"):
        check_input(parse_param(text.format(" 0=9 1=8 2=1")), "in", None)


def test_all_shapes_of_a_whole_network_are_known() -> None:
    param = small_network(np.random.default_rng(0)).param
    assert check_input(param, INPUT, (3, 64, 48)) == blob_shapes(param, {INPUT: (3, 64, 48)})
