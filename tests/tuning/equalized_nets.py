"""Networks for the equalization tests, and what must hold of them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.tuning.equalization.channel_graph import ChannelGraph, channel_graph
from quantkit.tuning.equalization.fold import folded
from quantkit.tuning.sqnr import sqnr_db
from tests.nets import INPUT, OUTPUT, NetBuilder

SHAPE = (3, 8, 6)
CHANNELS = 12
EXACT_DB = 100.0
Body = Callable[[NetBuilder], str]
"""Adds layers that read the blob `before`, (12, 8, 6), and names the blob that they make."""


def wrapped(body: Body, width: int = CHANNELS, seed: int = 0) -> Network:
    """Put layers between two convolutions, so that factors can go in and come out."""
    net = NetBuilder(np.random.default_rng(seed))
    net.conv("first", INPUT, "before", (3, CHANNELS))
    after = body(net)
    net.conv("last", after, OUTPUT, (width, 5))
    return net.build()


def graph_of(network: Network, outputs: Sequence[str] = (OUTPUT,)) -> ChannelGraph:
    return channel_graph(network, blob_shapes(network.param, {INPUT: SHAPE}), outputs)


def far_factors(graph: ChannelGraph, seed: int = 1) -> NDArray[np.float64]:
    """Factors of 1/16 to 16 for the free classes."""
    draw = 2.0 ** np.random.default_rng(seed).uniform(-4, 4, len(graph.frozen))
    return np.where([reason is None for reason in graph.frozen], draw, 1.0)


def unchanged_db(network: Network, factors: Callable[[ChannelGraph], NDArray[np.float64]]) -> float:
    """Fold factors into a network and compare what ncnn makes of both."""
    graph = graph_of(network)
    other = folded(network, graph, factors(graph))
    return sqnr_db([run(network)], [run(other)])


def run(network: Network, *blobs: str) -> tuple[NDArray[np.float32], ...]:
    tensor = np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
    outputs = blobs or (OUTPUT,)
    with NcnnNet.of(network, INPUT, outputs, light=False) as net:
        found = net.run_blobs(tensor, outputs)
        return tuple(found[name] for name in outputs)


def free_channels(graph: ChannelGraph, blob: str) -> int:
    """Count the channels of a blob that may be scaled."""
    return sum(graph.frozen[number] is None for number in graph.channels(blob).tolist())


def independent(graph: ChannelGraph, blob: str) -> int:
    """Count the classes that the channels of a blob fall into."""
    return len(np.unique(graph.channels(blob)))


def layer(
    kind: str, params: Mapping[int, int | str] | None = None, bottoms: Sequence[str] = ("before",)
) -> Body:
    """A body of one layer."""

    def body(net: NetBuilder) -> str:
        net.add(kind, "tested", bottoms, ("after",), params)
        return "after"

    return body
