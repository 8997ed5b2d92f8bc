"""Keypoints from heatmaps by their maximum and a quarter pixel towards the second maximum.

Equal to MMPose 1.3.2's MSRAHeatmap (mmpose/codecs/msra_heatmap.py, codecs/utils/refinement.py).
Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def maxima(heatmaps: Array) -> tuple[Array, Array]:
    """Find the highest pixel of every heatmap.

    Args:
        heatmaps: Shape (keypoints, height, width).

    Returns:
        x, y of the maxima in heatmap pixels, shape (keypoints, 2), both -1 where no pixel is
        positive; and the maxima themselves, shape (keypoints,).
    """
    count, _, width = heatmaps.shape
    flat = heatmaps.reshape(count, -1)
    best = flat.argmax(axis=1)
    values = flat[np.arange(count), best]
    positions = np.stack((best % width, best // width), axis=1).astype(np.float32)
    positions[values <= 0] = -1
    return positions, values


def quarter_shift(positions: Array, heatmaps: Array) -> Array:
    """Move maxima by a quarter pixel towards the higher neighbour, in x and in y.

    Maxima at the border, and as in MMPose the row and column after the first, stay in that axis.

    Args:
        positions: x, y in heatmap pixels, shape (keypoints, 2).
        heatmaps: Shape (keypoints, height, width).

    Returns:
        Moved positions, same shape.
    """
    _, height, width = heatmaps.shape
    x, y = positions.astype(np.int64).T
    inside_x = (x > 1) & (x < width - 1) & (y > 0) & (y < height)
    inside_y = (y > 1) & (y < height - 1) & (x > 0) & (x < width)
    shift = np.zeros_like(positions)
    keypoint = np.arange(len(heatmaps))
    # Points outside are masked; here they only must not index out of bounds.
    inner_x, inner_y = np.clip(x, 1, width - 2), np.clip(y, 1, height - 2)
    rise_x = heatmaps[keypoint, y, inner_x + 1] - heatmaps[keypoint, y, inner_x - 1]
    rise_y = heatmaps[keypoint, inner_y + 1, x] - heatmaps[keypoint, inner_y - 1, x]
    shift[:, 0] = np.where(inside_x, np.sign(rise_x), 0)
    shift[:, 1] = np.where(inside_y, np.sign(rise_y), 0)
    moved: Array = positions + np.float32(0.25) * shift
    return moved


def to_input_pixels(positions: Array, heatmaps: Array, size: tuple[int, int]) -> Array:
    """Scale heatmap pixels to input pixels, corner to corner.

    Args:
        positions: x, y in heatmap pixels, shape (keypoints, 2).
        heatmaps: Shape (keypoints, height, width).
        size: Width and height of the network's input.

    Returns:
        x, y in input pixels, same shape.
    """
    extent = np.array(heatmaps.shape[:0:-1])
    scaled: Array = positions * (np.array(size) / extent).astype(np.float32)
    return scaled
