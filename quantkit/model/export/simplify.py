"""ONNX to a simpler ONNX: constants folded, batch norms fused, one fixed input shape."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quantkit.errors import InputError
from quantkit.model.export.native import NativeRun
from quantkit.model.export.onnx_file import read_onnx
from quantkit.model.export.step import run_step
from quantkit.model.source import OnnxFile
from quantkit.optional import require


def simplify_onnx(
    source: OnnxFile, target: Path, shape: Sequence[int], *, timeout: float = 1200.0
) -> tuple[OnnxFile, NativeRun]:
    """Simplify an ONNX file.

    Args:
        source: The network.
        target: The .onnx file to write.
        shape: (channels, height, width) of its input; the batch becomes 1.
        timeout: Seconds after which the conversion counts as hung.

    Returns:
        The simpler network, and what the conversion used.

    Raises:
        InputError: The file is no ONNX network with that input and those outputs.
        BackendDied: The conversion crashed or hung.
    """
    arguments = {
        "path": str(source.path),
        "input": source.input,
        "outputs": list(source.outputs),
        "target": str(target),
        "shape": list(shape),
        "simplify": True,
    }
    _, used = run_step("simplify", "onnxsim", arguments, timeout)
    return OnnxFile(target, source.input, source.outputs), used


def repair_onnx(
    source: OnnxFile,
    target: Path,
    shape: Sequence[int] | None = None,
    *,
    timeout: float = 1200.0,
) -> tuple[OnnxFile, tuple[str, ...]]:
    """Only mend an ONNX file, so that it can be run and compared with what becomes of it.

    Afterwards it takes float32 images, channels first.

    Args:
        source: The network.
        target: The .onnx file to write.
        shape: (channels, height, width) that it will take, where it takes more than one.
        timeout: Seconds after which the child counts as hung.

    Returns:
        The mended network, and what was wrong with it.

    Raises:
        InputError: The file is no ONNX network with that input and those outputs.
        BackendDied: Reading it crashed.
    """
    arguments = {
        "path": str(source.path),
        "input": source.input,
        "outputs": list(source.outputs),
        "target": str(target),
        "shape": shape and list(shape),
        "simplify": False,
    }
    notes, _ = run_step("simplify", "onnx", arguments, timeout)
    return OnnxFile(target, source.input, source.outputs), tuple(notes)


def convert(
    path: str,
    input: str,
    outputs: list[str],
    target: str,
    shape: list[int] | None,
    *,
    simplify: bool,
) -> list[str]:
    """Convert in this process; see `simplify_onnx`.

    Args:
        path: The .onnx file to read.
        input: Name of its input.
        outputs: Names of its outputs.
        target: The .onnx file to write.
        shape: (channels, height, width) of the input; None where the file says it.
        simplify: Whether the network is simplified, at that shape, or only mended.

    Returns:
        What was mended.
    """
    import onnx

    from quantkit.model.export.image_input import take_plain_images
    from quantkit.model.export.repair import repair, tell_outputs

    model = read_onnx(Path(path))
    notes = repair(model)
    _check_names(model.graph, input, outputs, path)
    try:
        notes += take_plain_images(model, shape)
    except InputError as error:
        raise InputError(str(error), path=path) from error
    if simplify and shape is not None:
        onnxsim = require("onnxsim", extra="torch", purpose="The ONNX simplification")
        tell_outputs(model, (1, *shape))
        try:
            model, same = onnxsim.simplify(model, overwrite_input_shapes={input: [1, *shape]})
        except Exception as error:
            message = f"onnxsim cannot simplify it: {' '.join(str(error).split())[:300]}"
            raise InputError(message, path=path) from error
        if not same:
            message = "onnxsim changed what it computes"
            raise InputError(message, path=path)
    onnx.save(model, target)
    return list(notes)


def _check_names(graph: Any, name: str, outputs: list[str], path: str) -> None:
    inputs = [value.name for value in graph.input]
    if inputs != [name]:
        message = f"expected the one input '{name}', found {', '.join(inputs)}"
        raise InputError(message, path=path)
    known = [value.name for value in graph.output]
    for output in outputs:
        if output not in known:
            message = f"has no output '{output}', only {', '.join(known)}"
            raise InputError(message, path=path)
