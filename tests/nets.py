"""Small real ncnn networks with seeded weights, written by quantkit's own writer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantkit.model.layer_records import record_specs
from quantkit.model.network import Network, write_network
from quantkit.model.param import Layer, Param
from quantkit.model.source import NcnnFiles
from quantkit.model.weights import FP32_TAG, LayerWeights, Record

INPUT = "data"
OUTPUT = "heatmap"
SIZE = (48, 64)
"""Width and height that `small_network` takes; its heatmaps are a quarter of that."""


class NetBuilder:
    """Adds layers one by one; weights are random, with the variance of the fan-in."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._layers: list[Layer] = []
        self._weights: dict[str, LayerWeights] = {}
        self.add("Input", INPUT, (), (INPUT,))

    def add(
        self,
        kind: str,
        name: str,
        bottoms: Sequence[str],
        tops: Sequence[str],
        params: Mapping[int, int | str] | None = None,
    ) -> None:
        texts = {key: str(value) for key, value in sorted((params or {}).items())}
        layer = Layer(kind, name, tuple(bottoms), tuple(tops), texts)
        self._layers.append(layer)
        if specs := record_specs(layer):
            self._weights[name] = LayerWeights(
                {
                    spec.name: Record(
                        self._values(spec.count, layer), FP32_TAG if spec.tagged else None
                    )
                    for spec in specs
                }
            )

    def conv(
        self,
        name: str,
        bottom: str,
        top: str,
        channels: tuple[int, int],
        *,
        kernel: int = 1,
        stride: int = 1,
        group: int = 1,
        relu: bool = False,
        **more: int,
    ) -> None:
        inputs, outputs = channels
        params: dict[int, int | str] = {0: outputs, 1: kernel, 5: 1}
        params[6] = inputs // group * outputs * kernel**2
        if kernel > 1:
            params[4] = kernel // 2
        if stride > 1:
            params[3] = stride
        if group > 1:
            params[7] = group
        if relu:
            params[9] = 1
        params.update({int(key.removeprefix("p")): value for key, value in more.items()})
        kind = "ConvolutionDepthWise" if group > 1 else "Convolution"
        self.add(kind, name, (bottom,), (top,), params)

    def split(self, name: str, blob: str, count: int = 2) -> tuple[str, ...]:
        tops = tuple(f"{blob}_{name}_{i}" for i in range(count))
        self.add("Split", name, (blob,), tops)
        return tops

    def build(self) -> Network:
        return Network(Param(tuple(self._layers)), dict(self._weights))

    def _values(self, count: int, layer: Layer) -> NDArray[np.float32]:
        outputs = layer.int_param(0, 1)
        scale = np.sqrt(2 * outputs / count) if count > outputs else 0.1
        return (self._rng.standard_normal(count) * scale).astype(np.float32)


def small_network(rng: np.random.Generator, *, keypoints: int = 17) -> Network:
    """A pose net in miniature: (3, 64, 48) in, 17 heatmaps of (16, 12) out.

    It has a 3x3, 1x1, stride-2, depthwise and grouped convolution, a residual, a pooling and a
    squeeze-excite branch with InnerProduct, so that every kind of int8 layer and requantize
    (direct, through a Split, and none) is there.
    """
    net = NetBuilder(rng)
    net.conv("stem", INPUT, "stem", (3, 16), kernel=3, stride=2, relu=True)
    net.conv("depthwise", "stem", "depthwise", (16, 16), kernel=3, group=16, relu=True)
    net.conv("expand", "depthwise", "expand", (16, 32))
    skip, main = net.split("fork", "expand")
    net.conv("residual", main, "residual", (32, 32), kernel=3)
    net.add("BinaryOp", "add", (skip, "residual"), ("sum",), {0: 0})
    net.add("ReLU", "relu", ("sum",), ("activated",))
    net.add("Pooling", "pool", ("activated",), ("pooled",), {0: 0, 1: 2, 2: 2})
    net.conv("grouped", "pooled", "grouped", (32, 32), kernel=3, group=8, relu=True)
    features, squeezed = net.split("attend", "grouped")
    net.add("Pooling", "squeeze", (squeezed,), ("squeezed",), {0: 1, 4: 1})
    net.add("InnerProduct", "excite", ("squeezed",), ("excited",), {0: 32, 1: 1, 2: 1024})
    net.add("Sigmoid", "gate", ("excited",), ("gate",))
    net.add("BinaryOp", "scale", (features, "gate"), ("scaled",), {0: 2})
    net.conv("neck", "scaled", "neck", (32, 24), relu=True)
    left, right = net.split("branch", "neck")
    net.conv("left", left, "left", (24, 24), kernel=3, relu=True)
    net.conv("right", right, "right", (24, 24), relu=True)
    net.add("Concat", "join", ("left", "right"), ("joined",), {0: 0})
    net.conv("head", "joined", OUTPUT, (48, keypoints))
    return net.build()


def crop(rng: np.random.Generator) -> NDArray[np.float32]:
    """An input for `small_network`, of shape (3, 64, 48)."""
    return rng.standard_normal((3, SIZE[1], SIZE[0])).astype(np.float32)


def write_pair(network: Network, folder: Path, name: str = "net") -> NcnnFiles:
    """Write a network of this module and name its ends."""
    files = NcnnFiles(folder / f"{name}.param", folder / f"{name}.bin", INPUT, (OUTPUT,))
    write_network(network, files.param, files.bin)
    return files
