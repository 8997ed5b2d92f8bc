from dataclasses import replace

import numpy as np
import pytest

from quantkit.model.graph import Graph
from quantkit.model.param import Param
from quantkit.quantization.int8 import quantize
from quantkit.quantization.requantize import agreeing_consumers, first_consumer
from tests.nets import INPUT, NetBuilder, crop, small_network
from tests.quantization.agreement import cosine, run, simple_table

LAYERS = {"stem", "depthwise", "expand", "residual", "grouped", "neck", "left", "right", "head"}
SCALES = {name: float(index + 1) for index, name in enumerate(sorted(LAYERS))}


@pytest.fixture
def graph() -> Graph:
    return Graph(small_network(np.random.default_rng(0)).param)


def test_convolutions_read_by_convolutions_are_fused(graph: Graph) -> None:
    assert first_consumer(graph, SCALES) == {
        "stem": SCALES["depthwise"],
        "depthwise": SCALES["expand"],
        "neck": SCALES["left"],
    }


def test_a_reader_in_floating_point_prevents_it(graph: Graph) -> None:
    scales = {name: scale for name, scale in SCALES.items() if name not in ("right", "expand")}
    assert first_consumer(graph, scales) == {"stem": SCALES["depthwise"]}


def test_a_layer_in_floating_point_is_not_fused(graph: Graph) -> None:
    scales = {name: scale for name, scale in SCALES.items() if name != "stem"}
    assert "stem" not in first_consumer(graph, scales)


def test_a_copy_that_nothing_reads_prevents_it() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("a", INPUT, "a", (3, 8))
    copies = net.split("fork", "a")
    net.conv("b", copies[0], "b", (8, 8))
    assert first_consumer(Graph(net.build().param), {"a": 1.0, "b": 2.0}) == {}


def test_inner_products_are_neither_fused_nor_fused_into() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("a", INPUT, "a", (3, 8))
    net.add("InnerProduct", "b", ("a",), ("b",), {0: 4, 1: 1, 2: 4 * 8 * 64 * 48})
    net.add("InnerProduct", "c", ("b",), ("c",), {0: 4, 1: 1, 2: 16})
    assert first_consumer(Graph(net.build().param), dict.fromkeys("abc", 1.0)) == {}


def test_an_empty_graph_has_nothing_to_fuse() -> None:
    assert first_consumer(Graph(Param(())), {}) == {}


def test_siblings_of_different_scale_are_not_fused(graph: Graph) -> None:
    fused = first_consumer(graph, SCALES)
    assert agreeing_consumers(graph, SCALES) == {k: v for k, v in fused.items() if k != "neck"}
    agreed = SCALES | {"right": SCALES["left"]}
    assert agreeing_consumers(graph, agreed) == first_consumer(graph, agreed) == fused


def test_siblings_of_different_scale_come_closer_when_they_are_not_fused() -> None:
    network = small_network(np.random.default_rng(0))
    tensor = crop(np.random.default_rng(1))
    table = simple_table(network, tensor, ["neck", "left", "right"])
    scales = {**table.activation_scales, "left": 8 * table.activation_scales["left"]}
    apart = replace(table, activation_scales=scales)
    expected = run(network, tensor, "right")
    wrong = run(quantize(network, apart, requantize=first_consumer), tensor, "right")
    right = run(quantize(network, apart), tensor, "right")
    assert cosine(wrong, expected) < 0.99
    assert cosine(right, expected) > 0.999
