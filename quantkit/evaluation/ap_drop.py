"""AP drops on some persons of a data set, by COCO's own evaluation, on these persons alone."""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quantkit.data.coco import Person, PoseDataset
from quantkit.data.coco_file import read_coco
from quantkit.evaluation.bootstrap import drop_interval
from quantkit.evaluation.coco_ap import coco_figures
from quantkit.evaluation.predictions import Predictions
from quantkit.storage import json_text

_RESAMPLES = 500


class ApDrop:
    """Scores predictions against labels, or against the baseline where there are none.

    Args:
        baseline: What the fp32 network says of the persons.
        persons: Whom it was shown.
        annotations: The COCO file that labels them; None to take what the fp32 network says.

    Raises:
        InputError: The labels cannot be read.
    """

    def __init__(
        self, baseline: Predictions, persons: Sequence[Person], annotations: Path | None
    ) -> None:
        labels = _labels(annotations) if annotations else _own_labels(baseline)
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
        path = Path(tempfile.mkdtemp(prefix="quantkit-"), "labels.json")
        weakref.finalize(self, shutil.rmtree, path.parent, ignore_errors=True)
        path.write_text(json_text(document))
        self._dataset = PoseDataset(path, path.parent, tuple(persons), images)
        self._figures, self._matches = coco_figures(baseline, self._dataset)

    @property
    def ap(self) -> float:
        """AP of the baseline."""
        return self._figures.ap

    def of(self, predictions: Predictions) -> tuple[float, tuple[float, float]]:
        """Measure the AP that predictions lose, with its 95 % interval over the images."""
        figures, matches = coco_figures(predictions, self._dataset)
        low, high = drop_interval(self._matches, matches, resamples=_RESAMPLES)
        drop = self._figures.ap - figures.ap
        return round(drop, 6), (round(low, 6), round(high, 6))


def _labels(path: Path) -> dict[int, list[float]]:
    found = read_coco(path).annotations
    return {one.id: list(one.keypoints or ()) for one in found}


def _own_labels(baseline: Predictions) -> dict[int, list[float]]:
    return {
        int(number): np.column_stack((points, np.full(len(points), 2.0))).ravel().tolist()
        for number, points in zip(baseline.annotation_ids, baseline.keypoints, strict=True)
    }
