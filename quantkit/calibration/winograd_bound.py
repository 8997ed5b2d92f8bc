"""How many levels 3x3 weights may have before ncnn's int8 Winograd F43 can overflow.

F43 computes 576 times the sum of products in 32 bits. Its transforms and sums may wrap around on
the way, but wrapping is arithmetic modulo 2^32: the result is right exactly when 576 times the
sum of the direct convolution fits. That sum is bounded by the integer weights alone, since an
int8 input is at most 127. Source: ncnn src/layer/x86/convolution_3x3_winograd_int8.h, the same
in the arm, loongarch and mips ones. (Between 1,864,135 and 2^21 an odd sum can come out one
nearer to zero, because the division by 576 is done in float32: a relative error of 5e-7.)
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.table_lines import printed
from quantkit.calibration.weight_integers import to_int8
from quantkit.model.param import Layer

MOST_EXACT: Final = (2**31 - 1) // 576
"""Largest sum of products that F43 gets right: 3,728,270."""
MOST_LEVELS: Final = 127
FEWEST_LEVELS: Final = 31
"""What ncnn2table gives to every layer that may run as Winograd."""


def may_run_winograd(layer: Layer) -> bool:
    """Tell whether ncnn may run a layer as Winograd: a 3x3 Convolution, stride and dilation 1."""
    if layer.type != "Convolution":
        return False
    sizes = (layer.int_param(n + 10, layer.int_param(n, 1)) for n in (1, 2, 3))
    widths = (layer.int_param(n, 1) for n in (1, 2, 3))
    return (*widths, *sizes) == (3, 1, 1, 3, 1, 1)


def largest_sums(integers: NDArray[np.int8], *, nonnegative: bool = False) -> NDArray[np.int64]:
    """Bound the sums of products over all int8 inputs; the bound is reached by one of them.

    Args:
        integers: Integer weights, the output channel outermost.
        nonnegative: Whether the input is never negative, as behind a ReLU.

    Returns:
        Largest absolute sum by output channel.

    Example:
        >>> weights = np.array([[3, -4], [1, 2]], np.int8)
        >>> largest_sums(weights).tolist(), largest_sums(weights, nonnegative=True).tolist()
        ([889, 381], [508, 381])
    """
    rows = integers.reshape(len(integers), -1)
    positive = np.maximum(rows, 0).sum(axis=1, dtype=np.int64)
    negative = positive - rows.sum(axis=1, dtype=np.int64)
    sums = np.maximum(positive, negative) if nonnegative else positive + negative
    return np.asarray(127 * sums, np.int64)


def bounded_levels(rows: NDArray[np.float32], *, nonnegative: bool = False) -> NDArray[np.int64]:
    """Choose for each output channel the most levels with which F43 cannot overflow.

    Args:
        rows: Weights of shape (output channels, weights of one), finite.
        nonnegative: Whether the layer's input is never negative.

    Returns:
        The integer that the largest weight of each channel becomes: 127 where that is safe, never
        less than 31, which is not proven to be safe for very wide layers.
    """
    absmax = np.abs(rows).max(axis=1)
    levels = np.full(len(rows), MOST_LEVELS, np.int64)
    due = np.arange(len(rows))
    while due.size:
        sums = _sums(rows[due], absmax[due], levels[due], nonnegative)
        beyond = (sums > MOST_EXACT) & (levels[due] > FEWEST_LEVELS)
        due, sums = due[beyond], sums[beyond]
        # Rounding makes the sum only nearly proportional, so the choice is looked at again.
        wanted = levels[due] * MOST_EXACT // np.maximum(sums, 1)
        levels[due] = np.clip(wanted, FEWEST_LEVELS, levels[due] - 1)
    return levels


def unproven_channels(
    rows: NDArray[np.float32], levels: NDArray[np.int64], *, nonnegative: bool = False
) -> tuple[int, ...]:
    """Find the output channels whose sums could overflow with these levels."""
    sums = _sums(rows, np.abs(rows).max(axis=1), levels, nonnegative)
    return tuple(map(int, np.flatnonzero(sums > MOST_EXACT)))


def _sums(
    rows: NDArray[np.float32],
    absmax: NDArray[np.float32],
    levels: NDArray[np.int64],
    nonnegative: bool,
) -> NDArray[np.int64]:
    with np.errstate(divide="ignore", over="ignore"):
        scales = levels.astype(np.float32) / absmax
    scales[~np.isfinite(scales)] = 1
    as_read = np.array([printed(float(scale)) for scale in scales], np.float32)
    return largest_sums(to_int8(rows, as_read).reshape(rows.shape), nonnegative=nonnegative)
