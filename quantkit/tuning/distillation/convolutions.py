"""Convolutions, transposed convolutions and inner products.

Facts: ncnn src/layer/{convolution,convolutiondepthwise,deconvolution,innerproduct}.cpp.
"""

from collections.abc import Mapping
from typing import Final

from quantkit.model.param import Layer
from quantkit.tuning.distillation.elementwise import activated
from quantkit.tuning.distillation.layer_call import LayerCall, Operator, Tensor, one_top

_SAME_UPPER, _SAME_LOWER = -233, -234


def _convolution(call: LayerCall) -> Tensor:
    layer = call.layer
    kernel, dilation, stride = window(layer)
    flat = call.bottom.dim() == 2
    x = call.bottom[..., None, None] if flat else call.bottom
    weight = call.weights["weight"].reshape(layer.int_param(0, 0), -1, *kernel)
    y = call.functional.conv2d(
        _padded(call, x, kernel, dilation, stride),
        weight,
        call.weights.get("bias"),
        stride=stride,
        dilation=dilation,
        groups=groups(layer),
    )
    return activated(call, y.flatten(1) if flat else y)


def _convolution_1d(call: LayerCall) -> Tensor:
    layer = call.layer
    left = layer.int_param(4, 0)
    pads = (left, layer.int_param(15, left))
    if min(pads) < 0:
        message = "SAME padding of a one-dimensional convolution is not supported"
        raise layer.error(message)
    y = call.functional.conv1d(
        call.functional.pad(call.bottom, pads, value=layer.float_param(18, 0.0)),
        call.weights["weight"].reshape(layer.int_param(0, 0), -1, layer.int_param(1, 0)),
        call.weights.get("bias"),
        stride=layer.int_param(3, 1),
        dilation=layer.int_param(2, 1),
    )
    return activated(call, y)


def _deconvolution(call: LayerCall) -> Tensor:
    layer = call.layer
    kernel, dilation, stride = window(layer)
    group, outputs = groups(layer), layer.int_param(0, 0)
    weight = call.weights["weight"].reshape(group, outputs // group, -1, *kernel)
    y = call.functional.conv_transpose2d(
        call.bottom,
        weight.transpose(1, 2).reshape(-1, outputs // group, *kernel),
        stride=stride,
        dilation=dilation,
        groups=group,
    )
    right = layer.int_param(18, 0)
    y = call.functional.pad(y, (0, right, 0, layer.int_param(19, right)))
    if "bias" in call.weights:
        y = y + call.weights["bias"][:, None, None]
    height, width = call.shapes[0][1:]
    top, left = _cut(layer, (y.shape[2] - height, y.shape[3] - width))
    return activated(call, y[:, :, top : top + height, left : left + width])


def _cut(layer: Layer, surplus: tuple[int, int]) -> tuple[int, int]:
    left = layer.int_param(4, 0)
    if left == _SAME_UPPER:
        return surplus[0] // 2, surplus[1] // 2
    if left == _SAME_LOWER:
        return surplus[0] - surplus[0] // 2, surplus[1] - surplus[1] // 2
    return max(layer.int_param(14, left), 0), max(left, 0)


def _inner_product(call: LayerCall) -> Tensor:
    weight = call.weights["weight"].reshape(call.layer.int_param(0, 0), -1)
    by_row = call.bottom.dim() == 3 and call.bottom.shape[2] == weight.shape[1]
    x = call.bottom if by_row else call.bottom.flatten(1)
    return activated(call, call.functional.linear(x, weight, call.weights.get("bias")))


def groups(layer: Layer) -> int:
    """Read the number of groups, which the types without `DepthWise` do not have."""
    return layer.int_param(7, 1) if "DepthWise" in layer.type else 1


def window(layer: Layer) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Read kernel, dilation and stride as (height, width)."""
    widths = (layer.int_param(number, default) for number, default in ((1, 0), (2, 1), (3, 1)))
    kernel, dilation, stride = (
        (layer.int_param(number, width), width)
        for number, width in zip((11, 12, 13), widths, strict=True)
    )
    return kernel, dilation, stride


def _padded(
    call: LayerCall,
    x: Tensor,
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    stride: tuple[int, int],
) -> Tensor:
    layer = call.layer
    left = layer.int_param(4, 0)
    top = layer.int_param(14, left)
    if left in (_SAME_UPPER, _SAME_LOWER):
        pads: list[int] = []
        for side in (1, 0):
            size = x.shape[2 + side]
            reach = dilation[side] * (kernel[side] - 1) + 1
            total = max(reach + (size - 1) // stride[side] * stride[side] - size, 0)
            first = total // 2 if left == _SAME_UPPER else total - total // 2
            pads += [first, total - first]
    else:
        pads = [left, layer.int_param(15, left), top, layer.int_param(16, top)]
    if not any(pads):
        return x
    return call.functional.pad(x, pads, value=layer.float_param(18, 0.0))


CONVOLUTIONS: Final[Mapping[str, Operator]] = {
    "Convolution": one_top(_convolution),
    "Convolution1D": one_top(_convolution_1d),
    "ConvolutionDepthWise": one_top(_convolution),
    "Deconvolution": one_top(_deconvolution),
    "DeconvolutionDepthWise": one_top(_deconvolution),
    "InnerProduct": one_top(_inner_product),
}
