import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.data.coco import PoseDataset
from quantkit.data.detections import load_detections
from quantkit.errors import InputError
from tests.coco_folder import load_coco_folder, write_coco_folder
from tests.detection_boxes import detections_near_boxes, write_detections
from tests.oracles import mmpose_or_skip


def _load(folder: Path, detections: Any, threshold: float = 0.0) -> PoseDataset:
    annotations, images = write_coco_folder(folder)
    path = folder / "boxes.json"
    path.write_text(json.dumps(detections))
    return load_detections(annotations, images, path, threshold=threshold)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.75])
def test_persons_equal_mmposes_coco_dataset_on_a_bbox_file(
    tmp_path: Path, threshold: float
) -> None:
    mmpose_or_skip()
    from mmpose.datasets import CocoDataset

    detections = detections_near_boxes(load_coco_folder(tmp_path))
    detections[3]["score"] = 0.3
    dataset = _load(tmp_path, detections, threshold)
    reference = CocoDataset(
        ann_file=str(dataset.annotations),
        bbox_file=str(dataset.boxes),
        data_prefix={"img": str(dataset.images)},
        filter_cfg={"bbox_score_thr": threshold},
        test_mode=True,
    )
    expected = [reference.get_data_info(index) for index in range(len(reference))]
    assert 1 < len(expected) < len(detections)
    found = {person.annotation_id: person for person in dataset.persons}
    assert {one["id"] for one in expected} == set(found)
    for one in expected:
        person = found[one["id"]]
        assert (one["img_id"], one["img_path"]) == (person.image_id, str(person.image))
        assert one["bbox"].tobytes() == np.array([person.box], np.float32).tobytes()
        assert one["bbox_score"] == np.float32(person.score)


def test_persons_of_an_image_follow_each_other_and_all_images_count(tmp_path: Path) -> None:
    labelled = load_coco_folder(tmp_path)
    dataset = _load(tmp_path, detections_near_boxes(labelled))
    images = [person.image_id for person in dataset.persons]
    assert [image for k, image in enumerate(images) if image not in images[:k]] == [7, 3, 5, 11]
    assert images == sorted(images, key=[7, 3, 5, 11].index)
    assert dataset.image_ids == labelled.image_ids
    assert dataset.boxes == tmp_path / "boxes.json"


GOOD = {"image_id": 7, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5}


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        ({}, "is not a COCO detections file: expected a list at the top"),
        ([GOOD, {**GOOD, "image_id": 99}], "detection 1: image id 99 is not among the images"),
        ([{**GOOD, "bbox": [1, 2, 3]}], "detection 0: bbox is not four numbers"),
        ([{**GOOD, "bbox": [1, 2, 0, 0]}], "detection 0: bbox .* is empty or far outside"),
        ([{**GOOD, "bbox": [1, 2, 1e300, 5]}], "is empty or far outside of any image"),
        ([{**GOOD, "bbox": [1, 2, -3, 5]}], "has a negative size"),
        ([{**GOOD, "score": 1.5}], "detection 0: score 1.5 is not between 0 and 1"),
        ([{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]}], "'score' is missing"),
        ([7], "detection 0: 'category_id' is missing"),
        ([{**GOOD, "category_id": 2}], "holds no person with a score of at least 0"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, detections: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"boxes\.json: .*{message}|boxes\.json: {message}"):
        _load(tmp_path, detections)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(GOOD)), inner)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from(sorted(GOOD)), VALUES).map(lambda d: GOOD | d)))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path: Path, detections: Any) -> None:
    annotations = tmp_path / "annotations.json"
    if not annotations.exists():
        write_coco_folder(tmp_path)
    path = write_detections(tmp_path / "any.json", detections)
    with contextlib.suppress(InputError):
        dataset = load_detections(annotations, tmp_path / "images", path)
        assert all(np.isfinite(person.box).all() for person in dataset.persons)
