"""How well heatmaps agree with annotations: a stand-in for COCO AP while the network is trained."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.demo.people.rotation import Array
from quantkit.demo.samples import INPUT_SIZE, Sample, centered
from quantkit.evaluation.heatmap import maxima, quarter_shift, to_input_pixels
from quantkit.evaluation.oks import SIGMAS

_THRESHOLDS: Final = np.arange(0.5, 0.96, 0.05)


def decoded(heatmaps: NDArray[np.float32], sample: Sample) -> Array:
    """Find one person's keypoints in the picture.

    Args:
        heatmaps: Of the crop that `centered` makes, shape (17, 32, 32).
        sample: The person.

    Returns:
        x, y in pixels of the picture, shape (17, 2).
    """
    positions = quarter_shift(maxima(heatmaps)[0], heatmaps)
    in_crop = to_input_pixels(positions, heatmaps, (INPUT_SIZE, INPUT_SIZE))
    _, matrix = centered(sample)
    return np.asarray((in_crop - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T, np.float64)


def keypoint_similarity(points: Array, sample: Sample) -> float:
    """Compute the object keypoint similarity (OKS) of one person over the labelled keypoints.

    Args:
        points: x, y in pixels of the picture, shape (17, 2).
        sample: The truth.
    """
    squared = ((points - sample.keypoints[:, :2]) ** 2).sum(axis=1)
    similar = np.exp(-squared / (2 * (2 * SIGMAS) ** 2 * sample.area))
    return float(similar[sample.keypoints[:, 2] > 0].mean())


def mean_recall(heatmaps: NDArray[np.float32], samples: Sequence[Sample]) -> float:
    """Compute the share of persons found, averaged over COCO's ten OKS thresholds.

    Args:
        heatmaps: Of the crops that `centered` makes, shape (n, 17, 32, 32).
        samples: The n persons.
    """
    similarities = np.array(
        [
            keypoint_similarity(decoded(maps, sample), sample)
            for maps, sample in zip(heatmaps, samples, strict=True)
        ]
    )
    return float((similarities[:, None] >= _THRESHOLDS).mean())
