"""The ten COCO keypoint figures, by pycocotools."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from quantkit.data.coco import PoseDataset
from quantkit.data.coco_file import Annotation, read_coco
from quantkit.evaluation.matches import Matches, matches_of
from quantkit.evaluation.nms import Nms, keep_persons
from quantkit.evaluation.predictions import Predictions
from quantkit.evaluation.scoring import ScoreMode, person_scores

_PERSON = 1


@dataclass(frozen=True)
class CocoFigures:
    """COCO's keypoint figures, each 0 to 1; None where the data set has no person of that size.

    Attributes:
        ap: Average precision, the mean over the OKS thresholds 0.50, 0.55, ... 0.95.
        ap50: At OKS 0.50.
        ap75: At OKS 0.75.
        ap_m: Of persons of 32^2 to 96^2 square pixels.
        ap_l: Of persons above 96^2 square pixels.
        ar: Average recall, the mean over the same thresholds.
        ar50: At OKS 0.50.
        ar75: At OKS 0.75.
        ar_m: Of persons of 32^2 to 96^2 square pixels.
        ar_l: Of persons above 96^2 square pixels.
    """

    ap: float
    ap50: float
    ap75: float
    ap_m: float | None
    ap_l: float | None
    ar: float
    ar50: float
    ar75: float
    ar_m: float | None
    ar_l: float | None


@dataclass(frozen=True)
class ScoreSpec:
    """How predictions become ranked detections, in the terms of MMPose's CocoMetric.

    Attributes:
        score_mode: What a person's score is made of.
        keypoint_threshold: Confidences up to it do not enter the score (`keypoint_score_thr`).
        nms: Whether near-duplicates of an image are removed. With ground-truth boxes there are no
            duplicates to remove, so the default is not to.
    """

    score_mode: ScoreMode = "bbox_keypoint"
    keypoint_threshold: float = 0.2
    nms: Nms = "none"


DEFAULT_SCORE_SPEC = ScoreSpec()


def coco_figures(
    predictions: Predictions, dataset: PoseDataset, spec: ScoreSpec = DEFAULT_SCORE_SPEC
) -> tuple[CocoFigures, Matches]:
    """Score predictions against the labels of their data set.

    Equal to MMPose's CocoMetric on the same predictions, which also leaves out a person without one
    positive confidence.

    Args:
        predictions: One set of keypoints per person of the data set.
        dataset: Read with keypoints.
        spec: How persons are scored.

    Returns:
        The figures, and the matches that they follow from.
    """
    truth = _truth(dataset)
    found = _coco(dataset, _detections(predictions, dataset, spec))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, found, "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # The records of the first area range, all areas, one an image.
    images = np.array(evaluation.params.imgIds, np.int64)
    records = evaluation.evalImgs[: len(images)]
    matches = matches_of(images, records, evaluation.params.maxDets[0])
    return _figures(evaluation.stats), matches


def _figures(stats: NDArray[np.float64]) -> CocoFigures:
    ap, ap50, ap75, ap_m, ap_l, ar, ar50, ar75, ar_m, ar_l = (float(value) for value in stats)
    return CocoFigures(
        ap=ap,
        ap50=ap50,
        ap75=ap75,
        ap_m=_present(ap_m),
        ap_l=_present(ap_l),
        ar=ar,
        ar50=ar50,
        ar75=ar75,
        ar_m=_present(ar_m),
        ar_l=_present(ar_l),
    )


def _present(value: float) -> float | None:
    return None if value < 0 else value


@lru_cache(maxsize=2)
def _truth(dataset: PoseDataset) -> COCO:
    counted = frozenset(dataset.image_ids)
    labels = [one for one in read_coco(dataset.annotations).annotations if one.image_id in counted]
    # pycocotools takes an annotation with id 0 for "no match", so they are numbered anew from 1.
    return _coco(dataset, [_label(one, number) for number, one in enumerate(labels, start=1)])


def _label(annotation: Annotation, number: int) -> dict[str, Any]:
    keypoints = annotation.keypoints or (0,) * 51
    return {
        "id": number,
        "image_id": annotation.image_id,
        "category_id": _PERSON,
        "bbox": list(annotation.bbox),
        "area": annotation.area or 0,
        "iscrowd": int(annotation.crowd),
        "keypoints": list(keypoints),
        # Counted, as CocoMetric does: the file's own number may tell otherwise.
        "num_keypoints": sum(1 for visibility in keypoints[2::3] if visibility > 0),
    }


def _detections(
    predictions: Predictions, dataset: PoseDataset, spec: ScoreSpec
) -> list[dict[str, Any]]:
    persons = {person.annotation_id: person for person in dataset.persons}
    box_scores = [persons[int(number)].score for number in predictions.annotation_ids]
    scores = person_scores(
        predictions.scores,
        np.array(box_scores, np.float32),
        spec.score_mode,
        spec.keypoint_threshold,
    )
    detections: list[dict[str, Any]] = []
    for members in _by_image(predictions):
        kept = keep_persons(
            spec.nms,
            predictions.keypoints[members],
            scores[members],
            predictions.crop_areas[members].astype(np.float64),
        )
        for index in members[kept]:
            if (predictions.scores[index] > 0).any():
                box = persons[int(predictions.annotation_ids[index])].box
                detection = _detection(predictions, int(index), float(scores[index]), box)
                detections.append({"id": len(detections) + 1, **detection})
    return detections


def _by_image(predictions: Predictions) -> list[NDArray[np.int64]]:
    """Indices of the predictions of each image, in the order of their annotation ids."""
    order = np.lexsort((predictions.annotation_ids, predictions.image_ids))
    starts = np.flatnonzero(np.diff(predictions.image_ids[order])) + 1
    return np.split(order, starts)


def _detection(
    predictions: Predictions,
    index: int,
    score: float,
    box: tuple[float, float, float, float],
) -> dict[str, Any]:
    left, top, right, bottom = np.array(box, np.float32)
    width, height = float(right - left), float(bottom - top)
    triplets = np.concatenate(
        (predictions.keypoints[index], predictions.scores[index][:, None]), axis=1
    )
    return {
        "image_id": int(predictions.image_ids[index]),
        "category_id": _PERSON,
        "keypoints": triplets.ravel().tolist(),
        "score": score,
        "bbox": [float(left), float(top), width, height],
        "area": width * height,
    }


def _coco(dataset: PoseDataset, annotations: Sequence[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in dataset.image_ids],
        "categories": [{"id": _PERSON, "name": "person"}],
        "annotations": list(annotations),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
