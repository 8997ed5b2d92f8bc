from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.tuning.rounding_blocks import WeightBlocks
from quantkit.tuning.rounding_patches import patches
from tests.nets import INPUT, NetBuilder

CASES: dict[str, dict[str, Any]] = {
    "pointwise": {"kernel": 1},
    "padded": {"kernel": 3},
    "strided": {"kernel": 3, "stride": 2},
    "dilated": {"kernel": 3, "p2": 2},
    "oblong": {"kernel": 3, "p11": 1, "p6": 8 * 12 * 3, "p14": 0},
    "lopsided": {"kernel": 3, "p4": 0, "p15": 2, "p14": 1, "p16": 0},
    "same upper": {"kernel": 4, "stride": 3, "p4": -233},
    "same lower": {"kernel": 4, "stride": 3, "p4": -234},
    "grouped": {"kernel": 3, "group": 4},
    "depthwise": {"kernel": 5, "group": 8, "stride": 2},
}


@pytest.mark.parametrize("most_columns", [2304, 20])
@pytest.mark.parametrize("case", CASES)
def test_patches_times_weights_are_what_ncnn_computes(case: str, most_columns: int) -> None:
    rng = np.random.default_rng(0)
    net = NetBuilder(rng)
    outputs = 8 if case == "depthwise" else 12
    net.conv("conv", INPUT, "out", (8, outputs), **CASES[case])
    image = rng.standard_normal((8, 13, 11)).astype(np.float32)
    check(net, image, most_columns)


@pytest.mark.parametrize("shape", [(2, 3, 4), (24,), (5, 24)])
def test_an_inner_product_reads_vectors_or_the_whole_blob(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    net = NetBuilder(rng)
    net.add("InnerProduct", "conv", (INPUT,), ("out",), {0: 6, 1: 1, 2: 24 * 6})
    check(net, rng.standard_normal(shape).astype(np.float32), most_columns=10)


def check(builder: NetBuilder, blob: NDArray[np.float32], most_columns: int) -> None:
    network = builder.build()
    layer, weights = network.param.layer("conv"), network.weights["conv"]
    blocks = WeightBlocks.of(layer, most_columns)
    folded = blocks.folded(weights["weight"])
    np.testing.assert_array_equal(blocks.flat(folded), weights["weight"])
    with NcnnNet.of(network, INPUT, ("out",)) as net:
        out = net.start({INPUT: blob}).blobs(["out"])["out"]
    expected = out if layer.type != "InnerProduct" else out.reshape(-1, 6).T
    taken = patches(layer, blocks, blob, 10**6, np.random.default_rng(0))
    sums = np.einsum("bnk,brk->brn", taken, folded)
    sums = sums.reshape(blocks.groups, blocks.parts, *sums.shape[1:]).sum(axis=1)
    got = sums.reshape(expected.shape) + weights["bias"].reshape(-1, *[1] * (expected.ndim - 1))
    np.testing.assert_allclose(got, expected, atol=2e-4)


def test_some_positions_are_drawn_of_many() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("conv", INPUT, "out", (8, 4), kernel=3)
    layer = net.build().param.layer("conv")
    blob = np.random.default_rng(1).standard_normal((8, 9, 9)).astype(np.float32)
    blocks = WeightBlocks.of(layer)
    whole = patches(layer, blocks, blob, 1000, np.random.default_rng(0))
    some = patches(layer, blocks, blob, 7, np.random.default_rng(0))
    again = patches(layer, blocks, blob, 7, np.random.default_rng(0))
    assert some.shape == (1, 7, 72)
    np.testing.assert_array_equal(some, again)
    rows = {row.tobytes() for row in whole[0]}
    assert all(row.tobytes() in rows for row in some[0])
