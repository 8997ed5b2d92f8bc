"""Layers that move, join and cut blobs.

Facts: ncnn src/layer/{reshape,permute,concat,slice,crop,padding,shufflechannel}.cpp.
"""

from collections.abc import Mapping
from itertools import permutations
from typing import Final

from quantkit.model.shape_rule import integers
from quantkit.tuning.distillation.layer_call import LayerCall, Operator, Tensor, one_top

_NOT_GIVEN = -233
_OFFSETS: Final = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 13, 1, 0)}
"""Ids of Crop's offsets, by the number of axes."""


def _reshaped(call: LayerCall) -> Tensor:
    return call.bottom.reshape(call.batch, *call.shapes[0])


def _permuted(call: LayerCall) -> Tensor:
    order = list(permutations(range(call.bottom.dim() - 1)))[call.layer.int_param(0, 0)]
    return call.bottom.permute(0, *(axis + 1 for axis in order))


def _concatenated(call: LayerCall) -> Tensor:
    return call.torch.cat(tuple(call.bottoms), call.axis(0))


def _sliced(call: LayerCall) -> tuple[Tensor, ...]:
    axis = call.axis(1)
    return tuple(call.bottom.split([shape[axis - 1] for shape in call.shapes], axis))


def _cropped(call: LayerCall) -> Tensor:
    bottom = call.bottom
    for axis, start in enumerate(_crop_starts(call), start=1):
        bottom = bottom.narrow(axis, start, call.shapes[0][axis - 1])
    return bottom


def _crop_starts(call: LayerCall) -> list[int]:
    layer, sizes = call.layer, call.bottom.shape[1:]
    starts = integers(layer, 9)
    if not starts:
        return [layer.int_param(number, 0) for number in _OFFSETS[len(sizes)]]
    axes = [range(len(sizes))[axis] for axis in integers(layer, 11)] or range(len(sizes))
    first = [0] * len(sizes)
    for axis, start in zip(axes, starts, strict=False):
        start = 0 if start == _NOT_GIVEN else start
        first[axis] = start if start >= 0 else sizes[axis] + start
    return first


def _padded(call: LayerCall) -> Tensor:
    layer = call.layer
    kind, by_channel = layer.int_param(4, 0), layer.int_param(6, 0)
    if kind not in _PADDING or by_channel:
        message = f"padding of kind {kind} with {by_channel} values is not supported"
        raise layer.error(message)
    numbers = (2, 3, 0, 1, 7, 8)[: 2 * (call.bottom.dim() - 1)]
    pads = [layer.int_param(number, 0) for number in numbers]
    value = layer.float_param(5, 0.0) if kind == 0 else None
    return call.functional.pad(call.bottom, pads, _PADDING[kind], value)


_PADDING: Final = {0: "constant", 1: "replicate", 2: "reflect"}


def _shuffled(call: LayerCall) -> Tensor:
    group, size = call.layer.int_param(0, 1), call.bottom.shape[1]
    outer = size // group if call.layer.int_param(1, 0) else group
    folded = call.bottom.reshape(call.batch, outer, size // outer, *call.bottom.shape[2:])
    return folded.transpose(1, 2).reshape(call.bottom.shape)


def _constant(call: LayerCall) -> Tensor:
    return call.weights["data"].reshape(1, *call.shapes[0])


REARRANGING: Final[Mapping[str, Operator]] = {
    **dict.fromkeys(("ExpandDims", "Flatten", "Reshape", "Squeeze"), one_top(_reshaped)),
    "Concat": one_top(_concatenated),
    "Crop": one_top(_cropped),
    "MemoryData": one_top(_constant),
    "Padding": one_top(_padded),
    "Permute": one_top(_permuted),
    "ShuffleChannel": one_top(_shuffled),
    "Slice": _sliced,
}
