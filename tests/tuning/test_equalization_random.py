"""Random networks keep their outputs when all their free channels are scaled at random."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from quantkit.model.network import Network
from quantkit.model.weights import LayerWeights, Record
from quantkit.tuning.equalization.factors import powers_of_two
from quantkit.tuning.equalization.fold import folded
from quantkit.tuning.sqnr import sqnr_db
from tests.nets import INPUT, OUTPUT, NetBuilder
from tests.tuning.equalized_nets import (
    CHANNELS,
    EXACT_DB,
    far_factors,
    free_channels,
    graph_of,
    run,
    unchanged_db,
)

TYING = ["add", "multiply", "maximum", "concat", "gate"]
SINGLE = ["conv", "depthwise", "grouped", "relu", "prelu", "sigmoid", "shuffle", "slice", "pool"]
MORE = ["interp", "permute", "norm", "reduce", "constant"]
STEPS = TYING + SINGLE + MORE

ILL_CONDITIONED = [("multiply", 0), ("multiply", 0), ("conv", 0), ("concat", 0), ("sigmoid", 0)]
"""Fourth powers in front of a sigmoid: a unit in the last place becomes a visible change."""

SLACK_DB = 15.0
"""Folding rounds every weight of a path once more, the jitter moves each once."""


class _Grower:
    """Adds layers to one of several blobs of 12 channels and 8 x 6, or ties two together."""

    def __init__(self, seed: int) -> None:
        self.net = NetBuilder(np.random.default_rng(seed))
        self.net.conv("first", INPUT, "before", (3, CHANNELS))
        self.blobs = ["before"]
        self.count = 0

    def step(self, kind: str, at: int) -> None:
        self.count += 1
        index = at % len(self.blobs)
        source = self.blobs.pop(index)
        if kind in TYING:
            left, right = self._forked(source)
            if self.blobs:
                self.blobs.append(right)
                right = self.blobs.pop(0)
            self.blobs.append(self._tied(kind, left, right))
        else:
            self.blobs.append(self._single(kind, source))

    def _forked(self, blob: str) -> tuple[str, str]:
        left, right = self.net.split(f"fork{self.count}", blob)
        return left, right

    def _add(
        self, kind: str, bottoms: tuple[str, ...], params: dict[int, int | str], part: str = ""
    ) -> str:
        top = f"blob{self.count}{part}"
        self.net.add(kind, f"layer{self.count}{part}", bottoms, (top,), params)
        return top

    def _tied(self, kind: str, left: str, right: str) -> str:
        if kind == "concat":
            joined = self._add("Concat", (left, right), {0: 0}, "a")
            return self._add(
                "ConvolutionDepthWise",
                (joined,),
                {0: CHANNELS, 1: 1, 5: 1, 6: 2 * CHANNELS, 7: CHANNELS},
            )
        if kind == "gate":
            right = self._add("Pooling", (right,), {0: 1, 4: 1}, "a")
            dense: dict[int, int | str] = {0: CHANNELS, 1: 1, 2: CHANNELS**2, 9: 4}
            right = self._add("InnerProduct", (right,), dense, "b")
        operation = {"add": 0, "maximum": 4}.get(kind, 2)
        return self._add("BinaryOp", (left, right), {0: operation})

    def _single(self, kind: str, blob: str) -> str:
        conv: dict[int, int | str] = {0: CHANNELS, 1: 3, 4: 1, 5: 1, 9: 1}
        if kind == "conv":
            return self._add("Convolution", (blob,), {**conv, 6: 9 * CHANNELS**2})
        if kind in ("depthwise", "grouped"):
            groups = CHANNELS if kind == "depthwise" else 3
            size = 9 * CHANNELS**2 // groups
            return self._add("ConvolutionDepthWise", (blob,), {**conv, 6: size, 7: groups})
        if kind == "shuffle":
            flat = self._add("Reshape", (blob,), {0: 48, 1: 4, 2: 3}, "a")
            turned = self._add("Permute", (flat,), {0: 2}, "b")
            return self._add("Reshape", (turned,), {0: 6, 1: 8, 2: CHANNELS})
        if kind == "slice":
            parts = (f"blob{self.count}a", f"blob{self.count}b")
            cut: dict[int, int | str] = {-23300: "2,5,-233"}
            self.net.add("Slice", f"layer{self.count}a", (blob,), parts, cut)
            return self._add("Concat", parts[::-1], {0: 0})
        if kind == "constant":
            constant = self._add("MemoryData", (), {0: 1, 1: 1, 2: CHANNELS}, "a")
            return self._add("BinaryOp", (blob, constant), {0: 0})
        if kind == "permute":
            return self._add("Permute", (self._add("Permute", (blob,), {0: 1}, "a"),), {0: 1})
        if kind == "reduce":
            kept, other = self._forked(blob)
            axes: dict[int, int | str] = {0: 3, 1: 0, -23303: "2,1,2", 4: 1, 5: 1}
            return self._add(
                "BinaryOp", (kept, self._add("Reduction", (other,), axes, "a")), {0: 1}
            )
        return self._plain(kind, blob)

    def _plain(self, kind: str, blob: str) -> str:
        types: dict[str, tuple[str, dict[int, int | str]]] = {
            "relu": ("ReLU", {0: "0.1"}),
            "prelu": ("PReLU", {0: CHANNELS}),
            "sigmoid": ("Sigmoid", {}),
            "pool": ("Pooling", {0: 1, 1: 3, 2: 1, 3: 1}),
            "interp": ("Interp", {0: 2, 3: 8, 4: 6}),
            "norm": ("InstanceNorm", {0: CHANNELS}),
        }
        name, params = types[kind]
        return self._add(name, (blob,), params)

    def build(self) -> Network:
        while len(self.blobs) > 1:
            self.step("add", 0)
        self.net.conv("last", self.blobs[0], OUTPUT, (CHANNELS, 5))
        return self.net.build()


grown = given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), min_size=1, max_size=9),
    st.integers(0, 2**16),
)


@grown
def test_powers_of_two_change_no_bit_of_the_outputs(
    steps: list[tuple[str, int]], seed: int
) -> None:
    network = _grown(steps, seed)
    graph = graph_of(network)
    factors = powers_of_two(far_factors(graph, seed), graph.most)
    np.testing.assert_array_equal(run(folded(network, graph, factors)), run(network))


@grown
@example(ILL_CONDITIONED, 26)
def test_other_factors_change_no_more_than_the_rounding_of_the_weights_does(
    steps: list[tuple[str, int]], seed: int
) -> None:
    network = _grown(steps, seed)
    changed = unchanged_db(network, lambda graph: far_factors(graph, seed))
    assert changed >= min(EXACT_DB, _rounding_db(network) - SLACK_DB)


def test_a_steep_network_is_bound_by_its_own_rounding_not_by_a_fixed_figure() -> None:
    network = _grown(ILL_CONDITIONED, 26)
    changed = unchanged_db(network, lambda graph: far_factors(graph, 26))
    assert changed < EXACT_DB - 5
    assert _rounding_db(network) < EXACT_DB - 5


def _grown(steps: list[tuple[str, int]], seed: int) -> Network:
    grower = _Grower(seed)
    for kind, at in steps:
        grower.step(kind, at)
    return grower.build()


def _rounding_db(network: Network) -> float:
    """Say how far the outputs move if every weight moves by half a unit in its last place."""
    reference = run(network)
    return min(sqnr_db([reference], [run(_jittered(network, seed))]) for seed in range(4))


def _jittered(network: Network, seed: int) -> Network:
    draw = np.random.default_rng(seed)
    weights = {}
    for name, layer in network.weights.items():
        records = {
            role: Record(
                (record.stored * (1 + 2.0**-24 * draw.choice([-1, 1], record.stored.shape))).astype(
                    np.float32
                ),
                record.tag,
            )
            for role, record in layer.records.items()
        }
        weights[name] = LayerWeights(records)
    return network.replaced({}, weights)


def test_random_networks_have_free_channels_behind_what_ties_them() -> None:
    grower = _Grower(0)
    for kind in ("conv", "add", "shuffle", "gate", "concat", "slice"):
        grower.step(kind, 0)
    graph = graph_of(grower.build())
    assert free_channels(graph, grower.blobs[0]) == CHANNELS
