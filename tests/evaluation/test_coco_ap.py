import json
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.data.detections import load_detections
from quantkit.evaluation.bootstrap import drop_interval
from quantkit.evaluation.coco_ap import ScoreSpec, coco_figures
from quantkit.evaluation.nms import Nms
from quantkit.evaluation.predictions import Predictions
from quantkit.evaluation.scoring import ScoreMode
from tests.coco_folder import Document, labels_of, load_coco_folder
from tests.detection_boxes import detections_near_boxes, write_detections
from tests.evaluation.made_up import predictions_near_labels, predictions_of_boxes
from tests.oracles import mmpose_or_skip


def _coco_metric(predictions: Predictions, dataset: PoseDataset, spec: ScoreSpec) -> list[float]:
    mmpose_or_skip()
    from mmpose.datasets import CocoDataset
    from mmpose.evaluation.metrics import CocoMetric

    metric = CocoMetric(
        ann_file=str(dataset.annotations),
        score_mode=spec.score_mode,
        keypoint_score_thr=spec.keypoint_threshold,
        nms_mode=spec.nms,
    )
    metric.dataset_meta = CocoDataset(
        ann_file=str(dataset.annotations), test_mode=True, lazy_init=True
    ).metainfo
    boxes = np.array([person.box for person in dataset.persons], np.float32)
    samples = [
        {
            "id": int(predictions.annotation_ids[index]),
            "img_id": int(predictions.image_ids[index]),
            "pred_instances": {
                "keypoints": predictions.keypoints[index : index + 1],
                "keypoint_scores": predictions.scores[index : index + 1],
                "bboxes": boxes[index : index + 1],
            },
            "gt_instances": {
                "bbox_scores": np.array([dataset.persons[index].score], np.float32),
                "bbox_scales": np.sqrt(predictions.crop_areas[index]).repeat(2)[None],
            },
        }
        for index in range(len(predictions))
    ]
    metric.process([], samples)
    return list(metric.evaluate(len(samples)).values())


def _figures(predictions: Predictions, dataset: PoseDataset, spec: ScoreSpec) -> list[float]:
    figures, _ = coco_figures(predictions, dataset, spec)
    return [-1.0 if value is None else value for value in asdict(figures).values()]


MODES = list(product(get_args(ScoreMode), get_args(Nms)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("score_mode", "nms"), MODES)
def test_figures_equal_mmposes_coco_metric(tmp_path: Path, score_mode: ScoreMode, nms: Nms) -> None:
    dataset = load_coco_folder(tmp_path)
    spec = ScoreSpec(score_mode, 0.2, nms)
    for seed, copies in product(range(3), (False, True)):
        predictions = predictions_near_labels(dataset, noise=0.06, seed=seed, copies=copies)
        expected = _coco_metric(predictions, dataset, spec)
        assert np.abs(np.subtract(expected, _figures(predictions, dataset, spec))).max() < 1e-6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("score_mode", "nms"), MODES)
def test_figures_on_real_labels_equal_mmposes_coco_metric(
    real_data: Path, score_mode: ScoreMode, nms: Nms
) -> None:
    annotations = real_data / "coco/annotations/person_keypoints_val2017.json"
    dataset = load_dataset(annotations, real_data / "coco/val2017", keypoints=True)
    spec = ScoreSpec(score_mode, 0.3, nms)
    for copies in (False, True):
        predictions = predictions_near_labels(dataset, noise=0.05, copies=copies)
        expected = _coco_metric(predictions, dataset, spec)
        assert 0.05 < expected[0] < 0.95
        assert np.abs(np.subtract(expected, _figures(predictions, dataset, spec))).max() < 1e-6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("score_mode", "nms"), MODES)
def test_figures_on_detected_boxes_equal_mmposes_coco_metric(
    tmp_path: Path, score_mode: ScoreMode, nms: Nms
) -> None:
    labelled = load_coco_folder(tmp_path)
    spec = ScoreSpec(score_mode, 0.2, nms)
    seen = []
    for seed in range(3):
        path = write_detections(tmp_path / "boxes.json", detections_near_boxes(labelled, seed))
        for threshold in (0.0, 0.3):
            dataset = load_detections(
                labelled.annotations, labelled.images, path, threshold=threshold
            )
            predictions = predictions_of_boxes(dataset, labelled, noise=0.03, seed=seed)
            expected = _coco_metric(predictions, dataset, spec)
            assert np.abs(np.subtract(expected, _figures(predictions, dataset, spec))).max() < 1e-6
            seen.append(expected[0])
    assert 0.05 < min(seen) < max(seen) < 0.99


