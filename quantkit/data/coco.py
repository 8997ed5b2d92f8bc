"""The persons of a COCO data set that a top-down network is shown, one box each."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from quantkit.data.coco_file import KEYPOINTS, Annotation, CocoFile, ImageRecord, read_coco
from quantkit.errors import InputError

AREA_OF_BOX: Final = 0.53
"""MMPose's share of a person's box that the person covers, where no segment area is known."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person in one image.

    Attributes:
        annotation_id: Id of the annotation in its file.
        image_id: Id of the image in the file.
        image: The image file.
        file_name: The image as the annotation file names it.
        box: x1, y1, x2, y2 in pixels, clipped to the image as MMPose's CocoDataset clips.
        area: Segment area in square pixels, or 0.53 of the box where the file has none.
        score: Confidence of the box, 1 for ground truth.
    """

    annotation_id: int
    image_id: int
    image: Path
    file_name: str
    box: tuple[float, float, float, float]
    area: float
    score: float = 1.0


@dataclass(frozen=True)
class PoseDataset:
    """The persons that a network is shown.

    Attributes:
        annotations: The COCO file.
        images: The folder of its images.
        persons: Grouped by image, images in file order, persons of an image in file order.
        image_ids: All images that count in an evaluation, those without a person included.
        boxes: The detections file that the boxes are from; None where they are the annotations'.
    """

    annotations: Path
    images: Path
    persons: tuple[Person, ...]
    image_ids: tuple[int, ...]
    boxes: Path | None = None

    def subset(self, image_ids: Collection[int]) -> "PoseDataset":
        """Keep some of the images, in unchanged order."""
        kept = frozenset(image_ids)
        return replace(
            self,
            persons=tuple(person for person in self.persons if person.image_id in kept),
            image_ids=tuple(number for number in self.image_ids if number in kept),
        )


def load_dataset(annotations: Path, images: Path, *, keypoints: bool) -> PoseDataset:
    """Read the persons of a COCO file.

    For evaluation (`keypoints`) they are the ones of MMPose 1.3.2's CocoDataset in test mode with
    ground-truth boxes, in its order: no crowds, none without labelled keypoints, none whose clipped
    box is empty (mmpose/datasets/datasets/base/base_coco_style_dataset.py). For calibration they
    are all persons with a box.

    Args:
        annotations: COCO JSON file.
        images: Folder under which the file names of the JSON lie.
        keypoints: True to evaluate, False to calibrate.

    Raises:
        InputError: The file is not usable, or no person is left; see `read_coco`.
    """
    coco = read_coco(annotations)
    if not images.is_dir():
        message = "is not a folder of images"
        raise InputError(message, path=images)
    persons = tuple(
        person
        for record, annotation in _by_image(coco)
        if (person := _person(annotation, record, images, annotations, keypoints)) is not None
    )
    if not persons:
        what = "labelled keypoints" if keypoints else "a box"
        message = f"holds no person with {what}"
        raise InputError(message, path=annotations)
    return PoseDataset(annotations, images, persons, tuple(coco.images))


def _by_image(coco: CocoFile) -> list[tuple[ImageRecord, Annotation]]:
    persons: dict[int, list[Annotation]] = {number: [] for number in coco.images}
    for annotation in coco.annotations:
        persons[annotation.image_id].append(annotation)
    return [(coco.images[number], one) for number, group in persons.items() for one in group]


def _person(
    annotation: Annotation, record: ImageRecord, images: Path, path: Path, keypoints: bool
) -> Person | None:
    if annotation.crowd or (keypoints and not _labelled(annotation, path)):
        return None
    if keypoints and min(annotation.bbox[2:]) == 0:
        message = f"annotation {annotation.id}: bbox {list(annotation.bbox)} is empty"
        raise InputError(message, path=path)
    box = _clipped(annotation.bbox, record)
    width, height = box[2] - box[0], box[3] - box[1]
    if width <= 0 or height <= 0:
        return None
    area = max(1.0, width * height * AREA_OF_BOX) if annotation.area is None else annotation.area
    return Person(
        annotation_id=annotation.id,
        image_id=record.id,
        image=(images / record.file_name).absolute(),
        file_name=record.file_name,
        box=box,
        area=area,
    )


def _labelled(annotation: Annotation, path: Path) -> bool:
    place = f"annotation {annotation.id}"
    if annotation.keypoints is None:
        message = f"{place}: 'keypoints' is missing, evaluation needs them"
        raise InputError(message, path=path)
    if annotation.area is None:
        message = f"{place}: 'area' is missing, OKS needs it"
        raise InputError(message, path=path)
    if not annotation.has_coco_keypoints:
        message = (
            f"{place}: keypoints are not {KEYPOINTS} times x, y, visibility but"
            f" {len(annotation.keypoints)} numbers: evaluate with --no-labels"
        )
        raise InputError(message, path=path)
    coordinates = annotation.keypoints[0::3] + annotation.keypoints[1::3]
    return annotation.num_keypoints != 0 and max(coordinates) > 0


def _clipped(
    bbox: tuple[float, float, float, float], record: ImageRecord
) -> tuple[float, float, float, float]:
    x, y, width, height = bbox
    right, bottom = record.width - 1, record.height - 1
    return (
        _clip(x, right),
        _clip(y, bottom),
        _clip(x + width, right),
        _clip(y + height, bottom),
    )


def _clip(value: float, upper: int) -> float:
    return float(min(max(value, 0), upper))
