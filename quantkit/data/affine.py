"""From a person's box to the affine map that cuts it out, equal to MMPose 1.3.2's to the bit.

The steps in float32 and those in float64 are the ones of mmpose/structures/bbox/transforms.py and
mmpose/datasets/transforms/topdown_transforms.py under numpy 1.26, written so that numpy 2, whose
scalars promote differently, gives the same bits.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Box = tuple[float, float, float, float]
Size = tuple[int, int]


def center_and_scale(box: Box, size: Size, padding: float) -> tuple[Array, Array]:
    """Centre and extent of the crop around a box: padded, then widened to the input's aspect.

    Args:
        box: x1, y1, x2, y2 in image pixels.
        size: Width and height of the network's input.
        padding: Factor by which the box is widened.

    Returns:
        x, y of the centre and width, height of the crop, in image pixels.

    Example:
        >>> center_and_scale((0, 0, 20, 80), (192, 256), 1.25)
        (array([10., 40.], dtype=float32), array([ 75., 100.], dtype=float32))
    """
    corners = np.array(box, np.float32)
    center = (corners[2:] + corners[:2]) * np.float32(0.5)
    width, height = (corners[2:] - corners[:2]) * np.float32(padding)
    aspect = np.float32(size[0] / size[1])
    if width > height * aspect:
        height = width / aspect
    else:
        width = height * aspect
    return center, np.array((width, height), np.float32)


def warp_matrix(center: Array, scale: Array, size: Size) -> NDArray[np.float64]:
    """Map the crop's centre and left edge to those of the input (get_warp_matrix, no rotation).

    Args:
        center: x, y of the crop's centre in image pixels, shape (2,).
        scale: Width and height of the crop in image pixels, shape (2,).
        size: Width and height of the network's input.

    Returns:
        Matrix of shape (2, 3) from image to input pixels.
    """
    left = np.array((float(center[0]) - 0.5 * float(scale[0]), center[1]), np.float32)
    source = np.stack((center, left, _turned(center, left)))
    middle = np.array((size[0] * 0.5, size[1] * 0.5), np.float32)
    edge = np.array((0.0, middle[1]), np.float32)
    target = np.stack((middle, edge, _turned(middle, edge)))
    return np.asarray(cv2.getAffineTransform(source, target), np.float64)


def udp_warp_matrix(center: Array, scale: Array, size: Size) -> Array:
    """Map the crop's first and last pixel centres to those of the input (get_udp_warp_matrix).

    Args:
        center: x, y of the crop's centre in image pixels, shape (2,).
        scale: Width and height of the crop in image pixels, shape (2,).
        size: Width and height of the network's input.

    Returns:
        Matrix of shape (2, 3) from image to input pixels.
    """
    matrix = np.zeros((2, 3), np.float32)
    for axis in (0, 1):
        extent = float(scale[axis])
        factor = (size[axis] - 1) / extent
        matrix[axis, axis] = factor
        matrix[axis, 2] = factor * (0.5 * extent - float(center[axis]))
    return matrix


def _turned(center: Array, edge: Array) -> Array:
    """The centre, turned by a quarter around the edge point: the third pair of an affine map."""
    across = center - edge
    return edge + np.array((-across[1], across[0]), np.float32)
