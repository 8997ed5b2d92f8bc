"""TensorRT on the first GPU: an engine built from the ONNX file, run on bound device buffers."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Self

import numpy as np

from quantkit.backends.names import Precision
from quantkit.backends.runner import Shape, Tensor
from quantkit.errors import BackendDied, InputError, Unavailable
from quantkit.model.source import OnnxFile
from quantkit.optional import require

_PURPOSE: Final = "Backend 'tensorrt'"
_WORKSPACE: Final = 1 << 30


@dataclass(frozen=True)
class _Buffer:
    """One of the engine's tensors, in device memory and in host memory."""

    address: int
    host: Tensor


class TensorrtSession:
    """One ONNX network as a TensorRT engine, in fp32 (TF32 is off)."""

    concurrency = 1

    def __init__(self, engine: Any, file: OnnxFile, threads: int) -> None:
        self._cuda = import_cuda()
        self._input = file.input
        self.outputs = file.outputs
        self.run_threads = threads
        self._engine = engine
        self._context = engine.create_execution_context()
        self._stream = _done(*self._cuda.cudaStreamCreate())
        self._buffers = {name: self._bind(name) for name in (file.input, *file.outputs)}
        self.input_shape: Shape = self._buffers[file.input].host.shape[1:]
        trt = import_tensorrt()
        self.description = f"tensorrt {trt.__version__}, GPU 0, fp32"

    @classmethod
    def load(cls, file: OnnxFile, threads: int, precision: Precision = "fp32") -> Self:
        """Build the engine of an ONNX file.

        Raises:
            InputError: TensorRT refuses the file, or an input or output is not in it.
            Unavailable: TensorRT or a GPU is missing.
        """
        if not file.path.is_file():
            message = "does not exist"
            raise InputError(message, path=file.path)
        return cls(_build(import_tensorrt(), file), file, threads)

    def run(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Run one input of shape (channels, height, width)."""
        cuda, kind = self._cuda, self._cuda.cudaMemcpyKind
        source = self._buffers[self._input]
        source.host[0] = tensor
        self._copy(source.address, source.host.ctypes.data, source, kind.cudaMemcpyHostToDevice)
        if not self._context.execute_async_v3(self._stream):
            message = "TensorRT could not run the engine"
            raise BackendDied(message)
        for name in self.outputs:
            result = self._buffers[name]
            self._copy(result.host.ctypes.data, result.address, result, kind.cudaMemcpyDeviceToHost)
        _done(*cuda.cudaStreamSynchronize(self._stream))
        return tuple(self._buffers[name].host[0].copy() for name in self.outputs)

    def _bind(self, name: str) -> _Buffer:
        shape = tuple(self._engine.get_tensor_shape(name))
        if min(shape) < 1:
            message = f"tensor '{name}' has no fixed shape: {shape}; export it with a fixed size"
            raise InputError(message)
        host = np.zeros(shape, np.float32)
        address = _done(*self._cuda.cudaMalloc(host.nbytes))
        self._context.set_tensor_address(name, address)
        return _Buffer(address, host)

    def _copy(self, target: int, source: int, buffer: _Buffer, kind: Any) -> None:
        size = buffer.host.nbytes
        _done(*self._cuda.cudaMemcpyAsync(target, source, size, kind, self._stream))


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


def import_cuda() -> ModuleType:
    """Import CUDA's runtime and make sure that there is a GPU.

    Raises:
        Unavailable: The runtime cannot be loaded, or there is no GPU.
    """
    cuda = require("cuda.bindings.runtime", extra="tensorrt", purpose=_PURPOSE)
    status, count = cuda.cudaGetDeviceCount()
    if int(status) != 0 or count < 1:
        reason = getattr(status, "name", status)
        message = f"{_PURPOSE} finds no GPU ({reason}): run it where an NVIDIA driver and GPU are"
        raise Unavailable(message)
    return cuda


def _build(trt: ModuleType, file: OnnxFile) -> Any:
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(file.path)):
        message = f"TensorRT cannot read it: {parser.get_error(0).desc()}"
        raise InputError(message, path=file.path)
    _check_names(network, file)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE)
    # On by default; it rounds fp32 factors to ten bits.
    config.clear_flag(trt.BuilderFlag.TF32)
    plan = builder.build_serialized_network(network, config)
    engine = None if plan is None else trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        message = "TensorRT cannot build an engine from it"
        raise InputError(message, path=file.path)
    return engine


def _check_names(network: Any, file: OnnxFile) -> None:
    inputs = [network.get_input(number).name for number in range(network.num_inputs)]
    outputs = [network.get_output(number).name for number in range(network.num_outputs)]
    if inputs != [file.input]:
        message = f"expected the one input '{file.input}', found {', '.join(inputs)}"
        raise InputError(message, path=file.path)
    for name in file.outputs:
        if name not in outputs:
            message = f"has no output '{name}', only {', '.join(outputs)}"
            raise InputError(message, path=file.path)


def _done(status: Any, *values: Any) -> Any:
    if int(status) != 0:
        message = f"CUDA failed with {getattr(status, 'name', status)}"
        raise BackendDied(message)
    return values[0] if values else None
