import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.ncnn_views import BlobReader, BlobView
from quantkit.errors import InputError
from quantkit.model.network import Network
from tests.nets import INPUT, NetBuilder, crop, small_network

Array = NDArray[np.float32]


def unpacked(blob: BlobView) -> Array:
    return blob.packed().swapaxes(1, 2).reshape(blob.layout.shape).copy()


def read(network: Network, tensors: list[Array], blobs: list[str]) -> list[dict[str, Array]]:
    found: list[dict[str, Array]] = []
    with NcnnNet.of(network, INPUT) as net:
        reader = BlobReader(net, blobs)
        for tensor in tensors:
            found.append({})
            reader.read(tensor, lambda name, blob: found[-1].__setitem__(name, unpacked(blob)))
    return found


def test_blobs_are_those_that_are_copied_out() -> None:
    network = small_network(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    tensors = [crop(rng) for _ in range(3)]
    blobs = [top for layer in network.param.layers for top in layer.tops]
    with NcnnNet.of(network, INPUT) as net:
        expected = [net.run_blobs(tensor, blobs) for tensor in tensors]
    for found, one in zip(read(network, tensors, blobs), expected, strict=True):
        assert set(found) == set(blobs)
        for name, values in one.items():
            assert found[name].tobytes() == values.tobytes(), name
            assert found[name].shape == values.shape


@pytest.mark.parametrize("channels", [1, 3, 4, 8, 16, 24, 40])
def test_every_packing_and_gaps_between_channels(channels: int) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("first", INPUT, "a", (3, channels), kernel=3, stride=2)
    net.add("Pooling", "pool", ["a"], ["b"], {0: 1, 4: 1})
    net.add("InnerProduct", "fc", ["b"], ["c"], {0: channels, 1: 1, 2: channels**2})
    network = net.build()
    # Channels of 7 * 5 values: ncnn puts gaps between those that are not packed.
    tensors = [
        np.random.default_rng(1).normal(size=size).astype(np.float32)
        for size in [(3, 14, 10), (3, 13, 9), (3, 9, 9)]
    ]
    blobs = ["a", "b", "c"]
    with NcnnNet.of(network, INPUT) as runner:
        expected = [runner.run_blobs(tensor, blobs) for tensor in tensors]
    for found, one in zip(read(network, tensors, blobs), expected, strict=True):
        for name in blobs:
            assert found[name].reshape(-1).tolist() == one[name].reshape(-1).tolist()


def test_an_error_of_the_visitor_leaves_the_reader_usable() -> None:
    network = small_network(np.random.default_rng(0))
    tensor = crop(np.random.default_rng(1))

    def visit(name: str, blob: BlobView) -> None:
        raise InputError(name)

    with NcnnNet.of(network, INPUT) as net:
        reader = BlobReader(net, [INPUT])
        for _ in range(2):
            with pytest.raises(InputError, match=INPUT):
                reader.read(tensor, visit)
