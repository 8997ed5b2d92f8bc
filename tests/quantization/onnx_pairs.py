"""One network in two forms, ONNX and ncnn, with the same weights under other names."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quantkit.model.network import Network
from quantkit.model.source import OnnxFile
from quantkit.model.weights import LayerWeights, Record
from tests.nets import INPUT, NetBuilder

SHAPE = (3, 16, 12)
"""(channels, height, width) of the input of every pair."""


@dataclass(frozen=True)
class Pair:
    """The two forms."""

    onnx: OnnxFile
    ncnn: Network


class PairBuilder:
    """Adds layers to both forms; names are those of the ncnn network, where blobs are read once."""

    def __init__(self, seed: int = 0, opset: int = 11) -> None:
        rng = np.random.default_rng(seed)
        self._net = NetBuilder(rng)
        self._rng = rng
        self._opset = opset
        self._tensors = {INPUT: "image"}
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._stored: dict[str, LayerWeights] = {}

    def conv(
        self,
        name: str,
        source: str,
        channels: tuple[int, int],
        *,
        kernel: int = 3,
        stride: int = 1,
        group: int = 1,
        weight: NDArray[np.float32] | None = None,
    ) -> None:
        inputs, outputs = channels
        self._net.conv(name, source, name, channels, kernel=kernel, stride=stride, group=group)
        shape = (outputs, inputs // group, kernel, kernel)
        names = self._store(name, self._drawn(shape) if weight is None else weight, outputs)
        more = {"strides": [stride] * 2, "pads": [kernel // 2] * 4, "group": group}
        self._node("Conv", name, [source], names, kernel_shape=[kernel] * 2, **more)

    def linear(self, name: str, source: str, sizes: tuple[int, int], form: str) -> None:
        """Add an InnerProduct: Gemm with transB, Gemm without, or MatMul with an Add."""
        inputs, outputs = sizes
        self._net.add(
            "InnerProduct", name, (source,), (name,), {0: outputs, 1: 1, 2: inputs * outputs}
        )
        weight, bias = self._store(name, self._drawn((outputs, inputs)), outputs)
        if form == "gemm_transposed":
            self._node("Gemm", name, [source], [weight, bias], transB=1)
            return
        stored = next(tensor for tensor in self._weights if tensor.name == weight)
        rows = numpy_helper.to_array(stored)
        stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(rows.T), weight))
        if form == "gemm":
            self._node("Gemm", name, [source], [weight, bias])
        else:
            self._node("MatMul", f"{name}/product", [source], [weight])
            self._node("Add", name, [f"{name}/product"], [bias])

    def relu(self, name: str, source: str) -> None:
        self._net.add("ReLU", name, (source,), (name,))
        self._node("Relu", name, [source])

    def clip(self, name: str, source: str, largest: float) -> None:
        self._net.add("Clip", name, (source,), (name,), {0: "0.0", 1: str(largest)})
        limits = [np.float32(0), np.float32(largest)]
        names = [f"{name}/min", f"{name}/max"]
        for one, value in zip(names, limits, strict=True):
            self._weights.append(numpy_helper.from_array(np.array(value), one))
        self._node("Clip", name, [source], names)

    def add(self, name: str, first: str, second: str) -> None:
        self._net.add("BinaryOp", name, (first, second), (name,), {0: 0})
        self._node("Add", name, [first, second])

    def pool(self, name: str, source: str) -> None:
        """Average over the whole image, into a vector."""
        self._net.add("Pooling", name, (source,), (name,), {0: 1, 4: 1})
        self._node("GlobalAveragePool", f"{name}/image", [source])
        self._node("Flatten", name, [f"{name}/image"])

    def split(self, name: str, source: str, count: int = 2) -> tuple[str, ...]:
        tops = self._net.split(name, source, count)
        self._tensors |= dict.fromkeys(tops, self._tensors[source])
        return tops

    def build(
        self, path: Path, output: str, *, rank: int = 4, order: tuple[int, ...] | None = None
    ) -> Pair:
        """Write the ONNX file, with its nodes in another order if one is given."""
        nodes = self._nodes if order is None else [self._nodes[index] for index in order]
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            "pair",
            [value("image", TensorProto.FLOAT, [1, *SHAPE])],
            [value(self._tensors[output], TensorProto.FLOAT, [None] * rank)],
            self._weights,
        )
        version = helper.make_opsetid("", self._opset)
        model = helper.make_model(graph, opset_imports=[version], ir_version=6)
        onnx.checker.check_model(model)
        onnx.save(model, path)
        network = self._net.build()
        return Pair(
            OnnxFile(path, "image", (self._tensors[output],)),
            network.replaced({}, self._stored),
        )

    def _drawn(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        drawn: NDArray[np.float32] = (self._rng.standard_normal(shape) * scale).astype(np.float32)
        return drawn

    def _store(self, name: str, weight: NDArray[np.float32], outputs: int) -> list[str]:
        bias = (self._rng.standard_normal(outputs) * 0.3).astype(np.float32)
        self._stored[name] = LayerWeights(
            {"weight": Record(weight.ravel(), 0), "bias": Record(bias)}
        )
        names = [f"net.{len(self._weights)}.weight", f"net.{len(self._weights)}.bias"]
        self._weights.append(numpy_helper.from_array(weight, names[0]))
        self._weights.append(numpy_helper.from_array(bias, names[1]))
        return names

    def _node(
        self,
        kind: str,
        name: str,
        sources: list[str],
        constants: list[str] | None = None,
        **attributes: object,
    ) -> None:
        inputs = [self._tensors.get(source, source) for source in sources]
        output = f"/net/{kind}_{len(self._nodes)}"
        self._tensors[name] = output
        node = helper.make_node(
            kind, [*inputs, *(constants or [])], [output], name=f"{output}/node", **attributes
        )
        self._nodes.append(node)


def conv_pair(path: Path, *, opset: int = 11) -> Pair:
    """A chain of every kind of convolution, each behind a clamp, and a residual."""
    net = PairBuilder(opset=opset)
    net.conv("stem", INPUT, (3, 16), stride=2)
    net.relu("stem_relu", "stem")
    net.conv("depthwise", "stem_relu", (16, 16), group=16)
    net.clip("depthwise_clip", "depthwise", 1.5)
    net.conv("expand", "depthwise_clip", (16, 24), kernel=1)
    net.relu("expand_relu", "expand")
    skip, main, other = net.split("fork", "expand_relu", 3)
    net.conv("grouped", main, (24, 24), group=4)
    net.conv("beside", other, (24, 24), kernel=1)
    net.add("inner_sum", "grouped", "beside")
    net.add("sum", "inner_sum", skip)
    net.conv("head", "sum", (24, 17), kernel=1)
    return net.build(path, "head")


def crops(count: int, seed: int = 5) -> list[NDArray[np.float32]]:
    """Inputs for every pair."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(SHAPE).astype(np.float32) for _ in range(count)]
