"""ncnn, fp32 or int8: threads of the worker share one network, each runs with one OpenMP thread."""

from importlib.metadata import version
from typing import Self

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.runner import Shape, Tensor
from quantkit.model.graph import Graph
from quantkit.model.param import Layer, read_param
from quantkit.model.source import NcnnFiles


class NcnnSession:
    """One ncnn network for several threads."""

    def __init__(self, net: NcnnNet, input_shape: Shape, threads: int) -> None:
        self._net = net
        self.input_shape = input_shape
        self.outputs = net.outputs
        self.concurrency = threads
        self.run_threads = 1
        self.description = f"ncnn {version('ncnn')}, fp16 and bf16 off"

    @classmethod
    def load(cls, files: NcnnFiles, threads: int) -> Self:
        """Load a .param and .bin.

        Raises:
            InputError: ncnn refuses them.
        """
        shape = _input_shape(files)
        return cls(NcnnNet.from_files(files), shape, threads)

    def run(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Run one input of shape (channels, height, width)."""
        outputs = self._net.run(tensor)
        return tuple(_without_batch(output) for output in outputs) if len(outputs) > 1 else outputs


def _without_batch(output: Tensor) -> Tensor:
    """Drop the batch axis that pnnx leaves to SimCC's two vectors, and to nothing else."""
    return output[0] if output.ndim == 3 and output.shape[0] == 1 else output


def _input_shape(files: NcnnFiles) -> Shape:
    """Find what the .param says of its input; ncnn itself takes any shape and computes nonsense."""
    graph = Graph(read_param(files.param))
    layer = graph.producer(files.input)
    width, height, channels = (layer.int_param(number, 0) or None for number in (0, 1, 2))
    counts = [_channels(reader) for reader in graph.readers(files.input)]
    return channels or next(iter(counts), None), height, width


def _channels(layer: Layer) -> int | None:
    if layer.type != "Convolution":
        return None
    width = layer.int_param(1, 1)
    area = width * layer.int_param(11, width)
    return layer.int_param(6, 0) // max(1, layer.int_param(0, 1) * area) or None
