"""From an ONNX file to a TensorRT plan: the serialized engine, built for one kind of GPU."""

from functools import cache
from types import ModuleType
from typing import Any, Final

from quantkit.backends.names import Precision
from quantkit.backends.onnx_fp16 import to_fp16
from quantkit.errors import InputError, Unavailable
from quantkit.model.source import OnnxFile

OPTIONS: Final = {"fp32": "fp32, TF32 off", "fp16": "fp16", "int8": "int8"}
"""What a plan of each precision computes in, in words."""


class Builder:
    """TensorRT's builder, and what it had to say.

    Args:
        trt: The module: tensorrt, or tensorrt_rtx, which has the same interface.

    Raises:
        Unavailable: TensorRT does not start here.
    """

    def __init__(self, trt: ModuleType) -> None:
        self._trt = trt
        self._logger, self._complaints = listening_logger(trt)
        try:
            self._builder = trt.Builder(self._logger)
        except TypeError as error:  # what its bindings make of a null pointer
            message = f"TensorRT cannot start here{last_complaint(trt)}"
            raise Unavailable(message) from error

    def plan(self, file: OnnxFile, precision: Precision, capability: str | None = None) -> bytes:
        """Build an engine.

        Args:
            file: The network in fp32; in int8 it carries its scales as QuantizeLinear nodes.
            precision: What it shall compute in.
            capability: The kind of GPU that shall run it, as "SM89"; None for the one that is
                here. Only tensorrt_rtx builds for a GPU that is not here.

        Returns:
            The serialized engine.

        Raises:
            InputError: TensorRT refuses the file, or an input or output is not in it.
        """
        trt = self._trt
        self._complaints.clear()
        # Newer versions know nothing else: each tensor has the type that the file gives it.
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = self._builder.create_network(flags)
        self._parse(network, file, precision)
        _check_names(network, file)
        _drop_other_outputs(network, file)
        _fix_batch(network, file)
        config = self._builder.create_builder_config()
        # On by default; it rounds fp32 factors to ten bits.
        config.clear_flag(trt.BuilderFlag.TF32)
        if capability is not None:
            config.num_compute_capabilities = 1
            config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
        plan = self._builder.build_serialized_network(network, config)
        if plan is None:
            message = f"TensorRT cannot build an engine from it{last_complaint(trt)}"
            raise InputError(message, path=file.path)
        return bytes(plan)

    def _parse(self, network: Any, file: OnnxFile, precision: Precision) -> None:
        if not file.path.is_file():
            message = "does not exist"
            raise InputError(message, path=file.path)
        parser = self._trt.OnnxParser(network, self._logger)
        if precision == "fp16":
            parsed = parser.parse(to_fp16(file.path))
        else:
            parsed = parser.parse_from_file(str(file.path))
        if not parsed:
            message = f"TensorRT cannot read it: {_parser_error(parser)}"
            raise InputError(message, path=file.path)


@cache  # TensorRT holds on to the first logger of a process, which must not go before it does
def listening_logger(trt: ModuleType) -> tuple[Any, list[str]]:
    """Return TensorRT's logger, which keeps errors in a list instead of printing them."""
    complaints: list[str] = []
    grave = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Listening(trt.ILogger):  # type: ignore[name-defined, misc]  # known at run time only
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in grave:
                complaints.append(_flat(message))

    return Listening(), complaints


@cache  # nor may a runtime go before its engines
def runtime(trt: ModuleType) -> Any:
    """Return TensorRT's runtime, which makes engines of plans."""
    return trt.Runtime(listening_logger(trt)[0])


def last_complaint(trt: ModuleType) -> str:
    """Return TensorRT's last error as the end of a message: ": why", or nothing."""
    complaints = listening_logger(trt)[1]
    return f": {complaints[-1]}" if complaints else ""


def _parser_error(parser: Any) -> str:
    if not parser.num_errors:
        return "it gives no reason"
    error = parser.get_error(0)
    place = " ".join(filter(None, (error.node_operator(), error.node_name())))
    return _flat(f"{error.desc()} ({place})" if place else error.desc())


def _check_names(network: Any, file: OnnxFile) -> None:
    inputs = [network.get_input(number).name for number in range(network.num_inputs)]
    outputs = [network.get_output(number).name for number in range(network.num_outputs)]
    if inputs != [file.input]:
        message = f"expected the one input '{file.input}', found {', '.join(inputs) or 'none'}"
        raise InputError(message, path=file.path)
    for name in file.outputs:
        if name not in outputs:
            message = f"has no output '{name}', only {', '.join(outputs)}"
            raise InputError(message, path=file.path)


def _drop_other_outputs(network: Any, file: OnnxFile) -> None:
    # An engine runs only where each of its outputs has a buffer.
    for output in [network.get_output(number) for number in range(network.num_outputs)]:
        if output.name not in file.outputs:
            network.unmark_output(output)


def _fix_batch(network: Any, file: OnnxFile) -> None:
    tensor = network.get_input(0)
    batch, *size = tuple(tensor.shape)
    if batch not in (-1, 1) or min(size) < 1:
        message = f"its input '{file.input}' must hold one image of a fixed size: export it so"
        raise InputError(message, path=file.path)
    if batch == -1:
        tensor.shape = (1, *size)


def _flat(text: str) -> str:
    return " ".join(text.split())[:300]
