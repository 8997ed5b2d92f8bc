"""How well heatmaps agree with annotations: a stand-in for COCO AP while the network is trained."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.demo.people.rotation import Array
from quantkit.demo.samples import HEATMAP_SIZE, INPUT_SIZE, Sample, centered

# Per-keypoint constants of pycocotools' keypoint evaluation, in thousandths.
_HEAD, _ARMS, _LEGS = (26, 25, 25, 35, 35), (79, 79, 72, 72, 62, 62), (107, 107, 87, 87, 89, 89)
_SIGMAS: Final = np.array((*_HEAD, *_ARMS, *_LEGS)) / 1000
_THRESHOLDS: Final = np.arange(0.5, 0.96, 0.05)


def peaks(heatmaps: NDArray[np.float32]) -> Array:
    """Find the keypoints: the highest pixel, a quarter pixel towards its higher neighbour.

    Args:
        heatmaps: Shape (17, 32, 32).

    Returns:
        x, y in pixels of the crop, shape (17, 2).
    """
    flat = heatmaps.reshape(len(heatmaps), -1).argmax(axis=1)
    y, x = np.divmod(flat, HEATMAP_SIZE)
    padded = np.pad(heatmaps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    k = np.arange(len(heatmaps))
    dx = np.sign(padded[k, y + 1, x + 2] - padded[k, y + 1, x])
    dy = np.sign(padded[k, y + 2, x + 1] - padded[k, y, x + 1])
    spots: Array = np.stack([x + 0.25 * dx, y + 0.25 * dy], axis=1).astype(np.float64)
    spots *= INPUT_SIZE / HEATMAP_SIZE
    return spots


def keypoint_similarity(points: Array, sample: Sample) -> float:
    """Compute the object keypoint similarity (OKS) of one person.

    Args:
        points: x, y in pixels of the picture, shape (17, 2).
        sample: The truth.
    """
    squared = ((points - sample.keypoints[:, :2]) ** 2).sum(axis=1)
    variance = (2 * _SIGMAS) ** 2
    similar = np.exp(-squared / (2 * variance * sample.area))
    return float(similar[sample.keypoints[:, 2] > 0].mean())


def mean_recall(heatmaps: NDArray[np.float32], samples: Sequence[Sample]) -> float:
    """Compute the share of persons found, averaged over COCO's ten OKS thresholds.

    Args:
        heatmaps: Of the crops that `centered` makes, shape (n, 17, 32, 32).
        samples: The n persons.
    """
    similarities = []
    for maps, sample in zip(heatmaps, samples, strict=True):
        _, matrix = centered(sample)
        back = (peaks(maps) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        similarities.append(keypoint_similarity(np.asarray(back, np.float64), sample))
    return float((np.array(similarities)[:, None] >= _THRESHOLDS).mean())
