"""How a person is seen in its image: what a stratified calibration set is spread over."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.data.affine import center_and_scale
from quantkit.data.coco import Person
from quantkit.data.images import read_image
from quantkit.data.preprocess import InputSpec
from quantkit.data.read_ahead import read_ahead
from quantkit.progress import Progress, silent

Array = NDArray[np.float64]

UNKNOWN: Final = -1
"""The value of a trait that is not known."""

# Images that wait decoded: one is enough to keep both threads busy, and a large one is 100 MB.
_AHEAD: Final = 2


@dataclass(frozen=True, eq=False)
class Traits:
    """How persons are seen, one value a person; every array has shape (n,).

    Attributes:
        size: Root of the box's area, in pixels.
        aspect: Width of the box by its height.
        keypoints: Number of visible keypoints; as all traits, -1 where it is not known.
        truncation: Share of the crop, as the network sees it, that lies outside the image.
        crowding: Largest share of the box that the box of one other person covers.
        brightness: Mean grey of the crop inside the image, 0 to 255.
        contrast: Standard deviation of that grey.

    Example:
        >>> pair = Traits(*np.arange(14.0).reshape(7, 2))
        >>> pair.take([1]).aspect
        array([3.])
    """

    size: Array
    aspect: Array
    keypoints: Array
    truncation: Array
    crowding: Array
    brightness: Array
    contrast: Array

    def named(self) -> dict[str, Array]:
        """Give the arrays by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> "Traits":
        """Keep some of the persons, in the order of `indices`."""
        kept = np.asarray(indices, np.intp)
        return Traits(**{name: values[kept] for name, values in self.named().items()})


def measure_traits(
    persons: Sequence[Person],
    keypoints: Mapping[int, int],
    spec: InputSpec,
    progress: Progress = silent,
) -> Traits:
    """Measure how persons are seen.

    Every image is read once, whatever the order of the persons. What stays in memory is a few
    numbers a person and three images.

    Args:
        persons: Whom to measure; crowding is told from them alone.
        keypoints: Number of visible keypoints by annotation id; may lack persons.
        spec: The network's input, which says how far a crop reaches.
        progress: Called after every person, stage "traits".

    Raises:
        InputError: An image is missing, broken or truncated.
    """
    seen = np.zeros((len(persons), 3))
    done = 0
    for place, image in read_ahead(_decoded(_by_image(persons)), _AHEAD):
        for index in place:
            seen[index] = _seen(image, persons[index], spec)
            done += 1
            progress("traits", done, len(persons))
    return replace(
        box_traits(persons, keypoints),
        truncation=seen[:, 0],
        brightness=seen[:, 1],
        contrast=seen[:, 2],
    )


def box_traits(persons: Sequence[Person], keypoints: Mapping[int, int]) -> Traits:
    """Tell what boxes alone say of persons; truncation, brightness and contrast are -1.

    Args:
        persons: Whom to look at; crowding is told from them alone.
        keypoints: Number of visible keypoints by annotation id; may lack persons.
    """
    boxes = np.array([person.box for person in persons], np.float64).reshape(-1, 4)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    crowding = np.zeros(len(persons))
    for place in _by_image(persons).values():
        crowding[place] = _crowding(boxes[place])
    unseen = np.full(len(persons), float(UNKNOWN))
    return Traits(
        size=np.sqrt(width * height),
        aspect=width / height,
        keypoints=np.array([keypoints.get(one.annotation_id, UNKNOWN) for one in persons], float),
        truncation=unseen,
        crowding=crowding,
        brightness=unseen,
        contrast=unseen,
    )


def _by_image(persons: Sequence[Person]) -> dict[Path, list[int]]:
    places: dict[Path, list[int]] = {}
    for index, person in enumerate(persons):
        places.setdefault(person.image, []).append(index)
    return places


def _decoded(
    places: Mapping[Path, list[int]],
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    for path, place in places.items():
        yield place, read_image(path)


def _crowding(boxes: Array) -> Array:
    """Share of each box that the other box which covers most of it covers, shape (n,)."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    crowding = np.zeros(len(boxes))
    for index, box in enumerate(boxes):
        corner = np.maximum(box[:2], boxes[:, :2])
        common = np.maximum(np.minimum(box[2:], boxes[:, 2:]) - corner, 0).prod(axis=1)
        common[index] = 0
        crowding[index] = common.max() / areas[index]
    return crowding


def _seen(image: NDArray[np.uint8], person: Person, spec: InputSpec) -> tuple[float, float, float]:
    """Truncation, brightness and contrast of a person's crop."""
    center, extent = (
        part.astype(np.float64) for part in center_and_scale(person.box, spec.size, spec.padding)
    )
    limit = np.array(image.shape[1::-1], np.float64)
    first = np.clip(center - extent / 2, 0, limit)
    last = np.clip(center + extent / 2, 0, limit)
    # Rounded, so that a crop that lies inside gets 0 and not the rounding error of its corners.
    truncation = round(1 - float(np.prod((last - first) / extent)), 6)
    left, top = np.floor(first).astype(int)
    right, bottom = np.ceil(last).astype(int)
    inside = image[top:bottom, left:right]
    if not inside.size:
        return 1.0, 0.0, 0.0
    mean, deviation = cv2.meanStdDev(cv2.cvtColor(inside, cv2.COLOR_BGR2GRAY))
    return truncation, float(mean[0, 0]), float(deviation[0, 0])
