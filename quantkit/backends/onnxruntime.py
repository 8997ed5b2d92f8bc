"""ONNX Runtime on the CPU."""

import re
from importlib.metadata import version
from typing import Self

import numpy as np
import onnxruntime

from quantkit.backends.names import Precision
from quantkit.backends.runner import Shape, Tensor
from quantkit.errors import InputError
from quantkit.model.source import OnnxFile


class OnnxruntimeSession:
    """One ONNX network in ONNX Runtime."""

    concurrency = 1

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        file: OnnxFile,
        threads: int,
        precision: Precision,
    ) -> None:
        self._session = session
        self._input = file.input
        self.outputs = file.outputs
        self.run_threads = threads
        self.input_shape = _input_shape(session, file)
        self.description = f"onnxruntime {version('onnxruntime')}, CPU, {precision}"

    @classmethod
    def load(cls, file: OnnxFile, threads: int, precision: Precision = "fp32") -> Self:
        """Load an ONNX file.

        Args:
            file: The network; in int8 it carries its scales as QuantizeLinear nodes.
            threads: Threads of one run.
            precision: What the network computes in.

        Raises:
            InputError: ONNX Runtime refuses it, or an input or output is not in it.
        """
        if not file.path.is_file():
            message = "does not exist"
            raise InputError(message, path=file.path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the processor from the preprocessing beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without VNNI its products of uint8 and int8 would overflow 16 bits.
        options.add_session_config_entry("session.x64quantprecision", "1")
        options.log_severity_level = 3
        try:
            session = _open(file, options)
        except Exception as error:
            # With sums in 32 bits its fusions write QLinearConv of signed inputs, which it lacks.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
            try:
                session = _open(file, options)
            except Exception:
                message = f"ONNX Runtime cannot load it: {_reason(error)}"
                raise InputError(message, path=file.path) from error
        return cls(session, file, threads, precision)

    def run(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Run one input of shape (channels, height, width)."""
        batch = np.ascontiguousarray(tensor, np.float32)[None]
        outputs = self._session.run(list(self.outputs), {self._input: batch})
        return tuple(np.asarray(output, np.float32)[0] for output in outputs)


def _open(file: OnnxFile, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(file.path), options, providers=["CPUExecutionProvider"])


def _reason(error: Exception) -> str:
    # Before the reason it gives a number of its own and the path, which the caller says.
    line = next(iter(str(error).splitlines()), type(error).__name__)
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : |Load model from .* failed: ?", "", line)


def _input_shape(session: onnxruntime.InferenceSession, file: OnnxFile) -> Shape:
    shapes = {node.name: node.shape for node in session.get_inputs()}
    if file.input not in shapes:
        message = f"has no input '{file.input}', only {', '.join(shapes)}"
        raise InputError(message, path=file.path)
    batch = shapes[file.input][0] if shapes[file.input] else None
    if isinstance(batch, int) and batch != 1:
        message = f"fixes the batch at {batch}: export it with a batch of 1"
        raise InputError(message, path=file.path)
    known = [node.name for node in session.get_outputs()]
    for name in file.outputs:
        if name not in known:
            message = f"has no output '{name}', only {', '.join(known)}"
            raise InputError(message, path=file.path)
    return tuple(size if isinstance(size, int) else None for size in shapes[file.input][1:])
