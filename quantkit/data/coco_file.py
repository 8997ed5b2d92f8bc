"""A COCO annotation file, read strictly: what is wrong is named by file and annotation id."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from quantkit.data.coco_fields import bbox, finite, integer, required
from quantkit.errors import InputError
from quantkit.storage import read_json

KEYPOINTS = 17
"""Of a person in COCO; hands, faces and whole bodies have other numbers."""
# JSON can hold them, no file system can: the NUL character and halves of surrogate pairs.
_UNUSABLE = frozenset(map(chr, (0, *range(0xD800, 0xE000))))


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One entry of `images`: where the file lies in its folder, and its size in pixels."""

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """One person of `annotations`.

    Attributes:
        id: As in the file.
        image_id: As in the file; always one of its images.
        bbox: x, y, width, height in pixels; finite, neither size is negative.
        area: Segment area in square pixels; None where the file has none.
        crowd: A region of many people (`iscrowd`).
        keypoints: x, y, visibility in turn, of as many keypoints as the file has; None where it
            has none.
        num_keypoints: As in the file; counted from the visibilities where it is absent.
    """

    id: int
    image_id: int
    bbox: tuple[float, float, float, float]
    area: float | None
    crowd: bool
    keypoints: tuple[float, ...] | None
    num_keypoints: int

    @property
    def has_coco_keypoints(self) -> bool:
        """Whether these are COCO's 17 keypoints, which alone have sigmas to score them by."""
        return self.keypoints is not None and len(self.keypoints) == 3 * KEYPOINTS


@dataclass(frozen=True)
class CocoFile:
    """The persons of a COCO file.

    Attributes:
        path: The file.
        images: Every image of the file, by id, in file order.
        annotations: The persons among the annotations, in file order.
    """

    path: Path
    images: Mapping[int, ImageRecord]
    annotations: tuple[Annotation, ...]


def read_coco(path: Path) -> CocoFile:
    """Read the images and the persons of a COCO JSON file.

    Annotations of other categories than `person` are left out; a file with one category only is
    taken as a file of persons.

    Raises:
        InputError: The file is missing, is no JSON or no COCO file, an annotation names an unknown
            image, an id occurs twice, a file name leaves the images folder, or a number is none.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        message = "is not a COCO file: expected an object at the top"
        raise InputError(message, path=path)
    try:
        images = _images(_list(document, "images"))
        category = _person_category(_list(document, "categories"))
        annotations = _annotations(_list(document, "annotations"), category, images)
    except (ValueError, OverflowError) as error:
        raise InputError(str(error), path=path) from error
    return CocoFile(path, images, annotations)


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        message = f"is not a COCO file: expected a list under '{key}'"
        raise ValueError(message)
    return value


def _images(entries: list[Any]) -> dict[int, ImageRecord]:
    images: dict[int, ImageRecord] = {}
    for position, entry in enumerate(entries):
        place = f"images[{position}]"
        record = ImageRecord(
            id=integer(entry, "id", place),
            file_name=_file_name(entry, place),
            width=_size(entry, "width", place),
            height=_size(entry, "height", place),
        )
        if record.id in images:
            message = f"{place}: image id {record.id} occurs twice"
            raise ValueError(message)
        images[record.id] = record
    return images


def _person_category(entries: list[Any]) -> int:
    ids = {
        str(required(entry, "name", f"categories[{position}]")): integer(
            entry, "id", f"categories[{position}]"
        )
        for position, entry in enumerate(entries)
    }
    if "person" in ids:
        return ids["person"]
    if len(ids) == 1:
        return next(iter(ids.values()))
    message = f"no category is named 'person' among {len(ids)}"
    raise ValueError(message)


def _annotations(
    entries: list[Any], category: int, images: Mapping[int, ImageRecord]
) -> tuple[Annotation, ...]:
    seen: set[int] = set()
    annotations = []
    for position, entry in enumerate(entries):
        number = integer(entry, "id", f"annotations[{position}]")
        place = f"annotation {number}"
        if number in seen:
            message = f"{place}: the id occurs twice"
            raise ValueError(message)
        seen.add(number)
        if integer(entry, "category_id", place) != category:
            continue
        image_id = integer(entry, "image_id", place)
        if image_id not in images:
            message = f"{place}: image id {image_id} is not among the images of the file"
            raise ValueError(message)
        annotations.append(_annotation(entry, number, image_id, place))
    return tuple(annotations)


def _annotation(entry: Mapping[str, Any], number: int, image_id: int, place: str) -> Annotation:
    keypoints = _keypoints(entry, place)
    visible = sum(1 for flag in (keypoints or ())[2::3] if flag > 0)
    return Annotation(
        id=number,
        image_id=image_id,
        bbox=bbox(entry, place),
        area=finite(entry["area"], f"{place}: area") if "area" in entry else None,
        crowd=bool(entry.get("iscrowd", 0)),
        keypoints=keypoints,
        num_keypoints=(
            integer(entry, "num_keypoints", place) if "num_keypoints" in entry else visible
        ),
    )


def _keypoints(entry: Mapping[str, Any], place: str) -> tuple[float, ...] | None:
    value = entry.get("keypoints")
    if value is None:
        return None
    if not isinstance(value, list):
        message = f"{place}: keypoints are not a list"
        raise ValueError(message)
    return tuple(finite(number, f"{place}: keypoints") for number in value)


def _file_name(entry: Mapping[str, Any], place: str) -> str:
    value = required(entry, "file_name", place)
    if not isinstance(value, str) or not value or not _UNUSABLE.isdisjoint(value):
        message = f"{place}: file_name {value!r} is not a file name"
        raise ValueError(message)
    pure = PurePosixPath(value.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts:
        message = f"{place}: file_name {value!r} leaves the images folder"
        raise ValueError(message)
    return value


def _size(entry: Mapping[str, Any], key: str, place: str) -> int:
    value = integer(entry, key, place)
    if value < 1:
        message = f"{place}: {key} {value} is not positive"
        raise ValueError(message)
    return value
