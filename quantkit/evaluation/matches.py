"""COCO's matching of persons to ground truth, image by image, and the AP that follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

THRESHOLDS: Final = 10
"""COCO's OKS thresholds: 0.50, 0.55, ... 0.95."""


@dataclass(frozen=True)
class Matches:
    """Matches of D detections in I images at T OKS thresholds, over all areas.

    Attributes:
        image_ids: All images, shape (I,), int64, ascending.
        positives: How many ground truths each image asks for, shape (I,), int64.
        images: Which image (index) a detection is in, best score first, shape (D,), int64.
        hits: The detection is matched to a ground truth that counts, shape (T, D), bool.
        misses: It is matched to none and counts, shape (T, D), bool.
    """

    image_ids: NDArray[np.int64]
    positives: NDArray[np.int64]
    images: NDArray[np.int64]
    hits: NDArray[np.bool_]
    misses: NDArray[np.bool_]


def matches_of(
    image_ids: NDArray[np.int64], evaluated: Sequence[Mapping[str, Any] | None], most: int
) -> Matches:
    """Collect the matches that `pycocotools.COCOeval.evaluate` made.

    Args:
        image_ids: The images, ascending, shape (I,).
        evaluated: `COCOeval.evalImgs` of one area range; None for an image without anyone.
        most: How many detections of an image count (`maxDets`).
    """
    places = [place for place, record in enumerate(evaluated) if record is not None]
    records = [record for record in evaluated if record is not None]
    if not records:
        nothing = np.zeros((THRESHOLDS, 0), bool)
        none = np.zeros(len(image_ids), np.int64)
        return Matches(image_ids, none, np.zeros(0, np.int64), nothing, nothing)
    counts = [len(record["dtScores"][:most]) for record in records]
    scores = np.concatenate([np.asarray(record["dtScores"][:most], float) for record in records])
    matched = np.concatenate([record["dtMatches"][:, :most] for record in records], axis=1) != 0
    ignored = np.concatenate([record["dtIgnore"][:, :most] for record in records], axis=1) != 0
    order = np.argsort(-scores, kind="mergesort")
    positives = np.zeros(len(image_ids), np.int64)
    positives[places] = [np.sum(record["gtIgnore"] == 0) for record in records]
    return Matches(
        image_ids=image_ids,
        positives=positives,
        images=np.repeat(places, counts)[order],
        hits=(matched & ~ignored)[:, order],
        misses=(~matched & ~ignored)[:, order],
    )
