"""Every layer type that torch computes, against ncnn."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.tuning.distillation.operators import OPERATORS
from quantkit.tuning.distillation.torch_network import TorchNetwork
from quantkit.tuning.sqnr import sqnr_db
from tests.nets import INPUT, OUTPUT, NetBuilder
from tests.tuning.stored_weights import stored_weights

torch = pytest.importorskip("torch", exc_type=ImportError)
SHAPE = (12, 9, 7)
EXACT_DB = 100.0
Array = NDArray[np.float32]
Body = Callable[[NetBuilder], None]
Params = Mapping[int, int | str]


def one(kind: str, params: Params | None = None) -> Body:
    return lambda net: net.add(kind, "layer", (INPUT,), (OUTPUT,), params or {})


def joined(kind: str, params: Params) -> Body:
    """Cut the input into two halves and combine them."""

    def add(net: NetBuilder) -> None:
        net.add("Slice", "slice", (INPUT,), ("a", "b"), {-23300: "2,-233,-233"})
        net.add(kind, "layer", ("a", "b"), (OUTPUT,), params)

    return add


def gated(params: Params) -> Body:
    """Multiply the input by its pooled form, which has one axis."""

    def add(net: NetBuilder) -> None:
        copy, other = net.split("fork", INPUT)
        net.add("Pooling", "pool", (copy,), ("pooled",), params)
        net.add("BinaryOp", "layer", (other, "pooled"), (OUTPUT,), {0: 2})

    return add


def activated(number: int, values: str = "") -> Body:
    params: dict[int, int | str] = {0: 8, 1: 3, 4: 1, 5: 1, 6: 864, 9: number}
    return one("Convolution", {**params, **({-23310: values} if values else {})})


BODIES: dict[str, Body] = {
    "relu": one("ReLU"),
    "leaky relu": one("ReLU", {0: "0.1"}),
    "clip": one("Clip", {0: "-0.5", 1: "0.75"}),
    "hard swish": one("HardSwish", {0: "0.1666667", 1: "0.5"}),
    "hard sigmoid": one("HardSigmoid", {0: "0.2", 1: "0.5"}),
    "sigmoid": one("Sigmoid"),
    "swish": one("Swish"),
    "tanh": one("TanH"),
    "softmax": one("Softmax", {0: 0, 1: 1}),
    "softmax of the width": one("Softmax", {0: 2, 1: 1}),
    "prelu": one("PReLU", {0: 12}),
    "scale": one("Scale", {0: 12, 1: 1}),
    "dropout": one("Dropout", {0: "0.5"}),
    "flatten": one("Flatten"),
    "reshape": one("Reshape", {0: 63, 1: 6, 2: 2}),
    "reshape with a rest": one("Reshape", {0: -1, 1: 12}),
    "squeeze": one("Squeeze", {-23303: "1,0"}),
    "permute": one("Permute", {0: 2}),
    "permute all": one("Permute", {0: 5}),
    "shuffle": one("ShuffleChannel", {0: 3}),
    "shuffle back": one("ShuffleChannel", {0: 3, 1: 1}),
    "crop by starts": one("Crop", {-23309: "1,2", -23310: "1,-3", -23311: "1,1"}),
    "crop by offsets": one("Crop", {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6}),
    "padding": one("Padding", {0: 1, 1: 2, 2: 3, 3: 0, 5: "0.5"}),
    "reflecting padding": one("Padding", {0: 1, 1: 2, 2: 3, 3: 0, 4: 2}),
    "nearest": one("Interp", {0: 1, 1: "2.0", 2: "2.0"}),
    "bilinear": one("Interp", {0: 2, 3: 17, 4: 13}),
    "bilinear by corners": one("Interp", {0: 2, 3: 17, 4: 13, 6: 1}),
    "bicubic": one("Interp", {0: 3, 3: 18, 4: 14}),
    "largest": one("Pooling", {0: 0, 1: 3, 2: 2, 3: 1}),
    "largest with a rest": one("Pooling", {0: 0, 1: 2, 2: 2}),
    "mean": one("Pooling", {0: 1, 1: 3, 2: 2, 3: 1, 5: 1}),
    "mean with a rest": one("Pooling", {0: 1, 1: 2, 2: 2}),
    "mean of all": one("Pooling", {0: 1, 4: 1}),
    "mean with the padding": one("Pooling", {0: 1, 1: 3, 2: 1, 3: 1, 5: 1, 6: 1}),
    "mean of rows": one("Pooling", {0: 1, 1: 7, 11: 1, 2: 7, 12: 1, 5: 1}),
    "same pooling": one("Pooling", {0: 0, 1: 3, 2: 2, 5: 2}),
    "adaptive": one("Pooling", {0: 1, 7: 1, 8: 3}),
    "strided": one("Convolution", {0: 8, 1: 3, 3: 2, 4: 1, 5: 1, 6: 864}),
    "tall": one("Convolution", {0: 8, 1: 3, 11: 1, 4: 1, 14: 0, 5: 1, 6: 288}),
    "dilated": one("Convolution", {0: 8, 1: 3, 2: 2, 4: 2, 6: 864}),
    "same": one("Convolution", {0: 8, 1: 3, 3: 2, 4: -233, 5: 1, 6: 864}),
    "depthwise": one("ConvolutionDepthWise", {0: 12, 1: 3, 4: 1, 5: 1, 6: 108, 7: 12}),
    "grouped": one("ConvolutionDepthWise", {0: 6, 1: 3, 4: 1, 5: 1, 6: 216, 7: 3}),
    "deconvolution": one("Deconvolution", {0: 6, 1: 4, 3: 2, 4: 1, 5: 1, 6: 1152}),
    "deconvolution with more": one("Deconvolution", {0: 6, 1: 3, 3: 2, 4: 1, 5: 1, 6: 648, 18: 1}),
    "depthwise deconvolution": one(
        "DeconvolutionDepthWise", {0: 12, 1: 4, 3: 2, 4: 1, 5: 1, 6: 192, 7: 12, 9: 1}
    ),
    "grouped deconvolution": one(
        "DeconvolutionDepthWise", {0: 6, 1: 4, 3: 2, 4: 1, 5: 1, 6: 384, 7: 3}
    ),
    "inner product": one("InnerProduct", {0: 5, 1: 1, 2: 3780, 9: 1}),
    "fused relu": activated(1),
    "fused leaky relu": activated(2, "1,0.1"),
    "fused clip": activated(3, "2,0.0,6.0"),
    "fused sigmoid": activated(4),
    "fused mish": activated(5),
    "fused hard swish": activated(6, "2,0.1666667,0.5"),
    "concat": joined("Concat", {0: 0}),
    "concat of rows": joined("Concat", {0: -1}),
    "sum": joined("Eltwise", {0: 1}),
    "weighted sum": joined("Eltwise", {0: 1, -23301: "2,0.5,-2.0"}),
    "product": joined("Eltwise", {0: 0}),
    "largest of two": joined("Eltwise", {0: 2}),
    **{f"binary {kind}": joined("BinaryOp", {0: kind}) for kind in (0, 1, 2, 3, 4, 5, 7, 8)},
    "times a number": one("BinaryOp", {0: 2, 1: 1, 2: "0.3"}),
    "times a vector": gated({0: 1, 4: 1}),
    "times an image": gated({0: 1, 4: 0, 7: 1, 8: 1}),
}


def compared(network: Network, outputs: tuple[str, ...] = (OUTPUT,)) -> float:
    crops = np.random.default_rng(3).standard_normal((2, *SHAPE)).astype(np.float32)
    compute = TorchNetwork.of(torch, network.param, INPUT, SHAPE, outputs)
    found = compute(torch.from_numpy(crops), stored_weights(torch, network))
    with NcnnNet.of(network, INPUT, outputs) as net:
        expected = [net.run(crop) for crop in crops]
    got = [tuple(one[number].numpy() for one in found) for number in range(len(crops))]
    for r, q in zip(expected, got, strict=True):
        assert [one.shape for one in r] == [one.shape for one in q]
    return sqnr_db(expected, got)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_torch_gives_what_ncnn_gives(body: Body) -> None:
    net = NetBuilder(np.random.default_rng(0))
    body(net)
    assert compared(net.build()) > EXACT_DB


def test_a_batch_norm_has_its_own_epsilon() -> None:
    from quantkit.model.weights import LayerWeights, Record

    net = NetBuilder(np.random.default_rng(0))
    net.add("BatchNorm", "norm", (INPUT,), (OUTPUT,), {0: 12, 1: "0.1"})
    network = net.build()
    records = dict(network.weights["norm"].records)
    records["variance"] = Record(np.linspace(0.01, 3, 12, dtype=np.float32))
    assert compared(network.replaced({}, {"norm": LayerWeights(records)})) > EXACT_DB


def test_rows_of_a_matrix_are_multiplied_one_by_one() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.add("Reshape", "rows", (INPUT,), ("rows",), {0: 63, 1: 12})
    net.add("Convolution1D", "wide", ("rows",), ("wide",), {0: 5, 1: 1, 5: 1, 6: 60, 9: 1})
    net.add("InnerProduct", "product", ("wide",), (OUTPUT,), {0: 4, 1: 1, 2: 252})
    assert compared(net.build()) > EXACT_DB


def test_what_no_output_needs_is_not_looked_at() -> None:
    net = NetBuilder(np.random.default_rng(0))
    copy, other = net.split("fork", INPUT)
    net.add("ReLU", "relu", (copy,), (OUTPUT,))
    net.add("Unheard", "strange", (other,), ("nothing",))
    network = net.build()
    TorchNetwork.of(torch, network.param, INPUT, SHAPE, (OUTPUT,))
    with pytest.raises(InputError, match="Unheard 'strange': layers of this type have no gradient"):
        TorchNetwork.of(torch, network.param, INPUT, SHAPE, ("nothing",))


def test_every_type_is_among_those_compared() -> None:
    built = set()
    for body in BODIES.values():
        net = NetBuilder(np.random.default_rng(0))
        body(net)
        built |= {layer.type for layer in net.build().param.layers}
    elsewhere = {"BatchNorm", "Convolution1D", "ExpandDims", "MemoryData", "Noop"}
    assert set(OPERATORS) <= built | elsewhere
