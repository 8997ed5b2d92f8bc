"""Weight scales in float32, one for each output channel: levels / largest absolute weight."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.winograd_bound import (
    FEWEST_LEVELS,
    MOST_LEVELS,
    bounded_levels,
    may_run_winograd,
    unproven_channels,
)
from quantkit.model.param import Layer

LevelRule = Literal["bounded", "ncnn2table"]
"""How many levels a 3x3 weight gets: the most that F43 can bear, or always 31 as ncnn2table."""

DEAD_SCALE: Final = 1.0
"""Scale of a channel whose weights are all zero; any finite one gives the same integers."""


@dataclass(frozen=True)
class WeightScales:
    """The scales of one layer.

    Attributes:
        scales: The levels divided by the largest absolute weight of each channel.
        dead: Channels without any weight but zero, where ncnn2table writes `inf`.
        levels: The integer that the largest weight of each channel becomes, at most 127.
        unproven: Channels that could overflow in Winograd F43 even so.
    """

    scales: tuple[float, ...]
    dead: tuple[int, ...]
    levels: tuple[int, ...]
    unproven: tuple[int, ...] = ()


def scale_count(layer: Layer) -> int:
    """Say how many weight scales a layer has: one a group if depthwise or grouped, else an output.

    Example:
        >>> scale_count(Layer("ConvolutionDepthWise", "dw", ("a",), ("b",), {0: "32", 7: "16"}))
        16
    """
    return layer.int_param(7, 1) if layer.type == "ConvolutionDepthWise" else layer.int_param(0, 0)


def ncnn2table_levels(layer: Layer) -> int:
    """Say which integer ncnn2table makes of the largest weight.

    It gives 6 bits to 3x3 convolutions of stride 1, lest the sums of the F43 Winograd transform
    overflow (tools/quantize/ncnn2table.cpp).

    Returns:
        31 for those, 127 for all others.
    """
    return FEWEST_LEVELS if may_run_winograd(layer) else MOST_LEVELS


def weight_scales(
    layer: Layer,
    weights: NDArray[np.float32],
    *,
    rule: LevelRule = "bounded",
    nonnegative: bool = False,
) -> WeightScales:
    """Compute the weight scales of a layer.

    Args:
        layer: A Convolution, ConvolutionDepthWise or InnerProduct.
        weights: Its weights as they lie in the .bin, the output channel outermost; any shape.
        rule: How many levels a 3x3 weight gets.
        nonnegative: Whether the layer's input is never negative, which doubles what F43 can bear.

    Raises:
        InputError: A weight is NaN or infinite.

    Example:
        >>> layer = Layer("InnerProduct", "fc", ("a",), ("b",), {0: "2"})
        >>> weight_scales(layer, np.array([0.5, -2.0, 0.0, 0.0], np.float32))
        WeightScales(scales=(63.5, 1.0), dead=(1,), levels=(127, 127), unproven=())
    """
    rows = weights.reshape(scale_count(layer), -1)
    absmax = np.abs(rows).max(axis=1)
    if not np.isfinite(absmax).all():
        channel = int(np.flatnonzero(~np.isfinite(absmax))[0])
        message = f"output channel {channel} has a NaN or infinite weight; export the network again"
        raise layer.error(message)
    levels = np.full(len(rows), ncnn2table_levels(layer), np.int64)
    unproven: tuple[int, ...] = ()
    if may_run_winograd(layer) and rule == "bounded":
        levels = bounded_levels(rows, nonnegative=nonnegative)
        unproven = unproven_channels(rows, levels, nonnegative=nonnegative)
    with np.errstate(divide="ignore", over="ignore"):
        scales = levels.astype(np.float32) / absmax
    dead = np.flatnonzero(np.isinf(scales))
    scales[dead] = DEAD_SCALE
    return WeightScales(
        scales=tuple(map(float, scales)),
        dead=tuple(map(int, dead)),
        levels=tuple(map(int, levels)),
        unproven=unproven,
    )
