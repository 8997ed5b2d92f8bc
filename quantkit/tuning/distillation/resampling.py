"""Pooling and interpolation.

Facts: ncnn src/layer/{pooling,interp}.cpp.
"""

from collections.abc import Mapping
from typing import Final

from quantkit.tuning.distillation.layer_call import LayerCall, Operator, Tensor, one_top

_MAX = 0
_SAME_LOWER = 3


def _pooled(call: LayerCall) -> Tensor:
    layer, x = call.layer, call.bottom
    largest = layer.int_param(0, _MAX) == _MAX
    if layer.int_param(4, 0):
        return x.amax((2, 3)) if largest else x.mean((2, 3))
    if layer.int_param(7, 0):
        pool = "adaptive_max_pool2d" if largest else "adaptive_avg_pool2d"
        return getattr(call.functional, pool)(x, call.shapes[0][1:])
    kernel, stride = (
        (layer.int_param(number + 10, width), width)
        for number, width in ((1, layer.int_param(1, 0)), (2, layer.int_param(2, 1)))
    )
    pads = _pads(call, kernel, stride)
    if largest:
        padded = call.functional.pad(x, pads, value=float("-inf")) if any(pads) else x
        return call.functional.max_pool2d(padded, kernel, stride)
    mean = call.functional.avg_pool2d(call.functional.pad(x, pads), kernel, stride)
    if layer.int_param(6, 0) or not any(pads):
        return mean
    inside = call.functional.pad(call.torch.ones_like(x[:1, :1]), pads)
    return mean / call.functional.avg_pool2d(inside, kernel, stride)


def _pads(call: LayerCall, kernel: tuple[int, int], stride: tuple[int, int]) -> list[int]:
    """Give left, right, top and bottom; what a last window lacks is added behind."""
    layer, shape = call.layer, call.shapes[0]
    left = layer.int_param(3, 0)
    top = layer.int_param(13, left)
    given = ((left, layer.int_param(14, left)), (top, layer.int_param(15, top)))
    pads: list[int] = []
    for side, (before, behind) in zip((1, 0), given, strict=True):
        covered = (shape[1 + side] - 1) * stride[side] + kernel[side]
        missing = covered - int(call.bottom.shape[2 + side])
        if layer.int_param(5, 0) >= _SAME_LOWER - 1:
            missing = max(missing, 0)
            lower = layer.int_param(5, 0) == _SAME_LOWER
            before = missing - missing // 2 if lower else missing // 2
            behind = missing - before
        else:
            behind = max(behind, missing - before)
        pads += [before, behind]
    return pads


_MODES: Final = {1: "nearest", 2: "bilinear", 3: "bicubic"}


def _interpolated(call: LayerCall) -> Tensor:
    layer, size = call.layer, call.shapes[0][-2:]
    kind = layer.int_param(0, 0)
    if kind not in _MODES:
        message = f"resizing of kind {kind} is not known"
        raise layer.error(message)
    x = call.bottom
    if x.dim() == 2:
        return x[..., None, None].expand(*x.shape, *size)
    corners = bool(layer.int_param(6, 0)) if kind > 1 else None
    if x.dim() == 4:
        return call.functional.interpolate(x, size, mode=_MODES[kind], align_corners=corners)
    found = call.functional.interpolate(x[:, None], size, mode=_MODES[kind], align_corners=corners)
    return found[:, 0]


RESAMPLING: Final[Mapping[str, Operator]] = {
    "Interp": one_top(_interpolated),
    "Pooling": one_top(_pooled),
}
