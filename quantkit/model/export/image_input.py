"""The image that an ONNX network takes, brought to float32 (1, channels, height, width).

Networks out of TensorFlow take (1, height, width, channels); some take integers. Everything after
the export knows one form, so the first step of it puts the conversion into the graph.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from quantkit.errors import InputError
from quantkit.model.export.repair import outputs_at

_CHANNELS: Final = (1, 3)
_TO_FLOAT: Final = ("FLOAT16", "DOUBLE", "UINT8")


@dataclass(frozen=True)
class ImageInput:
    """The input of an ONNX network.

    Attributes:
        name: Its name.
        type: ONNX's name of its element type.
        layout: Where its channels stand.
        channels: 1 or 3.
        size: Width and height; None where any will do.
    """

    name: str
    type: str
    layout: Literal["nchw", "nhwc"]
    channels: int
    size: tuple[int | None, int | None]

    @property
    def is_plain(self) -> bool:
        """Whether it is float32 (1, channels, height, width) already."""
        return self.type == "FLOAT" and self.layout == "nchw"


def image_input(graph: Any) -> ImageInput:
    """Read the input of an `onnx.GraphProto`.

    Raises:
        InputError: It is not one image of one or three channels, or of a type that cannot be fed.
    """
    from onnx import TensorProto

    if len(graph.input) != 1:
        names = ", ".join(f"'{value.name}'" for value in graph.input) or "none"
        message = f"expected one input, got {len(graph.input)} ({names}): a network of one image"
        raise InputError(f"{message} is supported")
    value = graph.input[0]
    tensor = value.type.tensor_type
    dims = [d.dim_value or None for d in tensor.shape.dim]
    kind = TensorProto.DataType.Name(tensor.elem_type)
    shown = f"input '{value.name}' of shape {_shown(tensor.shape.dim)}"
    if len(dims) != 4:
        message = f"{shown} is no batch of images: four axes are supported"
        raise InputError(message)
    if dims[0] not in (None, 1):
        message = f"{shown} fixes the batch at {dims[0]}: export it with a batch of 1"
        raise InputError(message)
    quantized = any(n.op_type == "DequantizeLinear" for n in _readers(graph, value.name))
    if kind != "FLOAT" and (kind not in _TO_FLOAT or (kind == "UINT8" and quantized)):
        how = "quantized " if quantized else ""
        message = f"{shown} takes {how}{kind.lower()}: float32, float16, double and uint8 (pixels)"
        raise InputError(f"{message} are supported; export it with a float32 input")
    layout: Literal["nchw", "nhwc"] = "nchw"
    if dims[1] not in _CHANNELS and dims[3] in _CHANNELS:
        layout, dims = "nhwc", [dims[0], dims[3], dims[1], dims[2]]
    channels = dims[1] or _first_convolution(graph, value.name) or 3
    if channels not in _CHANNELS:
        message = f"{shown} has {channels} channels: 3 (rgb, bgr) or 1 (gray) are supported"
        raise InputError(message)
    return ImageInput(value.name, kind, layout, channels, (dims[3], dims[2]))


def take_plain_images(model: Any, shape: Sequence[int] | None = None) -> tuple[str, ...]:
    """Make an `onnx.ModelProto` take float32 (1, channels, height, width), in place.

    Heatmaps that come channels last out of a network that takes its image so are turned, too.

    Args:
        model: The network.
        shape: (channels, height, width) that it will take, where it takes more than one.

    Returns:
        What was changed, for the report.

    Raises:
        InputError: As for `image_input`.
    """
    graph = model.graph
    image = image_input(graph)
    if image.is_plain:
        return ()
    notes: list[str] = []
    turned: list[Any] = []
    tensor = graph.input[0].type.tensor_type
    given = list(tensor.shape.dim)
    if image.layout == "nhwc":
        notes.append(f"input '{image.name}' is taken channels first, it was channels last")
        turned = _turned_outputs(model, shape or [given[axis].dim_value for axis in (3, 1, 2)])
        _set_dims(tensor, [given[axis] for axis in (0, 3, 1, 2)])
    if image.type != "FLOAT":
        notes.append(f"input '{image.name}' is taken as float32, it was {image.type.lower()}")
        tensor.elem_type = 1
    _feed(graph, image)
    for value in turned:
        _turn_output(graph, value)
        notes.append(f"output '{value.name}' is given channels first, it was channels last")
    return tuple(notes)


def _feed(graph: Any, image: ImageInput) -> None:
    from onnx import TensorProto, helper

    readers = list(_readers(graph, image.name))
    nodes, blob = [], image.name
    if image.layout == "nhwc":
        nodes.append(_transpose(blob, f"{image.name}/nhwc", (0, 2, 3, 1)))
        blob = f"{image.name}/nhwc"
    # A network that only casts its input to float gets what it wants.
    if image.type != "FLOAT" and any(node.op_type != "Cast" for node in readers):
        kind = TensorProto.DataType.Value(image.type)
        nodes.append(helper.make_node("Cast", [blob], [f"{image.name}/cast"], to=kind))
        blob = f"{image.name}/cast"
    for node in readers:
        for place, name in enumerate(node.input):
            if name == image.name:
                node.input[place] = blob
    for node in reversed(nodes):
        graph.node.insert(0, node)


def _turned_outputs(model: Any, shape: Sequence[int]) -> list[Any]:
    """Find the outputs (1, h, w, maps) whose h and w are the image's in small."""
    channels, *image = shape
    known = outputs_at(model, (1, *image, channels))
    found = []
    for value, told in zip(model.graph.output, known, strict=True):
        dims = [d.dim_value for d in told.type.tensor_type.shape.dim]
        known_dims = len(dims) == 4 and min(*dims[1:], *image) > 0
        if known_dims and _is_small(dims[1:3], image) and not _is_small(dims[2:4], image):
            found.append(value)
    return found


def _is_small(small: Sequence[int], image: Sequence[int]) -> bool:
    return small[0] > 1 and small[1] > 1 and small[0] * image[1] == small[1] * image[0]


def _turn_output(graph: Any, value: Any) -> None:
    inner = f"{value.name}/nhwc"
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == value.name:
                    names[place] = inner
    graph.node.append(_transpose(inner, value.name, (0, 3, 1, 2)))
    tensor = value.type.tensor_type
    if len(tensor.shape.dim) == 4:
        _set_dims(tensor, [tensor.shape.dim[axis] for axis in (0, 3, 1, 2)])


def _transpose(source: str, target: str, order: tuple[int, ...]) -> Any:
    from onnx import helper

    return helper.make_node("Transpose", [source], [target], name=target, perm=order)


def _set_dims(tensor: Any, dims: list[Any]) -> None:
    copies = [type(d).FromString(d.SerializeToString()) for d in dims]
    del tensor.shape.dim[:]
    tensor.shape.dim.extend(copies)


def _readers(graph: Any, blob: str) -> Iterator[Any]:
    return (node for node in graph.node if blob in node.input)


def _first_convolution(graph: Any, blob: str) -> int | None:
    weights: Mapping[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
    for node in _readers(graph, blob):
        if node.op_type == "Conv" and node.input[1] in weights:
            return int(weights[node.input[1]].dims[1])
    return None


def _shown(dims: Any) -> str:
    return "(" + ", ".join(str(d.dim_value or d.dim_param or "?") for d in dims) + ")"
