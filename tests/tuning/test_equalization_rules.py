"""Each rule of a layer type, held against what ncnn computes with factors far from 1."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from quantkit.model.weights import LayerWeights, Record
from quantkit.tuning.equalization import channel_graph
from quantkit.tuning.equalization.channel_rule import Site, frozen
from quantkit.tuning.equalization.classes import Labels
from quantkit.tuning.equalization.factors import powers_of_two
from quantkit.tuning.equalization.fold import folded
from tests.nets import OUTPUT, NetBuilder
from tests.tuning.equalized_nets import (
    CHANNELS,
    EXACT_DB,
    Body,
    far_factors,
    free_channels,
    graph_of,
    independent,
    layer,
    run,
    unchanged_db,
    wrapped,
)


def _chain(*kinds: tuple[str, Mapping[int, int | str]]) -> Body:
    def body(net: NetBuilder) -> str:
        blob = "before"
        for index, (kind, params) in enumerate(kinds):
            net.add(kind, f"{kind}{index}", (blob,), (f"blob{index}",), params)
            blob = f"blob{index}"
        return blob

    return body


def _two(kind: str, params: Mapping[int, int | str]) -> Body:
    """The sum, product, .. of two convolutions of one blob."""

    def body(net: NetBuilder) -> str:
        left, right = net.split("fork", "before")
        net.conv("left", left, "left", (CHANNELS, CHANNELS))
        net.conv("right", right, "right", (CHANNELS, CHANNELS), relu=True)
        net.add(kind, "tested", ("left", "right"), ("after",), params)
        return "after"

    return body


def _gated(activation: Mapping[int, int | str], pooled: bool) -> Body:
    def body(net: NetBuilder) -> str:
        kept, squeezed = net.split("fork", "before")
        if pooled:
            net.add("Pooling", "squeeze", (squeezed,), ("squeezed",), {0: 1, 4: 1})
            excite: dict[int, int | str] = {0: CHANNELS, 1: 1, 2: CHANNELS**2, **activation}
            net.add("InnerProduct", "excite", ("squeezed",), ("gate",), excite)
        else:
            excite = {0: CHANNELS, 1: 1, 5: 1, 6: CHANNELS**2, **activation}
            net.add("Convolution", "excite", (squeezed,), ("gate",), excite)
        net.add("BinaryOp", "tested", ("gate", kept), ("after",), {0: 2})
        return "after"

    return body


def _sliced_and_joined(net: NetBuilder) -> str:
    net.add("Slice", "cut", ("before",), ("a", "b", "c"), {-23300: "3,2,4,-233"})
    net.add("Concat", "tested", ("c", "a", "b"), ("after",), {0: 0})
    return "after"


def _added_copies(net: NetBuilder) -> str:
    net.add("BinaryOp", "tested", net.split("fork", "before"), ("after",), {0: 0})
    return "after"


def _shuffle(groups: int) -> Body:
    shape = {0: 48, 1: CHANNELS // groups, 2: groups}
    back = {0: 6, 1: 8, 2: CHANNELS}
    return _chain(("Reshape", shape), ("Permute", {0: 2}), ("Reshape", back))


def _flattened(net: NetBuilder) -> str:
    net.add("Flatten", "flat", ("before",), ("flat",))
    net.add("InnerProduct", "fc", ("flat",), ("fc",), {0: 96, 1: 1, 2: CHANNELS * 48 * 96, 9: 1})
    net.add("Reshape", "tested", ("fc",), ("after",), {0: 4, 1: 2, 2: 12})
    return "after"


def _with_constant(operation: int, shape: Mapping[int, int | str]) -> Body:
    def body(net: NetBuilder) -> str:
        net.add("MemoryData", "constant", (), ("constant",), shape)
        net.add("BinaryOp", "tested", ("before", "constant"), ("after",), {0: operation})
        return "after"

    return body


_CONV = {1: 3, 4: 1, 5: 1}
_EACH = {0: 1, 1: 1, 2: CHANNELS}
_SUM: dict[int, int | str] = {0: 0, 1: 0, 4: 1, 5: 1}
FREE: dict[str, Body] = {
    "relu": layer("ReLU"),
    "leaky relu": layer("ReLU", {0: "0.1"}),
    "prelu": layer("PReLU", {0: CHANNELS}),
    "absolute": layer("AbsVal"),
    "negative": layer("UnaryOp", {0: 1}),
    "clip from 0": layer("Clip", {0: "0"}),
    "scalar product": layer("BinaryOp", {0: 2, 1: 1, 2: "0.3"}),
    "scalar maximum": layer("BinaryOp", {0: 4, 1: 1, 2: "0.0"}),
    "max pooling": layer("Pooling", {0: 0, 1: 3, 2: 2, 3: 1}),
    "average pooling": layer("Pooling", {0: 1, 1: 3, 2: 2, 3: 1, 6: 1}),
    "global pooling": _chain(("Pooling", {0: 1, 4: 1}), ("Reshape", {0: 1, 1: 1, 2: CHANNELS})),
    "adaptive pooling": layer("Pooling", {0: 1, 7: 1, 8: 3}),
    "nearest": layer("Interp", {0: 1, 1: "2.0", 2: "2.0"}),
    "bilinear": layer("Interp", {0: 2, 3: 11, 4: 13}),
    "bicubic": layer("Interp", {0: 3, 1: "1.5", 2: "1.5"}),
    "zero padding": layer("Padding", {0: 1, 1: 2, 2: 1, 3: 0}),
    "reflected padding": layer("Padding", {0: 1, 1: 2, 2: 1, 3: 0, 4: 2}),
    "crop in space": layer("Crop", {-23309: "2,1,2", -23310: "2,6,5", -23311: "2,1,2"}),
    "permute in space": layer("Permute", {0: 1}),
    "mean in space": layer("Reduction", {0: 3, 1: 0, -23303: "2,1,2", 4: 1, 5: 1}),
    "l2 norm in space": layer("Reduction", {0: 8, 1: 0, -23303: "2,-2,-1", 4: 1, 5: 1}),
    "copies": _added_copies,
    "slices": _sliced_and_joined,
    "shuffle layer": layer("ShuffleChannel", {0: 3}),
    "reversed shuffle layer": layer("ShuffleChannel", {0: 3, 1: 1}),
    "shuffle of 2": _shuffle(2),
    "shuffle of 4": _shuffle(4),
    "sum": _two("BinaryOp", {0: 0}),
    "difference": _two("BinaryOp", {0: 1}),
    "maximum": _two("BinaryOp", {0: 4}),
    "reversed difference": _two("BinaryOp", {0: 7}),
    "eltwise sum": _two("Eltwise", {0: 1, -23301: "2,0.5,-2.0"}),
    "eltwise maximum": _two("Eltwise", {0: 2}),
    "product": _two("BinaryOp", {0: 2}),
    "eltwise product": _two("Eltwise", {0: 0}),
    "constant of each channel": _with_constant(0, _EACH),
    "constant everywhere": _with_constant(0, {0: 6, 1: 8, 2: CHANNELS}),
    "product with a constant": _with_constant(2, _EACH),
    "quotient by a constant": _with_constant(3, _EACH),
    "convolution": layer("Convolution", {0: CHANNELS, 6: 9 * CHANNELS**2, 9: 1, **_CONV}),
    "leaky convolution": layer(
        "Convolution", {0: CHANNELS, 6: 9 * CHANNELS**2, 9: 2, -23310: "1,0.2", **_CONV}
    ),
    "depthwise": layer("ConvolutionDepthWise", {0: CHANNELS, 6: 108, 7: CHANNELS, **_CONV}),
    "grouped": layer("ConvolutionDepthWise", {0: CHANNELS, 6: 9 * 48, 7: 3, **_CONV}),
    "deconvolution": layer(
        "Deconvolution", {0: CHANNELS, 1: 4, 3: 2, 4: 1, 5: 1, 6: 16 * CHANNELS**2, 9: 1}
    ),
    "depthwise deconvolution": layer(
        "DeconvolutionDepthWise", {0: CHANNELS, 1: 4, 3: 2, 4: 1, 5: 1, 6: 192, 7: CHANNELS}
    ),
    "grouped deconvolution": layer(
        "DeconvolutionDepthWise", {0: CHANNELS, 1: 4, 3: 2, 4: 1, 5: 1, 6: 16 * 48, 7: 3}
    ),
    "inner product": _flattened,
    "convolution of a vector": _chain(
        ("Pooling", {0: 1, 4: 1}),
        ("Convolution", {0: CHANNELS, 1: 1, 5: 1, 6: CHANNELS**2, 9: 1}),
        ("Reshape", {0: 1, 1: 1, 2: CHANNELS}),
    ),
    "convolution of rows": _chain(
        ("Reshape", {0: 48, 1: CHANNELS}),
        ("Convolution1D", {0: CHANNELS, 1: 3, 4: 1, 5: 1, 6: 3 * CHANNELS**2}),
        ("Reshape", {0: 6, 1: 8, 2: CHANNELS}),
    ),
    "scale": layer("Scale", {0: CHANNELS, 1: 1}),
}
"""Layers that let factors in: all channels of `before` are free."""

FROZEN: dict[str, Body] = {
    "sigmoid": layer("Sigmoid"),
    "swish": layer("Swish"),
    "hardswish": layer("HardSwish"),
    "softmax": layer("Softmax", {0: 0}),
    "relu6": layer("Clip", {0: "0", 1: "0.5"}),
    "scalar sum": layer("BinaryOp", {0: 0, 1: 1, 2: "0.5"}),
    "square root of the absolute": _chain(("AbsVal", {}), ("UnaryOp", {0: 5})),
    "padding by a value": layer("Padding", {0: 1, 1: 1, 2: 1, 3: 1, 5: "0.7"}),
    "power": _chain(("AbsVal", {}), ("BinaryOp", {0: 6, 1: 1, 2: "1.5"})),
    "sum of squares": layer("Reduction", {0: 2, 1: 0, -23303: "2,1,2", 4: 1, 5: 1}),
    "instance norm": layer("InstanceNorm", {0: CHANNELS}),
}


_GATES: list[dict[int, int | str]] = [{9: 4}, {9: 6, -23310: "2,0.2,0.5"}]


@pytest.mark.parametrize("body", FREE.values(), ids=FREE)
def test_free_channels_may_be_scaled(body: Body) -> None:
    network = wrapped(body)
    assert unchanged_db(network, far_factors) >= EXACT_DB
    assert free_channels(graph_of(network), "before") == CHANNELS


@pytest.mark.parametrize("body", FROZEN.values(), ids=FROZEN)
def test_what_is_not_homogeneous_freezes_what_it_reads(body: Body) -> None:
    network = wrapped(body)
    assert free_channels(graph_of(network), "before") == 0
    assert unchanged_db(network, far_factors) >= EXACT_DB


@pytest.mark.parametrize("body", FROZEN.values(), ids=FROZEN)
def test_a_rule_that_lets_too_much_pass_is_noticed(
    body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = wrapped(body)
    wrong = {x.type: lambda site: [site.bottoms[0].copy()] for x in network.param.layers[2:-1]}
    rules = {**channel_graph.RULES, **wrong}
    monkeypatch.setattr(channel_graph, "RULES", rules)
    assert unchanged_db(network, far_factors) < EXACT_DB


@pytest.mark.parametrize(
    "name", ["shuffle of 2", "slices", "shuffle layer", "sum", "inner product"]
)
def test_a_rule_that_mistakes_channels_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = wrapped(FREE[name])

    def turned(site: Site) -> Sequence[Labels]:
        return [np.roll(x, 1, axis=0) for x in right[site.layer.type](site)]

    right = channel_graph.RULES
    wrong = {x.type: turned for x in network.param.layers[2:-1]}
    monkeypatch.setattr(channel_graph, "RULES", {**right, **wrong})
    monkeypatch.setattr(channel_graph, "_compact", np.ascontiguousarray)
    assert unchanged_db(network, far_factors) < EXACT_DB


@pytest.mark.parametrize("activation", _GATES, ids=["sigmoid", "hardswish"])
@pytest.mark.parametrize("pooled", [True, False], ids=["of channels", "of pixels"])
def test_a_gate_is_frozen_and_the_other_side_is_scaled(
    activation: Mapping[int, int | str], pooled: bool
) -> None:
    network = wrapped(_gated(activation, pooled))
    graph = graph_of(network)
    assert free_channels(graph, "gate") == 0
    assert independent(graph, "after") == free_channels(graph, "after") == CHANNELS
    assert unchanged_db(network, far_factors) >= EXACT_DB


def test_the_square_of_a_blob_is_not_scaled() -> None:
    def body(net: NetBuilder) -> str:
        net.add("BinaryOp", "tested", net.split("fork", "before"), ("after",), {0: 2})
        return "after"

    network = wrapped(body)
    assert free_channels(graph_of(network), "before") == 0
    assert unchanged_db(network, far_factors) >= EXACT_DB


@pytest.mark.parametrize("activation", [3, 4, 5, 6], ids=["clip", "sigmoid", "mish", "hardswish"])
def test_a_fused_activation_freezes_the_output_alone(activation: int) -> None:
    params = {0: CHANNELS, 1: 3, 4: 1, 5: 1, 6: 9 * CHANNELS**2, 9: activation}
    arguments = {3: {-23310: "2,0.0,1.0"}, 6: {-23310: "2,0.2,0.5"}}.get(activation, {})
    network = wrapped(layer("Convolution", {**params, **arguments}))
    graph = graph_of(network)
    assert (free_channels(graph, "before"), free_channels(graph, "after")) == (CHANNELS, 0)
    assert unchanged_db(network, far_factors) >= EXACT_DB


def test_a_border_padded_with_a_value_freezes_the_input() -> None:
    params: dict[int, int | str] = {0: CHANNELS, 1: 3, 4: 1, 5: 1, 6: 9 * CHANNELS**2, 18: "0.5"}
    network = wrapped(layer("Convolution", params))
    graph = graph_of(network)
    assert (free_channels(graph, "before"), free_channels(graph, "after")) == (0, CHANNELS)
    assert unchanged_db(network, far_factors) >= EXACT_DB


@pytest.mark.parametrize(("axes", "classes"), [("2,1,2", CHANNELS), ("1,0", 1)])
def test_a_reduction_joins_what_it_adds(axes: str, classes: int) -> None:
    width = CHANNELS if classes > 1 else 1
    params: dict[int, int | str] = {**_SUM, -23303: axes}
    body = layer("Reduction", params)
    network = wrapped(body, width)
    assert independent(graph_of(network), "before") == classes
    assert unchanged_db(network, far_factors) >= EXACT_DB


def test_batch_norm_takes_a_factor_in_and_gives_another_out() -> None:
    network = wrapped(layer("BatchNorm", {0: CHANNELS, 1: "0.01"}))
    records = dict(network.weights["tested"].records)
    records["variance"] = Record(np.abs(records["variance"].stored) + np.float32(0.1))
    network = network.replaced({}, {"tested": LayerWeights(records)})
    graph = graph_of(network)
    assert (free_channels(graph, "before"), free_channels(graph, "after")) == (12, 12)
    assert not set(graph.channels("before")) & set(graph.channels("after"))
    assert unchanged_db(network, far_factors) >= EXACT_DB


def test_a_frozen_channel_freezes_those_it_is_added_to() -> None:
    def body(net: NetBuilder) -> str:
        left, right = net.split("fork", "before")
        net.conv("left", left, "left", (CHANNELS, CHANNELS), p9=4)
        net.conv("right", right, "right", (CHANNELS, CHANNELS))
        net.add("BinaryOp", "add", ("left", "right"), ("after",), {0: 0})
        return "after"

    graph = graph_of(wrapped(body))
    assert {graph.frozen[k] for k in graph.channels("right")} == {"fused activation Sigmoid"}


def test_a_named_blob_inside_is_not_scaled() -> None:
    network = wrapped(FREE["convolution"])
    graph = graph_of(network, ("after",))
    other = folded(network, graph, powers_of_two(far_factors(graph), graph.most))
    for before, after in zip(
        run(network, "after", OUTPUT), run(other, "after", OUTPUT), strict=True
    ):
        np.testing.assert_array_equal(after, before)
    assert "network output" in graph.frozen


def test_an_unknown_type_freezes_what_it_touches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_graph, "RULES", {**channel_graph.RULES, "ReLU": _unruled})
    graph = graph_of(wrapped(layer("ReLU")))
    assert free_channels(graph, "before") == free_channels(graph, "after") == 0


def _unruled(site: Site) -> Sequence[Labels]:
    return frozen(site, site.layer.type)
