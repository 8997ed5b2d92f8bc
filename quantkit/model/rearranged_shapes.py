"""Output shapes of layers that move, join, cut, resize or reduce blobs.

Facts: ncnn src/layer/{reshape,permute,concat,slice,crop,interp,reduction,..}.cpp.
"""

import math
from collections.abc import Mapping
from itertools import permutations
from typing import Final

from quantkit.model.param import Layer
from quantkit.model.shape_rule import Misfit, Rule, Shape, Shapes, integers, one_to_one

_NOT_GIVEN = -233
_SIZES: Final[Mapping[int, tuple[int, ...]]] = {
    1: (0,),
    2: (1, 0),
    3: (2, 1, 0),
    4: (2, 11, 1, 0),
}
"""Ids of the parameters that Reshape and Squeeze have for the axes, by the number of axes."""


def _permute(layer: Layer, bottom: Shape) -> Shape:
    orders = list(permutations(bottom))
    return orders[layer.int_param(0, 0)]


def _reshape(layer: Layer, bottom: Shape) -> Shape:
    _refuse_expressions(layer, 6)
    if layer.int_param(12, 233) != 233 or layer.int_param(13, 233) != 233:
        message = "a batch axis is not supported"
        raise ValueError(message)
    wanted = {number: layer.int_param(number, _NOT_GIVEN) for number in _SIZES[4]}
    kept = dict(zip(_SIZES[len(bottom)], bottom, strict=True))
    sizes = [
        kept.get(number, 1) if size == 0 else size
        for number, size in wanted.items()
        if size != _NOT_GIVEN
    ]
    total, known = math.prod(bottom), math.prod(size for size in sizes if size != -1)
    shape = tuple(total // known if size == -1 else size for size in sizes)
    if math.prod(shape) != total:
        message = f"{shape} has another number of elements than {bottom}"
        raise Misfit(message)
    return shape


def _refuse_expressions(layer: Layer, *numbers: int) -> None:
    if any(number in layer.params for number in numbers):
        message = "sizes given as expressions are not supported"
        raise ValueError(message)


def _concat(layer: Layer, bottoms: Shapes) -> Shapes:
    axis = range(len(bottoms[0]))[layer.int_param(0, 0)]
    if len({shape[:axis] + shape[axis + 1 :] for shape in bottoms}) != 1:
        message = f"{bottoms} differ in other axes than the joined one"
        raise Misfit(message)
    joined = sum(shape[axis] for shape in bottoms)
    return [_with(bottoms[0], axis, joined)]


def _slice(layer: Layer, bottoms: Shapes) -> Shapes:
    bottom, count = bottoms[0], len(layer.tops)
    axis = range(len(bottom))[layer.int_param(1, 0)]
    size, start, parts = bottom[axis], 0, []
    cuts, lengths = integers(layer, 2), integers(layer, 0)
    for index in range(count):
        if cuts:
            end = cuts[index] % size if index < count - 1 else size
            length = end - start
        else:
            length = lengths[index]
            length = (size - start) // (count - index) if length == _NOT_GIVEN else length
        parts.append(_with(bottom, axis, length))
        start += length
    return parts


def _with(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _crop(layer: Layer, bottoms: Shapes) -> Shapes:
    _refuse_expressions(layer, 19, 20, 21)
    bottom = bottoms[0]
    starts, ends = integers(layer, 9), integers(layer, 10)
    if starts and ends:
        return [_sliced(bottom, starts, ends, integers(layer, 11))]
    if len(bottoms) == 2:
        return [bottoms[1]]
    return [tuple(_cropped(layer, *x) for x in zip(_SIZES[len(bottom)], bottom, strict=True))]


def _sliced(bottom: Shape, starts: list[int], ends: list[int], axes: list[int]) -> Shape:
    shape = bottom
    for axis, start, end in zip(axes or range(len(bottom)), starts, ends, strict=False):
        size = bottom[axis]
        start = 0 if start == _NOT_GIVEN else start
        end = size if end == _NOT_GIVEN else end
        first = start if start >= 0 else size + start
        last = min(size, end if end > 0 else size + end)
        shape = _with(shape, range(len(bottom))[axis], last - first)
    return shape


def _cropped(layer: Layer, axis: int, size: int) -> int:
    offset, length, end = {0: (0, 3, 6), 1: (1, 4, 7), 11: (13, 14, 15), 2: (2, 5, 8)}[axis]
    left = size - layer.int_param(offset, 0) - layer.int_param(end, 0)
    wanted = layer.int_param(length, 0)
    return left if wanted == _NOT_GIVEN else min(wanted, left)


def _interp(layer: Layer, bottoms: Shapes) -> Shapes:
    _refuse_expressions(layer, 9)
    bottom = bottoms[0]
    height, width = (1, 1) if len(bottom) == 1 else bottom[-2:]
    wanted: Shape = (layer.int_param(3, 0), layer.int_param(4, 0))
    if len(bottoms) == 2:
        wanted = bottoms[1][-2:]
    elif 0 in wanted:
        scales = layer.float_param(1, 1.0), layer.float_param(2, 1.0)
        wanted = (int(height * scales[0]), int(width * scales[1]))
    return [(height, wanted[-1]) if len(bottom) == 2 else (bottom[0], *wanted)]


def _reduction(layer: Layer, bottom: Shape) -> Shape:
    rank = len(bottom)
    axes = {range(rank)[axis] for axis in integers(layer, 3)}
    if layer.int_param(1, 1) or not axes:
        axes = set(range(rank))
    if layer.int_param(4, 0):
        return tuple(1 if axis in axes else size for axis, size in enumerate(bottom))
    return tuple(size for axis, size in enumerate(bottom) if axis not in axes) or (1,)


def _squeeze(layer: Layer, bottom: Shape) -> Shape:
    rank = len(bottom)
    axes = {range(rank)[axis] for axis in integers(layer, 3)}
    if not axes:
        axes = {axis for axis, number in enumerate(_SIZES[rank]) if layer.int_param(number, 0)}
    kept = (size for axis, size in enumerate(bottom) if axis not in axes or size != 1)
    return tuple(kept) or (1,)


def _expand(layer: Layer, bottom: Shape) -> Shape:
    added = integers(layer, 3)
    rank = len(bottom) + len(added)
    axes, sizes = {range(rank)[axis] for axis in added}, iter(bottom)
    return tuple(1 if axis in axes else next(sizes) for axis in range(rank))


def _padding(layer: Layer, bottom: Shape) -> Shape:
    pairs = {4: ((7, 8), (0, 1), (2, 3)), 3: ((7, 8), (0, 1), (2, 3)), 2: ((0, 1), (2, 3))}
    added = [
        layer.int_param(a, 0) + layer.int_param(b, 0) for a, b in pairs.get(len(bottom), ((2, 3),))
    ]
    added = [0] * (len(bottom) - len(added)) + added
    return tuple(size + pad for size, pad in zip(bottom, added, strict=True))


def _pixel_shuffle(layer: Layer, bottom: Shape) -> Shape:
    factor = layer.int_param(0, 1)
    return bottom[0] // factor**2, bottom[1] * factor, bottom[2] * factor


def _reorg(layer: Layer, bottom: Shape) -> Shape:
    stride = layer.int_param(0, 1)
    return bottom[0] * stride**2, bottom[1] // stride, bottom[2] // stride


def _flatten(layer: Layer, bottom: Shape) -> Shape:
    return (math.prod(bottom),)


def _halved(layer: Layer, bottom: Shape) -> Shape:
    axis = range(len(bottom))[layer.int_param(0, 0)]
    return _with(bottom, axis, bottom[axis] // 2)


def _tile(layer: Layer, bottom: Shape) -> Shape:
    repeats = integers(layer, 2)
    if repeats:
        rank = max(len(repeats), len(bottom))
        sizes = (1,) * (rank - len(bottom)) + bottom
        times = [1] * (rank - len(repeats)) + repeats
        return tuple(size * n for size, n in zip(sizes, times, strict=True))
    axis = range(len(bottom))[layer.int_param(0, 0)]
    return _with(bottom, axis, bottom[axis] * layer.int_param(1, 1))


REARRANGED_RULES: Final[Mapping[str, Rule]] = {
    "Concat": _concat,
    "Crop": _crop,
    "Interp": _interp,
    "Slice": _slice,
    "ExpandDims": one_to_one(_expand),
    "Flatten": one_to_one(_flatten),
    "GLU": one_to_one(_halved),
    "Padding": one_to_one(_padding),
    "Permute": one_to_one(_permute),
    "PixelShuffle": one_to_one(_pixel_shuffle),
    "Reduction": one_to_one(_reduction),
    "Reorg": one_to_one(_reorg),
    "Reshape": one_to_one(_reshape),
    "Squeeze": one_to_one(_squeeze),
    "Tile": one_to_one(_tile),
}
