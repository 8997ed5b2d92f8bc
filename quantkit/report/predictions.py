"""Predictions drawn on the persons they were made for, two networks side by side."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco import Person, PoseDataset
from quantkit.data.images import read_image
from quantkit.evaluation.oks import KEYPOINT_NAMES
from quantkit.evaluation.predictions import Predictions
from quantkit.report.captions import Image, png, strip

BONES = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (7, 9),
    (6, 8), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
"""Pairs of COCO keypoints that are joined."""

_LEFT, _RIGHT, _MIDDLE = (80, 220, 80), (60, 60, 240), (230, 160, 60)
_CONFIDENT = 0.2


def draw_predictions(
    dataset: PoseDataset,
    predictions: dict[str, Predictions],
    *,
    persons: Sequence[int],
    tile: int = 160,
) -> bytes:
    """Draw a row of persons for each network: left limbs green, right limbs red.

    Keypoints that are not COCO's 17 have no limbs here: they are dots.

    Args:
        dataset: The persons that all predictions were made for.
        predictions: Name of a network to its predictions.
        persons: Indices of the persons to draw.
        tile: Side of one person's square, in pixels.

    Returns:
        A PNG file; empty where there are no predictions.
    """
    rows: list[Image] = []
    for name, found in predictions.items():
        tiles = [
            _tile(dataset.persons[i], found.keypoints[i], found.scores[i], tile) for i in persons
        ]
        row = np.hstack(tiles)
        rows += [strip([name], row.shape[1]), row]
    return png(np.vstack(rows)) if rows else b""


def _tile(
    person: Person, keypoints: NDArray[np.float64], scores: NDArray[np.float32], side: int
) -> Image:
    left, top, right, bottom = person.box
    half = 0.6 * max(right - left, bottom - top)
    origin = np.array([(left + right) / 2 - half, (top + bottom) / 2 - half])
    factor = side / (2 * half)
    matrix = np.array([[factor, 0, -origin[0] * factor], [0, factor, -origin[1] * factor]])
    picture = cv2.warpAffine(read_image(person.image), matrix, (side, side)).astype(np.uint8)
    points = np.round((keypoints - origin) * factor).astype(int)
    for start, end in BONES if len(points) == len(KEYPOINT_NAMES) else ():
        if min(scores[start], scores[end]) > _CONFIDENT:
            color = _color(start, end)
            cv2.line(picture, tuple(points[start]), tuple(points[end]), color, 2, cv2.LINE_AA)
    for k in range(len(points)) if len(points) != len(KEYPOINT_NAMES) else ():
        if scores[k] > _CONFIDENT:
            cv2.circle(picture, tuple(points[k]), 2, _MIDDLE, cv2.FILLED, cv2.LINE_AA)
    return picture


def _color(start: int, end: int) -> tuple[int, int, int]:
    # COCO numbers left keypoints odd and right ones even, but for the nose.
    if start % 2 != end % 2 or 0 in (start, end):
        return _MIDDLE
    return _LEFT if start % 2 else _RIGHT
