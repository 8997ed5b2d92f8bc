"""Activations, and what else changes each element by itself.

Facts: ncnn src/layer/{relu,clip,hardswish,..}.cpp and fused_activation.h.
"""

from collections.abc import Callable, Mapping
from typing import Final

from quantkit.model.param import Layer
from quantkit.tuning.distillation.layer_call import LayerCall, Operator, Tensor, one_top


def activated(call: LayerCall, x: Tensor) -> Tensor:
    """Apply the activation that is fused into a convolution or an inner product.

    Raises:
        InputError: Its number is not known.
    """
    kind = call.layer.int_param(9, 0)
    if kind not in _FUSED:
        message = f"the fused activation {kind} is not known"
        raise call.layer.error(message)
    return _FUSED[kind](call, x, call.layer.array_param(10))


def _leaky(call: LayerCall, x: Tensor, slope: float) -> Tensor:
    return call.functional.leaky_relu(x, slope) if slope else x.relu()


def _hard_swish(x: Tensor, alpha: float, beta: float) -> Tensor:
    return x * (x * alpha + beta).clamp(0, 1)


_FUSED: Final[Mapping[int, Callable[[LayerCall, Tensor, tuple[float, ...]], Tensor]]] = {
    0: lambda call, x, values: x,
    1: lambda call, x, values: x.relu(),
    2: lambda call, x, values: _leaky(call, x, values[0]),
    3: lambda call, x, values: x.clamp(values[0], values[1]),
    4: lambda call, x, values: x.sigmoid(),
    5: lambda call, x, values: call.functional.mish(x),
    6: lambda call, x, values: _hard_swish(x, values[0], values[1]),
}


def _clip(call: LayerCall) -> Tensor:
    low = call.layer.float_param(0, -3.4028235e38)
    return call.bottom.clamp(low, call.layer.float_param(1, 3.4028235e38))


def _hard_parameters(layer: Layer) -> tuple[float, float]:
    return layer.float_param(0, 0.2), layer.float_param(1, 0.5)


def _prelu(call: LayerCall) -> Tensor:
    slope = _by_channel(call, call.weights["slope"])
    return call.bottom.clamp(min=0) + slope * call.bottom.clamp(max=0)


def _batch_norm(call: LayerCall) -> Tensor:
    names = ("slope", "mean", "variance", "bias")
    slope, mean, variance, bias = (_by_channel(call, call.weights[name]) for name in names)
    deviation = (variance + call.layer.float_param(1, 0.0)).sqrt()
    return (call.bottom - mean) / deviation * slope + bias


def _scale(call: LayerCall) -> Tensor:
    if "scale" not in call.weights:
        return call.bottom * _by_channel(call, call.bottoms[1].reshape(-1))
    scaled = call.bottom * _by_channel(call, call.weights["scale"])
    return scaled + _by_channel(call, call.weights["bias"]) if "bias" in call.weights else scaled


def _by_channel(call: LayerCall, values: Tensor) -> Tensor:
    return values.reshape(-1, *(1,) * (call.bottom.dim() - 2))


def _copies(call: LayerCall) -> list[Tensor]:
    return [call.bottom] * len(call.layer.tops)


ELEMENTWISE: Final[Mapping[str, Operator]] = {
    "BatchNorm": one_top(_batch_norm),
    "Clip": one_top(_clip),
    "Dropout": one_top(lambda call: call.bottom * call.layer.float_param(0, 1.0)),
    "HardSigmoid": one_top(
        lambda call: (
            call.bottom * _hard_parameters(call.layer)[0] + _hard_parameters(call.layer)[1]
        ).clamp(0, 1)
    ),
    "HardSwish": one_top(lambda call: _hard_swish(call.bottom, *_hard_parameters(call.layer))),
    "Noop": _copies,
    "PReLU": one_top(_prelu),
    "ReLU": one_top(lambda call: _leaky(call, call.bottom, call.layer.float_param(0, 0.0))),
    "Scale": one_top(_scale),
    "Sigmoid": one_top(lambda call: call.bottom.sigmoid()),
    "Softmax": one_top(lambda call: call.bottom.softmax(call.axis(0))),
    "Split": _copies,
    "Swish": one_top(lambda call: call.functional.silu(call.bottom)),
    "TanH": one_top(lambda call: call.bottom.tanh()),
}
