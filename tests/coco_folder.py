"""A small COCO data set on disk, of noise images and made-up people, for tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from quantkit.data.coco import PoseDataset, load_dataset

Document = dict[str, Any]


def write_coco_folder(
    folder: Path, change: Callable[[Document], object] = lambda _: None
) -> tuple[Path, Path]:
    """Write annotations and images; returns the JSON file and the images folder.

    Image 7 comes before image 3; it holds a crowd and a person without keypoints, image 5 holds
    nobody. `change` may alter the JSON before it is written.
    """
    generator = np.random.default_rng(0)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    document: Document = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "person"}],
    }
    for number, people in ((7, 3), (3, 2), (5, 0), (11, 1)):
        width, height = 160 + number, 120 + 2 * number
        name = f"{number:012d}.png"
        pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(str(images / name), pixels)
        document["images"].append(
            {"id": number, "file_name": name, "width": width, "height": height}
        )
        for person in range(people):
            document["annotations"].append(
                _annotation(generator, number * 100 + person, number, width, height)
            )
    crowd = _annotation(generator, 790, 7, 167, 134) | {"iscrowd": 1}
    unlabelled = _annotation(generator, 791, 7, 167, 134)
    unlabelled |= {"keypoints": [0] * 51, "num_keypoints": 0}
    document["annotations"] += [crowd, unlabelled]
    change(document)
    path = folder / "annotations.json"
    path.write_text(json.dumps(document))
    return path, images


def load_coco_folder(
    folder: Path, change: Callable[[Document], object] = lambda _: None
) -> PoseDataset:
    """Write the data set and read it for evaluation."""
    path, images = write_coco_folder(folder, change)
    return load_dataset(path, images, keypoints=True)


def labels_of(dataset: PoseDataset) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Labelled keypoints of the data set's persons, shape (N, 17, 3)."""
    document = json.loads(dataset.annotations.read_text())
    by_id = {one["id"]: one["keypoints"] for one in document["annotations"]}
    return np.array([by_id[one.annotation_id] for one in dataset.persons], float).reshape(-1, 17, 3)


def _annotation(
    generator: np.random.Generator, number: int, image: int, width: int, height: int
) -> Document:
    left, top = generator.uniform(-8, width / 2), generator.uniform(-8, height / 2)
    wide, high = generator.uniform(40, width * 0.6), generator.uniform(40, height * 0.6)
    points = generator.uniform((left, top), (left + wide, top + high), (17, 2)).round()
    seen = generator.choice([0, 1, 2], 17, p=[0.2, 0.2, 0.6])
    seen[0] = 2
    keypoints = np.concatenate((points.clip(1) * (seen > 0)[:, None], seen[:, None]), axis=1)
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [round(value, 2) for value in (left, top, wide, high)],
        "area": round(wide * high * 0.6, 3),
        "keypoints": keypoints.astype(int).ravel().tolist(),
        "num_keypoints": int((seen > 0).sum()),
    }
