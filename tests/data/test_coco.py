import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.data.coco_file import read_coco
from quantkit.errors import InputError
from tests.coco_folder import Document, load_coco_folder, write_coco_folder
from tests.oracles import mmpose_or_skip


def _annotation(document: Document, number: int) -> dict[str, Any]:
    return next(one for one in document["annotations"] if one["id"] == number)


def _corner_cases(document: Document) -> None:
    _annotation(document, 300)["bbox"] = [500.0, 10.0, 20.0, 20.0]
    _annotation(document, 301)["bbox"] = [-20.5, -3.25, 400.0, 90.0]
    del _annotation(document, 1100)["num_keypoints"]
    _annotation(document, 701)["keypoints"] = [0] * 51


def _assert_like_mmpose(dataset: PoseDataset) -> None:
    mmpose_or_skip()
    from mmpose.datasets import CocoDataset

    reference = CocoDataset(
        ann_file=str(dataset.annotations),
        data_prefix={"img": str(dataset.images)},
        test_mode=True,
    )
    expected = [reference.get_data_info(index) for index in range(len(reference))]
    assert [one["id"] for one in expected] == [one.annotation_id for one in dataset.persons]
    assert [one["img_id"] for one in expected] == [one.image_id for one in dataset.persons]
    assert [one["img_path"] for one in expected] == [str(one.image) for one in dataset.persons]
    for one, person in zip(expected, dataset.persons, strict=True):
        assert one["bbox"].tobytes() == np.array([person.box], np.float32).tobytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_evaluation_persons_equal_mmposes_coco_dataset(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path, _corner_cases)
    assert [one.annotation_id for one in dataset.persons] == [700, 702, 301, 1100]
    _assert_like_mmpose(dataset)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["val2017", "train2017"])
def test_real_evaluation_persons_equal_mmposes_coco_dataset(real_data: Path, name: str) -> None:
    annotations = real_data / f"coco/annotations/person_keypoints_{name}.json"
    dataset = load_dataset(annotations, real_data / "coco" / name, keypoints=True)
    assert len(dataset.persons) == {"val2017": 109, "train2017": 139}[name]
    _assert_like_mmpose(dataset)


def test_calibration_takes_every_box_but_crowds(tmp_path: Path) -> None:
    annotations, images = write_coco_folder(tmp_path)
    dataset = load_dataset(annotations, images, keypoints=False)
    ids = [one.annotation_id for one in dataset.persons]
    assert ids == [700, 701, 702, 791, 300, 301, 1100]


def test_calibration_needs_no_keypoints_and_no_area(tmp_path: Path) -> None:
    def strip(document: Document) -> None:
        for one in document["annotations"]:
            for key in ("keypoints", "num_keypoints", "area", "iscrowd"):
                del one[key]
        _annotation(document, 1100)["bbox"] = [10.0, 10.0, 20.0, 0.0]

    annotations, images = write_coco_folder(tmp_path, strip)
    persons = load_dataset(annotations, images, keypoints=False).persons
    assert 1100 not in [one.annotation_id for one in persons]
    first = persons[0]
    width, height = first.box[2] - first.box[0], first.box[3] - first.box[1]
    assert first.area == pytest.approx(0.53 * width * height)


@pytest.mark.parametrize("count", [5, 21, 133])
def test_calibration_takes_annotations_of_any_number_of_keypoints(
    tmp_path: Path, count: int
) -> None:
    def other(document: Document) -> None:
        for one in document["annotations"]:
            one["keypoints"] = [4, 5, 2] * (count - 1) + [0, 0, 0]
            del one["num_keypoints"]

    annotations, images = write_coco_folder(tmp_path, other)
    assert len(load_dataset(annotations, images, keypoints=False).persons) == 7
    assert {one.num_keypoints for one in read_coco(annotations).annotations} == {count - 1}
    with pytest.raises(InputError, match=f"not 17 times .* but {3 * count} numbers") as caught:
        load_dataset(annotations, images, keypoints=True)
    assert "--no-labels" in str(caught.value)


def test_other_categories_are_left_out(tmp_path: Path) -> None:
    def add_a_dog(document: Document) -> None:
        document["categories"].append({"id": 18, "name": "dog"})
        _annotation(document, 300)["category_id"] = 18

    ids = [one.annotation_id for one in load_coco_folder(tmp_path, add_a_dog).persons]
    assert 300 not in ids
    assert 301 in ids


