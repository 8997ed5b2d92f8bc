from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.data.affine import center_and_scale
from quantkit.data.coco import PoseDataset
from quantkit.data.preprocess import InputSpec
from quantkit.errors import InputError
from quantkit.evaluation.evaluate import predict, score
from quantkit.evaluation.head import HeadSpec
from tests.coco_folder import labels_of, load_coco_folder

SPEC = InputSpec((192, 256))


class Oracle:
    """A runner that knows the labels and draws them as heatmaps, in the order it is asked."""

    normalisation = None

    def __init__(self, dataset: PoseDataset) -> None:
        self.asked = 0
        self.answers = [
            self.heatmaps(points, person.box)
            for points, person in zip(labels_of(dataset)[:, :, :2], dataset.persons, strict=True)
        ]

    @staticmethod
    def heatmaps(points: NDArray[np.float64], box: Any) -> NDArray[np.float32]:
        center, scale = center_and_scale(box, SPEC.size, SPEC.padding)
        inside = (points - center + scale / 2) / scale * SPEC.size / 4
        y, x = np.mgrid[:64, :48]
        squared = (x - inside[:, 0, None, None]) ** 2 + (y - inside[:, 1, None, None]) ** 2
        return np.asarray(np.exp(-squared / 8), np.float32)

    def stream(
        self, tensors: Iterable[NDArray[np.float32]]
    ) -> Iterator[tuple[NDArray[np.float32], ...]]:
        for tensor in tensors:
            assert tensor.shape == (3, 256, 192)
            self.asked += 1
            yield (self.answers[self.asked - 1],)


def _run(runner: Any, dataset: PoseDataset, head: HeadSpec, progress: Any = None) -> Any:
    told = progress if progress is not None else lambda *_: None
    return predict(runner, dataset, SPEC, head, told)


def test_a_network_that_knows_the_labels_finds_them(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    told: list[tuple[str, int, int]] = []
    head = HeadSpec(decode="dark")
    predictions = _run(Oracle(dataset), dataset, head, lambda *step: told.append(step))
    assert predictions.annotation_ids.tolist() == [700, 701, 702, 300, 301, 1100]
    assert predictions.image_ids.tolist() == [7, 7, 7, 3, 3, 11]
    assert predictions.crop_areas.shape == (6,)
    assert told[-1] == ("predict", 6, 6)
    evaluation = score(predictions, dataset)
    assert evaluation.predictions is predictions
    assert evaluation.figures.ap > 0.9
    seen = labels_of(dataset)[:, :, 2] > 0
    error = np.abs(predictions.keypoints - labels_of(dataset)[:, :, :2]).max(axis=2)[seen]
    assert np.median(error) < 0.1


def test_an_output_that_is_not_finite_names_the_image(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    oracle = Oracle(dataset)
    oracle.answers[3][2, 5, 5] = np.nan
    with pytest.raises(InputError, match=r"000000000003\.png: annotation 300: output 0 has 1 of"):
        _run(oracle, dataset, HeadSpec())


def test_a_position_that_is_not_finite_names_image_and_keypoint(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    oracle = Oracle(dataset)
    oracle.answers[5][9] = 0
    with pytest.raises(InputError, match=r"11\.png: annotation 1100: keypoint 9 has no finite"):
        _run(oracle, dataset, HeadSpec(decode="udp"))


def test_what_the_runner_refuses_names_the_image(tmp_path: Path) -> None:
    class Refusing(Oracle):
        def stream(self, tensors: Any) -> Iterator[tuple[NDArray[np.float32], ...]]:
            yield next(super().stream(tensors))
            message = "backend 'x' gave NaN"
            raise InputError(message)

    dataset = load_coco_folder(tmp_path)
    with pytest.raises(InputError, match=r"7\.png: annotation 701: backend 'x' gave NaN"):
        _run(Refusing(dataset), dataset, HeadSpec())


def test_a_broken_image_is_named_once(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    dataset.persons[4].image.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        _run(Oracle(dataset), dataset, HeadSpec())
    assert str(caught.value) == (
        f"{dataset.persons[4].image}: is not an image that OpenCV can decode"
    )


def test_a_network_of_another_head_is_refused(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    with pytest.raises(InputError, match="a simcc head needs outputs"):
        _run(Oracle(dataset), dataset, HeadSpec("simcc"))
