"""COCO's matching of persons to ground truth, image by image, and the AP that follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Matches:
    """Matches of D detections in I images at T OKS thresholds, over all areas.

    Attributes:
        image_ids: Images with a detection or a ground truth, shape (I,), int64, ascending.
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


def matches_of(evaluated: Sequence[Mapping[str, Any] | None], most: int) -> Matches:
    """Collect the matches that `pycocotools.COCOeval.evaluate` made.

    Args:
        evaluated: `COCOeval.evalImgs` of one area range; None for an image without anyone.
        most: How many detections of an image count (`maxDets`).
    """
    records = [record for record in evaluated if record is not None]
    counts = [len(record["dtScores"][:most]) for record in records]
    scores = np.concatenate([np.asarray(record["dtScores"][:most], float) for record in records])
    matched = np.concatenate([record["dtMatches"][:, :most] for record in records], axis=1) != 0
    ignored = np.concatenate([record["dtIgnore"][:, :most] for record in records], axis=1) != 0
    order = np.argsort(-scores, kind="mergesort")
    return Matches(
        image_ids=np.array([record["image_id"] for record in records], np.int64),
        positives=np.array([np.sum(record["gtIgnore"] == 0) for record in records], np.int64),
        images=np.repeat(np.arange(len(records)), counts)[order],
        hits=(matched & ~ignored)[:, order],
        misses=(~matched & ~ignored)[:, order],
    )
