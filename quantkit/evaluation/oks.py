"""Object keypoint similarity: how close two sets of keypoints are, as COCO measures it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

SIGMAS: Final = (
    np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000.0
)
"""How far apart two people annotate each of COCO's 17 keypoints, relative to the person's scale."""


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
    squared = ((keypoints - reference) ** 2).sum(axis=2)
    variances = (2 * SIGMAS) ** 2
    exponent = squared / variances / (areas[:, None] + np.spacing(1)) / 2
    similarity: Doubles = np.exp(-exponent).mean(axis=1)
    return similarity
