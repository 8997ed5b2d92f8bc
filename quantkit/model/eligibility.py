"""Which layers ncnn can run in int8, and which of them come out wrong when it does."""

from collections.abc import Mapping, Sequence
from typing import Final

from quantkit.model.network import Network
from quantkit.model.param import Layer

INT8_TYPES: Final = ("Convolution", "ConvolutionDepthWise", "InnerProduct")
INT8_TERM: Final = 8
"""The parameter that says how a layer of these types is quantized; 0 is not at all."""


def int8_layers(network: Network) -> tuple[Layer, ...]:
    """List the layers that ncnn2table puts into its table, in the order of the .param.

    Layers whose weights are computed by other layers have none to quantize and are left out.
    """
    return tuple(
        layer for layer in network.param.layers if layer.type in INT8_TYPES and not _dynamic(layer)
    )


def quantized_layers(network: Network) -> tuple[str, ...]:
    """Name the layers of a written network that run in int8."""
    return tuple(
        layer.name
        for layer in network.param.layers
        if layer.type in INT8_TYPES and layer.int_param(INT8_TERM, 0)
    )


def is_depthwise(layer: Layer) -> bool:
    """Tell whether every group of a convolution has one input and one output channel."""
    group = layer.int_param(7, 1)
    kernel = layer.int_param(1, 0) * layer.int_param(11, layer.int_param(1, 0))
    return layer.int_param(0, 0) == group and layer.int_param(6, 0) == group * kernel


def hazards(network: Network, shapes: Mapping[str, Sequence[int]]) -> Mapping[str, str]:
    """Name the layers that must stay in fp32, each with the reason.

    Args:
        network: The fp32 network.
        shapes: Shape by blob name, without a batch axis.

    Returns:
        Reason by layer name, for layers of the types that could be int8.
    """
    reasons = {
        layer.name: _hazard(layer, shapes[layer.bottoms[0]])
        for layer in network.param.layers
        if layer.type in INT8_TYPES
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _hazard(layer: Layer, bottom: Sequence[int]) -> str | None:
    if _dynamic(layer):
        return "its weights are computed by another layer, so there is nothing to quantize"
    if layer.type == "InnerProduct":
        return None
    if len(bottom) == 1:
        return (
            "a convolution of a 1-D blob is run as an image of one channel in int8, which is "
            "wrong or crashes; as an InnerProduct with the same weights it could be int8"
        )
    if layer.float_param(18, 0.0) != 0:
        return "its border is padded with a value that is not zero, which int8 does not scale"
    if needs_requantize(layer):
        outputs = layer.int_param(0, 0) // layer.int_param(7, 1)
        return (
            f"a grouped convolution with {outputs} outputs a group is wrong in int8 on x86 "
            "unless its output is requantized"
        )
    return None


def needs_requantize(layer: Layer) -> bool:
    """Tell whether a layer is wrong in int8 on x86 unless it hands int8 on to the next one.

    Grouped, not depthwise, convolutions with a multiple of 8 outputs a group are.
    """
    if layer.type != "ConvolutionDepthWise" or is_depthwise(layer):
        return False
    return layer.int_param(0, 0) // layer.int_param(7, 1) % 8 == 0


def _dynamic(layer: Layer) -> bool:
    return layer.type != "InnerProduct" and layer.int_param(19, 0) != 0
