from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.model.channel_shuffle import with_joined_shuffles
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from tests.nets import INPUT, NetBuilder


def network_with(first: dict[int, int], order: int, last: dict[int, int]) -> Network:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("stem", INPUT, "stem", (3, 12), kernel=3)
    net.add("Reshape", "grouped", ("stem",), ("grouped",), first)
    net.add("Permute", "swapped", ("grouped",), ("swapped",), {0: order})
    net.add("Reshape", "shuffled", ("swapped",), ("shuffled",), last)
    net.conv("head", "shuffled", "head", (12, 5))
    return net.build()


@pytest.mark.parametrize("groups", [2, 3, 4, 6])
def test_a_shuffle_becomes_one_layer_of_the_same_bits(groups: int) -> None:
    first = {0: 24, 1: 12 // groups, 2: groups}
    network = network_with(first, 2, {0: 6, 1: 4, 2: 12})
    joined = with_joined_shuffles(network)
    types = Counter(layer.type for layer in joined.param.layers)
    assert (types["ShuffleChannel"], types["Reshape"], types["Permute"]) == (1, 0, 0)
    image = np.random.default_rng(1).standard_normal((3, 4, 6)).astype(np.float32)
    with (
        NcnnNet.of(network, INPUT, ("shuffled", "head")) as wanted,
        NcnnNet.of(joined, INPUT, ("shuffled", "head")) as got,
    ):
        for one, other in zip(wanted.run(image), got.run(image), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("first", "order", "last"),
    [
        ({0: 24, 1: 6, 2: 2}, 1, {0: 6, 1: 4, 2: 12}),  # another order
        ({0: 12, 1: 12, 2: 2}, 2, {0: 6, 1: 4, 2: 12}),  # rows are not whole channels
        ({0: 24, 1: 6, 2: 2}, 2, {0: 24, 1: 12}),  # the last one flattens
        ({0: 24, 1: 6, 2: -1}, 2, {0: 6, 1: 4, 2: 12}),  # a size that is not given
    ],
)
def test_other_rearrangements_stay(first: dict[int, int], order: int, last: dict[int, int]) -> None:
    network = network_with(first, order, last)
    assert with_joined_shuffles(network).param == network.param


def test_an_output_inside_stays() -> None:
    network = network_with({0: 24, 1: 6, 2: 2}, 2, {0: 6, 1: 4, 2: 12})
    assert with_joined_shuffles(network, ["swapped"]).param == network.param


def test_a_blob_inside_that_somebody_else_reads_stays() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("stem", INPUT, "stem", (3, 12), kernel=3)
    net.add("Reshape", "grouped", ("stem",), ("grouped",), {0: 24, 1: 6, 2: 2})
    one, other = net.split("both", "grouped")
    net.add("Permute", "swapped", (one,), ("swapped",), {0: 2})
    net.add("Reshape", "shuffled", ("swapped",), ("shuffled",), {0: 6, 1: 4, 2: 12})
    net.add("ReLU", "relu", (other,), ("relu",))
    network = net.build()
    assert with_joined_shuffles(network).param == network.param


def test_every_shuffle_of_a_real_net_is_found(real_data: Path) -> None:
    model = real_data / "models" / "tinypose_256x192"
    outputs = ("save_infer_model/scale_0.tmp_1",)
    files = NcnnFiles(model.with_suffix(".param"), model.with_suffix(".bin"), "image", outputs)
    network = read_network(files)
    joined = with_joined_shuffles(network)
    types = Counter(layer.type for layer in joined.param.layers)
    assert (types["ShuffleChannel"], types["Permute"], types["Reshape"]) == (49, 0, 0)
    image = np.random.default_rng(1).standard_normal((3, 256, 192)).astype(np.float32)
    with (
        NcnnNet.of(network, "image", outputs) as wanted,
        NcnnNet.of(joined, "image", outputs) as got,
    ):
        assert np.array_equal(wanted.run(image)[0], got.run(image)[0])
