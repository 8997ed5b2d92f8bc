"""Sub-pixel refinement of heatmap maxima by a Taylor expansion of the smoothed log-heatmap.

`refine_dark` equals MMPose 1.3.2's MSRAHeatmap with `unbiased=True`, `refine_udp` its UDPHeatmap
of type gaussian (mmpose/codecs/utils/refinement.py and post_processing.py). Zhang et al.,
Distribution-Aware Coordinate Representation for Human Pose Estimation, CVPR 2020; Huang et al., The
Devil is in the Details, CVPR 2020.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]


def refine_dark(positions: Array, heatmaps: Array, kernel: int) -> Array:
    """Refine maxima with derivatives taken over two pixels; those near the border stay.

    Args:
        positions: x, y of the maxima in heatmap pixels, shape (keypoints, 2).
        heatmaps: Shape (keypoints, height, width).
        kernel: Size of the Gaussian in pixels, odd: 11 for heatmaps trained with sigma 2.

    Returns:
        Refined positions, same shape.
    """
    logarithm = np.log(np.maximum(smoothed(heatmaps, kernel), np.float32(1e-10)))
    height, width = heatmaps.shape[1:]
    refined = positions.copy()
    x, y = positions.astype(np.int64).T
    (inner,) = np.nonzero((x > 1) & (x < width - 2) & (y > 1) & (y < height - 2))
    x, y = x[inner], y[inner]

    def at(dx: int, dy: int) -> Array:
        return np.asarray(logarithm[inner, y + dy, x + dx])

    first = np.stack((at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1))) * 0.5
    middle = 2.0 * at(0, 0).astype(np.float64)
    dxx = 0.25 * (at(2, 0) - middle + at(-2, 0))
    dyy = 0.25 * (at(0, 2) - middle + at(0, -2))
    dxy = 0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)).astype(np.float64)
    refined[inner] += _newton_step(first.astype(np.float64), dxx, dxy, dyy)
    return refined


def refine_udp(positions: Array, heatmaps: Array, kernel: int) -> Array:
    """Refine maxima with derivatives taken over one pixel, the border repeated.

    A heatmap of zeros has no logarithm that means anything: its position becomes NaN, as in MMPose.

    Args:
        positions: x, y of the maxima in heatmap pixels, shape (keypoints, 2).
        heatmaps: Shape (keypoints, height, width).
        kernel: Size of the Gaussian in pixels, odd.

    Returns:
        Refined positions, same shape.
    """
    count, height, width = heatmaps.shape
    logarithm = np.log(np.clip(smoothed(heatmaps, kernel), 1e-3, 50.0))
    flat = np.pad(logarithm, ((0, 0), (1, 1), (1, 1)), mode="edge").ravel()
    stride = width + 2
    x, y = positions.astype(np.int64).T
    start = x + 1 + (y + 1) * stride + stride * (height + 2) * np.arange(count)

    def at(dx: int, dy: int) -> Array:
        return np.asarray(flat[start + dx + dy * stride])

    middle, right, left, below, above = at(0, 0), at(1, 0), at(-1, 0), at(0, 1), at(0, -1)
    first = np.stack((right - left, below - above)) * np.float32(0.5)
    # The machine epsilon is MMPose's guard against a flat heatmap.
    epsilon = float(np.finfo(np.float32).eps)
    dxx = (right - 2 * middle + left).astype(np.float64) + epsilon
    dyy = (below - 2 * middle + above).astype(np.float64) + epsilon
    dxy = np.float32(0.5) * (at(1, 1) - right - below + middle + middle - left - above + at(-1, -1))
    refined: Array = positions + _newton_step(first.astype(np.float64), dxx, dxy, dyy)
    return refined.astype(np.float32)


def smoothed(heatmaps: Array, kernel: int) -> Array:
    """Blur each heatmap with a Gaussian, zeros around it, and give it its old maximum again.

    Args:
        heatmaps: Shape (keypoints, height, width).
        kernel: Size of the Gaussian in pixels, odd.

    Returns:
        A new array of the same shape; NaN where the blurred maximum is zero.
    """
    border = (kernel - 1) // 2
    padded = np.pad(heatmaps, ((0, 0), (border, border), (border, border)))
    inner = slice(border, -border)
    blurred = np.stack([cv2.GaussianBlur(one, (kernel, kernel), 0)[inner, inner] for one in padded])
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = heatmaps.max(axis=(1, 2)) / blurred.max(axis=(1, 2))
        return np.asarray(blurred * factor[:, None, None], np.float32)


def _newton_step(first: Doubles, dxx: Doubles, dxy: Doubles, dyy: Doubles) -> Doubles:
    """Minus the inverse Hessian times the gradient, per point; no step where it is singular."""
    hessian = np.stack((dxx, dxy, dxy, dyy), axis=1).reshape(-1, 2, 2)
    usable = dxx * dyy - dxy * dxy != 0
    step = np.zeros((len(hessian), 2))
    # Inverted by LAPACK as MMPose does: on a flat log-heatmap the step is all rounding.
    step[usable] = -np.einsum("imn,ni->im", np.linalg.inv(hessian[usable]), first[:, usable])
    return step
