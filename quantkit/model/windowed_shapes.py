"""Output shapes of layers that slide a window, and of the inner product.

Facts: ncnn src/layer/convolution.cpp, deconvolution.cpp, pooling.cpp, innerproduct.cpp.
"""

from collections.abc import Mapping
from typing import Final

from quantkit.model.param import Layer
from quantkit.model.shape_rule import Rule, Shape, one_to_one

_SAME = (-233, -234)


def _convolution(layer: Layer, bottom: Shape) -> Shape:
    if len(bottom) == 1:
        return (layer.int_param(0, 0),)
    height, width = bottom[-2:]
    left = layer.int_param(4, 0)
    top = layer.int_param(14, left)
    pads = (left, layer.int_param(15, left)), (top, layer.int_param(16, top))
    return (
        layer.int_param(0, 0),
        _slid(layer, height, (11, 12, 13), pads[1]),
        _slid(layer, width, (1, 2, 3), pads[0]),
    )


def _convolution_1d(layer: Layer, bottom: Shape) -> Shape:
    left = layer.int_param(4, 0)
    pads = (left, layer.int_param(15, left))
    return layer.int_param(0, 0), _slid(layer, bottom[1], (1, 2, 3), pads)


def _slid(layer: Layer, size: int, numbers: tuple[int, int, int], pads: tuple[int, int]) -> int:
    kernel, dilation, stride = _window(layer, numbers)
    if pads[0] in _SAME:
        return (size - 1) // stride + 1
    return (size + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1


def _window(layer: Layer, numbers: tuple[int, int, int]) -> tuple[int, int, int]:
    """Read kernel, dilation and stride; those of the height default to those of the width."""
    kernel, dilation, stride = (
        layer.int_param(number, layer.int_param(number % 10, default))
        for number, default in zip(numbers, (0, 1, 1), strict=True)
    )
    return kernel, dilation, stride


def _deconvolution(layer: Layer, bottom: Shape) -> Shape:
    height, width = bottom[-2:]
    left = layer.int_param(4, 0)
    top = layer.int_param(14, left)
    pads = (left, layer.int_param(15, left)), (top, layer.int_param(16, top))
    right_out = layer.int_param(18, 0)
    below_out = layer.int_param(19, right_out)
    spread = (
        _spread(layer, height, (11, 12, 13)) + below_out,
        _spread(layer, width, (1, 2, 3)) + right_out,
    )
    wanted_width = layer.int_param(20, 0)
    wanted = (layer.int_param(21, wanted_width), wanted_width)
    if any(pad > 0 for pair in pads for pad in pair):
        size = (spread[0] - sum(pads[1]), spread[1] - sum(pads[0]))
    elif min(wanted) > 0 and left in _SAME:
        size = wanted
    else:
        size = spread
    return (layer.int_param(0, 0), *size)


def _deconvolution_1d(layer: Layer, bottom: Shape) -> Shape:
    left = layer.int_param(4, 0)
    spread = _spread(layer, bottom[1], (1, 2, 3)) + layer.int_param(18, 0)
    return layer.int_param(0, 0), spread - max(left, 0) - max(layer.int_param(15, left), 0)


def _spread(layer: Layer, size: int, numbers: tuple[int, int, int]) -> int:
    kernel, dilation, stride = _window(layer, numbers)
    return (size - 1) * stride + dilation * (kernel - 1) + 1


def _pooling(layer: Layer, bottom: Shape) -> Shape:
    channels, height, width = bottom
    if layer.int_param(4, 0):
        return (channels,)
    if layer.int_param(7, 0):
        wanted = layer.int_param(8, 0)
        sizes = (layer.int_param(18, wanted), wanted)
        return (channels, *(b if a == -233 else a for a, b in zip(sizes, bottom[1:], strict=True)))
    left = layer.int_param(3, 0)
    top = layer.int_param(13, left)
    kernel, stride = layer.int_param(1, 0), layer.int_param(2, 1)
    tall, tall_stride = layer.int_param(11, kernel), layer.int_param(12, stride)
    return (
        channels,
        _pooled(layer, height + top + layer.int_param(15, top), tall, tall_stride),
        _pooled(layer, width + left + layer.int_param(14, left), kernel, stride),
    )


def _pooled(layer: Layer, size: int, kernel: int, stride: int) -> int:
    mode = layer.int_param(5, 0)
    if mode in (2, 3):
        return (size - 1) // stride + 1
    rounding = stride - 1 if mode == 0 else 0
    return (size - kernel + rounding) // stride + 1


def _inner_product(layer: Layer, bottom: Shape) -> Shape:
    outputs = layer.int_param(0, 0)
    inputs = layer.int_param(2, 0) // outputs
    return (bottom[0], outputs) if len(bottom) == 2 and bottom[1] == inputs else (outputs,)


WINDOWED_RULES: Final[Mapping[str, Rule]] = {
    "Convolution": one_to_one(_convolution),
    "ConvolutionDepthWise": one_to_one(_convolution),
    "Convolution1D": one_to_one(_convolution_1d),
    "ConvolutionDepthWise1D": one_to_one(_convolution_1d),
    "Deconvolution": one_to_one(_deconvolution),
    "DeconvolutionDepthWise": one_to_one(_deconvolution),
    "Deconvolution1D": one_to_one(_deconvolution_1d),
    "DeconvolutionDepthWise1D": one_to_one(_deconvolution_1d),
    "Pooling": one_to_one(_pooling),
    "InnerProduct": one_to_one(_inner_product),
}
