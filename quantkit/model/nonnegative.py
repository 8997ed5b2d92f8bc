"""Which blobs hold no negative value, whatever the input of the network is."""

from collections.abc import Set as AbstractSet
from typing import Final

from quantkit.model.param import Layer, Param

_FUSED: Final = """
    Convolution ConvolutionDepthWise Convolution1D ConvolutionDepthWise1D InnerProduct
    Deconvolution DeconvolutionDepthWise DeformableConv2D
"""
_ALWAYS: Final = "AbsVal Exp HardSigmoid Sigmoid Softmax"
_KEPT: Final = """
    Cast Concat Crop DeepCopy Dropout ExpandDims Flatten Flip Noop Permute Pooling Reorg Reshape
    ShuffleChannel Slice Split Squeeze
    Clip HardSwish Swish ReLU
"""
_RELU, _CLIP, _SIGMOID = 1, 3, 4
_ADD, _MUL, _MAX, _MIN = 0, 2, 4, 5
_BICUBIC: Final = 3


def nonnegative_blobs(param: Param) -> frozenset[str]:
    r"""Prove from the graph alone which blobs are never negative.

    Args:
        param: The graph.

    Returns:
        Names of blobs behind a ReLU, a Sigmoid and the like, and of what is only moved, added,
        pooled or interpolated from such blobs.

    Example:
        >>> from quantkit.model.param import parse_param
        >>> text = "7767517\n2 2\nInput in 0 1 a\nReLU r 1 1 a b\n"
        >>> sorted(nonnegative_blobs(parse_param(text)))
        ['b']
    """
    proven: set[str] = set()
    for layer in param.layers:
        if _is_nonnegative(layer, proven):
            proven.update(layer.tops)
    return frozenset(proven)


def _is_nonnegative(layer: Layer, proven: AbstractSet[str]) -> bool:
    if layer.type in _ALWAYS.split():
        return True
    if layer.type in _FUSED.split():
        return _activated(layer)
    if (layer.type, layer.float_param(0, 0.0)) == ("ReLU", 0.0):
        return True
    if layer.type == "Clip" and layer.float_param(0, -1.0) >= 0:
        return True
    return _all(layer, proven) and _keeps(layer)


def _activated(layer: Layer) -> bool:
    kind = layer.int_param(9, 0)
    if kind == _CLIP:
        bounds = layer.array_param(10)
        return bool(bounds) and bounds[0] >= 0
    return kind in (_RELU, _SIGMOID)


def _keeps(layer: Layer) -> bool:
    """Tell whether a layer makes no negative value of values that are not negative."""
    if layer.type == "BinaryOp":
        scalar = layer.int_param(1, 0) == 0 or layer.float_param(2, 0.0) >= 0
        return scalar and layer.int_param(0, 0) in (_ADD, _MUL, _MAX, _MIN)
    if layer.type == "Eltwise":
        return not layer.array_param(1) or min(layer.array_param(1)) >= 0
    if layer.type == "Interp":
        return layer.int_param(0, 0) != _BICUBIC
    if layer.type == "Padding":
        return layer.float_param(5, 0.0) >= 0 and len(layer.bottoms) == 1
    return layer.type in _KEPT.split()


def _all(layer: Layer, proven: AbstractSet[str]) -> bool:
    return bool(layer.bottoms) and all(blob in proven for blob in layer.bottoms)
