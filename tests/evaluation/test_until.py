from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from quantkit.data.coco import Person, PoseDataset
from quantkit.evaluation.matches import Matches
from quantkit.evaluation.until import growing_parts, is_within


def _dataset(images: int) -> PoseDataset:
    """Every third image has nobody."""
    persons = tuple(
        Person(k, k, Path("a"), "a", (0.0, 0.0, 9.0, 9.0), 50.0) for k in range(images) if k % 3
    )
    return PoseDataset(Path("a.json"), Path("a"), persons, tuple(range(images)))


def _matches(images: int, right: float, seed: int) -> Matches:
    """One person an image, found with this probability at every threshold."""
    hits = np.broadcast_to(np.random.default_rng(seed).random(images) < right, (10, images))
    numbers = np.arange(images)
    return Matches(numbers, np.ones(images, np.int64), numbers, hits, ~hits)


def test_parts_double_and_hold_each_other_and_end_with_everything() -> None:
    dataset = _dataset(1000)
    parts = growing_parts(dataset)
    assert [len(part.image_ids) for part in parts] == [64, 128, 256, 512, 1000]
    for small, large in pairwise(parts):
        assert set(small.persons) < set(large.persons)
    assert parts[-1] is dataset
    first = parts[0].image_ids
    assert growing_parts(dataset)[0].image_ids == first
    assert growing_parts(dataset, seed=1)[0].image_ids != first
    assert first != tuple(range(64))


def test_little_data_is_looked_at_once() -> None:
    assert len(growing_parts(_dataset(64))) == 1
    assert len(growing_parts(_dataset(65))) == 2


def test_a_clear_drop_is_decided_and_an_unclear_one_is_not() -> None:
    good, same, bad = (_matches(400, right, 0) for right in (0.9, 0.88, 0.5))
    assert is_within(good, good, 0.1, looks=5, last=False) is True
    assert is_within(good, same, 0.1, looks=5, last=False) is True
    assert is_within(good, bad, 0.1, looks=5, last=False) is False
    assert is_within(good, _matches(400, 0.88, 1), 0.02, looks=5, last=True) is None


def test_a_few_equal_images_do_not_show_that_failures_are_rare() -> None:
    good = _matches(400, 0.9, 0)
    assert is_within(good, good, 0.002, looks=5, last=False) is None
    assert is_within(good, good, 0.002, looks=5, last=True) is True
    assert is_within(good, good, 6 / 400, looks=5, last=False) is True
    assert is_within(good, _matches(400, 0.7, 0), 0.002, looks=5, last=False) is False


def test_gains_are_within_every_bound() -> None:
    gain = is_within(_matches(400, 0.5, 0), _matches(400, 0.9, 0), 0.0, looks=1, last=True)
    assert gain is True


@pytest.mark.slow
def test_more_looks_ask_for_more_certainty() -> None:
    good, worse = _matches(120, 0.9, 0), _matches(120, 0.88, 2)
    decided = [
        next(
            bound
            for bound in np.linspace(0.0, 0.3, 13).tolist()
            if is_within(good, worse, bound, looks=looks, last=True)
        )
        for looks in (1, 20)
    ]
    assert decided[0] < decided[1]


def test_data_without_ground_truth_decides_nothing() -> None:
    matches = _matches(10, 0.5, 0)
    empty = replace(matches, positives=np.zeros(10, np.int64))
    assert is_within(empty, empty, 0.5, looks=1, last=True) is None
