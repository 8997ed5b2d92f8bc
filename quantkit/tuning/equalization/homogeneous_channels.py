"""Channel rules of layers without weights through which a positive factor passes.

f(ax) = a f(x) for a > 0, elementwise, within each channel, or over all operands together.
Facts: ncnn src/layer/{binaryop,eltwise,pooling,interp,reduction,..}.cpp.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from quantkit.model.shape_rule import Shape, integers
from quantkit.model.shapes import expanded
from quantkit.tuning.equalization import clipped_channels
from quantkit.tuning.equalization.channel_rule import Rules, Site, channels, frozen, spread
from quantkit.tuning.equalization.classes import Labels

_ADD, _SUB, _MUL, _DIV, _MAX, _MIN, _RSUB, _RDIV = 0, 1, 2, 3, 4, 5, 7, 8
_PROD: Final = 0
_HOMOGENEOUS_REDUCTIONS: Final = (0, 1, 3, 4, 5, 7, 8)
"""Sum, sum of absolutes, mean, maximum, minimum, L1 and L2 norm."""
_ABS, _NEG = 0, 1
_NO_CLIP: Final = ((0, -clipped_channels.MOST), (1, clipped_channels.MOST))


def _elementwise(site: Site) -> Sequence[Labels]:
    return [site.bottoms[0]]


def _unary(site: Site) -> Sequence[Labels]:
    operation = site.layer.int_param(0, 0)
    return _elementwise(site) if operation in (_ABS, _NEG) else frozen(site, "UnaryOp")


def _clip(site: Site) -> Sequence[Labels]:
    labels, (lower, upper) = channels(site), (site.layer.float_param(i, x) for i, x in _NO_CLIP)
    clipped_channels.limit(site, labels, lower, upper)
    return [spread(labels, site.shapes[0])]


def _within_channels(site: Site) -> Sequence[Labels]:
    labels = channels(site)
    return [spread(labels, shape) for shape in site.shapes]


def _padding(site: Site) -> Sequence[Labels]:
    layer, before, after = site.layer, site.bottoms[0].shape, site.shapes[0]
    constant = layer.int_param(4, 0) == 0
    not_zero = constant and (layer.float_param(5, 0.0) != 0 or layer.int_param(6, 0) != 0)
    if not_zero or len(before) == 1 or before[0] != after[0]:
        return frozen(site, "Padding by a value or of the channels")
    return _within_channels(site)


def _reduction(site: Site) -> Sequence[Labels]:
    layer, bottom = site.layer, site.bottoms[0]
    if layer.int_param(0, 0) not in _HOMOGENEOUS_REDUCTIONS:
        return frozen(site, "Reduction")
    axes = {range(bottom.ndim)[axis] for axis in integers(layer, 3)}
    if layer.int_param(1, 1) or not axes:
        axes = set(range(bottom.ndim))
    return [site.classes.join_axes(bottom, tuple(sorted(axes))).reshape(site.shapes[0])]


def _binary(site: Site) -> Sequence[Labels]:
    operation = site.layer.int_param(0, _ADD)
    if len(site.bottoms) == 1:
        return _with_scalar(site, operation)
    if operation in (_ADD, _SUB, _MAX, _MIN, _RSUB):
        return _joined(site)
    if operation == _MUL:
        return _product(site)
    if operation in (_DIV, _RDIV):
        return _scaled_by(site, 1 if operation == _DIV else 0)
    return frozen(site, "BinaryOp")


def _with_scalar(site: Site, operation: int) -> Sequence[Labels]:
    scalar = site.layer.float_param(2, 0.0)
    linear = operation in (_MUL, _DIV)
    if linear or (scalar == 0 and operation in (_ADD, _SUB, _RSUB, _MAX, _MIN)):
        return _elementwise(site)
    return frozen(site, "BinaryOp with a scalar")


def _eltwise(site: Site) -> Sequence[Labels]:
    return (_product if site.layer.int_param(0, 0) == _PROD else _joined)(site)


def _joined(site: Site) -> Sequence[Labels]:
    shape = site.shapes[0]
    first, *others = (_fitted(labels, shape) for labels in site.bottoms)
    for other in others:
        site.classes.join(first, other)
    return [first]


def _product(site: Site) -> Sequence[Labels]:
    """Let one operand pass; the others, the gates, are frozen if they are not yet."""
    free = [i for i, labels in enumerate(site.bottoms) if not site.classes.are_frozen(labels)]
    kept = max(free or [0], key=lambda i: (site.bottoms[i].size, -i))
    return _scaled_by(site, *(i for i in range(len(site.bottoms)) if i != kept))


def _scaled_by(site: Site, *gates: int) -> Sequence[Labels]:
    (kept,) = set(range(len(site.bottoms))) - set(gates)
    for gate in gates:
        site.classes.freeze(site.bottoms[gate], "gate of a product")
    return [_fitted(site.bottoms[kept], site.shapes[0])]


def _fitted(labels: Labels, shape: Shape) -> Labels:
    axes = expanded(labels.shape, shape, len(shape))
    return np.broadcast_to(labels.reshape(axes), shape)


HOMOGENEOUS_RULES: Final[Rules] = {
    **dict.fromkeys(("AbsVal", "Dropout", "PReLU", "ReLU"), _elementwise),
    **dict.fromkeys(("Pooling", "Interp"), _within_channels),
    "BinaryOp": _binary,
    "Clip": _clip,
    "Eltwise": _eltwise,
    "Padding": _padding,
    "Reduction": _reduction,
    "UnaryOp": _unary,
}
