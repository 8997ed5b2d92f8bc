"""Removing duplicate persons of one image by the similarity of their keypoints."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantkit.evaluation.oks import oks

Nms = Literal["none", "oks_nms", "soft_oks_nms"]
Doubles = NDArray[np.float64]

# CocoMetric's nms_thr, and soft_oks_nms's max_dets.
_THRESHOLD = 0.9
_MOST = 20


def keep_persons(mode: Nms, keypoints: Doubles, scores: Doubles, areas: Doubles) -> list[int]:
    """Choose which persons of one image stay, best score first (mmpose/evaluation/functional).

    Ground-truth boxes hold every person once, so the default of quantkit's evaluation is `none`;
    MMPose's configs run `oks_nms` even there, which drops the lower scored of two people whose
    predicted keypoints nearly coincide.

    Args:
        mode: `none` keeps all, in their order; `oks_nms` drops a person more than 0.9 similar to a
            better one; `soft_oks_nms` lowers its rank instead and keeps 20 at most.
        keypoints: x, y in image pixels, shape (N, 17, 2).
        scores: Shape (N,).
        areas: Crop areas in square pixels, shape (N,).

    Returns:
        Indices of the persons that stay.
    """
    if mode == "none":
        return list(range(len(scores)))
    ranks = scores.copy()
    left = np.argsort(scores)[::-1]
    kept: list[int] = []
    while left.size and not (mode == "soft_oks_nms" and len(kept) == _MOST):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        similar = _similarity(best, left, keypoints, areas)
        if mode == "oks_nms":
            left = left[similar <= _THRESHOLD]
        else:
            ranks[left] *= np.exp(-(similar**2) / _THRESHOLD)
            left = left[np.argsort(ranks[left])[::-1]]
    return kept


def _similarity(
    one: int, others: NDArray[np.int64], keypoints: Doubles, areas: Doubles
) -> NDArray[np.float32]:
    mean_areas = (areas[one] + areas[others]) / 2
    reference = np.broadcast_to(keypoints[one], keypoints[others].shape)
    return oks(keypoints[others], reference, mean_areas).astype(np.float32)
