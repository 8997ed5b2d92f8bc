"""What a network says about every person of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PersonPrediction:
    """Keypoints of one person.

    Attributes:
        annotation_id: Whose box was shown.
        image_id: In which image.
        keypoints: x, y in image pixels, shape (K, 2).
        scores: Confidence of each keypoint, shape (K,).
        crop_area: Square image pixels that the crop covers.
    """

    annotation_id: int
    image_id: int
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float32]
    crop_area: float


@dataclass(frozen=True)
class Predictions:
    """Keypoints of N persons, in the order of the data set.

    Attributes:
        annotation_ids: Whose box was shown, shape (N,), int64.
        image_ids: In which image, shape (N,), int64.
        keypoints: x, y in image pixels, shape (N, K, 2), float64.
        scores: Confidence of each keypoint, shape (N, K), float32.
        crop_areas: Square image pixels that the crop covers, shape (N,), float32; OKS NMS weighs
            distances by it.
    """

    annotation_ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float32]
    crop_areas: NDArray[np.float32]

    @classmethod
    def of(cls, persons: Sequence[PersonPrediction]) -> Self:
        """Put the predictions of single persons together, in their order."""
        return cls(
            annotation_ids=np.array([one.annotation_id for one in persons], np.int64),
            image_ids=np.array([one.image_id for one in persons], np.int64),
            keypoints=np.array([one.keypoints for one in persons], np.float64),
            scores=np.array([one.scores for one in persons], np.float32),
            crop_areas=np.array([one.crop_area for one in persons], np.float32),
        )

    def __len__(self) -> int:
        return len(self.annotation_ids)

    def select(self, annotation_ids: Sequence[int]) -> Self:
        """Take some of the persons, in the order asked for."""
        places = {int(number): k for k, number in enumerate(self.annotation_ids)}
        chosen = [places[number] for number in annotation_ids]
        return replace(self, **{one.name: getattr(self, one.name)[chosen] for one in fields(self)})
