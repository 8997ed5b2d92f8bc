"""What a prepared network may differ in and still be the exported one, made for a table."""

import numpy as np
import pytest

from quantkit.errors import InputError
from quantkit.model.channel_shuffle import with_joined_shuffles
from quantkit.model.feature_mask import without_winograd
from quantkit.model.network import Network
from quantkit.quantization.prepared_layers import changed_layers
from tests.nets import INPUT, NetBuilder


@pytest.fixture
def network() -> Network:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("stem", INPUT, "stem", (3, 12), kernel=3)
    net.add("Reshape", "grouped", ("stem",), ("grouped",), {0: 24, 1: 6, 2: 2})
    net.add("Permute", "swapped", ("grouped",), ("swapped",), {0: 2})
    net.add("Reshape", "shuffled", ("swapped",), ("shuffled",), {0: 6, 1: 4, 2: 12})
    net.conv("head", "shuffled", "head", (12, 5))
    return net.build()


def test_shuffles_that_are_one_layer_and_feature_masks_are_no_change(network: Network) -> None:
    joined = with_joined_shuffles(network)
    assert len(joined.param.layers) == len(network.param.layers) - 2
    prepared = joined.replaced({"stem": without_winograd(joined.param.layer("stem"))}, {})
    assert changed_layers(network, prepared) == ()
    assert changed_layers(network, network) == ()


def test_another_stride_is_one(network: Network) -> None:
    other = network.param.layer("stem").with_params({3: "2"})
    with pytest.raises(InputError, match="layer 'stem' of the table's network is another Conv"):
        changed_layers(network, network.replaced({"stem": other}, {}))