def test_a_subset_keeps_the_order(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path).subset({3, 7})
    assert dataset.image_ids == (7, 3)
    assert [one.annotation_id for one in dataset.persons] == [700, 701, 702, 300, 301]


def _set(number: int, **values: Any) -> Callable[[Document], object]:
    return lambda document: _annotation(document, number).update(values)


def _drop(number: int, key: str) -> Callable[[Document], object]:
    return lambda document: _annotation(document, number).pop(key)


def _image(**values: Any) -> Callable[[Document], object]:
    return lambda document: document["images"][1].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(300, image_id=4), "annotation 300: image id 4 is not among the images"),
        (_set(300, bbox=[1, 2, float("nan"), 4]), "annotation 300: bbox"),
        (_set(300, bbox=[1, 2, 3, float("inf")]), "annotation 300: bbox"),
        (_set(300, bbox=[1, 2, -3, 4]), "annotation 300: bbox .* negative"),
        (_set(300, bbox=[1, 2, 0, 4]), "annotation 300: bbox .* empty"),
        (_set(300, bbox=[1, 2, 3]), "annotation 300: bbox is not four numbers"),
        (_set(300, bbox=[1, 2, "3", 4]), "annotation 300: bbox"),
        (_set(300, bbox=[1, 2, 10**400, 4]), "too large"),
        (_set(300, keypoints=[1, 2, 2]), "annotation 300: keypoints are not 17"),
        (_set(300, image_id="3"), "annotation 300: image_id '3' is not an integer"),
        (_set(300, id=301), "annotation 301: the id occurs twice"),
        (_drop(300, "bbox"), "annotation 300: 'bbox' is missing"),
        (_drop(300, "keypoints"), "annotation 300: 'keypoints' is missing"),
        (_drop(300, "area"), "annotation 300: 'area' is missing"),
        (_drop(300, "id"), "annotations.3.: 'id' is missing"),
        (_image(file_name="../secret.png"), "images.1.: file_name .* leaves the images folder"),
        (_image(file_name="a/../../b.png"), "leaves the images folder"),
        (_image(file_name="/etc/passwd"), "leaves the images folder"),
        (_image(file_name="..\\b.png"), "leaves the images folder"),
        (_image(file_name=""), "is not a file name"),
        (_image(file_name="\0.png"), "is not a file name"),
        (_image(file_name="\ud800.png"), r"'\\ud800\.png' is not a file name"),
        (_image(id=7), "image id 7 occurs twice"),
        (_image(width=0), "width 0 is not positive"),
        (_image(height=True), "height True is not an integer"),
        (lambda document: document.pop("images"), "expected a list under 'images'"),
        (lambda document: document.pop("categories"), "expected a list under 'categories'"),
        (lambda document: document.update(annotations={}), "expected a list under 'annotations'"),
        (lambda document: document.update(annotations=[]), "holds no person"),
        (lambda document: document.update(categories=[]), "no category is named 'person'"),
    ],
)
def test_bad_input_is_named_in_one_line(
    tmp_path: Path, change: Callable[[Document], object], message: str
) -> None:
    path, images = write_coco_folder(tmp_path, change)
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(path, images, keypoints=True)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_images_folder_is_named(tmp_path: Path) -> None:
    path, _ = write_coco_folder(tmp_path)
    with pytest.raises(InputError, match=r"nowhere: is not a folder of images"):
        load_dataset(path, tmp_path / "nowhere", keypoints=True)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_an_input_error_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    def damage(document: Document) -> None:
        part = data.draw(st.sampled_from(["images", "annotations", "categories"]))
        entry = data.draw(st.sampled_from(document[part]))
        entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(_JSON)

    path, images = tmp_path / "annotations.json", tmp_path / "images"
    if not images.exists():
        write_coco_folder(tmp_path)
        path.rename(tmp_path / "whole.json")
    document = json.loads((tmp_path / "whole.json").read_text())
    damage(document)
    path.write_text(json.dumps(document))
    with contextlib.suppress(InputError):
        persons = load_dataset(path, images, keypoints=True).persons
        assert all(np.isfinite(one.box).all() for one in persons)
