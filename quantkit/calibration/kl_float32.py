"""One divergence with the roundings of ncnn2table, which decide between near-ties."""

import numpy as np
from numpy.typing import NDArray

_LEVELS = 128
_EPSILON = np.float32(1e-4)


def divergence_float32(share: NDArray[np.float32], cut: int) -> float:
    """Compute the divergence at one cut, every sum taken in ncnn2table's order in float32.

    Args:
        share: The histogram divided by its sum, shape (2048,).
        cut: Number of bins that are kept, 128 to 2047.
    """
    clipped = share[:cut] + _EPSILON
    clipped[-1] = _sum(clipped[-1:], share[cut:])
    expanded = _expanded(share, cut)
    # logf is all but correctly rounded; numpy's float32 logarithm is not.
    ratio = np.log((clipped / expanded).astype(np.float64)).astype(np.float32)
    return float(_sum(clipped * ratio))


def _expanded(share: NDArray[np.float32], cut: int) -> NDArray[np.float32]:
    edges = np.arange(_LEVELS + 1) * (cut / _LEVELS)
    lower = np.floor(edges).astype(np.intp)
    right = (edges - lower).astype(np.float32)
    upper = np.ceil(edges).astype(np.intp)
    left = (upper - edges).astype(np.float32)
    level = _levels(share, lower, upper, left, right)
    expanded = _EPSILON + np.repeat(level, np.maximum(np.diff(lower), 0))[:cut]
    divided = np.flatnonzero(right[1:-1] > 0) + 1
    expanded[lower[divided]] = (_EPSILON + right[divided] * level[divided - 1]) + (
        left[divided] * level[divided]
    )
    return np.asarray(expanded, np.float32)


def _levels(
    share: NDArray[np.float32],
    lower: NDArray[np.intp],
    upper: NDArray[np.intp],
    left: NDArray[np.float32],
    right: NDArray[np.float32],
) -> NDArray[np.float32]:
    total = left[:-1] * share[upper[:-1] - 1]
    total = total + right[1:] * share[lower[1:]]
    for step in range(int((lower[1:] - upper[:-1]).max())):
        inner = upper[:-1] + step
        has = inner < lower[1:]
        total[has] += share[inner[has]]
    whole = (lower[1:] - upper[:-1]).astype(np.float32)
    return np.asarray(total / (whole + left[:-1] + right[1:]), np.float32)


def _sum(*parts: NDArray[np.float32]) -> np.float32:
    # cumsum adds one by one, as a loop does; sum adds in pairs.
    return np.float32(np.cumsum(np.concatenate(parts), dtype=np.float32)[-1])
