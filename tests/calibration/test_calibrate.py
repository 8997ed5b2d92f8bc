from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.calibration import METHODS
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.statistics import ActivationStatistics, collect
from quantkit.calibration.table import parse_table
from quantkit.calibration.table_lines import printed
from quantkit.calibration.weight_scales import weight_scales
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.param import Param
from quantkit.model.weights import LayerWeights
from tests.nets import INPUT, NetBuilder, crop, small_network


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network(np.random.default_rng(0))


@pytest.fixture(scope="module")
def statistics(network: Network) -> ActivationStatistics:
    return statistics_of(network)


def statistics_of(network: Network) -> ActivationStatistics:
    rng = np.random.default_rng(1)
    crops = [crop(rng) for _ in range(3)]
    return collect(network, INPUT, lambda: crops, [x.name for x in int8_layers(network)])


def with_weights(
    network: Network, layer: str, change: Callable[[NDArray[np.float32]], None]
) -> Network:
    records = dict(network.weights[layer].records)
    stored = records["weight"].stored.astype(np.float32)
    change(stored)
    records["weight"] = replace(records["weight"], stored=stored)
    return network.replaced({}, {layer: LayerWeights(records)})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_every_layer_a_scale_that_uses_the_range(
    network: Network, statistics: ActivationStatistics, method: str
) -> None:
    found = calibrate(network, statistics, method)
    assert found.table.layers == tuple(x.name for x in int8_layers(network))
    assert (found.left_out, found.notes) == ({}, {})
    for name, threshold in found.thresholds.items():
        assert threshold > 0
        # ncnn2table's aciq lies beyond the largest of few values.
        assert threshold <= statistics[name].absmax or method == "aciq"
        assert found.table.activation_scales[name] == pytest.approx(127 / threshold, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_table_equals_what_its_file_is_read_back_as(
    network: Network, statistics: ActivationStatistics, method: str
) -> None:
    table = calibrate(network, statistics, method).table
    assert parse_table(table.text()) == table


def test_minmax_maps_the_largest_value_to_127(
    network: Network, statistics: ActivationStatistics
) -> None:
    found = calibrate(network, statistics, "minmax")
    for name, one in statistics.items():
        expected = float(np.float32(127) / np.float32(one.absmax))
        assert found.table.activation_scales[name] == printed(expected)


def test_weight_scales_are_those_of_the_layers(
    network: Network, statistics: ActivationStatistics
) -> None:
    table = calibrate(network, statistics, "minmax").table
    for layer in int8_layers(network):
        weights = network.weights[layer.name]["weight"].astype(np.float32)
        expected = tuple(map(printed, weight_scales(layer, weights).scales))
        assert table.weight_scales[layer.name] == expected


def test_layers_that_the_runtime_gets_wrong_are_left_out_unless_kept() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("grouped", INPUT, "a", (4, 16), kernel=3, group=2)
    net.add("Pooling", "pool", ("a",), ("b",), {0: 1, 4: 1})
    net.conv("squeeze", "b", "c", (16, 8))
    net.add("InnerProduct", "fc", ("c",), ("d",), {0: 4, 1: 1, 2: 32})
    network = net.build()
    rng = np.random.default_rng(1)
    crops = [rng.normal(size=(4, 8, 8)).astype(np.float32)]
    statistics = collect(network, INPUT, lambda: crops, ["grouped", "squeeze", "fc"])
    found = calibrate(network, statistics, "kl")
    assert found.table.layers == ("fc",)
    assert list(found.left_out) == ["grouped", "squeeze"]
    assert "grouped convolution" in found.left_out["grouped"]
    assert "1-D" in found.left_out["squeeze"]
    kept = calibrate(network, statistics, "kl", keep_hazards=True)
    assert kept.table.layers == ("grouped", "squeeze", "fc")
    assert kept.left_out == {}


def test_layers_of_types_that_are_never_int8_are_left_out_by_name() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("conv", INPUT, "a", (3, 4))
    net.add("Deconvolution", "up", ("a",), ("b",), {0: 4, 1: 1, 6: 16})
    network = net.build()
    crops = [np.random.default_rng(1).normal(size=(3, 8, 8)).astype(np.float32)]
    found = calibrate(network, collect(network, INPUT, lambda: crops, ["conv"]), "minmax")
    assert found.table.layers == ("conv",)
    assert list(found.left_out) == ["up"]
    assert found.left_out["up"].endswith("it holds 50.0 % of the weights")


def test_a_channel_without_weights_is_noted_and_finite(
    network: Network, statistics: ActivationStatistics
) -> None:
    per_channel = network.weights["expand"]["weight"].size // 32

    def kill(weights: NDArray[np.float32]) -> None:
        weights[5 * per_channel : 7 * per_channel] = 0

    found = calibrate(with_weights(network, "expand", kill), statistics, "kl")
    assert found.notes == {"expand": "2 of 32 output channels have no weights: 5, 6"}
    assert found.table.weight_scales["expand"][5:7] == (1.0, 1.0)


def test_a_layer_whose_input_is_zero_is_left_out_and_named(network: Network) -> None:
    records = {
        role: replace(record, stored=np.zeros_like(record.stored))
        for role, record in network.weights["neck"].records.items()
    }
    silent = network.replaced({}, {"neck": LayerWeights(records)})
    for method in METHODS:
        found = calibrate(silent, statistics_of(silent), method)
        assert set(found.left_out) == {"left", "right"}
        assert "zero on every calibration crop" in found.left_out["left"]
        assert "left" not in found.table.weight_scales
        assert found.notes["neck"].startswith("24 of 24 output channels have no weights: 0, 1,")


def test_a_scale_that_would_be_printed_as_zero_leaves_the_layer_out(
    network: Network, statistics: ActivationStatistics
) -> None:
    def grow(weights: NDArray[np.float32]) -> None:
        weights[0] = 1e9

    found = calibrate(with_weights(network, "head", grow), statistics, "kl")
    assert list(found.left_out) == ["head"]
    assert "0.000000" in found.left_out["head"]


def test_layers_without_statistics_are_left_out(
    network: Network, statistics: ActivationStatistics
) -> None:
    some = {"stem": statistics["stem"]}
    found = calibrate(network, some, "minmax")
    assert found.table.layers == ("stem",)
    assert found.left_out["head"] == "no statistics were collected of its input"


def test_a_name_that_the_table_cannot_hold_leaves_the_layer_out(
    network: Network, statistics: ActivationStatistics
) -> None:
    name = "head_param_1"
    layers = tuple(replace(x, name=name) if x.name == "head" else x for x in network.param.layers)
    renamed = Network(
        Param(layers),
        {name if key == "head" else key: value for key, value in network.weights.items()},
    )
    found = calibrate(renamed, {**statistics, name: statistics["head"]}, "minmax")
    assert "contains '_param_'" in found.left_out[name]


def test_an_unknown_method_is_refused_with_those_there_are(
    network: Network, statistics: ActivationStatistics
) -> None:
    with pytest.raises(InputError, match=r"no calibration method 'KL'; there are minmax, kl"):
        calibrate(network, statistics, "KL")


def test_given_thresholds_take_the_place_of_the_methods(
    network: Network, statistics: ActivationStatistics
) -> None:
    by_method = calibrate(network, statistics)
    given = calibrate(network, statistics, thresholds={"head": 12.7})
    assert given.table.activation_scales["head"] == 10.0
    assert given.thresholds == {**by_method.thresholds, "head": 12.7}
    assert given.table.weight_scales == by_method.table.weight_scales
    with pytest.raises(InputError, match="there is no layer 'nose'"):
        calibrate(network, statistics, thresholds={"nose": 1.0})
