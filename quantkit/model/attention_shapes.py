"""Output shapes of matrix products, attention and recurrence.

Facts: ncnn src/layer/{gemm,matmul,multiheadattention,sdpa,lstm,embed}.cpp.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from quantkit.model.param import Layer
from quantkit.model.shape_rule import Misfit, Rule, Shape, Shapes, one_to_one


def gemm_size(layer: Layer, bottoms: Shapes) -> tuple[int, int, int]:
    """Find M, N and K of a Gemm, whose operands may be weights."""
    blobs = iter(bottoms)
    rows, inner = layer.int_param(7, 0), layer.int_param(9, 0)
    columns = layer.int_param(8, 0)
    if not layer.int_param(4, 0):
        first = _row(next(blobs))
        rows, inner = (first[-1], first[0]) if layer.int_param(2, 0) else (first[0], first[-1])
    if not layer.int_param(5, 0):
        second = _row(next(blobs))
        columns = second[0] if layer.int_param(3, 0) else second[-1]
    return rows, columns, inner


def gemm_inner(layer: Layer, operand: Shape) -> int:
    """Find K, as the operand has it that is no weight where the other one is."""
    operand = _row(operand)
    if layer.int_param(4, 0):
        return operand[-1] if layer.int_param(3, 0) else operand[0]
    return operand[0] if layer.int_param(2, 0) else operand[-1]


def _row(shape: Shape) -> Shape:
    """Take a vector for a matrix of one row."""
    return (1, *shape) if len(shape) == 1 else shape


def _gemm(layer: Layer, bottoms: Shapes) -> Shapes:
    if layer.int_param(11, 0):
        message = "a 3-D output is not supported"
        raise ValueError(message)
    rows, columns, _ = gemm_size(layer, bottoms)
    return [(columns, rows) if layer.int_param(14, 0) else (rows, columns)]


def _matmul(layer: Layer, bottoms: Shapes) -> Shapes:
    first, second = bottoms
    if len(second) > 1 and layer.int_param(0, 0):
        second = (*second[:-2], second[-1], second[-2])
    if first[-1] != second[max(len(second) - 2, 0)]:
        message = f"cannot be multiplied: {bottoms}"
        raise Misfit(message)
    outer = np.broadcast_shapes(first[:-2], second[:-2])
    rows, columns = first[-2:-1], second[-1:] if len(second) > 1 else ()
    return [(*outer, *rows, *columns) or (1,)]


def _multi_head(layer: Layer, bottoms: Shapes) -> Shapes:
    return [(bottoms[0][0], layer.int_param(2, 0) // layer.int_param(0, 0))]


def _sdpa(layer: Layer, bottoms: Shapes) -> Shapes:
    return [(*bottoms[0][:-1], bottoms[2][-1])]


def _recurrent(layer: Layer, bottom: Shape) -> Shape:
    return bottom[0], layer.int_param(0, 0) * (2 if layer.int_param(2, 0) == 2 else 1)


def _embed(layer: Layer, bottom: Shape) -> Shape:
    return (*bottom, layer.int_param(0, 0))


ATTENTION_RULES: Final[Mapping[str, Rule]] = {
    "Embed": one_to_one(_embed),
    "GRU": one_to_one(_recurrent),
    "Gemm": _gemm,
    "LSTM": one_to_one(_recurrent),
    "MatMul": _matmul,
    "MultiHeadAttention": _multi_head,
    "RNN": one_to_one(_recurrent),
    "SDPA": _sdpa,
}
