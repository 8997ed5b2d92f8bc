"""Channel shuffles that an export wrote as Reshape, Permute, Reshape, as the one layer they are.

ncnn moves the values three times for the three layers and once for a ShuffleChannel; the values
are the same to the bit. Facts: ncnn src/layer/shufflechannel.cpp, permute.cpp.
"""

from collections.abc import Collection
from dataclasses import replace

from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.param import Layer

_SWAP_FIRST_TWO = 2  # Permute's order that exchanges channels and rows.


def with_joined_shuffles(network: Network, outputs: Collection[str] = ()) -> Network:
    """Put one ShuffleChannel in the place of each such three layers.

    Args:
        network: Any network. The result shares its weights, and has all of its blobs but the two
            inside each shuffle.
        outputs: Blobs that must stay.
    """
    graph = Graph(network.param)
    joined: dict[str, Layer] = {}
    dropped: set[str] = set()
    for layer in network.param.layers:
        inner = _shuffle(graph, layer)
        if inner is not None:
            permute, last = inner
            if {layer.tops[0], permute.tops[0]} & set(outputs):
                continue
            groups = {0: str(layer.int_param(2, 0))}
            joined[last.name] = Layer("ShuffleChannel", last.name, layer.bottoms, last.tops, groups)
            dropped |= {layer.name, permute.name}
    kept = (one for one in network.param.layers if one.name not in dropped)
    layers = tuple(joined.get(one.name, one) for one in kept)
    return Network(replace(network.param, layers=layers), network.weights)


def _shuffle(graph: Graph, first: Layer) -> tuple[Layer, Layer] | None:
    """Find the Permute and the second Reshape of a shuffle that begins with a Reshape."""
    if first.type != "Reshape" or set(first.params) != {0, 1, 2}:
        return None
    permute = _only_reader(graph, first)
    last = None if permute is None else _only_reader(graph, permute)
    if permute is None or last is None or (permute.type, last.type) != ("Permute", "Reshape"):
        return None
    if permute.params != {0: str(_SWAP_FIRST_TWO)} or set(last.params) != {0, 1, 2}:
        return None
    width, rows, groups = (first.int_param(number, 0) for number in range(3))
    sizes = [last.int_param(number, 0) for number in range(3)]
    fits = min(width, rows, groups, *sizes) > 0
    same = width == sizes[0] * sizes[1] and rows * groups == sizes[2]
    return (permute, last) if fits and same else None


def _only_reader(graph: Graph, layer: Layer) -> Layer | None:
    readers = graph.consumers(layer.tops[0])
    return readers[0] if len(readers) == 1 else None
