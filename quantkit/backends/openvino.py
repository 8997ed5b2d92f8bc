"""OpenVINO on the CPU, held to fp32."""

import platform
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self

import numpy as np

from quantkit.backends.names import Precision
from quantkit.backends.runner import Shape, Tensor
from quantkit.errors import InputError
from quantkit.model.source import OnnxFile
from quantkit.optional import require

_SUMS_IN_32_BITS: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


class OpenvinoSession:
    """One ONNX network in OpenVINO."""

    concurrency = 1

    def __init__(self, compiled: Any, file: OnnxFile, threads: int, precision: Precision) -> None:
        self._request = compiled.create_infer_request()
        self._input = file.input
        self.outputs = file.outputs
        self.run_threads = threads
        self.input_shape = _input_shape(compiled, file)
        self.description = f"openvino {version('openvino')}, CPU, {precision}, f32 hint"
        if precision == "int8" and lacks_vnni():
            self.description += ", no VNNI"

    @classmethod
    def load(cls, file: OnnxFile, threads: int, precision: Precision = "fp32") -> Self:
        """Load and compile an ONNX file.

        Args:
            file: The network; in int8 it carries its scales as QuantizeLinear nodes.
            threads: Threads of one run.
            precision: What the network computes in; what is not quantized stays fp32.

        Raises:
            InputError: OpenVINO refuses it, or an input or output is not in it.
            Unavailable: OpenVINO is not installed.
        """
        openvino = import_openvino()
        if not file.path.is_file():
            message = "does not exist"
            raise InputError(message, path=file.path)
        # On newer processors its default is bf16, which moves the output by a third.
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
        }
        try:
            compiled = openvino.Core().compile_model(str(file.path), "CPU", settings)
        except RuntimeError as error:
            message = f"OpenVINO cannot load it: {_reason(error)}"
            raise InputError(message, path=file.path) from error
        return cls(compiled, file, threads, precision)

    def run(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Run one input of shape (channels, height, width)."""
        batch = np.ascontiguousarray(tensor, np.float32)[None]
        results = self._request.infer({self._input: batch})
        return tuple(np.array(results[name], np.float32)[0] for name in self.outputs)


def lacks_vnni() -> bool:
    """Say whether the integer kernels of this processor add two products in 16 bits."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return True
    return _SUMS_IN_32_BITS.isdisjoint(flags)


def import_openvino() -> ModuleType:
    """Import OpenVINO.

    Raises:
        Unavailable: It is not installed or cannot be loaded.
    """
    return require("openvino", extra="openvino", purpose="Backend 'openvino'")


def _input_shape(compiled: Any, file: OnnxFile) -> Shape:
    inputs = [name for port in compiled.inputs for name in port.names]
    outputs = [name for port in compiled.outputs for name in port.names]
    for kind, name, known in (
        ("input", file.input, inputs),
        *(("output", output, outputs) for output in file.outputs),
    ):
        if name not in known:
            message = f"has no {kind} '{name}', only {', '.join(known)}"
            raise InputError(message, path=file.path)
    shape = compiled.input(file.input).partial_shape
    return tuple(size.get_length() if size.is_static else None for size in shape)[1:]


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # What follows from an operator that it does not know comes after that.
    unknown = (line.removeprefix("-- ") for line in lines if "No conversion rule" in line)
    return next(unknown, lines[-1] if lines else type(error).__name__)
