"""From a backend's name to its session; a backend's package is imported only when it is named."""

from typing import assert_never

from quantkit.backends.artifact import Artifact, artifact_precision
from quantkit.backends.names import BackendName
from quantkit.backends.runner import Session
from quantkit.errors import InputError
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile


def load_session(name: BackendName, artifact: Artifact, threads: int) -> Session:
    """Load a network in this process.

    Args:
        name: The backend.
        artifact: The network in the form that the backend runs.
        threads: Threads that one session may use.

    Raises:
        InputError: The network cannot be loaded, or has a form that the backend does not run.
        Unavailable: The backend cannot run here.
    """
    match name, artifact:
        case "pytorch", MMPoseSource():
            from quantkit.backends.pytorch import PytorchSession

            return PytorchSession.load(artifact, threads)
        case "onnxruntime" | "onnxruntime-int8", OnnxFile():
            from quantkit.backends.onnxruntime import OnnxruntimeSession

            return OnnxruntimeSession.load(artifact, threads, artifact_precision(name, artifact))
        case "openvino" | "openvino-int8", OnnxFile():
            from quantkit.backends.openvino import OpenvinoSession

            return OpenvinoSession.load(artifact, threads, artifact_precision(name, artifact))
        case "tensorrt" | "tensorrt-fp16", OnnxFile():
            from quantkit.backends.tensorrt import TensorrtSession

            return TensorrtSession.load(artifact, threads, artifact_precision(name, artifact))
        case "ncnn" | "ncnn-int8", NcnnFiles():
            from quantkit.backends.ncnn import NcnnSession

            return NcnnSession.load(artifact, threads)
    message = f"backend '{name}' does not run a network given as {type(artifact).__name__}"
    raise InputError(message)


def probe(name: BackendName) -> None:
    """Import what a backend needs.

    Raises:
        Unavailable: The backend cannot run here; the message says why and what to do.
    """
    match name:
        case "pytorch":
            from quantkit.backends.pytorch import import_packages

            import_packages()
        case "onnxruntime" | "onnxruntime-int8":
            import quantkit.backends.onnxruntime
        case "openvino" | "openvino-int8":
            from quantkit.backends.openvino import import_openvino

            import_openvino()
        case "tensorrt" | "tensorrt-fp16":
            from quantkit.backends.tensorrt import import_tensorrt

            import_tensorrt()
        case "ncnn" | "ncnn-int8":
            import quantkit.backends.ncnn  # noqa: F401
        case _:
            assert_never(name)
