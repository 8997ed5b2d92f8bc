"""One score a person, by which COCO ranks the detections of a whole data set."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

ScoreMode = Literal["bbox_keypoint", "bbox", "bbox_rle", "keypoint"]

# CocoMetric's keypoint_score_thr.
_CONFIDENT = 0.2


def person_scores(
    keypoint_scores: NDArray[np.float32],
    box_scores: NDArray[np.float32],
    mode: ScoreMode = "bbox_keypoint",
    threshold: float = _CONFIDENT,
) -> NDArray[np.float64]:
    """Score persons as MMPose's CocoMetric does (mmpose/evaluation/metrics/coco_metric.py).

    Args:
        keypoint_scores: Confidences, shape (N, 17).
        box_scores: Confidence of each box, 1 for ground truth, shape (N,).
        mode: `bbox_keypoint` multiplies the box's score by the mean of the confidences above the
            threshold, 0 where there is none; `bbox` takes the box's score alone; `bbox_rle` adds to
            it the mean and the largest confidence; `keypoint` takes the mean confidence alone.
        threshold: Confidences up to it are left out of the mean of `bbox_keypoint`.

    Example:
        >>> person_scores(np.array([[0.8, 0.4, 0.1]], np.float32), np.ones(1, np.float32)).round(6)
        array([0.6])
    """
    boxes = box_scores.astype(np.float64)
    if mode == "bbox":
        return boxes
    if mode != "bbox_keypoint":
        mean = np.asarray(keypoint_scores.mean(axis=1))
        if mode == "bbox_rle":
            mean = box_scores + mean + keypoint_scores.max(axis=1)
        return np.asarray(mean, np.float64)
    confident = keypoint_scores > threshold
    # A running sum adds in the order of the keypoints, as CocoMetric does: ties stay ties.
    total = np.where(confident, keypoint_scores, 0).astype(np.float64).cumsum(axis=1)[:, -1]
    scores: NDArray[np.float64] = boxes * total / np.maximum(confident.sum(axis=1), 1)
    return scores
