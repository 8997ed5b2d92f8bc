"""ncnn, fp32 or int8: threads of the worker share one network, each runs with one OpenMP thread."""

from importlib.metadata import version
from typing import Self

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.runner import Shape, Tensor
from quantkit.model.interface import ncnn_input_shape
from quantkit.model.param import read_param
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
        # ncnn itself takes any shape and computes nonsense.
        shape = ncnn_input_shape(read_param(files.param), files.input)
        return cls(NcnnNet.from_files(files), shape, threads)

    def run(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Run one input of shape (channels, height, width)."""
        outputs = self._net.run(tensor)
        return tuple(_without_batch(output) for output in outputs) if len(outputs) > 1 else outputs


def _without_batch(output: Tensor) -> Tensor:
    """Drop the batch axis that pnnx leaves to SimCC's two vectors, and to nothing else."""
    return output[0] if output.ndim == 3 and output.shape[0] == 1 else output
