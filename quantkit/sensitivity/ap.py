"""AP drops on the persons of a sweep, by COCO's own evaluation, on these persons alone."""

import tempfile
from pathlib import Path

import numpy as np

from quantkit.data.coco import PoseDataset
from quantkit.data.coco_file import read_coco
from quantkit.evaluation.bootstrap import drop_interval
from quantkit.evaluation.coco_ap import coco_figures
from quantkit.evaluation.predictions import Predictions
from quantkit.sensitivity.sweep import Sweep
from quantkit.storage import json_text

_RESAMPLES = 500


class ApDrop:
    """Scores predictions against labels, or against the baseline where there are none.

    Args:
        baseline: What the fp32 network says of the persons of the sweep.
        sweep: The persons, and where their labels are.

    Raises:
        InputError: The labels cannot be read.
    """

    def __init__(self, baseline: Predictions, sweep: Sweep) -> None:
        labels = _labels(sweep) if sweep.annotations else _own_labels(baseline)
        persons = tuple(one.person for one in sweep.shown)
        images = tuple(dict.fromkeys(person.image_id for person in persons))
        # The other persons of these images were not shown: as labels they would all be missed.
        document = {
            "images": [{"id": n, "file_name": f"{n}.png", "width": 1, "height": 1} for n in images],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": [
                {
                    "id": person.annotation_id,
                    "image_id": person.image_id,
                    "category_id": 1,
                    "bbox": [0, 0, 1, 1],
                    "area": person.area,
                    "iscrowd": 0,
                    "keypoints": labels[person.annotation_id],
                }
                for person in persons
            ],
        }
        self._folder = tempfile.TemporaryDirectory(prefix="quantkit-")
        path = Path(self._folder.name, "labels.json")
        path.write_text(json_text(document))
        self._dataset = PoseDataset(path, path.parent, persons, images)
        self._figures, self._matches = coco_figures(baseline, self._dataset)

    def of(self, predictions: Predictions) -> tuple[float, tuple[float, float]]:
        """Measure the AP that predictions lose, with its 95 % interval over the images."""
        figures, matches = coco_figures(predictions, self._dataset)
        low, high = drop_interval(self._matches, matches, resamples=_RESAMPLES)
        drop = self._figures.ap - figures.ap
        return round(drop, 6), (round(low, 6), round(high, 6))


def _labels(sweep: Sweep) -> dict[int, list[float]]:
    assert sweep.annotations is not None
    found = read_coco(sweep.annotations).annotations
    return {one.id: list(one.keypoints or ()) for one in found}


def _own_labels(baseline: Predictions) -> dict[int, list[float]]:
    return {
        int(number): np.column_stack((points, np.full(len(points), 2.0))).ravel().tolist()
        for number, points in zip(baseline.annotation_ids, baseline.keypoints, strict=True)
    }
