import numpy as np
import pytest

from quantkit.errors import InputError
from quantkit.model.graph import Graph
from quantkit.model.param import parse_param
from tests.nets import OUTPUT, small_network

GRAPH = Graph(small_network(np.random.default_rng(0)).param)


def test_producers_and_consumers_are_found() -> None:
    assert GRAPH.producer("sum").name == "add"
    assert [layer.name for layer in GRAPH.consumers("sum")] == ["relu"]
    assert GRAPH.consumers(OUTPUT) == ()
    assert GRAPH.outputs == (OUTPUT,)


def test_an_unknown_blob_is_named() -> None:
    with pytest.raises(InputError, match="no blob 'nothing'"):
        GRAPH.producer("nothing")


def test_copies_of_a_split_are_resolved() -> None:
    assert GRAPH.resolve_split("expand_fork_1") == "expand"
    assert GRAPH.resolve_split("expand") == "expand"


def test_readers_are_found_behind_splits() -> None:
    lines = ["Input d 0 1 d", "Split s 1 2 d a b", "Split t 1 2 b c e"]
    lines += ["ReLU r 1 1 a x", "ReLU q 1 1 c y", "ReLU p 1 1 e z"]
    graph = Graph(parse_param("\n".join(["7767517", "6 8", *lines])))
    assert [layer.name for layer in graph.readers("d")] == ["r", "q", "p"]
    assert graph.resolve_split("e") == "d"


def test_blobs_come_after_those_they_are_made_of() -> None:
    place = {blob: index for index, blob in enumerate(GRAPH.blobs)}
    for layer in GRAPH.param.layers:
        assert all(place[b] < place[t] for b in layer.bottoms for t in layer.tops)
