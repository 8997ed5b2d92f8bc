"""Channel rules of layers that move, join, cut or copy elements without changing them.

They are proved by moving the labels themselves. Facts: ncnn src/layer/{reshape,permute,..}.cpp.
"""

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Final

import numpy as np

from quantkit.model.param import Layer
from quantkit.model.shape_rule import Shape, integers
from quantkit.tuning.equalization.channel_rule import Rule, Rules, Site
from quantkit.tuning.equalization.classes import Labels

_NOT_GIVEN: Final = -233
_OFFSETS: Final = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 13, 1, 0)}
"""Ids of the parameters of Crop that say where each axis starts, by the number of axes."""


def _moved(move: Callable[[Layer, Labels, Shape], Labels]) -> Rule:
    return lambda site: [move(site.layer, site.bottoms[0], site.shapes[0])]


def _reshaped(layer: Layer, labels: Labels, shape: Shape) -> Labels:
    return labels.reshape(shape)


def _permuted(layer: Layer, labels: Labels, shape: Shape) -> Labels:
    orders = list(permutations(range(labels.ndim)))
    return labels.transpose(orders[layer.int_param(0, 0)])


def _shuffled(layer: Layer, labels: Labels, shape: Shape) -> Labels:
    groups = layer.int_param(0, 1)
    rows = len(labels) // groups if layer.int_param(1, 0) else groups
    split = labels.reshape(rows, len(labels) // rows, *shape[1:])
    return split.swapaxes(0, 1).reshape(shape)


def _cropped(layer: Layer, labels: Labels, shape: Shape) -> Labels:
    starts = dict(enumerate(layer.int_param(number, 0) for number in _OFFSETS[labels.ndim]))
    if given := integers(layer, 9):
        axes = integers(layer, 11) or range(len(given))
        pairs = zip(axes, given, strict=False)
        starts = {range(labels.ndim)[axis]: 0 if at == _NOT_GIVEN else at for axis, at in pairs}
    places = [
        start + labels.shape[axis] if (start := starts.get(axis, 0)) < 0 else start
        for axis in range(labels.ndim)
    ]
    return labels[tuple(slice(at, at + size) for at, size in zip(places, shape, strict=True))]


def _copied(site: Site) -> Sequence[Labels]:
    return [site.bottoms[0]] * len(site.shapes)


def _concatenated(site: Site) -> Sequence[Labels]:
    return [np.concatenate(site.bottoms, axis=site.layer.int_param(0, 0))]


def _sliced(site: Site) -> Sequence[Labels]:
    axis = site.layer.int_param(1, 0)
    ends = np.cumsum([shape[axis] for shape in site.shapes])
    return np.split(site.bottoms[0], ends[:-1], axis=axis)


MOVED_RULES: Final[Rules] = {
    **dict.fromkeys(("Split", "Noop", "DeepCopy"), _copied),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "ExpandDims"), _moved(_reshaped)),
    "Concat": _concatenated,
    "Crop": _moved(_cropped),
    "Permute": _moved(_permuted),
    "ShuffleChannel": _moved(_shuffled),
    "Slice": _sliced,
}
