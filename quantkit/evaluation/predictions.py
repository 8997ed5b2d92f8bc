"""What a network says about every person of a data set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """Keypoints of N persons, in the order of the data set.

    Attributes:
        annotation_ids: Whose box was shown, shape (N,), int64.
        image_ids: In which image, shape (N,), int64.
        keypoints: x, y in image pixels, shape (N, 17, 2), float64.
        scores: Confidence of each keypoint, shape (N, 17), float32.
        crop_areas: Square image pixels that the crop covers, shape (N,), float32; OKS NMS weighs
            distances by it.
    """

    annotation_ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float32]
    crop_areas: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.annotation_ids)
