"""GPTQ: weights rounded one column after another, each error made up for by those still to come.

Source: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers" (arXiv 2210.17323): columns in the order of falling curvature, errors handed on
through the Cholesky factor of the inverse Hessian, in blocks of columns.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.weight_integers import half_away

Floats = NDArray[np.float64]

DAMPING: Final = 0.01
"""What is added to the Hessian's diagonal, as a share of its mean."""
_LAZY = 64


def nearest(weights: Floats, levels: Floats | float) -> Floats:
    """Round scaled weights to the nearest integers, as `to_int8` does, within the levels."""
    rounded = half_away(weights.astype(np.float32))
    clipped: Floats = np.clip(rounded.astype(np.float64), -levels, levels)
    return clipped


def squared_error(weights: Floats, integers: Floats, hessian: Floats) -> Floats:
    """Give the squared error of the sums that rounding causes, for each row.

    Args:
        weights: Scaled weights, shape (blocks, rows, columns).
        integers: Their integers.
        hessian: Mean outer product of the inputs, shape (blocks, columns, columns).

    Returns:
        (weights - integers) hessian (weights - integers)^T, shape (blocks, rows).
    """
    off = weights - integers
    error: Floats = np.einsum("brk,brk->br", off @ hessian, off)
    return error


def gptq(weights: Floats, hessian: Floats, levels: Floats, damping: float = DAMPING) -> Floats:
    """Round so that the layer's output errs little, instead of each weight.

    Args:
        weights: Weights times their scales, shape (blocks, rows, columns); a block is what shares
            its inputs: one for a convolution, one a group for a depthwise one.
        hessian: Mean outer product of the inputs, shape (blocks, columns, columns).
        levels: Largest integer by row, shape (blocks, rows).
        damping: Share of the diagonal's mean that is added to it.

    Returns:
        Integers; a row that nearest rounding serves better has the nearest.

    Example:
        >>> weights, levels = np.array([[[0.4, 0.4]]]), np.array([[127.0]])
        >>> gptq(weights, np.eye(2)[None], levels).tolist()
        [[[0.0, 0.0]]]
        >>> gptq(weights, np.array([[[1.0, 0.9], [0.9, 1.0]]]), levels).tolist()
        [[[0.0, 1.0]]]
    """
    order = np.argsort(-np.einsum("bkk->bk", hessian), axis=1, kind="stable")
    sorted_weights = np.take_along_axis(weights, order[:, None, :], 2)
    rows = np.take_along_axis(hessian, order[:, :, None], 1)
    factor = _inverse_factor(np.take_along_axis(rows, order[:, None, :], 2), damping)
    found = np.empty_like(weights)
    np.put_along_axis(found, order[:, None, :], _columns(sorted_weights, factor, levels), 2)
    plain = nearest(weights, levels[:, :, None])
    better = squared_error(weights, found, hessian) < squared_error(weights, plain, hessian)
    chosen: Floats = np.where(better[:, :, None], found, plain)
    return chosen


def _inverse_factor(hessian: Floats, damping: float) -> Floats:
    """Upper triangular U with U^T U the inverse of the damped Hessian."""
    mean = np.einsum("bkk->b", hessian) / hessian.shape[1]
    added = np.where(mean > 0, damping * mean, 1.0)
    inverse = np.linalg.inv(hessian + added[:, None, None] * np.eye(hessian.shape[1]))
    factor = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2)
    upper: Floats = factor.transpose(0, 2, 1)
    return upper


def _columns(weights: Floats, factor: Floats, levels: Floats) -> Floats:
    left, found = weights.copy(), np.empty_like(weights)
    columns = weights.shape[2]
    for start in range(0, columns, _LAZY):
        end = min(start + _LAZY, columns)
        errors = np.empty((*weights.shape[:2], end - start))
        for column in range(start, end):
            value = left[:, :, column]
            integer = nearest(value, levels)
            error = (value - integer) / factor[:, None, column, column]
            left[:, :, column + 1 : end] -= (
                error[..., None] * factor[:, None, column, column + 1 : end]
            )
            found[:, :, column], errors[:, :, column - start] = integer, error
        left[:, :, end:] -= errors @ factor[:, start:end, end:]
    return found
