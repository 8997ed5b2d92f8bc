"""The scales that ncnn2table's `eq` tries: steps from half to twice of the one it starts from."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.table_lines import printed
from quantkit.calibration.weight_integers import to_int8
from quantkit.calibration.winograd_bound import MOST_EXACT, largest_sums, may_run_winograd
from quantkit.model.param import Layer

Floats = NDArray[np.float64]
STEPS: Final = 100
_LOWEST, _HIGHEST = np.float32(0.5), np.float32(2)


def grid(starts: Sequence[float], steps: int = STEPS) -> Floats:
    """List the scales to try, each as a table keeps it.

    Args:
        starts: The scales to start from.
        steps: How many to try; the last is one step short of twice the start, as in ncnn2table.

    Returns:
        Shape (1 + steps, scales). The first row is the start itself, which ncnn2table does not
        try; it also stands where a table could not hold the scale.

    Example:
        >>> grid([8.0], steps=3).tolist()
        [[8.0], [4.0], [8.0], [12.0]]
    """
    start = np.array(starts, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        step = (start * _HIGHEST - start * _LOWEST) / np.float32(steps)
        tried = start * _LOWEST + np.arange(steps, dtype=np.float32)[:, None] * step
    kept = np.array([[printed(scale) for scale in row] for row in tried.tolist()], np.float64)
    possible = (kept > 0) & (kept <= np.finfo(np.float32).max)
    return np.vstack([starts, np.where(possible, kept, starts)])


def weight_grid(
    layer: Layer,
    rows: NDArray[np.float32],
    starts: Sequence[float],
    steps: int = STEPS,
    *,
    nonnegative: bool = False,
) -> Floats:
    """List the weight scales to try.

    A channel without weights keeps its scale. A 3x3 layer that may run as Winograd F43 starts from
    31 levels; it gets a larger scale only where its sums are then still proven to fit in 32 bits.

    Args:
        layer: A Convolution, ConvolutionDepthWise or InnerProduct.
        rows: Its weights, shape (scales, weights of one).
        starts: Its weight scales.
        steps: How many to try.
        nonnegative: Whether its input is never negative.

    Returns:
        Shape (1 + steps, scales), as `grid`.
    """
    tried = grid(starts, steps)
    dead = ~rows.any(axis=1)
    tried[:, dead] = tried[0, dead]
    if may_run_winograd(layer):
        for row in tried[1:]:
            integers = to_int8(rows.reshape(-1), row.astype(np.float32)).reshape(rows.shape)
            sums = largest_sums(integers, nonnegative=nonnegative)
            beyond = (sums > MOST_EXACT) & (row > tried[0])
            row[beyond] = tried[0, beyond]
    return tried
