"""Keypoints from one classification along x and one along y.

Equal to MMPose 1.3.2's SimCCLabel (mmpose/codecs/simcc_label.py, codecs/utils/post_processing.py).
Li et al., SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation, ECCV
2022.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def simcc_maxima(along_x: Array, along_y: Array, split_ratio: float) -> tuple[Array, Array]:
    """Find the highest bin along x and along y of every keypoint.

    Args:
        along_x: Shape (keypoints, input width * split ratio).
        along_y: Shape (keypoints, input height * split ratio).
        split_ratio: Bins per input pixel.

    Returns:
        x, y in input pixels, shape (keypoints, 2); and the smaller of the two maxima, shape
        (keypoints,). Where that is not positive the bins count as -1.

    Example:
        >>> simcc_maxima(np.eye(2, 8, 2, np.float32), np.eye(2, 6, 1, np.float32), 2.0)
        (array([[1. , 0.5],
               [1.5, 1. ]], dtype=float32), array([1., 1.], dtype=float32))
    """
    bins = np.stack((along_x.argmax(axis=1), along_y.argmax(axis=1)), axis=1).astype(np.float32)
    scores = np.minimum(along_x.max(axis=1), along_y.max(axis=1))
    bins[scores <= 0] = -1
    return bins / np.float32(split_ratio), scores
