"""TensorRT on the first GPU: an engine built from the ONNX file, run on bound device buffers."""

from dataclasses import asdict, dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Any, Final, Self

import numpy as np

from quantkit.backends.cuda_device import Device, done, first_device, import_cuda
from quantkit.backends.export_key import source_content
from quantkit.backends.names import Precision
from quantkit.backends.runner import Shape, Tensor
from quantkit.backends.tensorrt_cache import cached_engine
from quantkit.backends.tensorrt_engine import OPTIONS, Builder, last_complaint, runtime
from quantkit.errors import BackendDied, InputError, Unavailable
from quantkit.model.source import OnnxFile
from quantkit.optional import require
from quantkit.storage import content_key

_PURPOSE: Final = "Backend 'tensorrt'"
_EDITION: Final = 1
"""Raised when the way an engine is built changes."""


@dataclass(frozen=True)
class _Buffer:
    """One of the engine's tensors, in device memory and in host memory."""

    address: int
    host: Tensor


class TensorrtSession:
    """One ONNX network as a TensorRT engine; what it holds on the GPU goes with its process."""

    concurrency = 1
    run_threads = 1

    def __init__(self, engine: Any, file: OnnxFile, description: str) -> None:
        self._cuda = import_cuda()
        self._input = file.input
        self.outputs = file.outputs
        self.description = description
        self._engine = engine
        self._context = engine.create_execution_context()
        if self._context is None:
            message = "TensorRT could not make room for the engine on the GPU"
            raise BackendDied(message)
        self._stream = int(done(*self._cuda.cudaStreamCreate()))
        self._buffers = {name: self._bind(name, file) for name in (file.input, *file.outputs)}
        self.input_shape: Shape = self._buffers[file.input].host.shape[1:]

    @classmethod
    def load(cls, file: OnnxFile, threads: int, precision: Precision = "fp32") -> Self:
        """Load the engine of an ONNX file; it is built where this GPU has none yet.

        Args:
            file: The network in fp32.
            threads: Not used: one thread waits for the GPU.
            precision: What the engine computes in.

        Raises:
            InputError: TensorRT refuses the file, or an input or output is not in it.
            Unavailable: TensorRT or a GPU is missing.
            BackendDied: CUDA fails.
        """
        trt = import_tensorrt()
        device = first_device(import_cuda())
        engine = cached_engine(
            engine_key(file, precision, trt.__version__, device),
            build=lambda: Builder(trt).plan(file, precision),
            load=runtime(trt).deserialize_cuda_engine,
        )
        if engine is None:
            message = f"TensorRT refuses the engine built from it{last_complaint(trt)}"
            raise InputError(message, path=file.path)
        options = OPTIONS[precision]
        return cls(engine, file, f"tensorrt {trt.__version__}, {device.name}, {options}")

    def run(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Run one input of shape (channels, height, width)."""
        kind = self._cuda.cudaMemcpyKind
        source = self._buffers[self._input]
        source.host[0] = tensor
        self._copy(source.address, source.host.ctypes.data, source, kind.cudaMemcpyHostToDevice)
        if not self._context.execute_async_v3(self._stream):
            message = "TensorRT could not run the engine"
            raise BackendDied(message)
        for name in self.outputs:
            result = self._buffers[name]
            self._copy(result.host.ctypes.data, result.address, result, kind.cudaMemcpyDeviceToHost)
        done(*self._cuda.cudaStreamSynchronize(self._stream))
        return tuple(self._buffers[name].host[0].copy() for name in self.outputs)

    def _bind(self, name: str, file: OnnxFile) -> _Buffer:
        shape = tuple(self._engine.get_tensor_shape(name))
        if min(shape) < 1 or shape[0] != 1:
            message = f"its tensor '{name}' has the shape {shape}: export it for a batch of 1"
            raise InputError(message, path=file.path)
        kind = self._engine.get_tensor_dtype(name)
        if kind.name != "FLOAT":
            message = f"its tensor '{name}' holds {kind.name}: export it with fp32 ends"
            raise InputError(message, path=file.path)
        host = np.zeros(shape, np.float32)
        address = int(done(*self._cuda.cudaMalloc(host.nbytes)))
        if not self._context.set_tensor_address(name, address):
            message = f"TensorRT refuses the buffer of '{name}'"
            raise BackendDied(message)
        return _Buffer(address, host)

    def _copy(self, target: int, source: int, buffer: _Buffer, kind: Any) -> None:
        size = buffer.host.nbytes
        done(*self._cuda.cudaMemcpyAsync(target, source, size, kind, self._stream))


def import_tensorrt() -> ModuleType:
    """Import TensorRT and make sure that there is a GPU to run it on.

    Raises:
        Unavailable: TensorRT cannot be loaded, or there is no GPU.
    """
    try:
        trt = require("tensorrt", extra="tensorrt", purpose=_PURPOSE)
    except RuntimeError as error:
        message = f"{_PURPOSE} cannot load 'tensorrt' ({error}): pip install 'quantkit[tensorrt]'"
        raise Unavailable(message) from error
    import_cuda()
    return trt


def engine_key(file: OnnxFile, precision: Precision, tensorrt: str, device: Device) -> str:
    """Hash everything that an engine depends on: the network, TensorRT and the GPU.

    Args:
        file: The network, with the weights that it keeps in other files.
        precision: What the engine computes in.
        tensorrt: TensorRT's version.
        device: The GPU.

    Raises:
        InputError: A file of the network is missing.
    """
    return content_key(
        {
            "edition": _EDITION,
            "network": source_content(file),
            "precision": precision,
            "converter": version("onnxruntime") if precision == "fp16" else None,
            "tensorrt": tensorrt,
            "device": asdict(device),
        }
    )
