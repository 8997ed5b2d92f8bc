from typing import Any

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval, Params

from quantkit.evaluation.oks import SIGMAS, oks
from quantkit.evaluation.scoring import person_scores


def _by_pycocotools(keypoints: Any, reference: Any, area: float) -> float:
    def triplets(points: Any) -> list[float]:
        return list(np.concatenate((points, np.full((17, 1), 2.0)), axis=1).ravel())

    evaluation = COCOeval(iouType="keypoints")
    evaluation._gts = {
        (1, 1): [{"keypoints": triplets(reference), "bbox": [0, 0, 1, 1], "area": area}]
    }
    evaluation._dts = {(1, 1): [{"keypoints": triplets(keypoints), "score": 1.0}]}
    return float(evaluation.computeOks(1, 1)[0, 0])


def test_it_is_pycocotools_oks_with_everything_visible() -> None:
    generator = np.random.default_rng(0)
    reference = generator.uniform(0, 300, (20, 17, 2))
    keypoints = reference + generator.normal(size=reference.shape) * generator.uniform(
        0, 20, (20, 1, 1)
    )
    areas = generator.uniform(200, 40000, 20)
    expected = [
        _by_pycocotools(*person) for person in zip(keypoints, reference, areas, strict=True)
    ]
    assert oks(keypoints, reference, areas) == pytest.approx(expected, abs=1e-12)


def test_the_sigmas_are_pycocotools() -> None:
    assert pytest.approx(Params("keypoints").kpt_oks_sigmas) == SIGMAS


def test_a_person_without_a_confident_keypoint_scores_zero() -> None:
    confidences = np.array([[0.2, 0.1, -1.0], [0.21, 0.0, 0.0]], np.float32)
    assert person_scores(confidences, np.ones(2, np.float32)).round(6).tolist() == [0.0, 0.21]
    assert person_scores(confidences, np.array([0.5, 0.25], np.float32), "bbox").tolist() == [
        0.5,
        0.25,
    ]
