"""Persons that a detector found, instead of the boxes of the annotations."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco import AREA_OF_BOX, Person, PoseDataset
from quantkit.data.coco_fields import bbox, finite, integer, required
from quantkit.data.coco_file import ImageRecord, read_coco
from quantkit.errors import InputError
from quantkit.storage import read_json

_PERSON = 1
_LARGEST = 1e6


def load_detections(
    annotations: Path, images: Path, boxes: Path, *, threshold: float = 0.0
) -> PoseDataset:
    """Read the boxes of a COCO detections file, as MMPose 1.3.2's CocoDataset reads a `bbox_file`.

    Detections of another category than COCO's person (1) are left out, and those whose score is
    below the threshold. Boxes are not clipped. A person's `annotation_id` is its place among the
    persons of the file (mmpose/datasets/datasets/base/base_coco_style_dataset.py).

    Args:
        annotations: COCO file of the labels; all its images count.
        images: Folder under which the file names of that file lie.
        boxes: JSON list of {image_id, category_id, bbox, score}.
        threshold: The least score (`bbox_score_thr`).

    Raises:
        InputError: A file is not usable, a box is of an unknown image, or none is left.
    """
    coco = read_coco(annotations)
    if not images.is_dir():
        message = "is not a folder of images"
        raise InputError(message, path=images)
    document = read_json(boxes)
    if not isinstance(document, list):
        message = "is not a COCO detections file: expected a list at the top"
        raise InputError(message, path=boxes)
    grouped: dict[int, list[Person]] = {number: [] for number in coco.images}
    try:
        people = [
            (place, entry)
            for place, entry in enumerate(document)
            if integer(entry, "category_id", f"detection {place}") == _PERSON
        ]
        for number, (place, entry) in enumerate(people):
            found = _person(entry, f"detection {place}", coco.images, images)
            if np.float32(found.score) >= np.float32(threshold):
                grouped[found.image_id].append(replace(found, annotation_id=number))
    except (ValueError, OverflowError) as error:
        raise InputError(str(error), path=boxes) from error
    persons = tuple(person for group in grouped.values() for person in group)
    if not persons:
        message = f"holds no person with a score of at least {threshold:g}"
        raise InputError(message, path=boxes)
    return PoseDataset(annotations, images, persons, tuple(coco.images), boxes)


def _person(entry: object, place: str, records: Mapping[int, ImageRecord], images: Path) -> Person:
    image_id = integer(entry, "image_id", place)
    if image_id not in records:
        message = f"{place}: image id {image_id} is not among the images of the annotations"
        raise ValueError(message)
    x, y, width, height = _box(entry, place)
    return Person(
        annotation_id=0,
        image_id=image_id,
        image=(images / records[image_id].file_name).absolute(),
        file_name=records[image_id].file_name,
        box=(float(x), float(y), float(x + width), float(y + height)),
        area=max(1.0, float(width) * float(height) * AREA_OF_BOX),
        score=_score(entry, place),
    )


def _score(entry: object, place: str) -> float:
    score = finite(required(entry, "score", place), f"{place}: score")
    if not 0 <= score <= 1:
        message = f"{place}: score {score} is not between 0 and 1"
        raise ValueError(message)
    return score


def _box(entry: object, place: str) -> NDArray[np.float32]:
    values = bbox(entry, place)
    if max(values[2:]) == 0 or max(map(abs, values)) > _LARGEST:
        message = f"{place}: bbox {list(values)} is empty or far outside of any image"
        raise ValueError(message)
    return np.array(values, np.float32)
