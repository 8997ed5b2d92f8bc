"""Object keypoint similarity: how close two sets of keypoints are, as COCO measures it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

SIGMAS: Final = (
    np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000.0
)
"""How far apart two people annotate each of COCO's 17 keypoints, relative to the person's scale."""


KEYPOINT_NAMES: Final = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""COCO's 17 keypoints, in its order."""


def keypoint_names(count: int) -> Sequence[str]:
    """Name keypoints: COCO's 17 by its names, any other number by their place from 0.

    Example:
        >>> keypoint_names(17)[0], keypoint_names(21)[0]
        ('nose', '0')
    """
    return KEYPOINT_NAMES if count == len(KEYPOINT_NAMES) else [str(k) for k in range(count)]


def oks(keypoints: Doubles, reference: Doubles, areas: Doubles) -> Doubles:
    """Similarity of two sets of keypoints, person by person: exp(-d^2 / (2 area (2 sigma)^2)).

    The mean is over all 17 keypoints, with no regard to labels, so that it also compares two
    networks where nothing is labelled. Source: cocodataset.org/#keypoints-eval.

    Args:
        keypoints: x, y in image pixels, shape (N, 17, 2).
        reference: The same persons' other keypoints, same shape.
        areas: Segment areas in square pixels, shape (N,).

    Returns:
        Shape (N,), from 0 (far apart) to 1 (equal).

    Example:
        >>> here = np.zeros((1, 17, 2))
        >>> float(oks(here, here, np.array([100.0]))[0])
        1.0
        >>> there = here + np.array([3.0, 0.0])
        >>> round(float(oks(here, there, np.array([100.0]))[0]), 3)
        0.138
    """
    similarity: Doubles = keypoint_similarity(keypoints, reference, areas).mean(axis=1)
    return similarity


def keypoint_similarity(keypoints: Doubles, reference: Doubles, areas: Doubles) -> Doubles:
    """Similarity of two sets of keypoints, keypoint by keypoint; its mean is the OKS.

    Args:
        keypoints: x, y in image pixels, shape (N, 17, 2).
        reference: The same persons' other keypoints, same shape.
        areas: Segment areas in square pixels, shape (N,).

    Returns:
        Shape (N, 17), from 0 (far apart) to 1 (equal).
    """
    squared = ((keypoints - reference) ** 2).sum(axis=2)
    variances = (2 * SIGMAS) ** 2
    exponent = squared / variances / (areas[:, None] + np.spacing(1)) / 2
    similarity: Doubles = np.exp(-exponent)
    return similarity
