"""ONNX networks grown node by node, and what pnnx makes of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quantkit.model.export.to_ncnn import onnx_to_ncnn
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles, OnnxFile

SHAPE = (3, 16, 12)
WIDTH = 12
Array = NDArray[np.float32]


class Grown:
    """A network whose blobs have `WIDTH` channels of 16 x 12, behind a first convolution."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.blob = self.conv("image", (WIDTH, 3, 3, 3), pads=[1] * 4)

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, *shape: int, scale: float = 1.0, at: float = 0.0) -> str:
        drawn = (self.rng.standard_normal(shape) * scale + at).astype(np.float32)
        return self.stored(drawn)

    def stored(self, values: Array) -> str:
        name = f"constant.{len(self.constants)}"
        self.constants[name] = values
        return name

    def conv(
        self, source: str, shape: tuple[int, ...], *, bias: bool = True, **attributes: object
    ) -> str:
        inputs = [source, self.constant(*shape, scale=np.sqrt(2 / np.prod(shape[1:])))]
        inputs += [self.constant(shape[0], scale=0.3)] * bias
        return self.node("Conv", *inputs, kernel_shape=list(shape[2:]), **attributes)

    def step(self, kind: str) -> None:
        """Put a layer behind the last, with a ReLU behind it."""
        self.blob = self.node("Relu", getattr(self, f"_{kind}")(self.blob))

    def _full(self, source: str) -> str:
        return self.conv(source, (WIDTH, WIDTH, 3, 3), pads=[1] * 4)

    def _unbiased(self, source: str) -> str:
        return self.conv(source, (WIDTH, WIDTH, 1, 1), bias=False)

    def _depthwise(self, source: str) -> str:
        return self.conv(source, (WIDTH, 1, 3, 3), pads=[1] * 4, group=WIDTH)

    def _grouped(self, source: str) -> str:
        return self.conv(source, (WIDTH, WIDTH // 3, 3, 3), pads=[1] * 4, group=3)

    def _residual(self, source: str) -> str:
        return self.node("Add", source, self._full(source))

    def _deconvolution(self, source: str, groups: int = 1) -> str:
        small = self.node("MaxPool", source, kernel_shape=[2, 2], strides=[2, 2])
        wide = self.conv(small, (2 * WIDTH, WIDTH, 1, 1))
        weight = self.constant(2 * WIDTH, WIDTH // groups, 4, 4, scale=0.15)
        inputs = [wide, weight, self.constant(WIDTH, scale=0.3)]
        more = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1] * 4, "group": groups}
        return self.node("ConvTranspose", *inputs, **more)

    def _grouped_deconvolution(self, source: str) -> str:
        return self._deconvolution(source, groups=3)

    def _normalized(self, source: str) -> str:
        # Behind a sum, so that it cannot be folded into a convolution.
        return self._batch_norm(self.node("Add", source, self._full(source)))

    def _batch_norm(self, source: str) -> str:
        drawn = [self.constant(WIDTH, scale=0.2, at=at) for at in (1.0, 0.3, 0.2)]
        variance = self.stored(self.rng.uniform(0.5, 2, WIDTH).astype(np.float32))
        return self.node("BatchNormalization", source, *drawn, variance)

    def _constant_sum(self, source: str) -> str:
        return self.node("Add", source, self.constant(1, WIDTH, 16, 12, scale=0.5))

    def _shared(self, source: str) -> str:
        """Two convolutions of one weight and one bias."""
        first = self._full(source)
        inputs = self.nodes[-1].input[1:]
        more = {"kernel_shape": [3, 3], "pads": [1] * 4}
        return self.node("Conv", self.node("Relu", first), *inputs, **more)

    def _gated(self, source: str) -> str:
        """Squeeze-excite, whose convolutions read vectors."""
        squeezed = self.conv(self.node("GlobalAveragePool", source), (6, WIDTH, 1, 1))
        gate = self.conv(self.node("Relu", squeezed), (WIDTH, 6, 1, 1))
        return self.node("Mul", source, self.node("Sigmoid", gate))

    def linear(self, form: str, sizes: tuple[int, int], *, bias: bool = True) -> None:
        """Go on with vectors: `gemm`, `gemm_transposed` or `matmul`."""
        if not self._is_vector:
            pooled = self.node("GlobalAveragePool", self.blob)
            self.blob = self.node("Flatten", pooled)
        shape = sizes[::-1] if form == "gemm_transposed" else sizes
        weight = self.constant(*shape, scale=np.sqrt(2 / sizes[0]))
        offset = [self.constant(sizes[1], scale=0.3)] * bias
        if form == "matmul":
            product = self.node("MatMul", self.blob, weight)
            self.blob = self.node("Add", product, *offset) if bias else product
        else:
            transposed = int(form == "gemm_transposed")
            self.blob = self.node("Gemm", self.blob, weight, *offset, transB=transposed)

    @property
    def _is_vector(self) -> bool:
        return any(node.op_type == "Flatten" for node in self.nodes)

    def normalize(self) -> None:
        """Put a BatchNormalization before the last ReLU, or behind the last node."""
        if self.nodes[-1].op_type == "Relu":
            self.blob = self.nodes.pop().input[0]
            self.blob = self._batch_norm(self.blob)
            self.relu()
        else:
            self.blob = self._batch_norm(self.blob)

    def relu(self) -> None:
        self.blob = self.node("Relu", self.blob)

    def model(self) -> onnx.ModelProto:
        value = helper.make_tensor_value_info
        sizes = [1, None] if self._is_vector else [1, None, None, None]
        graph = helper.make_graph(
            self.nodes,
            "grown",
            [value("image", TensorProto.FLOAT, [1, *SHAPE])],
            [value(self.blob, TensorProto.FLOAT, sizes)],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        version = helper.make_opsetid("", 13)
        made = helper.make_model(graph, opset_imports=[version], ir_version=7)
        onnx.checker.check_model(made)
        return made


@dataclass(frozen=True)
class Converted:
    """A network in two forms; `files` names the ends of the ncnn one."""

    onnx: OnnxFile
    ncnn: Network
    files: NcnnFiles


def converted(model: onnx.ModelProto, folder: Path) -> Converted:
    """Write a network and convert it by pnnx."""
    file = OnnxFile(folder / "net.onnx", "image", (model.graph.output[0].name,))
    onnx.save(model, file.path)
    files, _ = onnx_to_ncnn(file, folder, SHAPE)
    return Converted(file, read_network(files), files)
