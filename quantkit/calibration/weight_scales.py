"""Weight scales as ncnn2table computes them, one for each output channel, in float32."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.param import Layer

DEAD_SCALE: Final = 1.0
"""Scale of a channel whose weights are all zero; any finite one gives the same integers."""


@dataclass(frozen=True)
class WeightScales:
    """The scales of one layer.

    Attributes:
        scales: 127 (or 31) divided by the largest absolute weight of each channel.
        dead: Channels without any weight but zero, where ncnn2table writes `inf`.
    """

    scales: tuple[float, ...]
    dead: tuple[int, ...]


def scale_count(layer: Layer) -> int:
    """Say how many weight scales a layer has: one a group if depthwise or grouped, else an output.

    Example:
        >>> scale_count(Layer("ConvolutionDepthWise", "dw", ("a",), ("b",), {0: "32", 7: "16"}))
        16
    """
    return layer.int_param(7, 1) if layer.type == "ConvolutionDepthWise" else layer.int_param(0, 0)


def weight_levels(layer: Layer) -> int:
    """Say which integer the largest weight becomes.

    ncnn2table gives 6 bits to 3x3 convolutions of stride 1, lest the sums of the F43 Winograd
    transform overflow (tools/quantize/ncnn2table.cpp).

    Returns:
        31 for those, 127 for all others.
    """
    if layer.type != "Convolution":
        return 127
    kernel, dilation, stride = (_pair(layer, number, 1) for number in (1, 2, 3))
    return 31 if (kernel, dilation, stride) == ((3, 3), (1, 1), (1, 1)) else 127


def weight_scales(layer: Layer, weights: NDArray[np.float32]) -> WeightScales:
    """Compute the weight scales of a layer.

    Args:
        layer: A Convolution, ConvolutionDepthWise or InnerProduct.
        weights: Its weights as they lie in the .bin, the output channel outermost; any shape.

    Raises:
        InputError: A weight is NaN or infinite.

    Example:
        >>> layer = Layer("InnerProduct", "fc", ("a",), ("b",), {0: "2"})
        >>> weight_scales(layer, np.array([0.5, -2.0, 0.0, 0.0], np.float32))
        WeightScales(scales=(63.5, 1.0), dead=(1,))
    """
    channels = np.abs(weights.reshape(scale_count(layer), -1))
    absmax = channels.max(axis=1)
    if not np.isfinite(absmax).all():
        channel = int(np.flatnonzero(~np.isfinite(absmax))[0])
        message = f"output channel {channel} has a NaN or infinite weight; export the network again"
        raise layer.error(message)
    with np.errstate(divide="ignore", over="ignore"):
        scales = np.float32(weight_levels(layer)) / absmax
    dead = np.flatnonzero(np.isinf(scales))
    scales[dead] = DEAD_SCALE
    return WeightScales(tuple(map(float, scales)), tuple(map(int, dead)))


def _pair(layer: Layer, number: int, default: int) -> tuple[int, int]:
    width = layer.int_param(number, default)
    return width, layer.int_param(number + 10, width)
