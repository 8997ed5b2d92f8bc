from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.selection.k_center import choose
from quantkit.selection.seeded_order import seeded_order
from tests.selection.made_up import activations_of, candidates_of, chosen_in_order, shown
from tests.selection.plain_features import plain_features


def distances(count: int, seed: int) -> NDArray[np.float64]:
    points = plain_features(candidates_of(count, seed).activations())
    return np.array([[np.linalg.norm(one - other) for other in points] for one in points])


def radius(apart: NDArray[np.float64], chosen: tuple[int, ...] | list[int]) -> float:
    """How far the farthest person is from the nearest one that is chosen."""
    return float(apart[:, chosen].min(axis=1).max())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_farthest_person_is_at_most_twice_as_far_as_the_best_choice_leaves_it(
    count: int, seed: int
) -> None:
    apart = distances(11, seed)
    best = min(radius(apart, chosen) for chosen in combinations(range(11), count))
    assert radius(apart, choose(candidates_of(11, seed), count, 0)) <= 2 * best + 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_each_is_the_farthest_from_those_before(seed: int) -> None:
    candidates, apart = candidates_of(30, seed), distances(30, seed)
    order = chosen_in_order(choose, candidates, 12)
    for step in range(1, 12):
        before = order[:step]
        left = [k for k in range(30) if k not in before]
        assert order[step] == max(left, key=lambda k: min(apart[k, before]))


def test_the_farthest_person_is_nearer_than_by_chance() -> None:
    apart, draw = distances(80, 3), np.random.default_rng(0)
    chance = [radius(apart, draw.choice(80, 10, replace=False).tolist()) for _ in range(200)]
    assert radius(apart, choose(candidates_of(80, 3), 10, 0)) < min(chance)


def test_the_seed_says_who_comes_first() -> None:
    candidates = candidates_of(40)
    first = [choose(candidates, 1, seed) for seed in range(12)]
    assert first == [seeded_order(candidates.persons, seed)[:1] for seed in range(12)]
    assert len({one for (one,) in first}) > 6


def test_of_one_seed_smaller_sets_lie_within_larger_ones() -> None:
    for seed in range(3):
        assert sorted(chosen_in_order(choose, candidates_of(15), 15, seed)) == list(range(15))


def test_one_of_each_kind_is_chosen_before_a_second_of_any() -> None:
    rng = np.random.default_rng(0)
    kinds = [[rng.laplace(0, scale, 200)] for scale in (0.1, 1.0, 10.0)]
    chosen = choose(shown(activations_of([kinds[k % 3] for k in range(12)])), 3, 0)
    assert sorted(k % 3 for k in chosen) == [0, 1, 2]


def test_persons_who_are_all_alike_can_be_chosen() -> None:
    alike = shown(activations_of([[np.ones(5)]] * 7))
    assert len(chosen_in_order(choose, alike, 7)) == 7


def test_the_seed_decides_between_persons_who_are_alike() -> None:
    rng = np.random.default_rng(0)
    kinds = [[rng.laplace(0, scale, 200)] for scale in (0.1, 1.0, 10.0)]
    pool = shown(activations_of([kinds[k % 3] for k in range(12)]))
    alike = shown(activations_of([[np.ones(5)]] * 9))
    for seed in range(5):
        order = seeded_order(pool.persons, seed)
        expected = [next(k for k in order if k % 3 == kind) for kind in range(3)]
        assert choose(pool, 3, seed) == sorted(expected)
        assert chosen_in_order(choose, alike, 9, seed) == seeded_order(alike.persons, seed)


@pytest.mark.parametrize("count", [1, 4])
def test_every_choice_is_told(count: int) -> None:
    told: list[tuple[str, int, int]] = []
    choose(replace(candidates_of(9), progress=lambda *step: told.append(step)), count, 0)
    assert told == [("choosing", done, count) for done in range(1, count + 1)]
