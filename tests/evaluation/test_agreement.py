import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from quantkit.evaluation.agreement import (
    agreement,
    by_keypoint,
    label_similarity,
    mean_oks,
)
from quantkit.evaluation.oks import KEYPOINT_NAMES
from tests.coco_folder import labels_of, load_coco_folder
from tests.evaluation.made_up import predictions_near_labels


def test_agreement_is_one_with_itself_and_falls_with_noise(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    baseline = predictions_near_labels(dataset, noise=0.0)
    near = predictions_near_labels(dataset, noise=0.02)
    far = predictions_near_labels(dataset, noise=0.3)
    assert np.all(agreement(baseline, baseline, dataset) == np.ones((6, 17)))
    near_agreement = agreement(near, baseline, dataset).mean()
    assert 1 > near_agreement > agreement(far, baseline, dataset).mean() > 0


def test_agreement_of_other_persons_is_refused(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    part = dataset.subset({7})
    with pytest.raises(ValueError, match="different persons"):
        agreement(
            predictions_near_labels(part, noise=0.0),
            predictions_near_labels(dataset, noise=0.0),
            dataset,
        )


def test_similarity_to_labels_is_pycocotools_oks(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    predictions = predictions_near_labels(dataset, noise=0.05)
    labels = {one["id"]: one for one in json.loads(dataset.annotations.read_text())["annotations"]}
    expected = []
    for person, points in zip(dataset.persons, predictions.keypoints, strict=True):
        evaluation = COCOeval(iouType="keypoints")
        triplets = np.concatenate((points, np.ones((17, 1))), axis=1).ravel().tolist()
        evaluation._gts = {(1, 1): [labels[person.annotation_id]]}
        evaluation._dts = {(1, 1): [{"keypoints": triplets, "score": 1.0}]}
        expected.append(float(evaluation.computeOks(1, 1)[0, 0]))
    similarity = label_similarity(predictions, dataset)
    assert np.nanmean(similarity, axis=1) == pytest.approx(expected, abs=1e-12)
    assert mean_oks(similarity) == pytest.approx(np.mean(expected))
    assert np.array_equal(np.isnan(similarity), labels_of(dataset)[:, :, 2] == 0)


def test_a_keypoint_that_moves_stands_out(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    baseline = predictions_near_labels(dataset, noise=0.0)
    keypoints = baseline.keypoints.copy()
    keypoints[:, 9] += 40
    other = replace(baseline, keypoints=keypoints)
    found = dict(by_keypoint(agreement(other, baseline, dataset)))
    assert list(found) == list(KEYPOINT_NAMES)
    moved = found.pop("left_wrist")
    assert moved is not None
    assert moved < 0.5
    assert set(found.values()) == {1.0}


def test_a_keypoint_that_nobody_labels_has_no_figure() -> None:
    similarity = np.full((3, 17), 0.25)
    similarity[:, 4] = np.nan
    similarity[0, 5] = np.nan
    found = by_keypoint(similarity)
    assert found["right_ear"] is None
    assert found["left_shoulder"] == 0.25
