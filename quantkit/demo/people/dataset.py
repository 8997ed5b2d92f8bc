"""Rendered people on disk, in COCO's form: pictures and one annotation file for each split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np

from quantkit.demo.people import keypoints
from quantkit.demo.people.annotate import RenderedPerson
from quantkit.demo.people.paint import Image
from quantkit.demo.people.scene import render
from quantkit.errors import InputError
from quantkit.evaluation.oks import KEYPOINT_NAMES
from quantkit.progress import Progress, silent
from quantkit.storage import (
    content_key,
    json_text,
    read_json,
    sha256_bytes,
    sha256_file,
    write_atomically,
)

DiskSplit = Literal["calibration", "val"]

# A person of whom fewer keypoints are seen has a box and no labels, as many of COCO's have: nobody
# could say where the others are. Training sees them all.
_FEWEST_SEEN: Final = 9

# Raise it with any change of what is rendered, so that data sets on disk are made anew.
VERSION: Final = 4


@dataclass(frozen=True)
class _Numbers:
    """How many pictures a split has, and the id before its first; ids are of one split only."""

    pictures: int
    before: int


_NUMBERS: Final[Mapping[DiskSplit, _Numbers]] = {
    "calibration": _Numbers(pictures=220, before=0),
    "val": _Numbers(pictures=270, before=100_000),
}
_CATEGORY: Final = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(KEYPOINT_NAMES),
    "skeleton": [list(pair) for pair in keypoints.SKELETON],
}


def annotation_file(folder: Path, split: DiskSplit) -> Path:
    """Name the annotation file of a split.

    Example:
        >>> annotation_file(Path("people"), "val").as_posix()
        'people/annotations/person_keypoints_val.json'
    """
    return folder / "annotations" / f"person_keypoints_{split}.json"


def write_dataset(folder: Path, split: DiskSplit, progress: Progress = silent) -> None:
    """Render a split to `folder`, unless it is there already, whole and of this version.

    The pictures are `folder/split/ID.bmp` (BMP: its bytes depend on no encoder). The annotation
    file is taken away first and written last, so that a kill leaves nothing that looks whole.

    Args:
        folder: Made where absent.
        split: Which split; no picture of one is in another.
        progress: Called after each picture.

    Raises:
        InputError: Something cannot be written.
    """
    target = annotation_file(folder, split)
    if _is_whole(folder, split):
        return
    _take_away(target)
    numbers = _NUMBERS[split]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(numbers.pictures):
        picture = render(split, index)
        image_id = numbers.before + index + 1
        images.append(_write_image(folder / split, image_id, picture.image))
        first_id = numbers.before + len(annotations) + 1
        for offset, person in enumerate(picture.persons):
            annotations.append(_annotation(person, first_id + offset, image_id))
        progress(f"render {split}", index + 1, numbers.pictures)
    write_atomically(target, json_text(_document(images, annotations)))


def _take_away(path: Path) -> None:
    try:
        if path.exists():
            path.unlink()
    except OSError as error:
        raise InputError(f"cannot be removed ({error.strerror})", path=path) from error


def _document(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    content = {"images": images, "annotations": annotations, "categories": [_CATEGORY]}
    info = {
        "description": "People rendered by quantkit",
        "version": str(VERSION),
        "content": content_key(content),
    }
    return {"info": info} | content


def _write_image(folder: Path, image_id: int, image: Image) -> dict[str, Any]:
    encoded = cv2.imencode(".bmp", image)[1].tobytes()
    name = f"{image_id:06}.bmp"
    write_atomically(folder / name, encoded)
    height, width = image.shape[:2]
    return {
        "id": image_id,
        "file_name": name,
        "width": width,
        "height": height,
        "sha256": sha256_bytes(encoded),
    }


def _annotation(person: RenderedPerson, annotation_id: int, image_id: int) -> dict[str, Any]:
    labels = person.keypoints
    if (labels[:, 2] == 2).sum() < _FEWEST_SEEN:
        labels = np.zeros_like(labels)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": list(person.box),
        "area": person.area,
        "num_keypoints": int((labels[:, 2] > 0).sum()),
        "keypoints": [number for x, y, v in labels.tolist() for number in (x, y, int(v))],
    }


def _is_whole(folder: Path, split: DiskSplit) -> bool:
    target = annotation_file(folder, split)
    if not target.exists():
        return False
    try:
        document = read_json(target)
        return bool(
            document == _document(document["images"], document["annotations"])
            and len(document["images"]) == _NUMBERS[split].pictures
            and all(
                sha256_file(folder / split / image["file_name"]) == image["sha256"]
                for image in document["images"]
            )
        )
    except (InputError, KeyError, TypeError, ValueError):
        return False
