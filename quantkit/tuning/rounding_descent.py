"""Coordinate descent: single integers moved while the layer's output error falls.

What is sought is AdaRound's aim (Nagel et al., arXiv 2004.10568, eq. 13), the quadratic form of
the rounding errors; here it is lowered directly, from integers that are good already.
"""

import numpy as np

from quantkit.tuning.gptq import Floats


def descended(
    weights: Floats, integers: Floats, hessian: Floats, levels: Floats, sweeps: int
) -> Floats:
    """Move each integer in turn to where the error is least given all others.

    Args:
        weights: Scaled weights, shape (blocks, rows, columns).
        integers: Where to start.
        hessian: Mean outer product of the inputs, shape (blocks, columns, columns).
        levels: Largest integer by row, shape (blocks, rows).
        sweeps: How often to go over the columns; it ends when nothing moves.

    Returns:
        Integers whose `squared_error` is not larger in any row.

    Example:
        >>> weights, levels = np.array([[[0.4, 0.4]]]), np.array([[127.0]])
        >>> hessian = np.array([[[1.0, 0.9], [0.9, 1.0]]])
        >>> descended(weights, np.zeros((1, 1, 2)), hessian, levels, sweeps=2).tolist()
        [[[1.0, 0.0]]]
    """
    found = integers.copy()
    slope = (weights - found) @ hessian
    curvature = np.einsum("bkk->bk", hessian)
    curvature = np.where(curvature > 0, curvature, np.inf)
    for _ in range(sweeps):
        moved = False
        for column in range(weights.shape[2]):
            here = found[:, :, column]
            wanted = np.clip(
                here + np.rint(slope[:, :, column] / curvature[:, None, column]), -levels, levels
            )
            step = wanted - here
            if step.any():
                moved = True
                found[:, :, column] = wanted
                slope -= step[..., None] * hessian[:, None, column, :]
        if not moved:
            break
    return found
