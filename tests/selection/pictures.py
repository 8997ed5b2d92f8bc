"""Pictures that can be decoded: random shapes, as different from each other as photographs are."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco import Person, PoseDataset

Picture = NDArray[np.uint8]


def draw(seed: int, width: int = 160, height: int = 120) -> Picture:
    """Draw soft blobs of many sizes."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float64)
    for size in (3, 5, 9, 20):
        noise = rng.normal(0.0, 1.0, (size, size, 3))
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(128 + 40 * picture, 0, 255), np.uint8)


def encode(picture: Picture, suffix: str, *, quality: int = 30) -> bytes:
    """Encode a picture; `quality` is that of a JPEG."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    return bytes(cv2.imencode(suffix, picture, flags)[1].tobytes())


def picture_pool(folder: Path, first_id: int, images: int = 4) -> PoseDataset:
    """Make a pool of pictures with one person each; the seed of a picture is its id."""
    folder.mkdir(parents=True)
    persons = []
    for number in range(first_id, first_id + images):
        path = folder / f"{number:06}.png"
        path.write_bytes(encode(draw(number), ".png"))
        box = (10.0, 5.0, 90.0, 110.0)
        persons.append(Person(number * 10, number, path, path.name, box, 4000.0))
    ids = tuple(range(first_id, first_id + images))
    return PoseDataset(folder.parent / f"{folder.name}.json", folder, tuple(persons), ids)
