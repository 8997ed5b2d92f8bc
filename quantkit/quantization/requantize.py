"""Requantize fusion: a convolution hands int8 on to the next one, without a float in between."""

from collections.abc import Callable, Container, Mapping
from typing import Final

from quantkit.model.graph import Graph
from quantkit.model.param import Layer

RequantizeRule = Callable[[Graph, Mapping[str, float]], Mapping[str, float]]
"""From the graph and the bottom scale by int8 layer to the top scale by fused layer."""

FUSED_TYPES: Final = ("Convolution", "ConvolutionDepthWise")


def first_consumer(graph: Graph, bottom_scales: Mapping[str, float]) -> dict[str, float]:
    """Fuse as ncnn2int8 does, with the scale of the first consumer.

    A convolution is fused when it is read by one int8 convolution directly, or by a Split whose
    copies all go to int8 convolutions. Behind a Split the others get the first one's integers,
    which are wrong for them if their scales differ. Source: ncnn tools/quantize/ncnn2int8.cpp,
    fuse_requantize.

    Args:
        graph: The network.
        bottom_scales: Scale of the input blob by name of each layer that is int8.

    Returns:
        Scale of the output blob by name of each fused layer.
    """
    return {
        name: bottom_scales[readers[0]] for name, readers in fusible(graph, bottom_scales).items()
    }


def agreeing_consumers(graph: Graph, bottom_scales: Mapping[str, float]) -> dict[str, float]:
    """Fuse as `first_consumer`, but only where all consumers have one scale.

    Where they differ the output stays in floating point, so each quantizes it with its own scale.
    """
    return {
        name: bottom_scales[readers[0]]
        for name, readers in fusible(graph, bottom_scales).items()
        if len({bottom_scales[reader] for reader in readers}) == 1
    }


def fusible(graph: Graph, int8: Container[str]) -> dict[str, tuple[str, ...]]:
    """Find the int8 convolutions whose output is read by int8 convolutions alone.

    Args:
        graph: The network.
        int8: Names of the layers that are int8.

    Returns:
        The readers, in the order of the Split's copies, by the name of the layer before them.
    """
    found: dict[str, tuple[str, ...]] = {}
    for layer in graph.param.layers:
        if layer.type in FUSED_TYPES and layer.name in int8:
            readers = tuple(reader.name for reader in _convolutions(graph, layer.tops[0]))
            if readers and all(reader in int8 for reader in readers):
                found[layer.name] = readers
    return found


def never(graph: Graph, bottom_scales: Mapping[str, float]) -> dict[str, float]:
    """Fuse nothing: every int8 layer gives floats."""
    return {}


def _convolutions(graph: Graph, blob: str) -> tuple[Layer, ...]:
    """Find the convolutions that read a blob or a Split's copies; none if others read it too."""
    reader = _sole_reader(graph, blob)
    found = [reader]
    if reader is not None and reader.type == "Split":
        found = [_sole_reader(graph, copy) for copy in reader.tops]
    fitting = tuple(x for x in found if x and x.type in FUSED_TYPES and len(x.bottoms) == 1)
    return fitting if len(fitting) == len(found) else ()


def _sole_reader(graph: Graph, blob: str) -> Layer | None:
    readers = graph.consumers(blob)
    return readers[0] if len(readers) == 1 else None
