"""What the network is trained on: crops, mirrored names, heatmaps, and the score."""

import numpy as np
import pytest

from quantkit.demo.agreement import decoded, keypoint_similarity, mean_recall
from quantkit.demo.people.rotation import Array
from quantkit.demo.samples import (
    HEATMAP_SIZE,
    INPUT_SIZE,
    Sample,
    centered,
    draw_batch,
    draw_heatmaps,
    render_samples,
)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return render_samples(0, 12, processes=1)


def in_crop(sample: Sample) -> Array:
    _, matrix = centered(sample)
    moved = sample.keypoints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([moved, sample.keypoints[:, 2:]], axis=1)


def test_a_batch_depends_on_nothing_but_its_arguments(samples: list[Sample]) -> None:
    first, again = draw_batch(samples, 8, 0, 5), draw_batch(samples, 8, 0, 5)
    other = draw_batch(samples, 8, 0, 6)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.heatmaps, again.heatmaps)
    assert (first.images != other.images).any()


def test_a_batch_has_the_network_s_shapes(samples: list[Sample]) -> None:
    batch = draw_batch(samples, 4, 0, 0)
    assert batch.images.shape == (4, INPUT_SIZE, INPUT_SIZE, 3)
    assert batch.heatmaps.shape == (4, 17, HEATMAP_SIZE, HEATMAP_SIZE)
    assert set(np.unique(batch.weights)) <= {0.0, 1.0}


def test_a_pass_sees_every_sample_once(samples: list[Sample]) -> None:
    from quantkit.demo.samples import _chosen

    seen = [i for step in range(len(samples)) for i in _chosen(len(samples), 4, 0, step)]
    assert sorted(seen) == sorted(list(range(len(samples))) * 4)


def test_keypoints_come_back_out_of_their_heatmaps(samples: list[Sample]) -> None:
    for sample in samples:
        points = in_crop(sample)
        inside = ((points[:, :2] > 8) & (points[:, :2] < INPUT_SIZE - 8)).all(axis=1)
        labelled = inside & (points[:, 2] > 0)
        found = decoded(draw_heatmaps(points[None])[0][0], sample)
        pixel = max(sample.box[2:]) * 1.25 / HEATMAP_SIZE
        error = np.abs(found - sample.keypoints[:, :2])[labelled]
        assert error.max() <= 0.26 * pixel


def test_heatmaps_of_unlabelled_and_far_keypoints_are_ignored() -> None:
    points = np.full((1, 17, 3), 60.0)
    points[0, 0] = (60, 60, 0)
    points[0, 1] = (-40, 60, 2)
    _, weights = draw_heatmaps(points)
    assert weights[0, :3].tolist() == [0.0, 0.0, 1.0]


def test_a_mirrored_crop_has_its_keypoints_where_they_are_seen(samples: list[Sample]) -> None:
    from quantkit.demo.samples import _crop, _matrix

    sample = samples[0]
    plain = _matrix(sample, zoom=1.0, degrees=0.0, shift=np.zeros(2), mirrored=False)
    mirrored = _matrix(sample, zoom=1.0, degrees=0.0, shift=np.zeros(2), mirrored=True)
    left = sample.keypoints[:, :2] @ plain[:, :2].T + plain[:, 2]
    right = sample.keypoints[:, :2] @ mirrored[:, :2].T + mirrored[:, 2]
    np.testing.assert_allclose(left[:, 0] + right[:, 0], INPUT_SIZE)
    np.testing.assert_allclose(left[:, 1], right[:, 1])
    # The centre of the crop lies between pixels 63 and 64, so column x meets column 128 - x.
    seen = _crop(sample.image, plain)[:, 1:], _crop(sample.image, mirrored)[:, 1:]
    difference = np.abs(seen[0].astype(int) - seen[1][:, ::-1])
    assert difference.mean() < 1.0


def test_true_heatmaps_score_nearly_one(samples: list[Sample]) -> None:
    heatmaps, _ = draw_heatmaps(np.stack([in_crop(sample) for sample in samples]))
    assert mean_recall(heatmaps, samples) > 0.95


def test_similarity_is_that_of_pycocotools(samples: list[Sample]) -> None:
    from pycocotools.cocoeval import COCOeval, Params

    sample = samples[0]
    rng = np.random.default_rng(0)
    found = sample.keypoints.copy()
    found[:, :2] += rng.normal(0.0, 6.0, (17, 2))
    evaluation = COCOeval(iouType="keypoints")
    evaluation.params = Params(iouType="keypoints")
    x, y, w, h = sample.box
    truth = {"keypoints": sample.keypoints.ravel().tolist(), "bbox": [x, y, w, h]}
    evaluation._gts = {(1, 1): [truth | {"area": sample.area, "ignore": 0}]}
    evaluation._dts = {(1, 1): [{"keypoints": found.ravel().tolist(), "score": 1.0}]}
    expected = evaluation.computeOks(1, 1)[0, 0]
    assert keypoint_similarity(found[:, :2], sample) == pytest.approx(expected)
