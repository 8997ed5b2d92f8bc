"""How close keypoints are to the baseline's and to the labels, by person and by keypoint."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco import PoseDataset
from quantkit.data.coco_file import KEYPOINTS, read_coco
from quantkit.evaluation.oks import KEYPOINT_NAMES, keypoint_similarity
from quantkit.evaluation.predictions import Predictions

Doubles = NDArray[np.float64]


def agreement(predictions: Predictions, baseline: Predictions, dataset: PoseDataset) -> Doubles:
    """Similarity of a network's keypoints to the baseline's; needs no labels.

    Returns:
        Shape (N, 17), persons in the order of the data set; 1 where both agree.

    Raises:
        ValueError: The two were not made on the same persons in the same order.
    """
    if not np.array_equal(predictions.annotation_ids, baseline.annotation_ids):
        message = "the two predictions are of different persons"
        raise ValueError(message)
    return keypoint_similarity(predictions.keypoints, baseline.keypoints, _areas(dataset))


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


def by_keypoint(similarity: Doubles) -> Mapping[str, float | None]:
    """Mean over the persons, for each keypoint; None where no person has one.

    Example:
        >>> by_keypoint(np.full((2, 17), 0.5))["left_knee"]
        0.5
    """
    counted = np.isfinite(similarity)
    total = np.where(counted, similarity, 0).sum(axis=0)
    return {
        name: float(total[k] / count) if (count := int(counted[:, k].sum())) else None
        for k, name in enumerate(KEYPOINT_NAMES)
    }


def mean_oks(similarity: Doubles) -> float | None:
    """Mean over the persons of their OKS: the mean over a person's keypoints that are not NaN.

    Returns:
        None where no person has a keypoint that counts.
    """
    labelled = similarity[np.isfinite(similarity).any(axis=1)]
    return float(np.nanmean(labelled, axis=1).mean()) if len(labelled) else None


def _areas(dataset: PoseDataset) -> Doubles:
    return np.array([person.area for person in dataset.persons], np.float64)
