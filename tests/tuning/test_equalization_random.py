"""Random networks keep their outputs when all their free channels are scaled at random."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.model.network import Network
from tests.nets import INPUT, OUTPUT, NetBuilder
from tests.tuning.equalized_nets import (
    CHANNELS,
    EXACT_DB,
    far_factors,
    free_channels,
    graph_of,
    unchanged_db,
)

TYING = ["add", "multiply", "maximum", "concat", "gate"]
SINGLE = ["conv", "depthwise", "grouped", "relu", "prelu", "sigmoid", "shuffle", "slice", "pool"]
MORE = ["interp", "permute", "norm", "reduce", "constant"]
STEPS = TYING + SINGLE + MORE


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


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), min_size=1, max_size=9),
    st.integers(0, 2**16),
)
def test_outputs_do_not_change(steps: list[tuple[str, int]], seed: int) -> None:
    grower = _Grower(seed)
    for kind, at in steps:
        grower.step(kind, at)
    network = grower.build()
    assert unchanged_db(network, lambda graph: far_factors(graph, seed)) >= EXACT_DB - 5


def test_random_networks_have_free_channels_behind_what_ties_them() -> None:
    grower = _Grower(0)
    for kind in ("conv", "add", "shuffle", "gate", "concat", "slice"):
        grower.step(kind, 0)
    graph = graph_of(grower.build())
    assert free_channels(graph, grower.blobs[0]) == CHANNELS
