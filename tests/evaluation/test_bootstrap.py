import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.errors import InputError
from quantkit.evaluation.bootstrap import average_precision, drop_interval
from quantkit.evaluation.coco_ap import coco_figures
from quantkit.evaluation.predictions import Predictions
from tests.coco_folder import load_coco_folder
from tests.evaluation.made_up import made_up_matches, predictions_near_labels


def _repeated(
    dataset: PoseDataset, predictions: Predictions, counts: dict[int, int], folder: Path
) -> tuple[PoseDataset, Predictions]:
    """The data set with images written out as often as they count, under new ids."""
    document = json.loads(dataset.annotations.read_text())
    copies: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    source: dict[int, int] = {}
    row = {int(number): index for index, number in enumerate(predictions.annotation_ids)}
    for image in sorted(document["images"], key=lambda one: int(one["id"])):
        for _ in range(counts.get(image["id"], 0)):
            number = len(copies["images"]) + 1
            copies["images"].append({**image, "id": number})
            for one in document["annotations"]:
                if one["image_id"] == image["id"]:
                    name = len(copies["annotations"]) + 1
                    copies["annotations"].append({**one, "id": name, "image_id": number})
                    source[name] = row.get(one["id"], -1)
    path = folder / "repeated.json"
    path.write_text(json.dumps({**document, **copies}))
    repeated = load_dataset(path, dataset.images, keypoints=True)
    index = np.array([source[person.annotation_id] for person in repeated.persons])
    return repeated, Predictions(
        annotation_ids=np.array([person.annotation_id for person in repeated.persons]),
        image_ids=np.array([person.image_id for person in repeated.persons]),
        keypoints=predictions.keypoints[index],
        scores=predictions.scores[index],
        crop_areas=predictions.crop_areas[index],
    )


def _assert_equal_to_repeating(dataset: PoseDataset, folder: Path, resamples: int) -> None:
    predictions = predictions_near_labels(dataset, noise=0.05, seed=1)
    figures, matches = coco_figures(predictions, dataset)
    once = np.ones(len(matches.image_ids), np.int64)
    assert average_precision(matches, once) == pytest.approx(figures.ap, abs=1e-12)
    generator = np.random.default_rng(5)
    for _ in range(resamples):
        counts = generator.multinomial(len(once), once / len(once))
        if not counts @ matches.positives:
            continue
        named = dict(zip(matches.image_ids.tolist(), counts.tolist(), strict=True))
        repeated = _repeated(dataset, predictions, named, folder)
        expected = coco_figures(repeated[1], repeated[0])[0].ap
        assert average_precision(matches, counts) == pytest.approx(expected, abs=1e-12)


def test_a_resample_equals_cocoeval_on_repeated_images(tmp_path: Path) -> None:
    _assert_equal_to_repeating(load_coco_folder(tmp_path), tmp_path, 8)


@pytest.mark.slow
def test_a_real_resample_equals_cocoeval_on_repeated_images(
    real_data: Path, tmp_path: Path
) -> None:
    annotations = real_data / "coco/annotations/person_keypoints_val2017.json"
    dataset = load_dataset(annotations, real_data / "coco/val2017", keypoints=True)
    _assert_equal_to_repeating(dataset, tmp_path, 6)


def test_a_network_loses_nothing_against_itself() -> None:
    matches = made_up_matches(40, 60, 0.8, 0)
    assert drop_interval(matches, matches, resamples=50) == (0.0, 0.0)


def test_the_interval_holds_the_drop_and_is_the_same_every_time() -> None:
    better, worse = made_up_matches(300, 400, 0.9, 1), made_up_matches(300, 400, 0.7, 2)
    once = np.ones(300, np.int64)
    before, after = average_precision(better, once), average_precision(worse, once)
    assert before is not None
    assert after is not None
    low, high = drop_interval(better, worse, resamples=300)
    assert 0 < low < before - after < high
    assert drop_interval(better, worse, resamples=300) == (low, high)
    assert drop_interval(better, worse, resamples=300, seed=1) != (low, high)


def test_pairs_make_the_interval_narrower_than_two_separate_draws() -> None:
    matches = made_up_matches(200, 300, 0.8, 3)
    flipped = replace(matches, hits=matches.hits.copy(), misses=matches.misses.copy())
    flipped.hits[:, 150:155], flipped.misses[:, 150:155] = False, True
    low, high = drop_interval(matches, flipped, resamples=300)
    generator = np.random.default_rng(0)
    alone = [
        average_precision(matches, generator.multinomial(200, np.full(200, 1 / 200)))
        for _ in range(300)
    ]
    values = np.array([value for value in alone if value is not None])
    assert high - low < 0.5 * np.subtract(*np.percentile(values, (97.5, 2.5)))


def test_labels_without_a_visible_keypoint_are_refused() -> None:
    matches = made_up_matches(10, 20, 0.8, 0)
    nobody = replace(matches, positives=np.zeros_like(matches.positives))
    with pytest.raises(InputError, match="--no-labels"):
        drop_interval(nobody, nobody, resamples=5)


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same images"):
        drop_interval(made_up_matches(10, 20, 0.8, 0), made_up_matches(11, 20, 0.8, 0))
