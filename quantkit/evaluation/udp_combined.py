"""Keypoints from a map of classes and two of offsets each.

Equal to MMPose 1.3.2's UDPHeatmap of type combined (mmpose/codecs/udp_heatmap.py). Huang et al.,
The Devil is in the Details, CVPR 2020.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.evaluation.heatmap import maxima

Array = NDArray[np.float32]


def udp_combined_maxima(maps: Array, kernel: int, radius_factor: float) -> tuple[Array, Array]:
    """Find the highest pixel of every smoothed class map and move it by the offsets there.

    Args:
        maps: Class, offset along x, offset along y of each keypoint in turn, shape
            (3 * keypoints, height, width). Offsets are in radii.
        kernel: `blur_kernel_size` of the codec; the Gaussian has twice its size and one pixel.
        radius_factor: A radius in lengths of the heatmap's longer side.

    Returns:
        x, y in heatmap pixels, shape (keypoints, 2); and the smoothed maxima, shape (keypoints,).
    """
    size = 2 * kernel + 1
    classes = np.stack([cv2.GaussianBlur(one, (size, size), 0) for one in maps[::3]])
    positions, scores = maxima(classes)
    count, height, width = classes.shape
    x, y = positions.astype(np.int64).T
    # Where no pixel is positive x, y are -1, and MMPose takes the offsets of what lies there.
    index = x + y * width + height * width * np.arange(count)
    offsets = np.stack((maps[1::3].ravel()[index], maps[2::3].ravel()[index]), axis=1)
    moved: Array = positions + offsets * np.float32(radius_factor * max(width, height))
    return moved, scores
