"""Pictures side by side with their keypoints drawn on them, to be looked at."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from quantkit.demo.people import keypoints
from quantkit.demo.people.paint import Image
from quantkit.demo.people.rotation import Array
from quantkit.evaluation.oks import KEYPOINT_NAMES

_TILE: Final = 256
_LEFT, _RIGHT, _MIDDLE = (0, 220, 0), (60, 60, 255), (255, 200, 0)


def draw_keypoints(image: Image, points: Array) -> Image:
    """Draw one person's keypoints: left green, right red, hidden ones as rings.

    Args:
        image: BGR, shape (h, w, 3).
        points: Shape (17, 3): x, y and v.

    Returns:
        A drawn copy.
    """
    drawn = image.copy()
    spots = [tuple(np.rint(xy).astype(int).tolist()) for xy in points[:, :2]]
    for first, last in keypoints.SKELETON:
        if points[first - 1, 2] and points[last - 1, 2]:
            cv2.line(drawn, spots[first - 1], spots[last - 1], (200, 200, 200), 1, cv2.LINE_AA)
    for name, spot, v in zip(KEYPOINT_NAMES, spots, points[:, 2], strict=True):
        color = {"left": _LEFT, "right": _RIGHT}.get(name.partition("_")[0], _MIDDLE)
        if v:
            cv2.circle(drawn, spot, 2, color, -1 if v == 2 else 1, cv2.LINE_AA)
    return drawn


def contact_sheet(images: Sequence[Image], columns: int) -> Image:
    """Put pictures of any size up to 256 x 256 on one sheet, row by row."""
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * _TILE, columns * _TILE, 3), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * _TILE, i % columns * _TILE
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet
