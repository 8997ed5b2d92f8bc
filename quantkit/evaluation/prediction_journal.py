"""Predictions kept person by person as they come, so that a killed evaluation goes on."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from quantkit.data.coco import Person
from quantkit.evaluation.predictions import PersonPrediction
from quantkit.journal import Journal


class PredictionJournal:
    """The finished persons of one network on one data set; each is on disk before the next.

    Args:
        path: The file.
        key: All that the predictions depend on; those under another key are never found.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._journal = Journal(path, sync=False)
        self._key = key

    def find(self, persons: Iterable[Person]) -> dict[int, PersonPrediction]:
        """Find those of the persons that are finished, by annotation id, bit for bit."""
        found = ((one.annotation_id, self._journal.find(self._of(one))) for one in persons)
        return {number: _prediction(value) for number, value in found if value is not None}

    def record(self, prediction: PersonPrediction) -> None:
        """Append a person.

        Raises:
            InputError: The file cannot be written.
        """
        value = {
            "annotation_id": prediction.annotation_id,
            "image_id": prediction.image_id,
            "keypoints": prediction.keypoints.tolist(),
            "scores": prediction.scores.tolist(),
            "crop_area": prediction.crop_area,
        }
        self._journal.record(self._of(prediction), value)

    def remove(self) -> None:
        """Delete the file, once the predictions are kept as a whole."""
        self._journal.remove()

    def _of(self, person: Person | PersonPrediction) -> str:
        return f"{self._key} {person.annotation_id}"


def _prediction(value: dict[str, Any]) -> PersonPrediction:
    return PersonPrediction(
        annotation_id=value["annotation_id"],
        image_id=value["image_id"],
        keypoints=np.array(value["keypoints"], np.float64).reshape(-1, 2),
        scores=np.array(value["scores"], np.float32),
        crop_area=value["crop_area"],
    )
