"""What is timed and how it is reported; how long it takes is for the benchmarks."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.latency.grid import measure_layers
from quantkit.latency.layer_shape import distinct, layer_shape, takes_winograd
from quantkit.latency.machine import machine_facts
from quantkit.latency.networks import NetworkTimes, TimedNetwork, measure_networks
from quantkit.latency.samples import Milliseconds, in_turn
from quantkit.latency.single_layer import forms_of
from quantkit.model.eligibility import int8_layers
from quantkit.model.feature_mask import without_winograd
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.model.shapes import blob_shapes
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from tests.nets import INPUT, OUTPUT, SIZE, NetBuilder, crop, small_network, write_pair

SHAPE = (3, SIZE[1], SIZE[0])


@pytest.fixture
def network() -> Network:
    return small_network(np.random.default_rng(0))


def test_equal_layers_are_timed_once(network: Network) -> None:
    shapes = blob_shapes(network.param, {INPUT: SHAPE})
    layers = int8_layers(network)
    twice = (*layers, network.param.layer("left").with_params({8: "2", 31: "64"}))
    assert len(distinct(layers, shapes)) == len(layers)
    assert distinct(twice, shapes) == distinct(layers, shapes)


def test_the_same_layer_on_another_size_is_another(network: Network) -> None:
    left = network.param.layer("left")
    one, two = ({left.bottoms[0]: (24, side, side)} for side in (8, 16))
    assert layer_shape(left, one) != layer_shape(left, two)


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({1: "3"}, True),
        ({1: "3", 3: "2"}, False),
        ({1: "3", 2: "2"}, False),
        ({1: "3", 11: "1"}, False),
        ({1: "3", 13: "2"}, False),
        ({1: "1"}, False),
    ],
)
def test_winograd_is_for_3x3_layers_of_stride_1(params: dict[int, str], wanted: bool) -> None:
    assert takes_winograd(Layer("Convolution", "c", ("a",), ("b",), params)) is wanted


def test_every_layer_is_timed_in_all_its_forms_in_a_child(network: Network) -> None:
    shapes = distinct(int8_layers(network), blob_shapes(network.param, {INPUT: SHAPE}))
    told: list[tuple[str, int, int]] = []
    profile = measure_layers(
        shapes, seconds=0.1, feedback=Feedback(progress=lambda *one: told.append(one))
    )
    assert tuple(profile.times) == shapes
    assert told[-1] == ("layer times", len(shapes), len(shapes))
    for shape, times in profile.times.items():
        assert set(times.forms) == set(forms_of(shape))
        assert all(0 < one.p10 <= one.median for one in times.forms.values())
    assert profile.noise >= 0
    assert profile.machine["cpu"] == machine_facts()["cpu"]


def test_winograd_switched_off_is_heeded_and_hardly_changes_the_output() -> None:
    builder = NetBuilder(np.random.default_rng(3))
    builder.conv("wide", INPUT, OUTPUT, (3, 64), kernel=3)
    network = builder.build()
    direct = network.replaced({"wide": without_winograd(network.param.layer("wide"))}, {})
    assert "31=64" in direct.param_text()
    values = crop(np.random.default_rng(0))
    with NcnnNet.of(network, INPUT, (OUTPUT,)) as one, NcnnNet.of(direct, INPUT, (OUTPUT,)) as two:
        (expected,), (got,) = one.run(values), two.run(values)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


def test_networks_are_timed_in_turn_and_compared_with_one(network: Network, tmp_path: Path) -> None:
    files = write_pair(network, tmp_path)
    networks = {"fp32": TimedNetwork(files), "bf16": TimedNetwork(files, bf16=True)}
    times = measure_networks(networks, SHAPE, baseline="fp32", seconds=0.1, feedback=Feedback())
    assert set(times.times) == {"fp32", "bf16"}
    assert times.ratio("fp32") == times.p10_ratio("fp32") == 1
    assert times.noise >= 0
    assert times.rounds >= 8


def test_a_network_without_its_output_is_refused(network: Network, tmp_path: Path) -> None:
    files = write_pair(network, tmp_path)
    wrong = NcnnFiles(files.param, files.bin, files.input, ("nothing",))
    with pytest.raises(InputError, match="blob 'nothing' is not in the network"):
        measure_networks(
            {"fp32": TimedNetwork(wrong)}, SHAPE, baseline="fp32", seconds=0.1, feedback=Feedback()
        )


@pytest.mark.parametrize(
    ("median", "p10", "noise", "wanted"),
    [
        (0.9, 0.8, 0.01, True),
        (0.98, 0.7, 0.0, False),  # under 3 % nothing is claimed
        (0.9, 0.79, 0.15, False),  # nor within the noise
        (0.9, 0.9, 0.01, False),  # nor by the median alone
    ],
)
def test_faster_is_more_than_noise_in_both_figures(
    median: float, p10: float, noise: float, wanted: bool
) -> None:
    times = {"one": Milliseconds(1.0, 0.9), "other": Milliseconds(median, p10)}
    assert NetworkTimes({}, times, "one", noise, 8).faster("other", "one") is wanted


def test_every_round_runs_all_and_none_is_always_first() -> None:
    order: list[str] = []

    def timer(name: str) -> float:
        order.append(name)
        return float(len(order))

    names = ("a", "b", "c")
    found = in_turn({name: partial(timer, name) for name in names}, 3, warm_up=1)
    assert [len(found[name]) for name in names] == [3, 3, 3]
    assert [order[k : k + 3] for k in range(0, 12, 3)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
