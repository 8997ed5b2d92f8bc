"""Layers that combine several blobs, or a blob and a number, element by element.

Facts: ncnn src/layer/{binaryop,eltwise}.cpp.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Final

from quantkit.model.shapes import expanded
from quantkit.tuning.distillation.layer_call import LayerCall, Operator, Tensor, one_top

_BINARY: Final[Mapping[int, Callable[[Tensor, Tensor], Tensor]]] = {
    0: lambda a, b: a + b,
    1: lambda a, b: a - b,
    2: lambda a, b: a * b,
    3: lambda a, b: a / b,
    4: lambda a, b: a.maximum(b),
    5: lambda a, b: a.minimum(b),
    6: lambda a, b: a**b,
    7: lambda a, b: b - a,
    8: lambda a, b: b / a,
}


def _binary(call: LayerCall) -> Tensor:
    kind = call.layer.int_param(0, 0)
    if kind not in _BINARY:
        message = f"the operation {kind} is not known"
        raise call.layer.error(message)
    if len(call.bottoms) == 1:
        number = call.torch.tensor(call.layer.float_param(2, 0.0))
        return _BINARY[kind](call.bottom, number)
    first, second = call.bottoms
    return _BINARY[kind](_broadcast(first, second), _broadcast(second, first))


def _broadcast(x: Tensor, other: Tensor) -> Tensor:
    rank = max(x.dim(), other.dim()) - 1
    shape = expanded(tuple(x.shape[1:]), tuple(other.shape[1:]), rank)
    return x.reshape(x.shape[0], *shape)


def _eltwise(call: LayerCall) -> Tensor:
    kind = call.layer.int_param(0, 0)
    if kind == 1:
        factors = call.layer.array_param(1) or (1.0,) * len(call.bottoms)
        return sum(x * factor for x, factor in zip(call.bottoms, factors, strict=True))
    return reduce(_BINARY[2] if kind == 0 else _BINARY[4], call.bottoms)


COMBINING: Final[Mapping[str, Operator]] = {
    "BinaryOp": one_top(_binary),
    "Eltwise": one_top(_eltwise),
}