def test_the_scores_of_boxes_rank_the_persons(tmp_path: Path) -> None:
    labelled = load_coco_folder(tmp_path)
    perfect = replace(
        predictions_near_labels(labelled, noise=0.0), scores=np.ones((6, 17), np.float32)
    )
    # The worst guess has the best box, or the worst one.
    keypoints = perfect.keypoints.copy()
    keypoints[0] += 500
    wrong = replace(perfect, keypoints=keypoints)
    figures = []
    for first in (0.9, 0.1):
        scores = (first, *np.linspace(0.8, 0.4, 5))
        persons = [
            replace(person, score=float(score))
            for person, score in zip(labelled.persons, scores, strict=True)
        ]
        figures.append(coco_figures(wrong, replace(labelled, persons=tuple(persons)))[0].ap)
    assert figures[0] < figures[1]


def test_networks_that_answer_in_different_images_are_compared(tmp_path: Path) -> None:
    labelled = load_coco_folder(tmp_path)
    path = write_detections(tmp_path / "boxes.json", detections_near_boxes(labelled))
    dataset = load_detections(labelled.annotations, labelled.images, path)
    sure = predictions_of_boxes(dataset, labelled, noise=0.0)
    # Nobody is labelled in image 5; the second network sees nobody there.
    unsure = replace(sure, scores=np.where(sure.image_ids[:, None] == 5, 0, sure.scores))
    with_five, without = (coco_figures(one, dataset)[1] for one in (sure, unsure))
    assert len(without.images) < len(with_five.images)
    assert with_five.image_ids.tolist() == without.image_ids.tolist() == [3, 5, 7, 11]
    assert with_five.positives.tolist()[1] == 0
    low, high = drop_interval(with_five, without, resamples=50)
    assert low <= high <= 0


def test_no_answer_where_nobody_is_labelled_is_no_figure(tmp_path: Path) -> None:
    labelled = load_coco_folder(tmp_path)
    path = write_detections(tmp_path / "boxes.json", detections_near_boxes(labelled))
    dataset = load_detections(labelled.annotations, labelled.images, path).subset({5})
    guess = predictions_of_boxes(dataset, labelled, noise=0.0)
    figures, matches = coco_figures(replace(guess, scores=guess.scores * 0), dataset)
    assert figures.ap == -1
    assert (matches.image_ids.tolist(), matches.hits.shape) == ([5], (10, 0))


def test_nms_drops_a_copy_and_the_default_does_not(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    labels = labels_of(dataset)[:, :, :2]
    predictions = replace(
        predictions_near_labels(dataset, noise=0.0),
        keypoints=np.concatenate((labels[:1], labels[:1] + 0.01, labels[2:])),
        scores=np.linspace(0.9, 0.4, len(labels) * 17, dtype=np.float32).reshape(-1, 17),
    )
    assert len(coco_figures(predictions, dataset)[1].images) == len(labels)
    assert len(coco_figures(predictions, dataset, ScoreSpec(nms="oks_nms"))[1].images) == (
        len(labels) - 1
    )


def test_the_labels_themselves_score_one_and_print_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = load_coco_folder(tmp_path)
    perfect = predictions_near_labels(dataset, noise=0.0)
    perfect = replace(perfect, scores=np.ones_like(perfect.scores))
    figures, _ = coco_figures(perfect, dataset)
    assert figures.ap == figures.ar == pytest.approx(1.0)
    assert capsys.readouterr() == ("", "")


def test_a_size_that_is_absent_has_no_figure(tmp_path: Path) -> None:
    def shrink(document: Document) -> None:
        for one in document["annotations"]:
            one["area"] = 2000.0

    figures, _ = coco_figures(
        predictions_near_labels(dataset := load_coco_folder(tmp_path, shrink), noise=0.0), dataset
    )
    assert figures.ap_l is None
    assert figures.ar_l is None
    assert figures.ap_m is not None


def test_an_annotation_with_id_zero_can_be_matched(tmp_path: Path) -> None:
    def number_from_zero(document: Document) -> None:
        for number, one in enumerate(document["annotations"]):
            one["id"] = number

    dataset = load_coco_folder(tmp_path, number_from_zero)
    perfect = predictions_near_labels(dataset, noise=0.0)
    perfect = replace(perfect, scores=np.ones_like(perfect.scores))
    assert coco_figures(perfect, dataset)[0].ap == pytest.approx(1.0)


def test_a_network_that_is_sure_of_nothing_scores_zero(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    silent = predictions_near_labels(dataset, noise=0.0)
    silent = replace(silent, scores=np.zeros_like(silent.scores))
    figures, matches = coco_figures(silent, dataset)
    assert {value for value in asdict(figures).values() if value is not None} == {0.0}
    assert matches.hits.shape == (10, 0)


def test_a_subset_is_scored_on_its_images_alone(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    part = dataset.subset({7, 5})
    perfect = predictions_near_labels(part, noise=0.0)
    perfect = replace(perfect, scores=np.ones_like(perfect.scores))
    assert coco_figures(perfect, part)[0].ar == pytest.approx(1.0)
    document = json.loads(dataset.annotations.read_text())
    assert len(document["images"]) == 4
