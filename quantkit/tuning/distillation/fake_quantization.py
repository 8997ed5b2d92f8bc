"""Rounding as ncnn's int8 kernels do it, with a gradient.

The gradient of rounding is taken to be that of the identity (the straight-through estimator), and
a threshold gets the gradient of LSQ (Esser et al., arXiv 1902.08153, eq. 2 and 3).
"""

from functools import cache
from typing import Any, Final

from quantkit.tuning.distillation.layer_call import Tensor

LEVELS: Final = 127


def rounded(torch: Any, x: Tensor) -> Tensor:
    """Round half away from zero; the gradient passes unchanged.

    Source: ncnn src/layer/x86/quantize_x86.cpp.
    """
    return x + (_half_away(torch, x.detach()) - x).detach()


def fake_quantized(torch: Any, x: Tensor, threshold: Tensor) -> Tensor:
    """Round a blob to the 255 values that int8 has for it.

    Args:
        torch: The module.
        x: The blob.
        threshold: The absolute value that becomes 127; of shape (), or one that goes with the blob.
    """
    return _fake_quantization(torch).apply(x, threshold)


def _half_away(torch: Any, x: Tensor) -> Tensor:
    # Not trunc, which takes ten times as long as floor.
    return torch.copysign(x.abs().add_(0.5).floor_(), x)


@cache
def _fake_quantization(torch: Any) -> Any:
    """Make the function, which torch composed of its own steps would take 4 times as long for."""

    class FakeQuantization(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, x: Tensor, threshold: Tensor) -> Tensor:
            step = threshold / LEVELS
            found = _half_away(torch, x / step).clamp_(-LEVELS, LEVELS).mul_(step)
            context.save_for_backward(x, found, threshold)
            return found

        @staticmethod
        def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
            x, found, threshold = context.saved_tensors
            passed = gradient * (x.abs() <= threshold)
            # By the threshold: (found - x) / threshold inside, found / threshold outside.
            total = (gradient * found).sub_(passed * x).sum_to_size(threshold.shape)
            return passed, total / threshold

    return FakeQuantization
