"""What goes into a network and what comes out of it, as its files tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from quantkit.errors import InputError
from quantkit.model.graph import Graph
from quantkit.model.param import Layer, Param
from quantkit.model.shape_rule import Shape

_KEEP_CHANNELS: Final = ("BatchNorm", "BinaryOp", "Noop", "Padding", "Power", "Scale", "UnaryOp")


@dataclass(frozen=True)
class Interface:
    """A network's input and outputs.

    Attributes:
        input: Name of the input.
        shape: (channels, height, width) of the input.
        outputs: Shape by name of output, without the batch axis; None where it is not known.
        grey_levels: The network takes integers of 0 to 255 and normalises them itself.
        notes: What is said of the network to the person, a sentence each.
    """

    input: str
    shape: tuple[int, int, int]
    outputs: Mapping[str, Shape | None]
    grey_levels: bool = False
    notes: tuple[str, ...] = ()


def fixed_size(
    known: tuple[int | None, int | None], given: tuple[int, int] | None
) -> tuple[int, int]:
    """Bring together the size that a network fixes and the one that the person gives.

    Args:
        known: Width and height of the network's input; None where it takes any.
        given: Width and height that are asked for.

    Raises:
        InputError: They contradict each other, or neither tells.

    Example:
        >>> fixed_size((None, 256), (192, 256))
        (192, 256)
    """
    width, height = (side or (given[axis] if given else None) for axis, side in enumerate(known))
    if width is None or height is None:
        message = "the source does not tell its input size: give --size WIDTH HEIGHT"
        raise InputError(message)
    if given is not None and given != (width, height):
        message = (
            f"--size {given[0]} {given[1]} does not fit: the network's input is {width} wide and"
            f" {height} high"
        )
        raise InputError(message)
    return width, height


def ncnn_input(param: Param) -> Layer:
    """Find the one Input layer of an ncnn network.

    Raises:
        InputError: There is not one.
    """
    inputs = [layer for layer in param.layers if layer.type == "Input"]
    if len(inputs) != 1:
        names = ", ".join(repr(layer.tops[0]) for layer in inputs) or "none"
        message = f"expected one Input layer, got {len(inputs)} ({names}): a network of one image"
        raise InputError(f"{message} is supported", path=param.path)
    return inputs[0]


def ncnn_input_shape(param: Param, blob: str) -> tuple[int | None, int | None, int | None]:
    """Find what a .param says of its input: its own figures, or the first convolution's channels.

    Args:
        param: The graph.
        blob: Name of the input blob.

    Returns:
        (channels, height, width); None for what it does not say.

    Raises:
        InputError: There is no such blob.
    """
    graph = Graph(param)
    layer = graph.producer(blob)
    width, height, channels = (layer.int_param(number, 0) or None for number in (0, 1, 2))
    return channels or _channels(graph, blob), height, width


def _channels(graph: Graph, blob: str) -> int | None:
    for layer in graph.readers(blob):
        if layer.type == "Convolution":
            width = layer.int_param(1, 1)
            area = width * layer.int_param(11, width)
            return layer.int_param(6, 0) // max(1, layer.int_param(0, 1) * area) or None
        if layer.type in _KEEP_CHANNELS:
            return _channels(graph, layer.tops[0])
    return None
