import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.model.graph import Graph
from quantkit.model.nonnegative import nonnegative_blobs
from quantkit.model.param import parse_param
from tests.nets import INPUT, crop, small_network


def proven(*lines: str) -> frozenset[str]:
    tops = sum(int(line.split()[3]) for line in lines) + 2
    head = f"7767517\n{len(lines) + 2} {tops}\nInput in 0 1 a\nReLU r 1 1 a p\n"
    return nonnegative_blobs(parse_param(head + "\n".join(lines) + "\n"))


@pytest.mark.parametrize(
    "line",
    [
        "ReLU x 1 1 a y",
        "Clip x 1 1 a y 0=0 1=6",
        "Sigmoid x 1 1 a y",
        "Convolution x 1 1 a y 0=4 1=1 6=4 9=1",
        "Convolution x 1 1 a y 0=4 1=1 6=4 9=3 -23310=2,0,6",
        "Pooling x 1 1 p y",
        "Interp x 1 1 p y 0=2",
        "BinaryOp x 2 1 p p y 0=0",
        "BinaryOp x 1 1 p y 0=2 1=1 2=0.5",
        "HardSwish x 1 1 p y",
        "ReLU x 1 1 p y 0=-0.1",
    ],
)
def test_such_a_layer_makes_no_negative_value(line: str) -> None:
    assert "y" in proven(line)


@pytest.mark.parametrize(
    "line",
    [
        "ReLU x 1 1 a y 0=0.1",
        "Clip x 1 1 a y 0=-1 1=6",
        "Clip x 1 1 a y",
        "HardSwish x 1 1 a y",
        "Convolution x 1 1 p y 0=4 1=1 6=4",
        "Convolution x 1 1 p y 0=4 1=1 6=4 9=2 -23310=1,0.1",
        "Convolution x 1 1 p y 0=4 1=1 6=4 9=3 -23310=2,-1,6",
        "Interp x 1 1 p y 0=3",
        "BinaryOp x 2 1 p a y 0=0",
        "BinaryOp x 2 1 p p y 0=1",
        "BinaryOp x 1 1 p y 0=2 1=1 2=-0.5",
        "Concat x 2 1 p a y",
        "TanH x 1 1 a y",
        "SomethingNew x 1 1 p y",
    ],
)
def test_of_such_a_layer_nothing_is_claimed(line: str) -> None:
    assert "y" not in proven(line)


def test_what_is_claimed_of_a_network_holds_in_its_forward() -> None:
    network = small_network(np.random.default_rng(0))
    claimed = nonnegative_blobs(network.param)
    assert {"stem", "activated", "pooled", "gate", "joined"} <= claimed
    assert claimed.isdisjoint((INPUT, "expand", "sum"))
    with NcnnNet.of(network, INPUT, light=False) as net:
        blobs = net.run_blobs(crop(np.random.default_rng(1)), Graph(network.param).blobs)
    for name in claimed:
        assert blobs[name].min() >= 0, name
