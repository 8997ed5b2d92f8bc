"""A detector's boxes for a COCO folder: near the labelled ones, doubled, and where nobody is."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from quantkit.data.coco import PoseDataset


def detections_near_boxes(dataset: PoseDataset, seed: int = 0) -> list[dict[str, Any]]:
    """Detections in no order of images; one is no person, one leaves the image."""
    generator = np.random.default_rng(seed)
    found = []
    for person in (*dataset.persons, *dataset.persons[::2]):
        left, top, right, bottom = person.box
        jitter = generator.normal(size=4) * 3
        box = np.array((left, top, right - left, bottom - top)) + jitter
        found.append(_detection(person.image_id, box.tolist(), generator.uniform(0.2, 1)))
    for image_id in dataset.image_ids:
        found.append(_detection(image_id, [120.3, 90.7, 80.1, 70.2], generator.uniform(0, 0.4)))
    order = generator.permutation(len(found)).tolist()
    other = {**found[0], "category_id": 18}
    return [other, *(found[place] for place in order)]


def write_detections(path: Path, detections: list[dict[str, Any]]) -> Path:
    """Write the file."""
    path.write_text(json.dumps(detections))
    return path


def _detection(image_id: int, box: list[float], score: float) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}
