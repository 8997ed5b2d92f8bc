"""How close keypoints are to the baseline's and to the labels, by person and by keypoint.

Similarity needs the sigmas of COCO's 17 keypoints; distances are there for any number.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco import PoseDataset
from quantkit.data.coco_file import KEYPOINTS, read_coco
from quantkit.evaluation.oks import keypoint_names, keypoint_similarity
from quantkit.evaluation.predictions import Predictions

Doubles = NDArray[np.float64]


def agreement(predictions: Predictions, baseline: Predictions, dataset: PoseDataset) -> Doubles:
    """Similarity of a network's keypoints to the baseline's; needs no labels.

    Returns:
        Shape (N, 17), persons in the order of the data set; 1 where both agree.

    Raises:
        ValueError: The two were not made on the same persons in the same order.
    """
    _check_persons(predictions, baseline)
    return keypoint_similarity(predictions.keypoints, baseline.keypoints, _areas(dataset))


def keypoint_distances(
    predictions: Predictions, baseline: Predictions, size: tuple[int, int]
) -> Doubles:
    """Distance of a network's keypoints to the baseline's; needs no labels and no sigmas.

    Args:
        predictions: Of K keypoints a person.
        baseline: Of the same crops.
        size: Width and height of the network's input, whose aspect every crop has.

    Returns:
        In pixels of the network's input, shape (N, K).

    Raises:
        ValueError: The two were not made on the same persons in the same order.
    """
    _check_persons(predictions, baseline)
    apart = np.linalg.norm(predictions.keypoints - baseline.keypoints, axis=2)
    image_pixels = np.sqrt(baseline.crop_areas.astype(np.float64) / (size[0] * size[1]))
    distances: Doubles = apart / image_pixels[:, None]
    return distances


def mean_and_p95(distances: Doubles) -> tuple[float | None, float | None]:
    """Take the mean and the 95th percentile of all distances; None of none.

    Example:
        >>> mean_and_p95(np.array([[1.0, 3.0]]))
        (2.0, 2.9)
        >>> mean_and_p95(np.zeros((4, 0)))
        (None, None)
    """
    if not distances.size:
        return None, None
    return round(float(distances.mean()), 4), round(float(np.percentile(distances, 95)), 4)


def label_similarity(predictions: Predictions, dataset: PoseDataset) -> Doubles:
    """Similarity of a network's keypoints to the labels.

    Args:
        predictions: One set of keypoints per person of the data set.
        dataset: Read with keypoints.

    Returns:
        Shape (N, 17); NaN where a keypoint is not labelled.
    """
    labels = {one.id: one.keypoints for one in read_coco(dataset.annotations).annotations}
    triplets = np.array(
        [labels[person.annotation_id] for person in dataset.persons], np.float64
    ).reshape(-1, KEYPOINTS, 3)
    similarity = keypoint_similarity(predictions.keypoints, triplets[:, :, :2], _areas(dataset))
    return np.where(triplets[:, :, 2] > 0, similarity, np.nan)


def by_keypoint(values: Doubles) -> Mapping[str, float | None]:
    """Mean over the persons, for each keypoint; None where no person has one.

    Args:
        values: Similarities or distances, shape (N, K).

    Returns:
        By the names of COCO's 17 keypoints; of any other number, by their place from 0.

    Example:
        >>> by_keypoint(np.full((2, 17), 0.5))["left_knee"]
        0.5
        >>> by_keypoint(np.full((2, 21), 0.5))["20"]
        0.5
    """
    counted = np.isfinite(values)
    total = np.where(counted, values, 0).sum(axis=0)
    return {
        name: float(total[k] / count) if (count := int(counted[:, k].sum())) else None
        for k, name in enumerate(keypoint_names(values.shape[1]))
    }


def mean_oks(similarity: Doubles) -> float | None:
    """Mean over the persons of their OKS: the mean over a person's keypoints that are not NaN.

    Returns:
        None where no person has a keypoint that counts.
    """
    labelled = similarity[np.isfinite(similarity).any(axis=1)]
    return float(np.nanmean(labelled, axis=1).mean()) if len(labelled) else None


def _check_persons(predictions: Predictions, baseline: Predictions) -> None:
    if not np.array_equal(predictions.annotation_ids, baseline.annotation_ids):
        message = "the two predictions are of different persons"
        raise ValueError(message)


def _areas(dataset: PoseDataset) -> Doubles:
    return np.array([person.area for person in dataset.persons], np.float64)
