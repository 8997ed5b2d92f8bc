"""From the outputs of a network on some crops to keypoints."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco import Person
from quantkit.data.preprocess import Crop, InputSpec
from quantkit.evaluation.decode import Outputs, decode, to_image
from quantkit.evaluation.head import HeadSpec
from quantkit.evaluation.predictions import PersonPrediction, Predictions


def placed(
    shown: Iterable[tuple[Person, Crop]],
    outputs: Sequence[Outputs],
    spec: InputSpec,
    head: HeadSpec,
) -> tuple[NDArray[np.float64], Predictions]:
    """Read the outputs of each crop.

    Args:
        shown: The persons and their crops.
        outputs: Of each crop.
        spec: What a person becomes.
        head: How keypoints are read.

    Returns:
        Keypoints in input pixels, shape (N, K, 2), and in the images.

    Raises:
        InputError: The head does not fit the outputs.
        NotFinite: An output is not finite.
    """
    inside: list[NDArray[np.float64]] = []
    found: list[PersonPrediction] = []
    for (person, crop), given in zip(shown, outputs, strict=True):
        keypoints, scores = decode(given, head, spec)
        inside.append(keypoints.astype(np.float64))
        found.append(
            PersonPrediction(
                annotation_id=person.annotation_id,
                image_id=person.image_id,
                keypoints=to_image(keypoints, crop, spec).astype(np.float64),
                scores=scores,
                crop_area=float(crop.scale.prod()),
            )
        )
    return np.array(inside), Predictions.of(found)
