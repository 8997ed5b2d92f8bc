"""Multiply-accumulate operations of each layer."""

import math
from collections.abc import Mapping

from quantkit.model.attention_shapes import gemm_size
from quantkit.model.param import Layer
from quantkit.model.shape_rule import Shape


def macs(layer: Layer, shapes: Mapping[str, Shape]) -> int:
    """Count the multiply-accumulates of one layer; element-wise layers count as none.

    Args:
        layer: The layer.
        shapes: Shape by blob name, as from `blob_shapes`.

    Example:
        >>> conv = Layer("Convolution", "c", ("a",), ("b",), {0: "8", 1: "3", 6: "216"})
        >>> macs(conv, {"a": (3, 10, 10), "b": (8, 8, 8)})
        13824
    """
    bottoms = [shapes[blob] for blob in layer.bottoms]
    if layer.type.startswith("Convolution"):
        return layer.int_param(6, 0) * math.prod(shapes[layer.tops[0]][1:])
    if layer.type.startswith("Deconvolution"):
        return layer.int_param(6, 0) * math.prod(bottoms[0][1:])
    if layer.type == "InnerProduct":
        return layer.int_param(2, 0) * math.prod(shapes[layer.tops[0]][:-1])
    if layer.type == "Gemm":
        return math.prod(gemm_size(layer, bottoms))
    if layer.type == "MatMul":
        return math.prod(shapes[layer.tops[0]]) * bottoms[0][-1]
    if layer.type == "MultiHeadAttention":
        return _attention_macs(layer, bottoms)
    return 0


def total_macs(layers: tuple[Layer, ...], shapes: Mapping[str, Shape]) -> int:
    """Count the multiply-accumulates of all layers."""
    return sum(macs(layer, shapes) for layer in layers)


def _attention_macs(layer: Layer, bottoms: list[Shape]) -> int:
    width = layer.int_param(0, 0)
    query, key = bottoms[0][0], bottoms[min(1, len(bottoms) - 1)][0]
    outer = layer.int_param(2, 0) // width
    inner = layer.int_param(3, width) + layer.int_param(4, width)
    return width * (2 * query * outer + key * inner + 2 * query * key)
