from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.selection.herding import choose
from quantkit.selection.seeded_order import seeded_order
from tests.selection.made_up import activations_of, candidates_of, chosen_in_order, shown
from tests.selection.plain_features import plain_features


def gap(points: NDArray[np.float64], chosen: list[int]) -> float:
    """How far the mean of those chosen is from that of all."""
    return float(np.linalg.norm(points[chosen].mean(axis=0) - points.mean(axis=0)))


@pytest.mark.parametrize("seed", range(4))
def test_each_brings_the_mean_as_near_to_the_pools_as_any_can(seed: int) -> None:
    candidates = candidates_of(30, seed)
    points = plain_features(candidates.activations())
    order = chosen_in_order(choose, candidates, 15)
    for step in range(15):
        left = [k for k in range(30) if k not in order[:step]]
        assert order[step] == min(left, key=lambda k: gap(points, [*order[:step], k]))


@pytest.mark.parametrize("count", [4, 16, 40])
def test_the_mean_is_nearer_to_the_pools_than_that_of_nearly_every_random_set(count: int) -> None:
    draw = np.random.default_rng(1)
    for seed in range(3):
        candidates = candidates_of(90, seed)
        points = plain_features(candidates.activations())
        found = gap(points, choose(candidates, count, 0))
        chance = [gap(points, draw.choice(90, count, replace=False).tolist()) for _ in range(300)]
        assert found < np.quantile(chance, 0.05)


def test_smaller_sets_lie_within_larger_ones_down_to_nobody_left() -> None:
    assert sorted(chosen_in_order(choose, candidates_of(15), 15)) == list(range(15))


def test_the_seed_decides_between_persons_who_are_alike() -> None:
    alike = shown(activations_of([[np.ones(5)]] * 9))
    for seed in range(3):
        order = seeded_order(alike.persons, seed)
        assert chosen_in_order(choose, alike, 9, seed) == order


def test_the_seed_does_not_decide_between_others() -> None:
    candidates = candidates_of(60)
    assert choose(candidates, 12, 0) == choose(candidates, 12, 1)


def test_every_choice_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    choose(replace(candidates_of(9), progress=lambda *step: told.append(step)), 4, 0)
    assert told == [("choosing", done, 4) for done in (1, 2, 3, 4)]
