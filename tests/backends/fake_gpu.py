"""CUDA and TensorRT without a GPU: device memory is memory, an engine is ONNX Runtime.

The functions take and return what those of cuda.bindings.runtime and tensorrt do.
"""

import ctypes
import enum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class Status(enum.IntEnum):
    cudaSuccess = 0  # noqa: N815 - CUDA's name
    cudaErrorMemoryAllocation = 2  # noqa: N815
    cudaErrorInsufficientDriver = 35  # noqa: N815
    cudaErrorNoDevice = 100  # noqa: N815


class FakeCuda(ModuleType):
    """cuda.bindings.runtime with one GPU, or none.

    Args:
        devices: How many GPUs there are.
        status: What asking for them returns.
        driver: The CUDA that the driver knows; 0 where there is no driver.
    """

    cudaMemcpyKind = enum.IntEnum(  # noqa: N815
        "cudaMemcpyKind", ["cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"]
    )

    def __init__(
        self, devices: int = 1, status: Status = Status.cudaSuccess, driver: int = 12040
    ) -> None:
        super().__init__("cuda.bindings.runtime")
        self.devices, self.status, self.driver = devices, status, driver
        self.full = False
        self.memory: dict[int, NDArray[np.uint8]] = {}

    def cudaGetDeviceCount(self) -> tuple[Status, int | None]:  # noqa: N802
        return self.status, self.devices if self.status == 0 else None

    def cudaDriverGetVersion(self) -> tuple[Status, int]:  # noqa: N802
        return Status.cudaSuccess, self.driver

    def cudaGetDeviceProperties(self, device: int) -> tuple[Status, Any]:  # noqa: N802
        assert device == 0
        return Status.cudaSuccess, SimpleNamespace(name=b"GPU of paper", major=8, minor=9)

    def cudaStreamCreate(self) -> tuple[Status, int]:  # noqa: N802
        return Status.cudaSuccess, 7

    def cudaStreamSynchronize(self, stream: int) -> tuple[Status]:  # noqa: N802
        assert stream == 7
        return (Status.cudaSuccess,)

    def cudaMalloc(self, size: int) -> tuple[Status, int | None]:  # noqa: N802
        if self.full:
            return Status.cudaErrorMemoryAllocation, None
        block = np.zeros(size, np.uint8)
        self.memory[block.ctypes.data] = block
        return Status.cudaSuccess, block.ctypes.data

    def cudaMemcpyAsync(  # noqa: N802
        self, dst: int, src: int, count: int, kind: int, stream: int
    ) -> tuple[Status]:
        assert stream == 7
        to_device = kind == self.cudaMemcpyKind.cudaMemcpyHostToDevice
        assert (dst in self.memory, src in self.memory) == (to_device, not to_device)
        assert len(self.memory[dst if to_device else src]) == count
        ctypes.memmove(dst, src, count)
        return (Status.cudaSuccess,)


class FakeEngine:
    """An engine, and its context, over the ONNX network that is its plan."""

    def __init__(self, plan: bytes, cuda: FakeCuda) -> None:
        self._session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
        self._inputs, self._outputs = self._session.get_inputs(), self._session.get_outputs()
        self._cuda = cuda
        self._addresses: dict[str, int] = {}
        self.dtype = "FLOAT"
        self.breaks = False

    def create_execution_context(self) -> "FakeEngine":
        return self

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        (shape,) = (one.shape for one in (*self._inputs, *self._outputs) if one.name == name)
        return tuple(shape)

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name=self.dtype)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return address in self._cuda.memory

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle == 7
        (source,) = self._inputs
        assert set(self._addresses) == {one.name for one in (source, *self._outputs)}
        results = self._session.run(None, {source.name: self._at(source.name)})
        for one, result in zip(self._outputs, results, strict=True):
            self._at(one.name)[:] = result
        return not self.breaks

    def _at(self, name: str) -> NDArray[np.float32]:
        block = self._cuda.memory[self._addresses[name]].view(np.float32)
        return block.reshape(self.get_tensor_shape(name))


class FakeTensorrt(ModuleType):
    """tensorrt, as far as an engine is loaded."""

    __version__ = "10.0.0"

    class ILogger:
        Severity = enum.IntEnum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING"])

    def __init__(self, cuda: FakeCuda) -> None:
        super().__init__("tensorrt")
        self.cuda = cuda
        self.loaded: list[FakeEngine] = []
        self.refuses = False

    def Runtime(self, logger: Any) -> "FakeTensorrt":  # noqa: N802
        self._logger = logger
        return self

    def deserialize_cuda_engine(self, plan: bytes) -> FakeEngine | None:
        if self.refuses:
            self._logger.log(self.ILogger.Severity.ERROR, "Serialization assertion failed")
            return None
        self.loaded.append(FakeEngine(plan, self.cuda))
        return self.loaded[-1]
