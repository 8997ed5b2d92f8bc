"""Keypoints from one classification along x and one along y.

Equal to MMPose 1.3.2's SimCCLabel (mmpose/codecs/simcc_label.py, codecs/utils/refinement.py and
post_processing.py). Li et al., SimCC: a Simple Coordinate Classification Perspective for Human Pose
Estimation, ECCV 2022.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def simcc_maxima(along_x: Array, along_y: Array) -> tuple[Array, Array]:
    """Find the highest bin along x and along y of every keypoint.

    Args:
        along_x: Shape (keypoints, input width * split ratio).
        along_y: Shape (keypoints, input height * split ratio).

    Returns:
        The bins along x, y, shape (keypoints, 2); and the smaller of the two maxima, shape
        (keypoints,). Where that is not positive the bins count as -1.

    Example:
        >>> simcc_maxima(np.eye(2, 8, 2, np.float32), np.eye(2, 6, 1, np.float32))
        (array([[2., 1.],
               [3., 2.]], dtype=float32), array([1., 1.], dtype=float32))
    """
    bins = np.stack((along_x.argmax(axis=1), along_y.argmax(axis=1)), axis=1).astype(np.float32)
    scores = np.minimum(along_x.max(axis=1), along_y.max(axis=1))
    bins[scores <= 0] = -1
    return bins, scores


def refine_simcc(bins: Array, values: Array, sigma: float) -> Array:
    """Refine maxima along one axis by a Taylor expansion of the smoothed logarithm (DARK).

    Args:
        bins: The highest bins, shape (keypoints,).
        values: Shape (keypoints, bins).
        sigma: Of the Gaussians that the network was trained on, in bins.

    Returns:
        Refined positions in bins, same shape as `bins`; NaN where the smoothed maximum is zero.
    """
    logarithm = np.log(np.clip(_smoothed(values, dark_kernel(sigma)), 1e-3, 50.0))
    padded = np.pad(logarithm, ((0, 0), (2, 2)), mode="edge")
    keypoint, place = np.arange(len(values)), bins.astype(np.int64) + 2

    def at(step: int) -> Array:
        # Without a maximum the bin is -1, and MMPose goes on to the last one from there.
        return np.asarray(padded[keypoint, place + step])

    first = np.float32(0.5) * (at(1) - at(-1))
    second = np.float32(1e-9) + np.float32(0.25) * (at(2) - 2 * at(0) + at(-2))
    refined: Array = bins - first / second
    return refined


def dark_kernel(sigma: float) -> int:
    """Size in bins of the Gaussian that MMPose smooths with, odd.

    Example:
        >>> dark_kernel(4.9), dark_kernel(6.0)
        (29, 37)
    """
    size = int((sigma * 20 - 7) // 3)
    return size - (size % 2 == 0)


def _smoothed(values: Array, kernel: int) -> Array:
    border = (kernel - 1) // 2
    padded = np.pad(values, ((0, 0), (border, border)))
    blurred = cv2.GaussianBlur(padded, (kernel, 1), 0)[:, border:-border]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(blurred * (values.max(axis=1) / blurred.max(axis=1))[:, None], np.float32)
