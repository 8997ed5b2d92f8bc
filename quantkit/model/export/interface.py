"""The input and the outputs of an ONNX network, read and where need be run in a child process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quantkit.errors import InputError
from quantkit.model.export.image_input import image_input, take_plain_images
from quantkit.model.export.onnx_file import read_onnx
from quantkit.model.export.repair import repair
from quantkit.model.export.step import run_step
from quantkit.model.interface import Interface, fixed_size


def onnx_interface(
    path: Path, size: tuple[int, int] | None = None, *, timeout: float = 300.0
) -> Interface:
    """Read what goes into an ONNX network and what comes out of it.

    Args:
        path: The .onnx file.
        size: Width and height of the input, where the file leaves them open.
        timeout: Seconds after which the child counts as hung.

    Raises:
        InputError: The file is no ONNX network of one image, or the size is not known or another.
        BackendDied: The child crashed or hung.
    """
    arguments = {"path": str(path), "size": size}
    value, _ = run_step("interface", "onnx", arguments, timeout)
    channels, height, width = value["shape"]
    outputs = {name: shape and tuple(shape) for name, shape in value["outputs"].items()}
    return Interface(
        value["input"],
        (channels, height, width),
        outputs,
        grey_levels=value["grey_levels"],
        notes=tuple(value["notes"]),
    )


def describe_onnx(path: str, size: Sequence[int] | None) -> dict[str, Any]:
    """Read an interface in this process; see `onnx_interface`."""
    model = read_onnx(Path(path))
    try:
        return _described(model, Path(path), size)
    except InputError as error:
        raise InputError(str(error), path=path) from error


def _described(model: Any, path: Path, size: Sequence[int] | None) -> dict[str, Any]:
    repair(model)
    image = image_input(model.graph)
    width, height = fixed_size(image.size, (size[0], size[1]) if size else None)
    shape = (image.channels, height, width)
    notes = take_plain_images(model, shape)
    for dim, side in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, *shape), strict=True):
        dim.dim_value = side
    return {
        "input": image.name,
        "shape": shape,
        "outputs": _output_shapes(model, shape, is_open=None in image.size),
        "grey_levels": image.type == "UINT8",
        "notes": notes,
    }


def _output_shapes(
    model: Any, shape: tuple[int, int, int], *, is_open: bool
) -> dict[str, list[int] | None]:
    import onnx

    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
    except Exception:  # one of many of onnx's own
        inferred = model.graph.output
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in inferred
    }
    # The first axis is the batch, whatever it is called.
    known = all(len(dims) > 1 and min(dims[1:]) > 0 for dims in shapes.values())
    if known and not is_open:
        return {name: dims[1:] for name, dims in shapes.items()}
    try:
        ran = _ran(model, shape)
    except Exception as error:  # what ONNX Runtime raises has no common class
        if not is_open:
            return dict.fromkeys(shapes)
        # A size that the person names is one that the network's weights may not fit.
        _, height, width = shape
        reason = " ".join(str(error).split())[:200]
        message = f"ONNX Runtime cannot run it at {width}x{height}, is the size right? {reason}"
        raise InputError(message) from error
    return {name: ran.get(name) for name in shapes}


def _ran(model: Any, shape: tuple[int, int, int]) -> dict[str, list[int]]:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs = session.run(None, {model.graph.input[0].name: np.zeros((1, *shape), np.float32)})
    names = [value.name for value in session.get_outputs()]
    return {name: list(np.shape(out)[1:]) for name, out in zip(names, outputs, strict=True)}
